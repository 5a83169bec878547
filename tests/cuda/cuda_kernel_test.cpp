// SPDX-License-Identifier: MIT
// Kernels of an engine that decode, encode and multiply blocks themselves: example_*.cu.
#include <cmath>
#include <cstring>

#include "cuda/gemv_emulation.hpp"
#include "ecco/block.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/h4_encode.hpp"

void sum_blocks(const std::uint8_t* blocks, int count, const std::uint8_t* table,
                float tensor_scale, float* sums);
void encode_keys(const float* keys, int count, const ecco::cuda::DeviceCodecView& codec,
                 std::uint32_t* words);
void embed(const ecco::cuda::DeviceTensorView& tensor, const int* tokens, int count, float* out);
void decode_blocks(const ecco::cuda::DeviceTensorView& tensor, int count, ecco::half* out);
void relu_gemv(const ecco::cuda::DeviceTensorView& w, const float* x, int batch, float* y);

namespace ecco {
namespace {

using CudaKernel = test::CudaTest;

TEST_F(CudaKernel, DecodesInRegisters) {
  std::mt19937 random(41);
  const auto tensor =
      CompressedTensor::create(37, 128, 0.5f, test::random_tables(random, Codec::p4, 256),
                               test::valid_blocks(random, Codec::p4, 37, 256));
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view());
  ASSERT_TRUE(device);
  const test::DeviceArray<float> sums(std::vector<float>(37));
  sum_blocks(device->view().blocks, 37, device->view().patterns, 0.5f, sums.data());
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  const std::vector<float> got = sums.values();
  for (std::size_t r = 0; r < 37; ++r) {
    float values[128];
    decode_block(tensor->view(), tensor->view().row(r), values);
    double want = 0.0;
    for (const float value : values) want += std::fabs(value);
    EXPECT_NEAR(got[r], want, 1e-5 * want + 1e-30);
  }
}

TEST_F(CudaKernel, EncodesFromRegisters) {
  std::mt19937 random(42);
  std::normal_distribution<float> normal;
  std::vector<float> keys(7 * 128);
  for (float& key : keys) key = normal(random);
  const auto codec = cuda::DeviceCodec::create(Codec::h4);
  ASSERT_TRUE(codec);
  const test::DeviceArray<float> device_keys(keys);
  const test::DeviceArray<std::uint32_t> words(std::vector<std::uint32_t>(7 * 16));
  encode_keys(device_keys.data(), 7, codec->view(), words.data());
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  const std::vector<std::uint32_t> got = words.values();
  for (std::size_t k = 0; k < 7; ++k) {
    float values[128];
    for (std::size_t i = 0; i < 128; ++i) values[i] = 2.0f * keys[128 * k + i];
    std::uint8_t block[64];
    h4::encode_kv(values, 128, standard_kv_table().h4(), 1.0f, block);
    EXPECT_EQ(std::memcmp(got.data() + 16 * k, block, 64), 0) << k;
  }
}

TEST_F(CudaKernel, LooksUpRowsOfAnEmbedding) {
  std::mt19937 random(43);
  constexpr std::size_t kCols = 700;
  const auto tensor = test::random_tensor(random, Codec::h4, 9, kCols);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view());
  ASSERT_TRUE(device);
  const std::vector<int> tokens = {8, 0, 3, 3, 7};
  const test::DeviceArray<int> device_tokens(tokens);
  const test::DeviceArray<float> out(std::vector<float>(tokens.size() * kCols));
  embed(device->view(), device_tokens.data(), static_cast<int>(tokens.size()), out.data());
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  std::vector<float> want(tokens.size() * kCols);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::uint8_t* row = tensor->view().row(static_cast<std::size_t>(tokens[i]));
    float values[128];
    for (std::size_t k = 0; k < kCols; ++k) {
      if (k % 128 == 0) decode_block(tensor->view(), row + 64 * (k / 128), values);
      want[i * kCols + k] = values[k % 128];
    }
  }
  EXPECT_EQ(test::first_difference(out.values(), want), -1);
}

TEST_F(CudaKernel, DecodesABlockPerLane) {
  std::mt19937 random(44);
  constexpr std::size_t kBlocks = 150;  // of five warps, the last one's lanes not all with a block
  const auto blocks = test::arbitrary_blocks(random, Codec::h4, kBlocks);
  const auto tensor = CompressedTensor::create(kBlocks, 128, 0.3f,
                                               test::random_tables(random, Codec::h4, 60), blocks);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view());
  ASSERT_TRUE(device);
  const test::DeviceArray<half> out(std::vector<half>(kBlocks * 128));
  decode_blocks(device->view(), kBlocks, out.data());
  ASSERT_EQ(cudaGetLastError(), cudaSuccess);
  const std::vector<half> got = out.values();
  for (std::size_t b = 0; b < kBlocks; ++b) {
    float values[128];
    decode_block(tensor->view(), tensor->view().row(b), values);
    for (std::size_t e = 0; e < 128; ++e) {
      ASSERT_EQ(got[128 * b + e].bits, to_half(values[e]).bits) << "block " << b << ", " << e;
    }
  }
}

/// Row times vector as a warp adds it up, group by group.
float dot(const TensorView& tensor, std::size_t row, const test::Digit& x) {
  float sum = 0.0f;
  for (std::size_t b = 0; b < tensor.blocks_per_row(); ++b) {
    Int8Block weights;
    decode_block(tensor, tensor.row(row) + block_bytes(tensor.codec()) * b, weights);
    int product = 0;
    for (std::size_t e = 0; e < 128; ++e) product += weights.values[e] * x.values[128 * b + e];
    sum = std::fma(weights.factor * x.factors[b], static_cast<float>(product), sum);
  }
  return sum;
}

TEST_F(CudaKernel, MultipliesAndFusesWhatComesNext) {
  std::mt19937 random(45);
  constexpr std::size_t kRows = 85;  // six row tiles, two blocks of threads
  constexpr std::size_t kCols = 1100;
  const auto tensor = test::random_tensor(random, Codec::p4, kRows, kCols);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), cuda::Layout::fast);
  ASSERT_TRUE(device);
  for (const std::size_t batch : {std::size_t{1}, std::size_t{3}, std::size_t{8}}) {
    const std::vector<float> x = test::make_x<float>(random, batch, kCols);
    const test::DeviceArray<float> device_x(x);
    const test::DeviceArray<float> y(std::vector<float>(batch * kRows + 1, -7.0f));
    relu_gemv(device->view(), device_x.data(), static_cast<int>(batch), y.data());
    ASSERT_EQ(cudaGetLastError(), cudaSuccess);
    std::vector<float> want(batch * kRows + 1, -7.0f);
    for (std::size_t i = 0; i < batch; ++i) {
      const auto* from = x.data() + i * kCols;
      const auto digits = test::digits_of({from, from + kCols}, cuda::Activations::int8);
      for (std::size_t r = 0; r < kRows; ++r) {
        want[i * kRows + r] = std::max(0.0f, dot(tensor->view(), r, digits[0]));
      }
    }
    EXPECT_EQ(test::first_difference(y.values(), want), -1) << "batch " << batch;
  }
}

}  // namespace
}  // namespace ecco

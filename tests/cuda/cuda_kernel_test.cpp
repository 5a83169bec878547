// SPDX-License-Identifier: MIT
// Kernels of an engine that decode and encode blocks themselves; see example_kernel.cu.
#include <cmath>
#include <cstring>

#include "cuda/support.hpp"
#include "ecco/block.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/h4_encode.hpp"

void sum_blocks(const std::uint8_t* blocks, int count, const std::uint8_t* table,
                float tensor_scale, float* sums);
void encode_keys(const float* keys, int count, const ecco::cuda::DeviceCodecView& codec,
                 std::uint32_t* words);

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

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// Products on tiles equal, bit for bit, an emulation of the documented order of sums on the
// blocks.
#include <cmath>
#include <string>

#include "cuda/support.hpp"
#include "ecco/a8.hpp"
#include "ecco/gemv.hpp"
#include "launch.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;
using test::first_difference;
using test::random_tables;
using test::valid_blocks;

constexpr int kWarps = 8;

/// One int8 digit of the activations of a vector: value = factor * digit, per 128.
struct Digit {
  std::vector<std::int8_t> values;
  std::vector<float> factors;
};

/// The digits of a vector, by docs/cuda.md.
std::vector<Digit> digits_of(const std::vector<float>& x, Activations activations) {
  const std::size_t groups = blocks_per_row(x.size());
  if (activations == Activations::int8) {  // the activations of the CPU's product
    const auto quantized = Int8Activations::quantize(x);
    return {{{quantized->values().begin(), quantized->values().end()},
             {quantized->factors().begin(), quantized->factors().end()}}};
  }
  Digit high{std::vector<std::int8_t>(groups * 128), std::vector<float>(groups)};
  Digit low = high;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t end = std::min(x.size(), 128 * g + 128);
    float largest = 0.0f;
    for (std::size_t k = 128 * g; k < end; ++k) largest = std::max(largest, std::fabs(x[k]));
    if (largest < 0x1p-100f) continue;
    low.factors[g] = largest / 32639.0f;
    high.factors[g] = 256.0f * low.factors[g];
    for (std::size_t k = 128 * g; k < end; ++k) {
      const int q = static_cast<int>(std::nearbyint(x[k] * (32639.0f / largest)));
      const int rest = (q % 256 + 256 + 128) % 256 - 128;  // q = 256 high + rest
      low.values[k] = static_cast<std::int8_t>(rest);
      high.values[k] = static_cast<std::int8_t>((q - rest) / 256);
    }
  }
  return {high, low};
}

/// Row `row` times a digit: warps take every eighth block of a slice of K; sums of warps, then of
/// slices, in order.
float dot_row(const TensorView& tensor, std::size_t row, const Digit& x,
              const cuda::detail::GemvPlan& plan) {
  const std::size_t blocks = tensor.blocks_per_row();
  float total = 0.0f;
  for (std::size_t first = 0; first < blocks; first += plan.slice) {
    float slice = 0.0f;
    for (std::size_t warp = 0; warp < kWarps; ++warp) {
      float sum = 0.0f;
      for (std::size_t b = first + warp; b < std::min<std::size_t>(first + plan.slice, blocks);
           b += kWarps) {
        Int8Block weights;
        decode_block(tensor, tensor.row(row) + block_bytes(tensor.codec()) * b, weights);
        int dot = 0;
        for (std::size_t e = 0; e < 128; ++e) dot += weights.values[e] * x.values[128 * b + e];
        const float factor = weights.factor * x.factors[b];
        sum = std::fma(factor, static_cast<float>(dot), sum);
      }
      slice += sum;
    }
    total += slice;
  }
  return total;
}

/// The device's results for one batch, [vector][row], with a gap behind each vector's rows. `x` =
/// a view of device memory.
template <typename View>
std::vector<float> multiply_view(const cuda::DeviceTensorView& tensor, const View& x,
                                 std::size_t batch, Activations activations) {
  const std::size_t y_stride = tensor.rows + 3;
  const DeviceArray<float> y(std::vector<float>(batch * y_stride, -7.0f));
  const DeviceArray<uint4> workspace(
      std::vector<uint4>(cuda::gemv_workspace_bytes(tensor, batch, activations) / 16 + 1));
  const Status status =
      cuda::gemv(tensor, x, MatrixView<float>{y.data(), batch, tensor.rows, y_stride}, activations,
                 {reinterpret_cast<std::uint8_t*>(workspace.data()),
                  cuda::gemv_workspace_bytes(tensor, batch, activations)},
                 nullptr);
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  std::vector<float> out = y.values();
  for (std::size_t i = 0; i < batch; ++i) {
    for (std::size_t r = tensor.rows; r < y_stride; ++r) {
      EXPECT_EQ(out[i * y_stride + r], -7.0f) << "written past the rows";
    }
  }
  return out;
}

template <typename T>
std::vector<float> multiply(const cuda::DeviceTensorView& tensor, const std::vector<T>& x,
                            std::size_t x_stride, std::size_t batch, Activations activations) {
  const DeviceArray<T> device_x(x);
  const MatrixView<const T> view{device_x.data(), batch, tensor.cols, x_stride};
  return multiply_view(tensor, view, batch, activations);
}

/// Vectors with a large value here and there, a group of zeros, and a tiny one.
template <typename T>
std::vector<T> make_x(std::mt19937& random, std::size_t batch, std::size_t stride) {
  std::normal_distribution<float> normal;
  std::vector<T> x(batch * stride);
  for (std::size_t i = 0; i < x.size(); ++i) {
    float value = normal(random) * (random() % 97 == 0 ? 30.0f : 1.0f);
    if (i / 128 % 5 == 3) value = 0.0f;
    if (i / 128 % 7 == 4) value *= 0x1p-14f;
    x[i] = from_float<T>(value);
  }
  return x;
}

template <typename T>
void expect_emulation(const TensorView& tensor, Layout layout, std::size_t batch,
                      Activations activations, std::mt19937& random) {
  SCOPED_TRACE(std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols()) + ", batch " +
               std::to_string(batch) + ", layout " + std::to_string(static_cast<int>(layout)));
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  ASSERT_EQ(device->view().layout, layout);
  const std::size_t stride = tensor.cols() + 5;
  const std::vector<T> x = make_x<T>(random, batch, stride);
  const std::vector<float> got = multiply<T>(device->view(), x, stride, batch, activations);
  int multiprocessors = 0;
  ASSERT_EQ(cuda::detail::multiprocessors(multiprocessors), cudaSuccess);
  const auto plan = cuda::detail::gemv_plan(static_cast<unsigned>((tensor.rows() + 15) / 16),
                                            static_cast<unsigned>(tensor.blocks_per_row()),
                                            static_cast<unsigned>(multiprocessors));
  for (std::size_t i = 0; i < batch; ++i) {
    std::vector<float> values;
    for (std::size_t k = 0; k < tensor.cols(); ++k) values.push_back(to_float(x[i * stride + k]));
    const std::vector<Digit> digits = digits_of(values, activations);
    for (std::size_t r = 0; r < tensor.rows(); ++r) {
      float want = dot_row(tensor, r, digits[0], plan);
      if (digits.size() == 2) want += dot_row(tensor, r, digits[1], plan);
      ASSERT_EQ(float_bits(got[i * (tensor.rows() + 3) + r]), float_bits(want))
          << "vector " << i << ", row " << r;
    }
  }
}

Result<CompressedTensor> random_tensor(std::mt19937& random, Codec codec, std::size_t rows,
                                       std::size_t cols) {
  return CompressedTensor::create(rows, cols, 0.73f, random_tables(random, codec, 256),
                                  valid_blocks(random, codec, rows * blocks_per_row(cols), 256));
}

struct Shape {
  std::size_t rows;
  std::size_t cols;
};

/// Raw blocks or a kind of tiles.
struct Kind {
  Codec codec;
  Layout layout;
};

class CudaGemv : public CudaTest, public ::testing::WithParamInterface<Kind> {};

TEST_P(CudaGemv, EqualsItsEmulationForEveryShape) {
  std::mt19937 random(21);
  for (const Shape& shape : {Shape{1, 1}, {17, 129}, {16, 1152}, {33, 2880}, {3, 4224}}) {
    const auto tensor = random_tensor(random, GetParam().codec, shape.rows, shape.cols);
    ASSERT_TRUE(tensor);
    expect_emulation<float>(tensor->view(), GetParam().layout, 1, Activations::int8, random);
    expect_emulation<half>(tensor->view(), GetParam().layout, 3, Activations::int16, random);
  }
}

TEST_P(CudaGemv, EqualsItsEmulationForEveryBatch) {
  std::mt19937 random(22);
  const auto tensor = random_tensor(random, GetParam().codec, 18, 1300);
  ASSERT_TRUE(tensor);
  for (const std::size_t batch : {1, 2, 3, 4, 5, 8, 9, 16}) {
    expect_emulation<bfloat16>(tensor->view(), GetParam().layout, batch, Activations::int8,
                               random);
    expect_emulation<float>(tensor->view(), GetParam().layout, batch, Activations::int16, random);
  }
}

// The largest centroids of either sign in one column of the gated table, and the largest digits:
// the integer sum of a block is as large as it gets.
TEST_P(CudaGemv, IsExactAtTheLimits) {
  std::mt19937 random(23);
  const Codec codec = GetParam().codec;
  const int width = centroids_per_pattern(codec);
  PatternTable table;
  table.codec = codec;
  for (int p = 0; p < 8; ++p) {
    for (int c = 0; c < width; ++c) {
      const int sign = p == 0 ? 1 : p == 1 ? -1 : (c / (width / 5) + p) % 2 == 0 ? 1 : -1;
      table.centroids.push_back(static_cast<std::int8_t>(p < 6 ? 123 * sign : c % 5 - 2));
    }
  }
  const auto tensor =
      CompressedTensor::create(16, 256, 1.0f, table, valid_blocks(random, codec, 32, 8));
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  const std::vector<float> x(256, -1.0f);
  const auto got = multiply<float>(device->view(), x, 256, 1, Activations::int16);
  const auto digits = digits_of(x, Activations::int16);
  for (std::size_t r = 0; r < 16; ++r) {
    const float want = dot_row(tensor->view(), r, digits[0], {2, 1}) +
                       dot_row(tensor->view(), r, digits[1], {2, 1});
    EXPECT_EQ(float_bits(got[r]), float_bits(want)) << r;
  }
}

TEST_P(CudaGemv, SpreadsNanOfItsVectorOnly) {
  std::mt19937 random(24);
  const auto tensor = random_tensor(random, GetParam().codec, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  std::vector<float> x = make_x<float>(random, 3, 300);
  x[300 + 140] = INFINITY;
  x[600 + 299] = NAN;
  const auto got = multiply<float>(device->view(), x, 300, 3, Activations::int8);
  EXPECT_TRUE(std::isfinite(got[0]));
  EXPECT_TRUE(std::isnan(got[7]));
  EXPECT_TRUE(std::isnan(got[14]));
}

// As the values that the blocks decode to; any bytes, scale code 0 among them, and half a group.
TEST_P(CudaGemv, TakesA8Blocks) {
  std::mt19937 random(32);
  for (const Shape& shape : {Shape{17, 129}, {1, 64}, {3, 1}, {16, 1152}}) {
    const auto tensor = random_tensor(random, GetParam().codec, shape.rows, shape.cols);
    ASSERT_TRUE(tensor);
    const auto device = cuda::upload(tensor->view(), GetParam().layout);
    ASSERT_TRUE(device);
    constexpr std::size_t kBatch = 9;
    const std::size_t per_row = (shape.cols + 63) / 64;
    auto blocks = test::arbitrary_blocks(random, Codec::a8, kBatch * per_row);
    for (std::size_t i = 7; i < blocks.size(); i += 8) {
      if (i / 64 % 3 == 1) blocks[i] &= 0xfeu;  // scale code 0
    }
    const DeviceArray<std::uint8_t> x(blocks);
    std::vector<float> values(kBatch * shape.cols);
    for (std::size_t i = 0; i < kBatch; ++i) {
      a8::decode_row(blocks.data() + 64 * i * per_row, shape.cols, 0.41f,
                     values.data() + i * shape.cols);
    }
    for (const auto activations : {Activations::int8, Activations::int16}) {
      const cuda::A8View view{x.data(), kBatch, shape.cols, 0.41f};
      EXPECT_EQ(first_difference(
                    multiply_view(device->view(), view, kBatch, activations),
                    multiply<float>(device->view(), values, shape.cols, kBatch, activations)),
                -1)
          << shape.rows << " x " << shape.cols;
    }
  }
}

// More row tiles than blocks of threads run at the same time.
TEST_P(CudaGemv, StridesOverRowTiles) {
  std::mt19937 random(29);
  int multiprocessors = 0;
  ASSERT_EQ(cuda::detail::multiprocessors(multiprocessors), cudaSuccess);
  const std::size_t rows = 16 * (8 * static_cast<std::size_t>(multiprocessors) + 3);
  const auto tensor = random_tensor(random, GetParam().codec, rows, 128);
  ASSERT_TRUE(tensor);
  expect_emulation<half>(tensor->view(), GetParam().layout, 1, Activations::int8, random);
}

// K in one slice although rows are few, so that warps take five tiles each.
TEST_P(CudaGemv, PipelinesManyTilesPerWarp) {
  std::mt19937 random(30);
  constexpr unsigned kTiles = 8 * 4 + 3;
  const auto tensor = random_tensor(random, GetParam().codec, 16, 128 * kTiles);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  const std::vector<float> x = make_x<float>(random, 1, 128 * kTiles);
  const DeviceArray<float> device_x(x);
  const DeviceArray<std::uint32_t> fragments(std::vector<std::uint32_t>(kTiles * 64));
  const DeviceArray<float> factors(std::vector<float>(kTiles * 8));
  const DeviceArray<float> y(std::vector<float>(16));
  const cuda::detail::QuantizeJob quantize{128 * kTiles,     128 * kTiles,  kTiles, 1, 2,
                                           fragments.data(), factors.data()};
  ASSERT_EQ(cuda::detail::quantize(quantize, device_x.data(), 1, false, nullptr), cudaSuccess);
  cuda::detail::GemvJob job{};
  job.tiles = reinterpret_cast<const uint4*>(device->view().blocks);
  const bool raw = GetParam().layout == Layout::raw;
  job.gated =
      raw ? reinterpret_cast<const std::uint32_t*>(device->view().patterns) : device->view().gated;
  job.codes = device->view().codes;
  job.x = reinterpret_cast<const uint4*>(fragments.data());
  job.factors = factors.data();
  job.sums = y.data();
  job.tensor_scale = tensor->view().tensor_scale();
  job.rows = 16;
  job.row_tiles = 1;
  job.column_tiles = kTiles;
  job.slice = kTiles;
  job.columns = 1;
  job.sum_stride = 16;
  ASSERT_EQ(raw ? cuda::detail::gemv_raw(GetParam().codec, job, 1, nullptr)
                : cuda::detail::gemv_tiles(GetParam().codec, GetParam().layout == Layout::dense,
                                           job, 1, nullptr),
            cudaSuccess);
  const std::vector<float> got = y.values();
  const Digit digit = digits_of(x, Activations::int8)[0];
  for (std::size_t r = 0; r < 16; ++r) {
    EXPECT_EQ(float_bits(got[r]), float_bits(dot_row(tensor->view(), r, digit, {kTiles, 1}))) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaGemv,
    ::testing::Values(Kind{Codec::p4, Layout::dense}, Kind{Codec::p2, Layout::fast},
                      Kind{Codec::p3, Layout::fast}, Kind{Codec::p4, Layout::fast},
                      Kind{Codec::p5, Layout::fast}, Kind{Codec::p2, Layout::raw},
                      Kind{Codec::p3, Layout::raw}, Kind{Codec::p4, Layout::raw},
                      Kind{Codec::p5, Layout::raw}),
    [](const auto& param) { return test::kind_name(param.param.codec, param.param.layout); });

using CudaRawGemv = CudaTest;

// Blocks that are not valid decode to something, too, as do patterns past the table.
TEST_F(CudaRawGemv, TakesAnyBytes) {
  std::mt19937 random(33);
  for (const Codec codec : {Codec::p2, Codec::p3, Codec::p4, Codec::p5}) {
    const auto tensor = CompressedTensor::create(23, 1300, 1.1f, random_tables(random, codec, 100),
                                                 test::arbitrary_blocks(random, codec, 23 * 11));
    ASSERT_TRUE(tensor);
    expect_emulation<float>(tensor->view(), Layout::raw, 9, Activations::int8, random);
  }
}

using CudaDenseGemv = CudaTest;

// The codes of one lane take 96 bits, those of its neighbour 40: all of the 136 they share.
TEST_F(CudaDenseGemv, ReadsCodesFromTheNeighboursEnd) {
  std::mt19937 random(28);
  std::vector<std::uint8_t> blocks(64 * 16);
  for (int r = 0; r < 16; ++r) {
    constexpr int kLevels[5][4] = {
        {1, 3, 1, 3}, {4, 1, 3, 1}, {2, 2, 2, 2}, {1, 1, 4, 4}, {3, 2, 2, 1}};  // 8 tail bits
    std::uint8_t ranks[128];
    for (int e = 0; e < 128; ++e) {
      const int level = e / 4 % 4 == r % 4 ? kLevels[(e / 16 + r / 4) % 5][e % 4] : 0;
      ranks[e] = static_cast<std::uint8_t>(4 * level + static_cast<int>(random() % 4));
    }
    ASSERT_TRUE(
        planar::pack<2>(ranks, static_cast<std::uint8_t>(random()), 100, blocks.data() + 64 * r));
  }
  const auto tensor = CompressedTensor::create(
      16, 128, 1.0f, random_tables(random, Codec::p4, 256), std::move(blocks));
  ASSERT_TRUE(tensor);
  expect_emulation<float>(tensor->view(), Layout::dense, 1, Activations::int8, random);
}

using CudaGemvErrors = CudaTest;

TEST_F(CudaGemvErrors, RefusesWhatDoesNotFit) {
  std::mt19937 random(25);
  const auto tensor = random_tensor(random, Codec::p4, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const auto other = CompressedTensor::create(4, 300, 1.0f, random_tables(random, Codec::h4, 64),
                                              std::vector<std::uint8_t>(64 * 12));
  ASSERT_TRUE(other);
  const auto h4 = cuda::upload(other->view(), Layout::raw);
  ASSERT_TRUE(h4);
  const DeviceArray<float> x(std::vector<float>(17 * 304));
  const DeviceArray<float> y(std::vector<float>(17 * 8));
  const std::size_t bytes = cuda::gemv_workspace_bytes(device->view(), 2, Activations::int16);
  const DeviceArray<uint4> memory(std::vector<uint4>(bytes / 16 + 1));
  auto* workspace = reinterpret_cast<std::uint8_t*>(memory.data());
  const auto code = [&](const cuda::DeviceTensorView& view, MatrixView<const float> in,
                        MatrixView<float> out, std::span<std::uint8_t> space) {
    return cuda::gemv(view, in, out, Activations::int16, space, nullptr).code();
  };
  const MatrixView<const float> in{x.data(), 2, 300, 304};
  const MatrixView<float> out{y.data(), 2, 4, 8};
  const std::span<std::uint8_t> space(workspace, bytes);
  EXPECT_EQ(code(device->view(), in, out, space), StatusCode::ok);
  EXPECT_EQ(code(h4->view(), in, out, space), StatusCode::unsupported);
  EXPECT_EQ(code(device->view(), {x.data(), 2, 299, 304}, out, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), {x.data(), 1, 300, 304}, out, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, {y.data(), 2, 5, 8}, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), {x.data(), 17, 300, 304}, {y.data(), 17, 4, 8}, space),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), in, out, space.first(bytes - 1)), StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), in, out, {workspace + 8, bytes}), StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), {x.data(), 2, 300, 299}, out, space),
            StatusCode::invalid_argument);
  const auto a8_code = [&](const cuda::A8View& view) {
    return cuda::gemv(device->view(), view, out, Activations::int16, space, nullptr).code();
  };
  const auto* blocks = reinterpret_cast<const std::uint8_t*>(x.data());
  EXPECT_EQ(a8_code({blocks, 2, 300, 1.0f}), StatusCode::ok);
  EXPECT_EQ(a8_code({blocks + 4, 2, 300, 1.0f}), StatusCode::invalid_argument);
  EXPECT_EQ(a8_code({blocks, 2, 320, 1.0f}), StatusCode::shape_mismatch);
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(y.data()) + 2);
  EXPECT_EQ(code(device->view(), in, {odd, 2, 4, 8}, space), StatusCode::invalid_argument);
}

TEST_F(CudaGemvErrors, UploadRefusesInvalidBlocksAndCodecsWithoutTiles) {
  std::mt19937 random(26);
  auto blocks = valid_blocks(random, Codec::p4, 4, 256);
  blocks[1] = 0;  // scale 0 with other bytes set
  const auto broken =
      CompressedTensor::create(2, 256, 1.0f, random_tables(random, Codec::p4, 256), blocks);
  ASSERT_TRUE(broken);
  const auto tiles = cuda::upload(broken->view(), Layout::dense);
  ASSERT_FALSE(tiles);
  EXPECT_EQ(tiles.error().code(), StatusCode::corrupt);
  const auto p3 = random_tensor(random, Codec::p3, 2, 256);
  ASSERT_TRUE(p3);
  const auto other = cuda::upload(p3->view(), Layout::dense);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), StatusCode::unsupported);
}

TEST_F(CudaGemvErrors, AutomaticLayoutIsOneOfTiles) {
  std::mt19937 random(27);
  for (const Codec codec : kPlanarCodecs) {
    const auto tensor = random_tensor(random, codec, 4, 300);
    ASSERT_TRUE(tensor);
    const auto device = cuda::upload(tensor->view(), Layout::automatic);
    ASSERT_TRUE(device) << device.error().message();
    EXPECT_TRUE(device->view().layout == Layout::fast ||
                (codec == Codec::p4 && device->view().layout == Layout::dense));
  }
}

}  // namespace
}  // namespace ecco

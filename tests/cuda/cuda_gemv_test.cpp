// SPDX-License-Identifier: MIT
// Products on tiles equal, bit for bit, an emulation of the documented order of sums on the
// blocks.
#include <cmath>
#include <string>

#include "cuda/gemv_emulation.hpp"
#include "ecco/a8.hpp"
#include "gemv_job.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;
using test::Digit;
using test::digits_of;
using test::dot_row;
using test::expect_emulation;
using test::first_difference;
using test::make_x;
using test::multiply;
using test::multiply_view;
using test::random_tables;
using test::random_tensor;
using test::valid_blocks;

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
  for (const std::size_t batch : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 16u}) {
    expect_emulation<bfloat16>(tensor->view(), GetParam().layout, batch, Activations::int8,
                               random);
    expect_emulation<float>(tensor->view(), GetParam().layout, batch, Activations::int16, random);
  }
}

/// The largest centroids of either sign, of one sign and of both in a column of the gated tables.
PatternTable limit_table(std::mt19937& random, Codec codec) {
  PatternTable table = random_tables(random, codec, 16);
  const int width = centroids_per_pattern(codec);
  for (int p = 0; p < 12; ++p) {
    std::int8_t* row = table.centroids.data() + p * width;
    for (int c = 0; c < width; ++c) {
      const int sign = p == 0 ? 1 : p == 1 ? -1 : (c / (width / 5) + p) % 2 == 0 ? 1 : -1;
      if (codec == Codec::h4) {  // ascending; -127 stands for 127, in an even number of places
        row[c] = static_cast<std::int8_t>(p % 8 == 0        ? 127
                                          : c < 2 * (p % 8) ? -127
                                          : c % 2 == 0      ? 1
                                                            : 127);
        if (c > 0) row[c] = std::max(row[c], row[c - 1]);
      } else {
        row[c] = static_cast<std::int8_t>(p < 6 ? 123 * sign : c % 5 - 2);
      }
    }
  }
  return table;
}

// With the largest digits, too: the integer sum of a block is as large as it gets.
TEST_P(CudaGemv, IsExactAtTheLimits) {
  std::mt19937 random(23);
  const auto tensor = random_tensor(random, limit_table(random, GetParam().codec), 16, 256);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  const std::vector<float> x(256, -1.0f);
  const auto got = multiply<float>(device->view(), x, 256, 1, Activations::int16);
  const auto digits = digits_of(x, Activations::int16);
  for (std::size_t r = 0; r < 16; ++r) {
    const float want = dot_row(tensor->view(), GetParam().layout, r, digits[0], {2, 1}) +
                       dot_row(tensor->view(), GetParam().layout, r, digits[1], {2, 1});
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
  EXPECT_TRUE(std::isnan(got[4]));
  EXPECT_TRUE(std::isnan(got[8]));
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
  cuda::detail::GemvJob job = cuda::detail::gemv_job(device->view());
  job.x = reinterpret_cast<const uint4*>(fragments.data());
  job.factors = factors.data();
  job.sums = y.data();
  job.slice = kTiles;
  job.columns = 1;
  job.sum_stride = 16;
  ASSERT_EQ(cuda::detail::gemv_launch(device->view(), job, 1, nullptr), cudaSuccess);
  const std::vector<float> got = y.values();
  const Digit digit = digits_of(x, Activations::int8)[0];
  for (std::size_t r = 0; r < 16; ++r) {
    const float want = dot_row(tensor->view(), GetParam().layout, r, digit, {kTiles, 1});
    EXPECT_EQ(float_bits(got[r]), float_bits(want)) << r;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaGemv,
    ::testing::Values(Kind{Codec::p4, Layout::dense}, Kind{Codec::p4, Layout::paired},
                      Kind{Codec::p2, Layout::fast}, Kind{Codec::p3, Layout::fast},
                      Kind{Codec::p4, Layout::fast}, Kind{Codec::p5, Layout::fast},
                      Kind{Codec::h4, Layout::fast}, Kind{Codec::p2, Layout::raw},
                      Kind{Codec::p3, Layout::raw}, Kind{Codec::p4, Layout::raw},
                      Kind{Codec::p5, Layout::raw}, Kind{Codec::h4, Layout::raw}),
    [](const auto& param) { return test::kind_name(param.param.codec, param.param.layout); });

using CudaRawGemv = CudaTest;

// Blocks that are not valid decode to something, too, as do patterns past the table.
TEST_F(CudaRawGemv, TakesAnyBytes) {
  std::mt19937 random(33);
  for (const Codec codec : kStoredCodecs) {
    const auto tensor = CompressedTensor::create(23, 1300, 1.1f, random_tables(random, codec, 100),
                                                 test::arbitrary_blocks(random, codec, 23 * 11));
    ASSERT_TRUE(tensor);
    expect_emulation<float>(tensor->view(), Layout::raw, 9, Activations::int8, random);
  }
}

// Codes of sixteen codebooks fill most of the shared memory.
TEST_F(CudaRawGemv, TakesTheLargestTables) {
  std::mt19937 random(34);
  const auto tensor = random_tensor(random, random_tables(random, Codec::h4, 256, 16), 17, 300);
  ASSERT_TRUE(tensor);
  expect_emulation<float>(tensor->view(), Layout::raw, 16, Activations::int8, random);
  expect_emulation<float>(tensor->view(), Layout::raw, 1, Activations::int8, random);
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

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// Products with many vectors: bit for bit where the sums of a group are exact in any order, within
// a derived bound elsewhere.
#include <cmath>
#include <string>

#include "cuda/gemm_emulation.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::CudaTest;
using test::expect_bounded;
using test::expect_exact;
using test::multiply_many;
using test::plan_of;
using test::random_tensor;
using test::wide_values;

struct Case {
  Codec codec;
  Layout layout;
};
constexpr Case kCases[] = {
    {Codec::p2, Layout::fast},  {Codec::p3, Layout::fast},   {Codec::p4, Layout::fast},
    {Codec::p4, Layout::dense}, {Codec::p4, Layout::paired}, {Codec::p5, Layout::fast},
    {Codec::p2, Layout::raw},   {Codec::p3, Layout::raw},    {Codec::p4, Layout::raw},
    {Codec::p5, Layout::raw},   {Codec::h4, Layout::fast}};

class CudaGemm : public CudaTest, public ::testing::WithParamInterface<Case> {};

TEST_P(CudaGemm, IsExactWhereSumsAre) {
  std::mt19937 random(81);
  const auto expect = [&](std::size_t rows, std::size_t cols, std::size_t batch, auto type) {
    const auto tensor = random_tensor(random, GetParam().codec, rows, cols);
    ASSERT_TRUE(tensor);
    expect_exact<decltype(type)>(tensor->view(), GetParam().layout, batch, random);
  };
  expect(1, 1, 17, half{});
  expect(17, 129, 33, float{});
  expect(3, 2880, 17, bfloat16{});
  expect(145, 256, 65, half{});
  expect(16, 128, 64, bfloat16{});
}

// Few rows and long K, cut into slices, the last one shorter.
TEST_P(CudaGemm, IsExactInSlices) {
  std::mt19937 random(89);
  const auto expect = [&](std::size_t rows, std::size_t cols, std::size_t batch, auto type) {
    const auto tensor = random_tensor(random, GetParam().codec, rows, cols);
    ASSERT_TRUE(tensor);
    EXPECT_GT(plan_of(tensor->view(), 0, batch).slices, 1u);
    expect_exact<decltype(type)>(tensor->view(), GetParam().layout, batch, random);
  };
  expect(1, 4097, 17, half{});
  expect(17, 2880, 67, float{});
}

TEST_P(CudaGemm, StaysWithinItsBound) {
  std::mt19937 random(82);
  const auto tensor = random_tensor(random, GetParam().codec, 17, 300);
  ASSERT_TRUE(tensor);
  constexpr std::size_t kBatch = 20;
  const auto expect = [&](auto type, int spread) {
    using T = decltype(type);
    expect_bounded<T>(tensor->view(), GetParam().layout, kBatch,
                      wide_values<T>(random, kBatch * 305, spread));
  };
  expect(half{}, 12);
  expect(bfloat16{}, 40);
  expect(float{}, 40);
}

TEST_P(CudaGemm, SpreadsNanOfItsVectorOnly) {
  std::mt19937 random(85);
  const auto tensor = random_tensor(random, GetParam().codec, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  constexpr std::size_t kBatch = 19;
  std::vector<float> x = wide_values<float>(random, kBatch * 305, 3);
  x[2 * 305 + 140] = -INFINITY;
  x[17 * 305 + 299] = NAN;
  x[3 * 305 + 300] = NAN;  // in the gap
  const auto got = multiply_many(device->view(), x, kBatch);
  for (std::size_t i = 0; i < kBatch; ++i) {
    for (std::size_t r = 0; r < 4; ++r) {
      EXPECT_EQ(std::isnan(got[4 * i + r]), i == 2 || i == 17) << i << ", row " << r;
      EXPECT_FALSE(std::isinf(got[4 * i + r]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CudaGemm, ::testing::ValuesIn(kCases), [](const auto& param) {
  return test::kind_name(param.param.codec, param.param.layout);
});

using CudaGemmLimits = CudaTest;

// More vectors than one pass takes.
TEST_F(CudaGemmLimits, TakesHundredsOfVectors) {
  std::mt19937 random(83);
  const auto tensor = random_tensor(random, Codec::p4, 5, 129);
  ASSERT_TRUE(tensor);
  expect_exact<half>(tensor->view(), Layout::fast, 512, random);
  expect_exact<float>(tensor->view(), Layout::fast, 530, random);
}

// The largest halves times the largest centroids, and floats far outside half.
TEST_F(CudaGemmLimits, NeitherOverflowsNorVanishes) {
  std::mt19937 random(84);
  PatternTable table;
  table.codec = Codec::p4;
  for (int c = 0; c < 20; ++c) table.centroids.push_back(c % 2 == 0 ? 123 : -123);
  const auto tensor = CompressedTensor::create(16, 256, 0x1p-40f, table,
                                               test::valid_blocks(random, Codec::p4, 32, 1));
  ASSERT_TRUE(tensor);
  constexpr std::size_t kBatch = 18;
  std::vector<half> halves(kBatch * 261);
  std::vector<float> large(kBatch * 261);
  std::vector<float> small(kBatch * 261);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const bool sign = random() % 2 == 0;
    halves[i] = from_float<half>(sign ? 65504.0f : -65504.0f);
    large[i] = sign ? 0x1.fffffep127f : -0x1p100f;
    small[i] = sign ? 0x1p-149f : -0x1p-140f;
  }
  expect_bounded(tensor->view(), Layout::dense, kBatch, halves);
  expect_bounded(tensor->view(), Layout::fast, kBatch, large);
  const auto unit = CompressedTensor::create(16, 256, 0x1p100f, table,
                                             test::valid_blocks(random, Codec::p4, 32, 1));
  ASSERT_TRUE(unit);
  const auto device = cuda::upload(unit->view(), Layout::fast);
  ASSERT_TRUE(device);
  for (const float sum : multiply_many(device->view(), small, kBatch))
    EXPECT_TRUE(std::isfinite(sum));
}

}  // namespace
}  // namespace ecco

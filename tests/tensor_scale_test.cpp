// SPDX-License-Identifier: MIT
#include "ecco/tensor_scale.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace ecco {
namespace {

std::vector<float> student(std::size_t count, float size) {
  std::mt19937_64 random(1);
  std::student_t_distribution<float> distribution(3.0f);
  std::vector<float> values(count);
  for (float& value : values) value = size * distribution(random);
  return values;
}

ScaleStatistics statistics_of(MatrixView<const float> rows) {
  ScaleStatistics out;
  EXPECT_TRUE(add_rows(out, rows));
  return out;
}

void expect_equal(const ScaleStatistics& a, const ScaleStatistics& b) {
  EXPECT_EQ(a.significands, b.significands);
  EXPECT_EQ(a.blocks, b.blocks);
  EXPECT_EQ(a.least_block_rms, b.least_block_rms);
  EXPECT_EQ(a.greatest_magnitude, b.greatest_magnitude);
}

TEST(ScaleStatistics, MergeToTheSameWhateverThePartition) {
  constexpr std::size_t kRows = 23;
  constexpr std::size_t kCols = 300;
  const std::vector<float> values = student(kRows * kCols, 1e-7f);
  const MatrixView<const float> all = dense_view(values.data(), kRows, kCols);
  const ScaleStatistics want = statistics_of(all);
  EXPECT_EQ(want.blocks, kRows * 3);
  for (const std::size_t step : {1u, 4u, 22u}) {
    ScaleStatistics merged;
    for (std::size_t r = (kRows - 1) / step * step + step; r > 0;) {  // last part first
      r -= step;
      const std::size_t rows = std::min(step, kRows - r);
      merged.merge(statistics_of({all.row(r), rows, kCols, kCols}));
    }
    expect_equal(merged, want);
  }
  ScaleStatistics by_columns = statistics_of({all.data + 128, kRows, kCols - 128, kCols});
  by_columns.merge(statistics_of({all.data, kRows, 128, kCols}));
  expect_equal(by_columns, want);
}

TEST(ScaleStatistics, NameTheFirstValueThatIsNotFinite) {
  std::vector<float> values(3 * 200, 1.0f);
  ScaleStatistics statistics;
  values[200 + 150] = -std::numeric_limits<float>::infinity();
  values[200 + 151] = std::numeric_limits<float>::quiet_NaN();
  const Status status =
      add_rows(statistics, dense_view<const float>(values.data(), 3, 200), 1000, 256);
  EXPECT_EQ(status.code(), StatusCode::not_finite);
  EXPECT_EQ(status.message(), "row 1001, column 406 is not finite (-inf)");
}

float scale_of_values(const std::vector<float>& values) {
  return choose_tensor_scale(Codec::p4, statistics_of(dense_view(values.data(), 1, values.size())))
      .value();
}

TEST(TensorScale, IsOneForZerosAndForUsualWeights) {
  EXPECT_EQ(scale_of_values(std::vector<float>(300)), 1.0f);
  EXPECT_EQ(scale_of_values({}), 1.0f);
  for (const float size : {1e-3f, 0.02f, 1.0f, 100.0f}) {
    EXPECT_EQ(scale_of_values(student(4096, size)), 1.0f) << size;
  }
}

// docs/format.md, section 2: the power of two that brings the root mean square to 2^-8.
TEST(TensorScale, IsElseThePowerOfTwoThatBringsTheSizeTo2ToTheMinus8) {
  for (int exponent = -126; exponent <= 120; exponent += 3) {
    const std::vector<float> values(256, std::ldexp(1.2f, exponent));
    const float scale = scale_of_values(values);
    if (exponent >= -15 && exponent < 14) {
      EXPECT_EQ(scale, 1.0f) << exponent;
    } else {
      EXPECT_EQ(scale, std::ldexp(1.0f, std::min(exponent + 8, 112))) << exponent;
    }
  }
}

TEST(TensorScale, StaysInItsRangeAtTheEndsOfBinary32) {
  const float least = std::numeric_limits<float>::denorm_min();
  const float greatest = std::numeric_limits<float>::max();
  for (const std::vector<float>& values :
       {std::vector<float>{least}, std::vector<float>(129, greatest),
        std::vector<float>{0.0f, greatest, least}}) {
    const float scale = scale_of_values(values);
    EXPECT_GT(scale, 0.0f);
    EXPECT_LE(scale, kMaxTensorScale);
  }
}

// docs/format.md, section 5: the largest magnitude / 448, rounded to binary32; 1 for zeros.
TEST(TensorScale, OfH4IsTheLargestMagnitudeOver448) {
  const auto scale = [](float a, float b) {
    const std::vector<float> values = {a, b};
    return choose_tensor_scale(Codec::h4, statistics_of(dense_view(values.data(), 1, 2)));
  };
  EXPECT_EQ(scale(0.0f, -0.0f).value(), 1.0f);
  EXPECT_EQ(scale(0.1f, -896.0f).value(), 2.0f);
  EXPECT_EQ(scale(4.48e36f, 1.0f).value(), 1e34f);
  EXPECT_EQ(scale(4.49e36f, 1.0f).error().code(), StatusCode::unsupported);
}

}  // namespace
}  // namespace ecco

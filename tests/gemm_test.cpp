// SPDX-License-Identifier: MIT
#include "ecco/gemm.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "isa/kernels.hpp"
#include "support/compare.hpp"
#include "support/matrices.hpp"

namespace ecco {
namespace {

using test::Content;
using test::first_difference;
using test::GuardedMatrix;
using test::Matrix;
using test::normal_values;
using test::random_matrix;

// x of batch rows with gaps between them, so that strides count.
GuardedMatrix<float> normal_batch(unsigned seed, std::size_t batch, std::size_t cols) {
  GuardedMatrix<float> x(batch, cols);
  for (std::size_t b = 0; b < batch; ++b) {
    const std::vector<float> row = normal_values(seed + static_cast<unsigned>(b), cols);
    std::copy(row.begin(), row.end(), x.view().row(b));
  }
  return x;
}

MatrixView<const float> constant(MatrixView<float> view) {
  return {view.data, view.rows, view.cols, view.row_stride};
}

std::vector<Int8Activations> quantize(MatrixView<const float> x) {
  std::vector<Int8Activations> out;
  for (std::size_t b = 0; b < x.rows; ++b) {
    out.push_back(Int8Activations::quantize(std::span(x.row(b), x.cols)).value());
  }
  return out;
}

// The kernels of every path, called as gemm.cpp calls them.
void expect_kernels(const TensorView& tensor, MatrixView<const float> x,
                    const std::vector<float>& want, const std::vector<float>& want8) {
  if (x.rows > kGemmBatch) return;
  const std::size_t whole = x.cols / kGroup * kGroup;
  std::vector<float> tails(x.rows * kGroup, 0.0f);
  for (std::size_t b = 0; b < x.rows; ++b) {
    std::copy(x.row(b) + whole, x.row(b) + x.cols, tails.data() + b * kGroup);
  }
  struct alignas(64) Line {
    float values[16];
  };
  std::vector<Line> scratch(gemm_scratch_floats(x.rows) / 16 + 1);
  const std::vector<Int8Activations> q = quantize(x);
  for (const Isa isa : test::supported_isas()) {
    const CodecKernels& kernels = kernels_of(isa).compute.of(tensor.codec());
    GuardedMatrix<float> y(x.rows, tensor.rows());
    kernels.gemm_f32(tensor, {0, tensor.rows()}, x, tails.data(), y.view(), scratch[0].values);
    EXPECT_EQ(first_difference(y.values(), want), -1) << isa_name(isa);
    EXPECT_TRUE(y.guards_untouched()) << isa_name(isa);
    GuardedMatrix<float> y8(x.rows, tensor.rows());
    kernels.gemm_int8(tensor, {0, tensor.rows()}, q, y8.view());
    EXPECT_EQ(first_difference(y8.values(), want8), -1) << isa_name(isa);
    EXPECT_TRUE(y8.guards_untouched()) << isa_name(isa);
  }
}

void expect_reference(const TensorView& tensor, MatrixView<const float> x) {
  const std::vector<Int8Activations> q = quantize(x);
  GuardedMatrix<float> want(x.rows, tensor.rows());
  GuardedMatrix<float> want8(x.rows, tensor.rows());
  ASSERT_TRUE(reference::gemm(tensor, x, want.view()));
  ASSERT_TRUE(reference::gemm(tensor, q, want8.view()));
  const std::vector<float> expected = want.values();
  const std::vector<float> expected8 = want8.values();
  expect_kernels(tensor, x, expected, expected8);
  for (const std::size_t threads : {1u, 2u, 7u}) {
    GuardedMatrix<float> y(x.rows, tensor.rows());
    EXPECT_TRUE(gemm(tensor, x, y.view(), test::threads(threads)));
    EXPECT_EQ(first_difference(y.values(), expected), -1) << threads << " threads";
    EXPECT_TRUE(y.guards_untouched());
    GuardedMatrix<float> y8(x.rows, tensor.rows());
    EXPECT_TRUE(gemm(tensor, q, y8.view(), test::threads(threads)));
    EXPECT_EQ(first_difference(y8.values(), expected8), -1) << threads << " threads";
    EXPECT_TRUE(y8.guards_untouched());
  }
}

class Gemm : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, Gemm, testing::ValuesIn(kStoredCodecs),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST_P(Gemm, EqualsGemvBitForBitOnEveryPath) {
  unsigned seed = 1;
  for (const auto& [rows, cols] : test::kShapes) {
    for (const std::size_t batch : {0u, 1u, 3u, 6u}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) + ", batch " +
                   std::to_string(batch));
      const Matrix matrix = random_matrix(seed, GetParam(), rows, cols, Content::arbitrary);
      GuardedMatrix<float> x = normal_batch(seed++, batch, cols);
      expect_reference(matrix.view, constant(x.view()));
    }
  }
}

TEST_P(Gemm, EqualsGemvForEveryRestOfTheBatch) {
  const Matrix matrix = random_matrix(2, GetParam(), 14, 700, Content::arbitrary);
  for (std::size_t batch = 1; batch <= 9; ++batch) {
    GuardedMatrix<float> x = normal_batch(40, batch, 700);
    expect_reference(matrix.view, constant(x.view()));
  }
}

TEST(GemmBatch, LargerThanOneCallOfTheKernels) {
  const Matrix matrix = random_matrix(2, Codec::p4, 5, 129, Content::valid);
  for (const std::size_t batch : {kGemmBatch, kGemmBatch + 1, 2 * kGemmBatch + 7}) {
    GuardedMatrix<float> x = normal_batch(40, batch, 129);
    expect_reference(matrix.view, constant(x.view()));
  }
}

// A NaN in one row of the batch stays in that row, in the padded micro-tiles too.
TEST_P(Gemm, SpecialValuesStayInTheirRow) {
  const Matrix matrix = random_matrix(12, GetParam(), 14, 300, Content::valid);
  for (const float special :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    GuardedMatrix<float> x = normal_batch(3, 5, 300);
    x.view().row(2)[299] = special;
    GuardedMatrix<float> want(5, 14);
    GuardedMatrix<float> y(5, 14);
    ASSERT_TRUE(reference::gemm(matrix.view, constant(x.view()), want.view()));
    ASSERT_TRUE(gemm(matrix.view, constant(x.view()), y.view()));
    EXPECT_EQ(first_difference(y.values(), want.values()), -1);
    for (std::size_t b = 0; b < 5; ++b) {
      for (std::size_t r = 0; r < 14; ++r) EXPECT_EQ(std::isfinite(y.view().row(b)[r]), b != 2);
    }
  }
}

TEST(GemmErrors, NameTheShapes) {
  const Matrix matrix = random_matrix(1, Codec::p4, 6, 200, Content::valid);
  std::vector<float> x(4 * 200, 1.0f);
  std::vector<float> y(4 * 6);
  const auto x_of = [&](std::size_t rows, std::size_t cols) {
    return dense_view<const float>(x.data(), rows, cols);
  };
  const auto y_of = [&](std::size_t rows, std::size_t cols) {
    return dense_view(y.data(), rows, cols);
  };
  const Status rows = gemm(matrix.view, x_of(4, 200), y_of(3, 6));
  EXPECT_EQ(rows.code(), StatusCode::shape_mismatch);
  EXPECT_EQ(rows.message(), "x has 4 rows and y 3");
  EXPECT_EQ(gemm(matrix.view, x_of(4, 199), y_of(4, 6)).code(), StatusCode::shape_mismatch);
  EXPECT_EQ(gemm(matrix.view, x_of(4, 200), y_of(4, 5)).code(), StatusCode::shape_mismatch);
  EXPECT_TRUE(gemm(matrix.view, x_of(4, 200), y_of(4, 6)));
  EXPECT_EQ(gemm(matrix.view, x_of(4, 200), y_of(4, 6), ParallelFor()).code(),
            StatusCode::invalid_argument);

  std::vector<Int8Activations> q(4, Int8Activations::quantize(std::span(x).first(200)).value());
  EXPECT_TRUE(gemm(matrix.view, q, y_of(4, 6)));
  EXPECT_EQ(gemm(matrix.view, q, y_of(3, 6)).code(), StatusCode::shape_mismatch);
  EXPECT_EQ(gemm(matrix.view, q, y_of(4, 7)).code(), StatusCode::shape_mismatch);
  q[3] = Int8Activations::quantize(std::span(x).first(201)).value();
  EXPECT_EQ(gemm(matrix.view, q, y_of(4, 6)).code(), StatusCode::shape_mismatch);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/gemv.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
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

// y of each path and of the dispatch over 1, 2 and 7 threads equals `want`; guards stay.
template <typename Activations, typename Kernel>
void expect_product(const TensorView& tensor, const Activations& x, const std::vector<float>& want,
                    const Kernel& call_kernel) {
  for (const Isa isa : test::supported_isas()) {
    GuardedMatrix<float> y(1, tensor.rows());
    call_kernel(kernels_of(isa).compute.of(tensor.codec()), y.view().data);
    EXPECT_EQ(first_difference(y.values(), want), -1) << isa_name(isa);
    EXPECT_TRUE(y.guards_untouched()) << isa_name(isa);
  }
  for (const std::size_t threads : {1u, 2u, 7u}) {
    std::vector<float> y(tensor.rows());
    EXPECT_TRUE(gemv(tensor, x, y, test::threads(threads)));
    EXPECT_EQ(first_difference(y, want), -1) << threads << " threads";
  }
}

void expect_reference(const TensorView& tensor, const std::vector<float>& x) {
  std::vector<float> want(tensor.rows());
  ASSERT_TRUE(reference::gemv(tensor, x, want));
  expect_product(tensor, std::span<const float>(x), want,
                 [&](const CodecKernels& kernels, float* y) {
                   kernels.gemv_f32(tensor, {0, tensor.rows()}, x.data(), y);
                 });
}

void expect_reference(const TensorView& tensor, const Int8Activations& x) {
  std::vector<float> want(tensor.rows());
  ASSERT_TRUE(reference::gemv(tensor, x, want));
  expect_product(tensor, x, want, [&](const CodecKernels& kernels, float* y) {
    kernels.gemv_int8(tensor, {0, tensor.rows()}, x, y);
  });
}

class Gemv : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, Gemv, testing::ValuesIn(kStoredCodecs),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST_P(Gemv, EveryPathEqualsTheReference) {
  unsigned seed = 1;
  for (const auto& [rows, cols] : test::kShapes) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
    const Matrix matrix = random_matrix(seed, GetParam(), rows, cols, Content::arbitrary);
    const std::vector<float> x = normal_values(seed++, cols);
    expect_reference(matrix.view, x);
    expect_reference(matrix.view, Int8Activations::quantize(x).value());
  }
}

TEST_P(Gemv, EveryPathEqualsTheReferenceOnExtremeScales) {
  for (const float scale : {1e-45f, 1e-38f, 1e34f}) {
    const Matrix matrix = random_matrix(9, GetParam(), 3, 1300, Content::arbitrary, scale);
    std::vector<float> x = normal_values(2, 1300);
    expect_reference(matrix.view, x);
    for (float& value : x) value *= 1e30f;  // sums overflow, and 0 * infinity must not appear
    expect_reference(matrix.view, x);
    expect_reference(matrix.view, Int8Activations::quantize(x).value());
  }
}

// The order of gemv.hpp, written from its sentences on decoded blocks.
TEST_P(Gemv, SumsInTheDocumentedOrder) {
  const std::size_t cols = 700;
  const Matrix matrix = random_matrix(4, GetParam(), 5, cols, Content::valid);
  std::vector<float> x = normal_values(8, cols);
  const Int8Activations q = Int8Activations::quantize(x).value();
  std::vector<float> y(5);
  std::vector<float> y8(5);
  ASSERT_TRUE(gemv(matrix.view, x, y));
  ASSERT_TRUE(gemv(matrix.view, q, y8));
  x.resize(6 * 128);  // 0 past its end
  for (std::size_t r = 0; r < 5; ++r) {
    float a[16] = {};
    float a8[8] = {};
    for (std::size_t b = 0; b < 6; ++b) {
      Int8Block w;
      decode_block(matrix.view, matrix.view.row(r) + b * block_bytes(GetParam()), w);
      int dot = 0;
      for (std::size_t l = 0; l < 16; ++l) {
        float p = 0.0f;
        for (std::size_t e = l; e < 128; e += 16) {
          p = std::fma(static_cast<float>(w.values[e]), x[128 * b + e], p);
          dot += w.values[e] * q.values()[128 * b + e];
        }
        a[l] = std::fma(w.factor, p, a[l]);
      }
      const float s = w.factor * q.factors()[b];
      a8[b % 8] = std::fma(s, static_cast<float>(dot), a8[b % 8]);
      for (int i = 0; i < w.outliers; ++i) {
        const std::size_t e = w.positions[i];
        a[e % 16] = std::fma(w.outlier_values[i], x[128 * b + e], a[e % 16]);
        a8[b % 8] = std::fma(w.outlier_values[i] * q.factors()[b],
                             static_cast<float>(q.values()[128 * b + e]), a8[b % 8]);
      }
    }
    const auto halves = [](float* v, int n) {
      for (n /= 2; n > 0; n /= 2) {
        for (int l = 0; l < n; ++l) v[l] += v[l + n];
      }
      return v[0];
    };
    EXPECT_EQ(y[r], halves(a, 16)) << r;
    EXPECT_EQ(y8[r], halves(a8, 8)) << r;
  }
}

// Against a product in double of the decoded weights: the rounding of sums of n terms.
TEST_P(Gemv, IsCloseToTheExactProduct) {
  const std::size_t rows = 7;
  const std::size_t cols = 2880;
  const Matrix matrix = random_matrix(6, GetParam(), rows, cols, Content::valid);
  const std::vector<float> x = normal_values(11, cols);
  const Int8Activations q = Int8Activations::quantize(x).value();
  std::vector<float> w(rows * cols);
  std::vector<float> y(rows);
  std::vector<float> y8(rows);
  ASSERT_TRUE(decode_rows(matrix.view, 0, dense_view(w.data(), rows, cols)));
  ASSERT_TRUE(gemv(matrix.view, x, y));
  ASSERT_TRUE(gemv(matrix.view, q, y8));
  for (std::size_t r = 0; r < rows; ++r) {
    double exact = 0.0;
    double magnitude = 0.0;
    double exact8 = 0.0;
    double magnitude8 = 0.0;
    for (std::size_t k = 0; k < cols; ++k) {
      const double term = static_cast<double>(w[r * cols + k]) * x[k];
      const double term8 = static_cast<double>(w[r * cols + k]) * q.values()[k] *
                           static_cast<double>(q.factors()[k / 128]);
      exact += term;
      magnitude += std::fabs(term);
      exact8 += term8;
      magnitude8 += std::fabs(term8);
    }
    // A term passes at most 8 + 23 + 4 roundings of 2^-24, one more in the weight itself.
    EXPECT_LE(std::fabs(y[r] - exact), 36 * 0x1p-24 * magnitude);
    EXPECT_LE(std::fabs(y8[r] - exact8), 10 * 0x1p-24 * magnitude8);
    EXPECT_NEAR(y8[r], exact, 0.01 * magnitude);
  }
}

TEST_P(Gemv, SpreadsNanAndInfinityOnEveryPath) {
  const std::size_t cols = 300;
  const Matrix matrix = random_matrix(12, GetParam(), 40, cols, Content::arbitrary);
  for (const float special :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t at : {std::size_t{0}, std::size_t{255}, std::size_t{299}}) {
      std::vector<float> x = normal_values(3, cols);
      x[at] = special;
      expect_reference(matrix.view, x);
      std::vector<float> y(40);
      ASSERT_TRUE(gemv(matrix.view, x, y));
      for (const float value : y) EXPECT_FALSE(std::isfinite(value));
    }
  }
}

TEST(GemvErrors, NameTheShapes) {
  const Matrix matrix = random_matrix(1, Codec::p4, 6, 200, Content::valid);
  std::vector<float> x(200);
  std::vector<float> y(6);
  const Status status = gemv(matrix.view, std::span(x).first(199), y);
  EXPECT_EQ(status.code(), StatusCode::shape_mismatch);
  EXPECT_EQ(status.message(), "a 6 x 200 tensor takes x of 200 and y of 6 values, not 199 and 6");
  EXPECT_EQ(gemv(matrix.view, x, std::span(y).first(5)).code(), StatusCode::shape_mismatch);
  const Int8Activations q = Int8Activations::quantize(std::span(x).first(199)).value();
  EXPECT_EQ(gemv(matrix.view, q, y).code(), StatusCode::shape_mismatch);
}

TEST(GemvErrors, ReportAParallelForThatIsEmptyOrThrows) {
  const Matrix matrix = random_matrix(1, Codec::p4, 6, 200, Content::valid);
  const std::vector<float> x(200);
  std::vector<float> y(6);
  EXPECT_EQ(gemv(matrix.view, x, y, ParallelFor()).code(), StatusCode::invalid_argument);
  const Status thrown =
      gemv(matrix.view, x, y, [](std::size_t, const auto&) { throw std::runtime_error("pool"); });
  EXPECT_EQ(thrown.code(), StatusCode::invalid_argument);
  EXPECT_EQ(thrown.message(), "pool");
  const Status memory =
      gemv(matrix.view, x, y, [](std::size_t, const auto&) { throw std::bad_alloc(); });
  EXPECT_EQ(memory.code(), StatusCode::out_of_memory);
}

TEST(Int8Activations, RoundsEachGroupToItsOwnFactor) {
  std::vector<float> x(300, 0.0f);
  x[0] = 127.0f;  // factor 1
  x[1] = 2.5f;    // ties go to even
  x[2] = 3.5f;
  x[3] = -2.5f;
  x[4] = -127.0f;
  x[128 + 5] = 0x1p-101f;  // a group below the limit counts as zeros
  x[256 + 43] = -254.0f;   // factor 2
  x[256] = 101.0f;
  const Int8Activations q = Int8Activations::quantize(x).value();
  ASSERT_EQ(q.size(), 300u);
  ASSERT_EQ(q.values().size(), 384u);
  ASSERT_EQ(q.factors().size(), 3u);
  EXPECT_EQ(q.factors()[0], 1.0f);
  EXPECT_EQ(q.factors()[1], 0.0f);
  EXPECT_EQ(q.factors()[2], 2.0f);
  const int first[5] = {127, 2, 4, -2, -127};
  for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(q.values()[k], first[k]) << k;
  EXPECT_EQ(q.values()[133], 0);
  EXPECT_EQ(q.values()[256], 50);  // 50.5 to even
  EXPECT_EQ(q.values()[299], -127);
  for (std::size_t k = 300; k < 384; ++k) EXPECT_EQ(q.values()[k], 0);
}

TEST(Int8Activations, KeepsTheErrorBelowHalfAStep) {
  for (const float scale : {1e-25f, 1.0f, 1e37f}) {
    std::vector<float> x = normal_values(5, 1000);
    for (float& value : x) value *= scale;
    const Int8Activations q = Int8Activations::quantize(x).value();
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double step = q.factors()[k / 128];
      EXPECT_LE(std::fabs(x[k] - step * q.values()[k]), 0.5001 * step) << k;
      EXPECT_LE(std::abs(q.values()[k]), 127);
    }
  }
}

TEST(Int8Activations, RefusesWhatIsNotFinite) {
  std::vector<float> x(200, 1.0f);
  x[150] = -std::numeric_limits<float>::infinity();
  const auto q = Int8Activations::quantize(x);
  ASSERT_FALSE(q);
  EXPECT_EQ(q.error().code(), StatusCode::not_finite);
  EXPECT_EQ(q.error().message(), "activation 150 is not finite");
  x[150] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(Int8Activations::quantize(x));
  EXPECT_EQ(Int8Activations::quantize({}).value().size(), 0u);
}

}  // namespace
}  // namespace ecco

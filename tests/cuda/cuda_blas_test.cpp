// SPDX-License-Identifier: MIT
// Products by cuBLAS, of any codec and layout, in panels of any size, within the bound of binary32
// sums; on ptxvm by a stand-in for cuBLAS.
#include <cmath>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda/support.hpp"
#include "ecco/decode.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::GemmPath;
using cuda::kBlasFrom;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;

constexpr std::size_t kBatch = 5;

struct Kind {
  Codec codec;
  Layout layout;
};

/// The device's results, [vector][row]; `bytes` of workspace, 0 for what gemm_workspace_bytes asks
/// for; `from` = the crossover of a handle, 0 for no handle.
template <typename T>
std::vector<float> multiply(const cuda::DeviceTensorView& tensor, const std::vector<T>& x,
                            std::size_t batch, std::size_t from, std::size_t bytes = 0) {
  const auto created = cuda::Blas::create(from);
  EXPECT_TRUE(created) << created.error().message();
  const cuda::Blas* blas = from == 0 ? nullptr : &*created;
  const DeviceArray<T> device_x(x);
  const MatrixView<const T> view{device_x.data(), batch, tensor.cols, tensor.cols + 1};
  if (bytes == 0) bytes = cuda::gemm_workspace_bytes(tensor, batch, Activations::int8, blas);
  return test::run_product(batch, tensor.rows, bytes,
                           [&](const MatrixView<float>& y, std::span<std::uint8_t> workspace) {
                             return cuda::gemm(tensor, view, y, Activations::int8, workspace,
                                               nullptr, blas);
                           });
}

/// Normal values times 2^-spread..2^spread.
template <typename T>
std::vector<T> random_x(std::mt19937& random, std::size_t count, int spread = 0) {
  std::vector<T> x(count);
  std::normal_distribution<float> normal;
  for (T& value : x) {
    const int exponent =
        static_cast<int>(random() % static_cast<unsigned>(2 * spread + 1)) - spread;
    value = from_float<T>(std::ldexp(normal(random), exponent));
  }
  return x;
}

/// With u = 2^-24, a sum of n exact products errs by at most 2 (n + 1) u of the sum of magnitudes
/// in any order, also where sums are truncated; the weights are exact in half. Float is rounded to
/// half once, u' = 2^-11; scaled values below 2^-14 err by 2^-25 at most, where the vector's
/// largest is at least 2^14.
template <typename T>
void expect_product(const TensorView& tensor, Layout layout, std::size_t panel_rows, int spread,
                    std::mt19937& random) {
  SCOPED_TRACE(std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols()) +
               ", panels of " + std::to_string(panel_rows));
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  const std::size_t cols = tensor.cols();
  const auto x = random_x<T>(random, kBatch * (cols + 1), spread);
  const std::size_t padded = (cols + 7) / 8 * 8;
  const std::size_t rounded = std::is_same_v<T, half> ? 0 : kBatch * padded * 2 + 32;
  const std::size_t bytes = panel_rows == 0 ? 0 : rounded + panel_rows * padded * sizeof(half);
  const std::vector<float> got = multiply(device->view(), x, kBatch, 1, bytes);
  const double error =
      2.0 * static_cast<double>(cols + 3) * 0x1p-24 + (std::is_same_v<T, float> ? 0x1p-11 : 0.0);
  for (std::size_t r = 0; r < tensor.rows(); ++r) {
    std::vector<float> weights(cols);
    ASSERT_TRUE(
        reference::decode_rows(tensor, r, MatrixView<float>{weights.data(), 1, cols, cols}));
    for (std::size_t i = 0; i < kBatch; ++i) {
      double want = 0.0;
      double magnitude = 0.0;
      double weight_sum = 0.0;
      double largest = 0.0;
      for (std::size_t k = 0; k < cols; ++k) {
        const double value = to_float(x[i * (cols + 1) + k]);
        const double product = static_cast<double>(weights[k]) * value;
        want += product;
        magnitude += std::fabs(product);
        weight_sum += std::fabs(static_cast<double>(weights[k]));
        largest = std::max(largest, std::fabs(value));
      }
      double bound = magnitude * error;
      if (!std::is_same_v<T, half>) bound += weight_sum * largest * 0x1p-39;
      ASSERT_LE(std::fabs(static_cast<double>(got[i * tensor.rows() + r]) - want), bound)
          << "vector " << i << ", row " << r;
    }
  }
}

class CudaBlas : public CudaTest, public ::testing::WithParamInterface<Kind> {};

TEST_P(CudaBlas, MultipliesInPanels) {
  std::mt19937 random(91);
  const auto [codec, layout] = GetParam();
  for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{1, 1}, {37, 300}}) {
    const auto tensor = test::random_tensor(
        random, test::random_tables(random, codec, codec == Codec::h4 ? 64 : 256), rows, cols,
        0x1p20f);
    ASSERT_TRUE(tensor);
    expect_product<half>(tensor->view(), layout, 0, 0, random);
    expect_product<half>(tensor->view(), layout, 16, 4, random);
    expect_product<half>(tensor->view(), layout, 35, 0, random);
    expect_product<float>(tensor->view(), layout, 16, 20, random);
    expect_product<bfloat16>(tensor->view(), layout, 0, 20, random);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaBlas,
    ::testing::Values(Kind{Codec::p2, Layout::raw}, Kind{Codec::p3, Layout::fast},
                      Kind{Codec::p4, Layout::raw}, Kind{Codec::p4, Layout::dense},
                      Kind{Codec::p4, Layout::paired}, Kind{Codec::p4, Layout::fast},
                      Kind{Codec::p5, Layout::fast}, Kind{Codec::h4, Layout::raw},
                      Kind{Codec::h4, Layout::fast}),
    [](const auto& param) { return test::kind_name(param.param.codec, param.param.layout); });

using CudaBlasChoice = CudaTest;

Result<CompressedTensor> p4_tensor(std::mt19937& random, std::size_t rows, std::size_t cols) {
  return test::random_tensor(random, test::random_tables(random, Codec::p4, 256), rows, cols);
}

// Each way gives other bits, so they tell which one was taken; on either side of each crossover.
TEST_F(CudaBlasChoice, FollowsTheBatch) {
  std::mt19937 random(93);
  const auto tensor = p4_tensor(random, 5, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const cuda::DeviceTensorView view = device->view();
  for (const std::size_t from : {std::size_t{1}, std::size_t{7}, std::size_t{40}, kBlasFrom}) {
    for (const std::size_t batch : {from - 1, from, std::size_t{16}, std::size_t{17}}) {
      if (batch == 0) continue;
      SCOPED_TRACE(std::to_string(batch) + " vectors, cuBLAS from " + std::to_string(from));
      const auto x = random_x<float>(random, batch * 301);
      const auto got = multiply(view, x, batch, from);
      const auto own = multiply(view, x, batch, 0);
      const auto by_blas = multiply(view, x, batch, 1);
      EXPECT_NE(test::first_difference(own, by_blas), -1);
      EXPECT_EQ(test::first_difference(got, batch < from ? own : by_blas), -1);
    }
  }
}

TEST_F(CudaBlasChoice, IsToldBeforehand) {
  const auto blas = cuda::Blas::create();
  ASSERT_TRUE(blas);
  EXPECT_EQ(blas->from(), kBlasFrom);
  cuda::DeviceTensorView p4{};
  cuda::DeviceTensorView raw_h4{};
  raw_h4.codec = Codec::h4;
  cuda::DeviceTensorView h4 = raw_h4;
  h4.layout = Layout::fast;
  EXPECT_EQ(gemm_path(p4, 16, &*blas), GemmPath::gemv);
  EXPECT_EQ(gemm_path(p4, 17, &*blas), GemmPath::half);
  EXPECT_EQ(gemm_path(p4, kBlasFrom - 1, &*blas), GemmPath::half);
  EXPECT_EQ(gemm_path(p4, kBlasFrom, &*blas), GemmPath::blas);
  EXPECT_EQ(gemm_path(p4, kBlasFrom), GemmPath::half);
  EXPECT_EQ(gemm_path(h4, kBlasFrom - 1, &*blas), GemmPath::half);
  EXPECT_EQ(gemm_path(raw_h4, kBlasFrom - 1, &*blas), GemmPath::gemv);
  EXPECT_EQ(gemm_path(h4, kBlasFrom, &*blas), GemmPath::blas);
}

// One workspace for all batches up to the one that it was asked for.
TEST_F(CudaBlasChoice, AWorkspaceIsEnoughForSmallerBatches) {
  std::mt19937 random(94);
  const auto tensor = p4_tensor(random, 40, 1300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const auto blas = cuda::Blas::create(100);
  ASSERT_TRUE(blas);
  for (const cuda::Blas* handle : {&*blas, static_cast<const cuda::Blas*>(nullptr)}) {
    std::size_t before = 0;
    for (std::size_t batch = 0; batch < 700; ++batch) {
      const std::size_t bytes =
          cuda::gemm_workspace_bytes(device->view(), batch, Activations::int16, handle);
      EXPECT_GE(bytes, before) << batch;
      before = bytes;
    }
  }
}

// Vectors of NaN and infinities, zeros, and the ends of float's range.
TEST_F(CudaBlasChoice, RoundsVectorsOfAnyRange) {
  std::mt19937 random(95);
  const auto tensor = p4_tensor(random, 4, 298);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  auto x = random_x<float>(random, 6 * 299);
  x[297] = NAN;
  x[299 + 7] = -INFINITY;
  for (std::size_t k = 0; k < 298; ++k) {
    x[2 * 299 + k] = 0.0f;
    x[3 * 299 + k] = k == 297 ? 0x1p100f : 0x1p-30f;
    x[4 * 299 + k] *= 0x1p-140f;
  }
  x[5 * 299 + 298] = NAN;  // in the gap
  const auto got = multiply(device->view(), x, 6, 1);
  for (std::size_t r = 0; r < 4; ++r) {
    EXPECT_TRUE(std::isnan(got[r]));
    EXPECT_TRUE(std::isnan(got[4 + r]));
    EXPECT_EQ(got[8 + r], 0.0f);
    std::vector<float> weights(298);
    ASSERT_TRUE(
        reference::decode_rows(tensor->view(), r, MatrixView<float>{weights.data(), 1, 298, 298}));
    EXPECT_FLOAT_EQ(got[12 + r], weights[297] * 0x1p100f);
    EXPECT_LT(std::fabs(got[16 + r]), 0x1p-120f);
    EXPECT_TRUE(std::isfinite(got[20 + r]));
  }
}

using CudaBlasErrors = CudaTest;

TEST_F(CudaBlasErrors, RefusesWhatDoesNotFit) {
  std::mt19937 random(92);
  const auto tensor = p4_tensor(random, 20, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  auto blas = cuda::Blas::create(1);
  ASSERT_TRUE(blas);
  const DeviceArray<half> x(std::vector<half>(2 * 2 * 300));
  const DeviceArray<float> y(std::vector<float>(2 * 20));
  constexpr std::size_t kBytes = 16 * 304 * sizeof(half);
  constexpr std::size_t kRounded = 2 * 304 * sizeof(half) + 16;  // two vectors, their factors
  const test::DeviceWorkspace workspace(kRounded + kBytes);
  const auto code = [&](auto type, std::size_t batch, std::size_t cols, std::size_t rows,
                        std::span<std::uint8_t> space) {
    const auto* values = reinterpret_cast<const decltype(type)*>(x.data());
    return cuda::gemm(device->view(), dense_view(values, batch, cols),
                      dense_view(y.data(), batch, rows), Activations::int8, space, nullptr, &*blas)
        .code();
  };
  const std::span<std::uint8_t> space = workspace.span().first(kBytes);
  EXPECT_EQ(code(half{}, 2, 300, 20, space), StatusCode::ok);
  EXPECT_EQ(code(half{}, 0, 300, 20, {}), StatusCode::ok);
  EXPECT_EQ(code(half{}, 2, 299, 20, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(half{}, 2, 300, 19, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(half{}, 2, 300, 20, space.first(kBytes - 1)), StatusCode::invalid_argument);
  EXPECT_EQ(code(half{}, 2, 300, 20, {workspace.data() + 8, kBytes}),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(float{}, 2, 300, 20, workspace.span()), StatusCode::ok);
  EXPECT_EQ(code(float{}, 2, 300, 20, workspace.span().first(kRounded + kBytes - 1)),
            StatusCode::invalid_argument);
}

TEST_F(CudaBlasErrors, AHandleNamesItsDeviceAndMoves) {
  auto blas = cuda::Blas::create(3);
  ASSERT_TRUE(blas);
  int device = -1;
  ASSERT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(blas->device(), device);
  const cuda::Blas other = std::move(*blas);
  EXPECT_EQ(other.device(), device);
  EXPECT_EQ(other.from(), 3u);
  EXPECT_NE(other.handle(), nullptr);
  EXPECT_EQ(blas->handle(), nullptr);
}

TEST_F(CudaBlasErrors, AHandleThatWasMovedFromIsRefused) {
  std::mt19937 random(93);
  const auto device = cuda::upload(p4_tensor(random, 20, 300)->view(), Layout::fast);
  ASSERT_TRUE(device);
  auto blas = cuda::Blas::create(1);
  ASSERT_TRUE(blas);
  auto other = cuda::Blas::create(2);
  ASSERT_TRUE(other);
  *other = std::move(*blas);  // and destroys the handle that it had
  EXPECT_EQ(blas->handle(), nullptr);
  EXPECT_EQ(other->from(), 1u);
  const DeviceArray<float> x(std::vector<float>(20 * 300));
  const DeviceArray<float> y(std::vector<float>(20 * 20));
  const std::size_t bytes =
      cuda::gemm_workspace_bytes(device->view(), 20, Activations::int8, &*blas);
  EXPECT_EQ(bytes, cuda::gemm_workspace_bytes(device->view(), 20, Activations::int8));
  EXPECT_EQ(cuda::gemm_path(device->view(), 20, &*blas), cuda::GemmPath::half);
  const test::DeviceWorkspace workspace(bytes);
  const Status status = cuda::gemm(device->view(), dense_view<const float>(x.data(), 20, 300),
                                   dense_view(y.data(), 20, 20), Activations::int8,
                                   workspace.span(), nullptr, &*blas);
  EXPECT_EQ(status.code(), StatusCode::invalid_argument);
  EXPECT_EQ(status.message(), "a Blas that was moved from");
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// Products by cuBLAS, of any codec and layout, in panels of any size, within the bound of binary32
// sums; on ptxvm by a stand-in for cuBLAS.
#include <cmath>
#include <string>

#include "cuda/support.hpp"
#include "ecco/decode.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;

constexpr std::size_t kBatch = 5;

struct Kind {
  Codec codec;
  Layout layout;
};

/// The device's results, [vector][row] with 3 values between vectors; `bytes` of workspace.
std::vector<float> multiply(const cuda::DeviceTensorView& tensor, const std::vector<half>& x,
                            std::size_t bytes) {
  const auto blas = cuda::Blas::create();
  EXPECT_TRUE(blas) << blas.error().message();
  const std::size_t stride = tensor.rows + 3;
  const DeviceArray<half> device_x(x);
  const DeviceArray<float> y(std::vector<float>(kBatch * stride, -7.0f));
  const DeviceArray<uint4> workspace(std::vector<uint4>(bytes / 16 + 1));
  const Status status = cuda::gemm(
      tensor, MatrixView<const half>{device_x.data(), kBatch, tensor.cols, tensor.cols + 1},
      MatrixView<float>{y.data(), kBatch, tensor.rows, stride}, *blas,
      {reinterpret_cast<std::uint8_t*>(workspace.data()), bytes}, nullptr);
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  return y.values();
}

/// With u = 2^-24, a sum of n exact products errs by at most 2 (n + 1) u of the sum of magnitudes
/// in any order, also where sums are truncated; the weights are exact in half.
void expect_product(const TensorView& tensor, Layout layout, std::size_t panel_rows,
                    std::mt19937& random) {
  SCOPED_TRACE(std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols()) +
               ", panels of " + std::to_string(panel_rows));
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  const std::size_t cols = tensor.cols();
  std::vector<half> x(kBatch * (cols + 1));
  std::normal_distribution<float> normal;
  for (half& value : x) value = from_float<half>(normal(random));
  const std::size_t bytes = panel_rows == 0 ? cuda::blas_workspace_bytes(device->view())
                                            : panel_rows * ((cols + 7) / 8 * 8) * sizeof(half);
  const std::vector<float> got = multiply(device->view(), x, bytes);
  const std::size_t stride = tensor.rows() + 3;
  for (std::size_t r = 0; r < tensor.rows(); ++r) {
    std::vector<float> weights(cols);
    ASSERT_TRUE(
        reference::decode_rows(tensor, r, MatrixView<float>{weights.data(), 1, cols, cols}));
    for (std::size_t i = 0; i < kBatch; ++i) {
      double want = 0.0;
      double magnitude = 0.0;
      for (std::size_t k = 0; k < cols; ++k) {
        const double product =
            static_cast<double>(weights[k]) * static_cast<double>(to_float(x[i * (cols + 1) + k]));
        want += product;
        magnitude += std::fabs(product);
      }
      const double bound = magnitude * 2.0 * static_cast<double>(cols + 3) * 0x1p-24;
      ASSERT_LE(std::fabs(static_cast<double>(got[i * stride + r]) - want), bound)
          << "vector " << i << ", row " << r;
    }
  }
  for (std::size_t i = 0; i < kBatch; ++i) {
    for (std::size_t r = tensor.rows(); r < stride; ++r) EXPECT_EQ(got[i * stride + r], -7.0f);
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
    expect_product(tensor->view(), layout, 0, random);
    expect_product(tensor->view(), layout, 16, random);
    expect_product(tensor->view(), layout, 35, random);
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

using CudaBlasErrors = CudaTest;

TEST_F(CudaBlasErrors, RefusesWhatDoesNotFit) {
  std::mt19937 random(92);
  const auto tensor =
      CompressedTensor::create(20, 300, 1.0f, test::random_tables(random, Codec::p4, 256),
                               test::valid_blocks(random, Codec::p4, 60, 256));
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const auto blas = cuda::Blas::create();
  ASSERT_TRUE(blas);
  const DeviceArray<half> x(std::vector<half>(2 * 300));
  const DeviceArray<float> y(std::vector<float>(2 * 20));
  constexpr std::size_t kBytes = 16 * 304 * sizeof(half);
  const DeviceArray<uint4> memory(std::vector<uint4>(kBytes / 16 + 1));
  auto* workspace = reinterpret_cast<std::uint8_t*>(memory.data());
  const auto code = [&](std::size_t batch, std::size_t cols, std::size_t rows,
                        std::span<std::uint8_t> space) {
    return cuda::gemm(device->view(), MatrixView<const half>{x.data(), batch, cols, cols},
                      MatrixView<float>{y.data(), batch, rows, rows}, *blas, space, nullptr)
        .code();
  };
  EXPECT_EQ(code(2, 300, 20, {workspace, kBytes}), StatusCode::ok);
  EXPECT_EQ(code(0, 300, 20, {workspace, kBytes}), StatusCode::ok);
  EXPECT_EQ(code(2, 299, 20, {workspace, kBytes}), StatusCode::shape_mismatch);
  EXPECT_EQ(code(2, 300, 19, {workspace, kBytes}), StatusCode::shape_mismatch);
  EXPECT_EQ(code(2, 300, 20, {workspace, kBytes - 1}), StatusCode::invalid_argument);
  EXPECT_EQ(code(2, 300, 20, {workspace + 8, kBytes}), StatusCode::invalid_argument);
}

}  // namespace
}  // namespace ecco

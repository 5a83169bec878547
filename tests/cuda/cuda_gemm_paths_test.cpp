// SPDX-License-Identifier: MIT
// How products with many vectors are shared out, what they leave to gemv, and what they refuse.
#include "cuda/gemm_emulation.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;
using test::DeviceWorkspace;
using test::multiply_many;
using test::random_tensor;
using test::wide_values;

using CudaGemmPaths = CudaTest;

TEST_F(CudaGemmPaths, SlicesCoverKAndFillTheGpu) {
  for (const unsigned multiprocessors : {1u, 4u, 108u, 132u}) {
    for (const unsigned blocks : {1u, 2u, 7u, 63u, 64u, 215u, 265u, 4000u}) {
      for (unsigned groups = 1; groups < 300; groups = groups * 5 / 4 + 1) {
        const auto [slice, slices] = cuda::detail::gemm_plan(blocks, groups, multiprocessors);
        EXPECT_GE(slice * slices, groups);
        EXPECT_LT(slice * (slices - 1), groups);
        EXPECT_TRUE(slices == 1 || slice >= 8) << groups;
        EXPECT_TRUE(slices == 1 || blocks * slices <= 8 * multiprocessors) << blocks;
      }
    }
  }
  // 8192 x 8192, 64 vectors, on 132 multiprocessors: 64 blocks, of which 264 run.
  EXPECT_EQ(cuda::detail::gemm_plan(64, 64, 132).slices, 4u);
}

// Neither the stride of x nor the addresses, the workspace's size and what lies in it.
TEST_F(CudaGemmPaths, DependsOnShapesOnly) {
  std::mt19937 random(90);
  const auto tensor = random_tensor(random, Codec::h4, 20, 2900);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device) << device.error().message();
  constexpr std::size_t kBatch = 20;
  const auto x = wide_values<half>(random, kBatch * 2905, 3);
  std::vector<half> dense;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 2905 < 2900) dense.push_back(x[i]);
  }
  const auto want = multiply_many(device->view(), x, kBatch);
  const DeviceArray<half> device_x(dense);
  const DeviceArray<float> y(std::vector<float>(kBatch * 20));
  const std::size_t bytes = cuda::gemm_workspace_bytes(device->view(), 512, Activations::int8);
  const DeviceWorkspace workspace(bytes);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  for (int repeat = 0; repeat < 2; ++repeat) {
    ASSERT_TRUE(cuda::gemm(device->view(), dense_view<const half>(device_x.data(), kBatch, 2900),
                           dense_view(y.data(), kBatch, 20), Activations::int8, workspace.span(),
                           stream));
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(test::first_difference(want, y.values()), -1);
  }
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

TEST_F(CudaGemmPaths, LeavesFewVectorsToGemv) {
  std::mt19937 random(86);
  const auto tensor = random_tensor(random, Codec::p4, 17, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::dense);
  ASSERT_TRUE(device);
  const auto x = wide_values<half>(random, 16 * 305, 3);
  const DeviceArray<half> device_x(x);
  const DeviceArray<float> y(std::vector<float>(16 * 17));
  const std::size_t bytes = cuda::gemv_workspace_bytes(device->view(), 16, Activations::int16);
  EXPECT_EQ(cuda::gemm_workspace_bytes(device->view(), 16, Activations::int16), bytes);
  const DeviceWorkspace workspace(bytes);
  ASSERT_TRUE(cuda::gemv(device->view(), MatrixView<const half>{device_x.data(), 16, 300, 305},
                         dense_view(y.data(), 16, 17), Activations::int16, workspace.span(),
                         nullptr));
  EXPECT_EQ(test::first_difference(multiply_many(device->view(), x, 16), y.values()), -1);
}

TEST_F(CudaGemmPaths, LeavesRawH4ToGemvSixteenVectorsAtATime) {
  std::mt19937 random(88);
  const auto tensor = random_tensor(random, Codec::h4, 17, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::raw);
  ASSERT_TRUE(device) << device.error().message();
  const auto x = wide_values<half>(random, 33 * 305, 3);
  const auto got = multiply_many(device->view(), x, 33);
  for (std::size_t first = 0; first < 33; first += 16) {
    const std::size_t count = std::min<std::size_t>(16, 33 - first);
    const std::vector<half> part(x.begin() + static_cast<std::ptrdiff_t>(305 * first), x.end());
    const auto want = multiply_many(device->view(), part, count);
    for (std::size_t i = 0; i < count * 17; ++i) ASSERT_EQ(got[17 * first + i], want[i]);
  }
}

TEST_F(CudaGemmPaths, RefusesWhatDoesNotFit) {
  std::mt19937 random(87);
  const auto tensor = random_tensor(random, Codec::p4, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  constexpr std::size_t kBatch = 17;
  const DeviceArray<float> x(std::vector<float>(kBatch * 304));
  const DeviceArray<float> y(std::vector<float>(kBatch * 8));
  const std::size_t bytes = cuda::gemm_workspace_bytes(device->view(), kBatch, Activations::int8);
  const DeviceWorkspace workspace(bytes);
  const auto code = [&](const cuda::DeviceTensorView& view, MatrixView<const float> in,
                        MatrixView<float> out, std::span<std::uint8_t> space) {
    return cuda::gemm(view, in, out, Activations::int8, space, nullptr).code();
  };
  const MatrixView<const float> in{x.data(), kBatch, 300, 304};
  const MatrixView<float> out{y.data(), kBatch, 4, 8};
  const std::span<std::uint8_t> space = workspace.span();
  EXPECT_EQ(code(device->view(), in, out, space), StatusCode::ok);
  EXPECT_EQ(code(device->view(), {x.data(), kBatch, 299, 304}, out, space),
            StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, {y.data(), kBatch, 5, 8}, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, out, space.first(bytes - 1)), StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), in, out, {workspace.data() + 8, bytes}),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), {x.data(), kBatch, 300, 299}, out, space),
            StatusCode::invalid_argument);
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(y.data()) + 2);
  EXPECT_EQ(code(device->view(), in, {odd, kBatch, 4, 8}, space), StatusCode::invalid_argument);
  cuda::DeviceTensorView elsewhere = device->view();
  elsewhere.device += 1;
  EXPECT_EQ(code(elsewhere, in, out, space), StatusCode::invalid_argument);
  cuda::DeviceTensorView empty = device->view();
  empty.cols = 0;
  EXPECT_EQ(code(empty, {x.data(), kBatch, 0, 0}, out, space), StatusCode::ok);
  EXPECT_EQ(y.values()[0], 0.0f);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// What products of up to sixteen vectors refuse, and where there is nothing to do.
#include <sstream>
#include <string>

#include "cuda/gemv_emulation.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;
using test::random_tensor;

using CudaGemvErrors = CudaTest;

TEST_F(CudaGemvErrors, RefusesWhatDoesNotFit) {
  std::mt19937 random(25);
  const auto tensor = random_tensor(random, Codec::p4, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const DeviceArray<float> x(std::vector<float>(17 * 304));
  const DeviceArray<float> y(std::vector<float>(17 * 8));
  const std::size_t bytes = cuda::gemv_workspace_bytes(device->view(), 2, Activations::int16);
  const test::DeviceWorkspace workspace(bytes);
  const auto status = [&](const cuda::DeviceTensorView& view, MatrixView<const float> in,
                          MatrixView<float> out, std::span<std::uint8_t> space) {
    return cuda::gemv(view, in, out, Activations::int16, space, nullptr);
  };
  const auto code = [&](const cuda::DeviceTensorView& view, MatrixView<const float> in,
                        MatrixView<float> out, std::span<std::uint8_t> space) {
    return status(view, in, out, space).code();
  };
  const MatrixView<const float> in{x.data(), 2, 300, 304};
  const MatrixView<float> out{y.data(), 2, 4, 8};
  const std::span<std::uint8_t> space = workspace.span();
  EXPECT_EQ(code(device->view(), in, out, space), StatusCode::ok);
  EXPECT_EQ(code(device->view(), {x.data(), 2, 299, 304}, out, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), {x.data(), 1, 300, 304}, out, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, {y.data(), 2, 5, 8}, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), {x.data(), 17, 300, 304}, {y.data(), 17, 4, 8}, space),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), in, out, space.first(bytes - 1)), StatusCode::invalid_argument);
  EXPECT_EQ(status(device->view(), in, out, space.first(bytes - 1)).message(),
            "a workspace of " + std::to_string(bytes - 1) + " bytes, needed are " +
                std::to_string(bytes));
  EXPECT_EQ(code(device->view(), in, out, {workspace.data() + 8, bytes}),
            StatusCode::invalid_argument);
  std::ostringstream address;
  address << "0x" << std::hex << reinterpret_cast<std::uintptr_t>(workspace.data() + 8);
  EXPECT_EQ(status(device->view(), in, out, {workspace.data() + 8, bytes}).message(),
            "workspace: the address " + address.str() + " is not aligned to 16 bytes");
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

TEST_F(CudaGemvErrors, NoVectorsAndNoRowsAreNothingToDo) {
  std::mt19937 random(35);
  const auto tensor = random_tensor(random, Codec::p4, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  const auto status = [&](const cuda::DeviceTensorView& view, std::size_t batch,
                          std::size_t cols) {
    return cuda::gemv(view, MatrixView<const float>{nullptr, batch, cols, cols},
                      MatrixView<float>{nullptr, batch, view.rows, view.rows}, Activations::int8,
                      {}, nullptr);
  };
  EXPECT_TRUE(status(device->view(), 0, 300));
  EXPECT_EQ(status(device->view(), 0, 299).code(), StatusCode::shape_mismatch);
  EXPECT_EQ(cuda::gemv_workspace_bytes(device->view(), 0, Activations::int8), 0u);
  const cuda::A8View none{nullptr, 0, 300, 1.0f};
  EXPECT_TRUE(
      cuda::gemv(device->view(), none, {nullptr, 0, 4, 4}, Activations::int8, {}, nullptr));
  cuda::DeviceTensorView empty = device->view();
  empty.rows = 0;
  const DeviceArray<float> x(std::vector<float>(2 * 300));
  EXPECT_TRUE(cuda::gemv(empty, dense_view<const float>(x.data(), 2, 300),
                         MatrixView<float>{nullptr, 2, 0, 0}, Activations::int8, {}, nullptr));
}

}  // namespace
}  // namespace ecco

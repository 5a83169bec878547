// SPDX-License-Identifier: MIT
// What the host API promises of errors, ownership and arguments, whatever the kernels compute.
#include <cstdio>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "cuda/gemv_emulation.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/kv_page.hpp"
#include "errors.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::DeviceArray;
using test::random_tensor;

using CudaHostApi = test::CudaTest;

constexpr std::size_t kRows = 20;
constexpr std::size_t kCols = 256;

/// A tensor on the device with vectors, results and a workspace of its products.
class Product {
 public:
  Product(Codec codec, Layout layout, std::size_t batch)
      : tensor_(uploaded(codec, layout)),
        batch_(batch),
        x_(std::vector<float>(batch * kCols, 1.0f)),
        y_(std::vector<float>(batch * kRows)),
        workspace_(cuda::gemm_workspace_bytes(view(), batch, Activations::int8)) {}

  [[nodiscard]] const cuda::DeviceTensorView& view() const { return tensor_->view(); }
  [[nodiscard]] MatrixView<const float> x() const { return {x_.data(), batch_, kCols, kCols}; }
  [[nodiscard]] MatrixView<float> y() const { return {y_.data(), batch_, kRows, kRows}; }
  [[nodiscard]] std::span<std::uint8_t> workspace() const { return workspace_.span(); }
  [[nodiscard]] Status gemm(const cuda::DeviceTensorView& tensor) const {
    return cuda::gemm(tensor, x(), y(), Activations::int8, workspace(), nullptr);
  }

 private:
  static Result<cuda::DeviceTensor> uploaded(Codec codec, Layout layout) {
    std::mt19937 random(41);
    return cuda::upload(random_tensor(random, codec, kRows, kCols)->view(), layout);
  }

  Result<cuda::DeviceTensor> tensor_;
  std::size_t batch_;
  DeviceArray<float> x_;
  DeviceArray<float> y_;
  test::DeviceWorkspace workspace_;
};

/// Leaves an error in the runtime, as of an allocation of the caller's, and checks that the call
/// neither fails by it nor takes it away.
template <typename Call>
void expect_error_left_alone(Call&& call) {
  void* none = nullptr;
  ASSERT_EQ(cudaMalloc(&none, std::size_t{1} << 50), cudaErrorMemoryAllocation);
  const Status status = call();
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
}

TEST_F(CudaHostApi, TakesItsOwnErrorFromTheRuntimeAndNoOther) {
  EXPECT_EQ(cuda::DeviceMemory::allocate(std::size_t{1} << 50).error().code(),
            StatusCode::out_of_memory);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  expect_error_left_alone([] {
    const Status status = cuda::detail::check("a grid", cudaErrorLaunchOutOfResources);
    return status.code() == StatusCode::device_error ? Status{} : status;
  });
}

TEST_F(CudaHostApi, ProductsLeaveTheCallersErrorAlone) {
  for (const Codec codec : kStoredCodecs) {
    for (const Layout layout : {Layout::raw, Layout::fast}) {
      for (const std::size_t batch : {std::size_t{2}, std::size_t{17}}) {
        SCOPED_TRACE(test::kind_name(codec, layout));
        const Product product(codec, layout, batch);
        expect_error_left_alone([&] { return product.gemm(product.view()); });
      }
    }
  }
}

TEST_F(CudaHostApi, DecodingLeavesTheCallersErrorAlone) {
  const DeviceArray<float> out(std::vector<float>(kRows * kCols));
  const auto to = dense_view(out.data(), kRows, kCols);
  for (const Codec codec : kStoredCodecs) {
    for (const Layout layout : {Layout::raw, Layout::fast}) {
      SCOPED_TRACE(test::kind_name(codec, layout));
      const Product product(codec, layout, 1);
      expect_error_left_alone([&] { return cuda::decode(product.view(), to, nullptr); });
    }
  }
}

TEST_F(CudaHostApi, KvPagesLeaveTheCallersErrorAlone) {
  constexpr std::size_t kTokens = 300;
  const DeviceArray<float> in(std::vector<float>(kTokens * kCols, 1.0f));
  const DeviceArray<float> out(std::vector<float>(kTokens * kCols));
  const test::DeviceWorkspace memory(kTokens * 2 * kCols);
  const test::DeviceWorkspace workspace(cuda::weighted_sums_workspace_bytes(1, kTokens, kCols));
  for (const Codec codec : {Codec::h4, Codec::p4, Codec::a8}) {
    SCOPED_TRACE(codec_name(codec));
    const auto prepared = cuda::DeviceCodec::create(codec);
    ASSERT_TRUE(prepared) << prepared.error().message();
    auto page = cuda::DeviceKvPage::create(prepared->view(), kCols, 1.0f, memory.span());
    ASSERT_TRUE(page) << page.error().message();
    const MatrixView<const float> tokens{in.data(), kTokens, kCols, kCols};
    const MatrixView<const float> query{in.data(), 1, kCols, kCols};
    const MatrixView<const float> weights{in.data(), 1, kTokens, kTokens};
    expect_error_left_alone([&] { return page->append(tokens, nullptr); });
    expect_error_left_alone(
        [&] { return page->read(0, dense_view(out.data(), kTokens, kCols), nullptr); });
    expect_error_left_alone(
        [&] { return page->scores(0, query, dense_view(out.data(), 1, kTokens), nullptr); });
    expect_error_left_alone([&] {
      return page->weighted_sums(0, weights, dense_view(out.data(), 1, kCols), workspace.span(),
                                 nullptr);
    });
  }
}

TEST_F(CudaHostApi, RepackingLeavesTheCallersErrorAlone) {
  const DeviceArray<std::uint32_t> faults(std::vector<std::uint32_t>(1));
  const Product product(Codec::p4, Layout::raw, 1);
  const std::size_t bytes = cuda::layout_bytes(Codec::p4, Layout::dense, kRows, kCols);
  const test::DeviceWorkspace tiles(bytes);
  expect_error_left_alone([&] {
    const auto view =
        cuda::repack(product.view(), Layout::dense, tiles.span(), faults.data(), nullptr);
    return view ? Status{} : view.error();
  });
}

TEST_F(CudaHostApi, TensorsThatWereMovedFromReferToNothing) {
  std::mt19937 random(42);
  const auto tensor = random_tensor(random, Codec::p4, kRows, kCols);
  auto first = cuda::upload(tensor->view());
  auto second = cuda::upload(tensor->view());
  ASSERT_TRUE(first && second);
  const std::uint8_t* const blocks = first->view().blocks;
  cuda::DeviceTensor taken = std::move(*first);
  EXPECT_EQ(taken.view().blocks, blocks);
  EXPECT_EQ(taken.view().rows, kRows);
  const auto expect_empty = [](const cuda::DeviceTensor& moved) {
    EXPECT_EQ(moved.view().blocks, nullptr);
    EXPECT_EQ(moved.view().rows, 0u);
    EXPECT_EQ(moved.device_bytes(), 0u);
  };
  expect_empty(*first);
  *second = std::move(taken);  // and frees what it held
  expect_empty(taken);
  EXPECT_EQ(second->view().blocks, blocks);
}

TEST_F(CudaHostApi, CodecsThatWereMovedFromHaveNoTables) {
  auto codec = cuda::DeviceCodec::create(Codec::h4);
  ASSERT_TRUE(codec);
  const cuda::DeviceCodec taken = std::move(*codec);
  EXPECT_NE(taken.view().encoding, nullptr);
  EXPECT_EQ(codec->view().encoding, nullptr);
  EXPECT_EQ(codec->view().patterns, nullptr);
}

// ctest runs this on an older GPU, too.
TEST_F(CudaHostApi, RefusesAGpuWithoutTheirInstructions) {
  int device = 0;
  int major = 0;
  ASSERT_EQ(cudaGetDevice(&device), cudaSuccess);
  ASSERT_EQ(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device),
            cudaSuccess);
  std::mt19937 random(43);
  const auto tensor = cuda::upload(random_tensor(random, Codec::p4, kRows, kCols)->view());
  const auto codec = cuda::DeviceCodec::create(Codec::a8);
  ASSERT_EQ(tensor.has_value(), major >= 8);
  ASSERT_EQ(codec.has_value(), major >= 8);
  if (major >= 8) return;
  EXPECT_EQ(tensor.error().code(), StatusCode::unsupported);
  EXPECT_EQ(codec.error().code(), StatusCode::unsupported);
  if (!HasFailure()) std::printf("refused: %s\n", codec.error().message().c_str());
}

}  // namespace
}  // namespace ecco

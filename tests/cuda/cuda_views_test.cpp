// SPDX-License-Identifier: MIT
// Views of tensors that no upload makes, and shapes that no product takes, are refused by every
// call, with the name of what does not fit.
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cuda/gemv_emulation.hpp"
#include "ecco/cuda/kv_page.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::DeviceTensorView;
using cuda::Layout;
using test::DeviceArray;
using test::random_tensor;

constexpr std::size_t kRows = 20;
constexpr std::size_t kCols = 256;
constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();

class CudaViews : public test::CudaTest {
 protected:
  static cuda::DeviceTensor uploaded(Codec codec, Layout layout) {
    std::mt19937 random(51);
    auto tensor = cuda::upload(random_tensor(random, codec, kRows, kCols)->view(), layout);
    EXPECT_TRUE(tensor) << tensor.error().message();
    return std::move(*tensor);
  }

  /// What decode, gemv and gemm, which must agree, say of a view of kRows x kCols.
  Status status_of(const DeviceTensorView& view) {
    const Status decoded = cuda::decode(view, dense_view(memory_.data(), kRows, kCols), nullptr);
    const MatrixView<float> x = dense_view(memory_.data(), 1, kCols);
    const MatrixView<float> y = dense_view(memory_.data() + kCols, 1, kRows);
    const auto multiplied = [&](auto&& product) {
      return product(view, x, y, Activations::int8, workspace_.span());
    };
    const Status by_gemv =
        multiplied([](const auto&... all) { return cuda::gemv(all..., nullptr); });
    const Status by_gemm =
        multiplied([](const auto&... all) { return cuda::gemm(all..., nullptr); });
    EXPECT_EQ(by_gemv.message(), decoded.message());
    EXPECT_EQ(by_gemm.message(), decoded.message());
    EXPECT_EQ(by_gemv.code(), decoded.code());
    EXPECT_EQ(by_gemm.code(), decoded.code());
    return decoded;
  }

  /// An invalid_argument whose text begins so.
  void expect_refused(const DeviceTensorView& view, const std::string& text) {
    const Status status = status_of(view);
    EXPECT_EQ(status.code(), StatusCode::invalid_argument) << text;
    EXPECT_EQ(status.message().substr(0, text.size()), text);
  }

  /// The view with one field changed.
  template <typename T>
  static DeviceTensorView with(DeviceTensorView view, T DeviceTensorView::*field, T value) {
    view.*field = value;
    return view;
  }

  /// A table that is missing or shifted by half its alignment.
  template <typename T>
  void expect_table_needed(const DeviceTensorView& view, const T* DeviceTensorView::*table,
                           std::size_t bytes, const std::string& name) {
    SCOPED_TRACE(test::kind_name(view.codec, view.layout));
    EXPECT_TRUE(status_of(view));
    expect_refused(with(view, table, static_cast<const T*>(nullptr)), name + ": a null address");
    const auto odd = reinterpret_cast<std::uintptr_t>(view.*table) + bytes / 2;
    expect_refused(with(view, table, reinterpret_cast<const T*>(odd)), name + ": the address 0x");
  }

 private:
  DeviceArray<float> memory_{std::vector<float>(kRows * kCols)};
  test::DeviceWorkspace workspace_{1 << 20};
};

TEST_F(CudaViews, NeedTheTablesOfTheirLayout) {
  for (const Codec codec : kStoredCodecs) {
    const cuda::DeviceTensor raw = uploaded(codec, Layout::raw);
    const cuda::DeviceTensor fast = uploaded(codec, Layout::fast);
    for (const auto* tensor : {&raw, &fast}) {
      expect_table_needed(tensor->view(), &DeviceTensorView::blocks, 16, "blocks of the tensor");
    }
    expect_table_needed(raw.view(), &DeviceTensorView::patterns, 16, "patterns of the tensor");
    expect_table_needed(fast.view(), &DeviceTensorView::gated, 16, "gated tables of the tensor");
  }
  const cuda::DeviceTensor nibbles = uploaded(Codec::h4, Layout::fast);
  expect_table_needed(nibbles.view(), &DeviceTensorView::row_begins, 4,
                      "row_begins of the tensor");
  expect_table_needed(nibbles.view(), &DeviceTensorView::sparse, 8, "sparse values of the tensor");
  const cuda::DeviceTensor h4 = uploaded(Codec::h4, Layout::raw);
  const cuda::DeviceTensor dense = uploaded(Codec::p4, Layout::dense);
  for (const auto* tensor : {&h4, &dense}) {
    expect_table_needed(tensor->view(), &DeviceTensorView::codes, 4, "codes of the tensor");
  }
  expect_table_needed(uploaded(Codec::p4, Layout::paired).view(), &DeviceTensorView::gated, 16,
                      "gated tables of the tensor");
  expect_refused(with(h4.view(), &DeviceTensorView::pattern_count, 0),
                 "a tensor of h4 with 0 patterns");
  expect_refused(with(h4.view(), &DeviceTensorView::codebook_count, 0),
                 "a tensor of h4 with " + std::to_string(h4.view().pattern_count) +
                     " patterns and 0 codebooks");
}

TEST_F(CudaViews, HaveALayoutOfTheirCodec) {
  const cuda::DeviceTensor tensor = uploaded(Codec::p4, Layout::raw);
  expect_refused(with(tensor.view(), &DeviceTensorView::layout, Layout::automatic),
                 "a tensor on a device of layout automatic");
  const auto unsupported = [&](Codec codec, Layout layout, const std::string& text) {
    DeviceTensorView view = with(tensor.view(), &DeviceTensorView::layout, layout);
    view.codec = codec;
    const Status status = status_of(view);
    EXPECT_EQ(status.code(), StatusCode::unsupported);
    EXPECT_EQ(status.message(), text);
  };
  unsupported(Codec::p3, Layout::dense, "dense tiles of p3");
  unsupported(Codec::h4, Layout::paired, "paired tiles of h4");
  unsupported(Codec::a8, Layout::raw, "raw tiles of a8");
}

TEST_F(CudaViews, HaveAScaleAndADevice) {
  const cuda::DeviceTensor tensor = uploaded(Codec::p4, Layout::fast);
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::quiet_NaN()}) {
    expect_refused(with(tensor.view(), &DeviceTensorView::tensor_scale, scale), "a tensor_scale");
  }
  expect_refused(with(tensor.view(), &DeviceTensorView::device, 1),
                 "the tensor lies on device 1, current is 0");
}

// Each of these numbers overflowed, divided by zero or wrapped somewhere.
TEST_F(CudaViews, ShapesThatNoProductTakesNeedNoWorkspace) {
  const cuda::DeviceTensor tensor = uploaded(Codec::p4, Layout::fast);
  const auto bytes = [&](std::size_t rows, std::size_t cols, std::size_t batch) {
    DeviceTensorView view = tensor.view();
    view.rows = rows;
    view.cols = cols;
    return cuda::gemv_workspace_bytes(view, batch, Activations::int8) +
           cuda::gemm_workspace_bytes(view, batch, Activations::int16);
  };
  EXPECT_GT(bytes(kRows, kCols, 16), 0u);
  for (const std::size_t absurd : {std::size_t{1} << 31, std::size_t{1} << 40, kMost}) {
    EXPECT_EQ(bytes(absurd, kCols, 1), 0u);
    EXPECT_EQ(bytes(kRows, absurd, 1), 0u);
    EXPECT_EQ(bytes(kRows, kCols, absurd), 0u);
    EXPECT_EQ(cuda::layout_bytes(Codec::p4, Layout::raw, absurd, kCols), 0u);
    EXPECT_EQ(cuda::layout_bytes(Codec::h4, Layout::fast, kRows, absurd), 0u);
    EXPECT_EQ(cuda::weighted_sums_workspace_bytes(absurd, 300, 128), 0u);
    EXPECT_EQ(cuda::weighted_sums_workspace_bytes(1, 300, absurd), 0u);
  }
  EXPECT_EQ(bytes(1 << 20, 1 << 20, 1), 0u);  // 2^33 blocks
  DeviceTensorView large = tensor.view();
  large.rows = std::size_t{1} << 31;
  const DeviceArray<float> x{std::vector<float>(kCols)};
  const Status status =
      cuda::gemv(large, dense_view<const float>(x.data(), 1, kCols),
                 dense_view<float>(x.data(), 1, large.rows), Activations::int8, {}, nullptr);
  EXPECT_EQ(status.code(), StatusCode::unsupported) << status.message();
}

TEST_F(CudaViews, ConvertOnlyToMemoryOfTheirOwn) {
  const cuda::DeviceTensor tensor = uploaded(Codec::p4, Layout::raw);
  const std::size_t from = cuda::layout_bytes(Codec::p4, Layout::raw, kRows, kCols);
  const std::size_t to = cuda::layout_bytes(Codec::p4, Layout::fast, kRows, kCols);
  const test::DeviceWorkspace memory(from + to);
  const DeviceArray<std::uint32_t> faults({0});
  const auto status = [&](std::size_t blocks_at, std::size_t out_at) {
    const auto view =
        cuda::repack(with(tensor.view(), &DeviceTensorView::blocks,
                          static_cast<const std::uint8_t*>(memory.data() + blocks_at)),
                     Layout::fast, {memory.data() + out_at, to}, faults.data(), nullptr);
    return view ? Status{} : view.error();
  };
  EXPECT_TRUE(status(0, from));
  EXPECT_TRUE(status(to, 0));
  for (const auto& [blocks_at, out_at] :
       {std::pair{std::size_t{0}, from - 16}, std::pair{to - 16, std::size_t{0}},
        std::pair{std::size_t{0}, std::size_t{0}}}) {
    EXPECT_EQ(status(blocks_at, out_at).code(), StatusCode::invalid_argument);
    EXPECT_EQ(status(blocks_at, out_at).message(), "the output overlaps the blocks of the tensor");
  }
}

}  // namespace
}  // namespace ecco

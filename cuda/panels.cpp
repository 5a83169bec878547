// SPDX-License-Identifier: MIT
#include "panels.hpp"

#include <algorithm>
#include <climits>
#include <string>
#include <type_traits>

#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "gemm_job.hpp"
#include "products.hpp"

namespace ecco::cuda::detail {
namespace {

constexpr std::size_t kPanelRows = 4096;

/// Distance of the rows of panels and of rounded vectors: 16 bytes, which cuBLAS likes.
std::size_t half_stride(std::size_t cols) { return (cols + 7) / 8 * 8; }

/// Vectors of bfloat16 and float, rounded to half, and their factors.
std::size_t rounded_bytes(std::size_t batch, std::size_t cols) {
  return batch * half_stride(cols) * sizeof(half) + (batch * sizeof(float) + 15) / 16 * 16;
}

/// Rows first..first + count - 1 of a tensor, first a multiple of 16, without its scale: planar
/// blocks then decode to at most 240 * 123, and to halves that are exact where the block's scale
/// is 2^-21 or more.
DeviceTensorView panel_of(const DeviceTensorView& tensor, std::size_t first, std::size_t count) {
  DeviceTensorView panel = tensor;
  panel.rows = count;
  panel.tensor_scale = 1.0f;
  panel.blocks += layout_bytes(tensor.codec, tensor.layout, first, tensor.cols);
  if (panel.row_begins != nullptr) panel.row_begins += first;
  return panel;
}

/// Error: unsupported where numbers do not fit the int of cuBLAS.
Status check_int(const DeviceTensorView& tensor, std::size_t batch, std::size_t x_stride,
                 std::size_t y_stride) {
  if (std::max({batch, x_stride, y_stride, tensor.cols + 7}) <= INT_MAX) return {};
  return {StatusCode::unsupported, "cuBLAS: " + std::to_string(batch) + " vectors of " +
                                       std::to_string(tensor.cols) +
                                       " values, x with a stride of " + std::to_string(x_stride) +
                                       ", y of " + std::to_string(y_stride) + ": 2^31 or more"};
}

/// Multiplies halves; `factors` of the vectors of y, or nullptr.
Status multiply_halves(const DeviceTensorView& tensor, MatrixView<const half> x,
                       MatrixView<float> y, const float* factors, const Blas& blas,
                       std::span<std::uint8_t> memory, Stream stream) {
  const std::size_t stride = half_stride(tensor.cols);
  const std::size_t fitting = memory.size() / (stride * sizeof(half));
  const std::size_t step = fitting < tensor.rows ? fitting / kTileRows * kTileRows : tensor.rows;
  auto* const weights = reinterpret_cast<half*>(memory.data());
  Status status;
  for (std::size_t first = 0; first < tensor.rows && status; first += step) {
    const std::size_t count = std::min(step, tensor.rows - first);
    const MatrixView<float> part{y.data + first, y.rows, count, y.row_stride};
    status = decode(panel_of(tensor, first, count),
                    MatrixView<half>{weights, count, tensor.cols, stride}, stream);
    if (!status) break;
    const HalfProduct product{{weights, count, tensor.cols, stride}, x, part, tensor.tensor_scale};
    status = blas.call()(blas.handle(), product, stream);
    if (!status || factors == nullptr) continue;
    status = check("scale_vectors",
                   scale_vectors({part.data, part.row_stride, static_cast<unsigned>(count),
                                  static_cast<unsigned>(y.rows), factors},
                                 stream));
  }
  return status;
}

}  // namespace

std::size_t panels_bytes(const DeviceTensorView& tensor, std::size_t batch) noexcept {
  return rounded_bytes(batch, tensor.cols) +
         std::min(tensor.rows, kPanelRows) * half_stride(tensor.cols) * sizeof(half);
}

template <typename T>
Status multiply_panels(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                       const Blas& blas, std::span<std::uint8_t> workspace, Stream stream) {
  Status status = check_device(blas.device(), "the cuBLAS handle");
  if (status) status = check_int(tensor, x.rows, x.row_stride, y.row_stride);
  if (!status) return status;
  constexpr bool kRounded = !std::is_same_v<T, half>;
  const std::size_t stride = half_stride(tensor.cols);
  const std::size_t x_bytes = kRounded ? rounded_bytes(x.rows, tensor.cols) : 0;
  const std::size_t least = std::min<std::size_t>(tensor.rows, kTileRows) * stride * sizeof(half);
  status = check_workspace(workspace, x_bytes + least);
  if (!status) return status;
  const std::span<std::uint8_t> panels = workspace.subspan(x_bytes);
  if constexpr (!kRounded) {
    return multiply_halves(tensor, x, y, nullptr, blas, panels, stream);
  } else {
    auto* const rounded = reinterpret_cast<half*>(workspace.data());
    auto* const factors = reinterpret_cast<float*>(rounded + x.rows * stride);
    const RoundVectorsJob job{x.row_stride,
                              static_cast<unsigned>(tensor.cols),
                              static_cast<unsigned>(x.rows),
                              stride,
                              rounded,
                              factors};
    status = check("round_vectors", round_vectors(job, x.data, stream));
    if (!status) return status;
    return multiply_halves(tensor, {rounded, x.rows, tensor.cols, stride}, y, factors, blas,
                           panels, stream);
  }
}

template Status multiply_panels(const DeviceTensorView&, MatrixView<const half>, MatrixView<float>,
                                const Blas&, std::span<std::uint8_t>, Stream);
template Status multiply_panels(const DeviceTensorView&, MatrixView<const bfloat16>,
                                MatrixView<float>, const Blas&, std::span<std::uint8_t>, Stream);
template Status multiply_panels(const DeviceTensorView&, MatrixView<const float>,
                                MatrixView<float>, const Blas&, std::span<std::uint8_t>, Stream);

}  // namespace ecco::cuda::detail

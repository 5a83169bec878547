// SPDX-License-Identifier: MIT
// Checks that all products share, and their inputs.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>

#include "block_rows.hpp"
#include "device_checks.hpp"
#include "ecco/a8.hpp"
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tiles_paired.hpp"
#include "errors.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

/// Vectors of half, bfloat16 or float.
template <typename T>
struct Numbers {
  MatrixView<const T> x;

  [[nodiscard]] std::size_t rows() const { return x.rows; }
  [[nodiscard]] std::size_t cols() const { return x.cols; }
  [[nodiscard]] Status check_memory() const { return check_matrix("x", x); }
  cudaError_t quantize(QuantizeJob job, std::size_t first, unsigned batch, bool two_digits,
                       Stream stream) const {
    job.x_stride = x.row_stride;
    return detail::quantize(job, x.row(first), batch, two_digits, stream);
  }
};

/// Vectors of A8 blocks.
struct A8Blocks {
  A8View x;

  [[nodiscard]] std::size_t rows() const { return x.rows; }
  [[nodiscard]] std::size_t cols() const { return x.cols; }
  [[nodiscard]] Status check_memory() const {
    if (Status status = check_scale(x.tensor_scale); !status) return status;
    return check_address("blocks of x", x.blocks, kAlignment, x.rows == 0 || x.cols == 0);
  }
  cudaError_t quantize(QuantizeJob job, std::size_t first, unsigned batch, bool two_digits,
                       Stream stream) const {
    job.x_stride = blocks_of(Codec::a8, x.cols) * a8::kValues;
    return quantize_a8(job, x.blocks + first * job.x_stride, x.tensor_scale, batch, two_digits,
                       stream);
  }
};

/// Shapes, the view and addresses of y = tensor * x; `x` = Numbers or A8Blocks.
template <typename Input>
Status check_shapes(const DeviceTensorView& tensor, const Input& x, const MatrixView<float>& y) {
  if (x.cols() != tensor.cols || y.cols != tensor.rows || x.rows() != y.rows) {
    return {StatusCode::shape_mismatch,
            "a " + std::to_string(tensor.rows) + " x " + std::to_string(tensor.cols) +
                " tensor, x of " + std::to_string(x.rows()) + " x " + std::to_string(x.cols()) +
                ", y of " + std::to_string(y.rows) + " x " + std::to_string(y.cols)};
  }
  Status status = check_view(tensor);
  if (status) status = x.check_memory();
  return status ? check_matrix("y", y) : status;
}

/// False if there is nothing to multiply, or more than products take.
inline bool has_product(const DeviceTensorView& tensor, std::size_t batch) noexcept {
  if (tensor.rows == 0 || tensor.cols == 0 || batch == 0) return false;
  return !too_large(tensor.rows, tensor.cols) && batch <= kMostBlocks;
}

/// The table of values that products of a tensor's layout read.
inline const std::uint32_t* product_table(const DeviceTensorView& tensor) {
  if (tensor.layout == Layout::raw) return reinterpret_cast<const std::uint32_t*>(tensor.patterns);
  return tensor.layout == Layout::paired ? tensor.gated + kPairedTablesAt : tensor.gated;
}

/// What the kernels of products and of tiles' decoding read of a tensor.
template <typename Job>
void describe_tiles(const DeviceTensorView& tensor, Job& job) {
  job.tiles = reinterpret_cast<const uint4*>(tensor.blocks);
  job.gated = product_table(tensor);
  job.codes = tensor.codes;
  job.row_begins = tensor.row_begins;
  job.sparse = reinterpret_cast<const uint2*>(tensor.sparse);
  job.tensor_scale = tensor.tensor_scale;
  job.rows = static_cast<unsigned>(tensor.rows);
  job.column_tiles = static_cast<unsigned>(blocks_per_row(tensor.cols));
}

/// Calls multiply(x, y) for `step` vectors at a time, until a call fails.
template <typename T, typename Multiply>
Status in_passes(std::size_t step, const MatrixView<const T>& x, const MatrixView<float>& y,
                 Multiply&& multiply) {
  Status status;
  for (std::size_t first = 0; first < x.rows && status; first += step) {
    const std::size_t count = std::min(step, x.rows - first);
    status = multiply(MatrixView<const T>{x.row(first), count, x.cols, x.row_stride},
                      MatrixView<float>{y.row(first), count, y.cols, y.row_stride});
  }
  return status;
}

inline Status check_workspace(std::span<std::uint8_t> workspace, std::size_t bytes) {
  if (workspace.size() < bytes) {
    return {StatusCode::invalid_argument, "a workspace of " + std::to_string(workspace.size()) +
                                              " bytes, needed are " + std::to_string(bytes)};
  }
  return check_address("workspace", workspace.data(), kAlignment, bytes == 0);
}

/// y = 0, the product of a tensor without columns.
inline Status clear(const MatrixView<float>& y, Stream stream) {
  const std::size_t pitch = std::max(y.row_stride, y.cols) * sizeof(float);
  return check("cudaMemset2DAsync",
               cudaMemset2DAsync(y.data, pitch, 0, y.cols * sizeof(float), y.rows, stream));
}

}  // namespace ecco::cuda::detail

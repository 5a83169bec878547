// SPDX-License-Identifier: MIT
// Checks that all products share, and their inputs.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <span>
#include <string>

#include "ecco/a8.hpp"
#include "ecco/cuda/device.hpp"
#include "errors.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

/// Vectors of half, bfloat16 or float.
template <typename T>
struct Numbers {
  MatrixView<const T> x;

  [[nodiscard]] std::size_t rows() const { return x.rows; }
  [[nodiscard]] std::size_t cols() const { return x.cols; }
  [[nodiscard]] Status check_memory() const {
    if (x.rows > 1 && x.row_stride < x.cols) {
      return {StatusCode::invalid_argument, "the rows of x overlap"};
    }
    if (aligned(x.data, sizeof(T))) return {};
    return {StatusCode::invalid_argument, "x is not aligned to its values"};
  }
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
    if (aligned(x.blocks, kAlignment)) return {};
    return {StatusCode::invalid_argument, "the blocks of x are not aligned to 16 bytes"};
  }
  cudaError_t quantize(QuantizeJob job, std::size_t first, unsigned batch, bool two_digits,
                       Stream stream) const {
    job.x_stride = (x.cols + a8::kValues - 1) / a8::kValues * a8::kValues;
    return quantize_a8(job, x.blocks + first * job.x_stride, x.tensor_scale, batch, two_digits,
                       stream);
  }
};

/// Shapes, addresses and the device of y = tensor * x; `x` = Numbers or A8Blocks.
template <typename Input>
Status check_shapes(const DeviceTensorView& tensor, const Input& x, const MatrixView<float>& y) {
  if (x.cols() != tensor.cols || y.cols != tensor.rows || x.rows() != y.rows) {
    return {StatusCode::shape_mismatch,
            "a " + std::to_string(tensor.rows) + " x " + std::to_string(tensor.cols) +
                " tensor, x of " + std::to_string(x.rows()) + " x " + std::to_string(x.cols()) +
                ", y of " + std::to_string(y.rows) + " x " + std::to_string(y.cols)};
  }
  if (Status status = x.check_memory(); !status) return status;
  if (y.rows > 1 && y.row_stride < y.cols) {
    return {StatusCode::invalid_argument, "the rows of y overlap"};
  }
  if (!aligned(y.data, sizeof(float))) {
    return {StatusCode::invalid_argument, "y is not aligned to its values"};
  }
  if (!aligned(tensor.blocks, kAlignment)) {
    return {StatusCode::invalid_argument, "the blocks or tiles are not aligned to 16 bytes"};
  }
  return check_device(tensor.device);
}

/// The same for the kernels of products.
template <typename Input>
Status check_product(const DeviceTensorView& tensor, const Input& x, const MatrixView<float>& y) {
  if (is_planar(tensor.codec) || tensor.layout == Layout::fast) return check_shapes(tensor, x, y);
  return {StatusCode::unsupported,
          "products of raw blocks of " + std::string(codec_name(tensor.codec))};
}

/// The table of values that products of a tensor's layout read.
inline const std::uint32_t* product_table(const DeviceTensorView& tensor) {
  return tensor.layout == Layout::raw ? reinterpret_cast<const std::uint32_t*>(tensor.patterns)
                                      : tensor.gated;
}

inline Status check_workspace(std::span<std::uint8_t> workspace, std::size_t bytes) {
  if (workspace.size() >= bytes && aligned(workspace.data(), kAlignment)) return {};
  return {StatusCode::invalid_argument, "a workspace of " + std::to_string(workspace.size()) +
                                            " bytes, but " + std::to_string(bytes) +
                                            ", aligned to 16, are needed"};
}

/// y = 0, the product of a tensor without columns.
inline Status clear(const MatrixView<float>& y, Stream stream) {
  return check("cudaMemset2DAsync", cudaMemset2DAsync(y.data, y.row_stride * sizeof(float), 0,
                                                      y.cols * sizeof(float), y.rows, stream));
}

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Y = X W^T straight on blocks for a batch of activation rows.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ecco/gemv.hpp"

namespace ecco {

/// y[b][r] = sum over k of W[r][k] * x[b][k]: x is batch x tensor.cols(), y is batch x
/// tensor.rows(). Each y[b] has the bits that gemv gives for x[b], whatever the batch and the
/// number of threads; every weight is decoded once per 256 rows of x (the gain over gemv). Meant
/// for batches of 1 to a few hundred. x and y may not overlap. Errors: shape_mismatch,
/// unsupported, out_of_memory (scratch: up to 1.3 KiB per row of x and thread).
ECCO_API Status gemm(const TensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
                     const ParallelFor& parallel = serial) noexcept;

/// The same for int8 activations, one Int8Activations per row of the batch.
ECCO_API Status gemm(const TensorView& tensor, std::span<const Int8Activations> x,
                     MatrixView<float> y, const ParallelFor& parallel = serial) noexcept;

namespace detail {

inline Status check_gemm(const TensorView& tensor, std::size_t batch, std::size_t x_cols,
                         MatrixView<float> y) noexcept {
  if (y.rows != batch) {
    return {StatusCode::shape_mismatch,
            "x has " + std::to_string(batch) + " rows and y " + std::to_string(y.rows)};
  }
  return batch == 0 ? Status() : check_gemv(tensor, x_cols, y.cols);
}

inline Status check_gemm(const TensorView& tensor, std::span<const Int8Activations> x,
                         MatrixView<float> y) noexcept {
  Status status = check_gemm(tensor, x.size(), tensor.cols(), y);
  for (std::size_t b = 0; b < x.size() && status; ++b) {
    status = check_gemv(tensor, x[b].size(), y.cols);
  }
  return status;
}

}  // namespace detail

namespace reference {

inline Status gemm(const TensorView& tensor, MatrixView<const float> x,
                   MatrixView<float> y) noexcept {
  Status status = detail::check_gemm(tensor, x.rows, x.cols, y);
  for (std::size_t b = 0; b < x.rows && status; ++b) {
    status = reference::gemv(tensor, std::span(x.row(b), x.cols), std::span(y.row(b), y.cols));
  }
  return status;
}

inline Status gemm(const TensorView& tensor, std::span<const Int8Activations> x,
                   MatrixView<float> y) noexcept {
  Status status = detail::check_gemm(tensor, x, y);
  for (std::size_t b = 0; b < x.size() && status; ++b) {
    status = reference::gemv(tensor, x[b], std::span(y.row(b), y.cols));
  }
  return status;
}

}  // namespace reference
}  // namespace ecco

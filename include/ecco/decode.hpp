// SPDX-License-Identifier: MIT
// Rows of a compressed matrix -> f32, f16, bf16, or int8 centroids with one factor per block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ecco/block.hpp"
#include "ecco/config.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// Decodes rows first_row .. first_row + out.rows - 1 into `out`, out.cols == tensor.cols();
/// padding is not written. Values are binary32 products rounded once (docs/format.md, section 2);
/// half and bfloat16 round once more, to nearest even. Total on any block bytes. Single-threaded:
/// split the rows to use more. Errors: shape_mismatch, unsupported (see active_isa). Complexity:
/// O(rows * cols), no allocation.
ECCO_API Status decode_rows(const TensorView& tensor, std::size_t first_row,
                            MatrixView<float> out) noexcept;
ECCO_API Status decode_rows(const TensorView& tensor, std::size_t first_row,
                            MatrixView<half> out) noexcept;
ECCO_API Status decode_rows(const TensorView& tensor, std::size_t first_row,
                            MatrixView<bfloat16> out) noexcept;

/// Decodes rows to the centroids as they are, and `factors`, out.rows x blocks_per_row: value =
/// factor * centroid. Same errors; unsupported for h4, whose outliers have no place here: use
/// decode_block.
ECCO_API Status decode_rows(const TensorView& tensor, std::size_t first_row,
                            MatrixView<std::int8_t> centroids, MatrixView<float> factors) noexcept;

namespace detail {

/// Shared shape check of the decode_rows functions.
inline Status check_rows(const TensorView& tensor, std::size_t first_row, std::size_t rows,
                         std::size_t cols, std::size_t expected_cols) noexcept {
  if (first_row > tensor.rows() || rows > tensor.rows() - first_row) {
    return {StatusCode::shape_mismatch,
            "rows " + std::to_string(first_row) + " to " + std::to_string(first_row + rows) +
                " asked of a tensor of " + std::to_string(tensor.rows()) + " rows"};
  }
  if (cols != expected_cols) {
    return {StatusCode::shape_mismatch, "the output has " + std::to_string(cols) +
                                            " columns where " + std::to_string(expected_cols) +
                                            " are needed"};
  }
  return {};
}

/// Shape check of decoding to int8: centroids as wide as the tensor, one factor per block.
inline Status check_int8_rows(const TensorView& tensor, std::size_t first_row,
                              MatrixView<std::int8_t> centroids,
                              MatrixView<float> factors) noexcept {
  if (tensor.codec() == Codec::h4) {
    return {StatusCode::unsupported,
            "h4 blocks have outliers apart from their int8 values: use "
            "decode_block"};
  }
  if (factors.rows != centroids.rows) {
    return {StatusCode::shape_mismatch, "centroids have " + std::to_string(centroids.rows) +
                                            " rows and factors " + std::to_string(factors.rows)};
  }
  Status status = check_rows(tensor, first_row, centroids.rows, centroids.cols, tensor.cols());
  if (!status) return status;
  return check_rows(tensor, first_row, factors.rows, factors.cols, tensor.blocks_per_row());
}

}  // namespace detail

/// The scalar, header-only reference of the compiled functions of the same names: the definition
/// of their results, bit for bit.
namespace reference {

template <typename T>
Status decode_rows(const TensorView& tensor, std::size_t first_row, MatrixView<T> out) noexcept {
  Status status = detail::check_rows(tensor, first_row, out.rows, out.cols, tensor.cols());
  if (!status) return status;
  for (std::size_t r = 0; r < out.rows; ++r) {
    const std::uint8_t* block = tensor.row(first_row + r);
    for (std::size_t at = 0; at < out.cols; at += kGroup, block += block_bytes(tensor.codec())) {
      float values[kGroup];
      decode_block(tensor, block, values);
      for (std::size_t e = 0; e < kGroup && at + e < out.cols; ++e) {
        out.row(r)[at + e] = from_float<T>(values[e]);
      }
    }
  }
  return {};
}

inline Status decode_rows(const TensorView& tensor, std::size_t first_row,
                          MatrixView<std::int8_t> centroids, MatrixView<float> factors) noexcept {
  Status status = detail::check_int8_rows(tensor, first_row, centroids, factors);
  if (!status) return status;
  for (std::size_t r = 0; r < centroids.rows; ++r) {
    const std::uint8_t* block = tensor.row(first_row + r);
    for (std::size_t k = 0; k < factors.cols; ++k, block += block_bytes(tensor.codec())) {
      Int8Block values;
      decode_block(tensor, block, values);
      factors.row(r)[k] = values.factor;
      for (std::size_t e = 0; e < kGroup && k * kGroup + e < centroids.cols; ++e) {
        centroids.row(r)[k * kGroup + e] = values.values[e];
      }
    }
  }
  return {};
}

}  // namespace reference
}  // namespace ecco

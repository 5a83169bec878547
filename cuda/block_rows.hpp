// SPDX-License-Identifier: MIT
// Rows of values and the blocks that they take, as decoders and encoders describe them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/types.hpp"
#include "errors.hpp"

namespace ecco::cuda::detail {

/// Blocks of a row of so many values.
inline std::size_t blocks_of(Codec codec, std::size_t values) noexcept {
  const auto group = static_cast<std::size_t>(group_values(codec));
  return values / group + (values % group != 0 ? 1 : 0);
}

/// Sets all of a DecodeJob or EncodeJob but its blocks. Error: unsupported.
template <typename Job, typename T>
Status describe_rows(const MatrixView<T>& rows, std::size_t per_row, float tensor_scale,
                     Job& job) {
  if (rows.cols > kMostBlocks || (per_row > 0 && rows.rows > kMostBlocks / per_row)) {
    return {StatusCode::unsupported, "a matrix of 2^31 blocks or columns or more"};
  }
  job.block_count = static_cast<std::uint32_t>(rows.rows * per_row);
  job.blocks_per_row = static_cast<std::uint32_t>(per_row);
  job.cols = static_cast<std::uint32_t>(rows.cols);
  job.row_stride = rows.row_stride;
  job.tensor_scale = tensor_scale;
  job.vector = rows.cols % 4 == 0 && (rows.row_stride % 4 == 0 || rows.rows == 1) &&
               aligned(rows.data, 4 * sizeof(T));
  return {};
}

}  // namespace ecco::cuda::detail

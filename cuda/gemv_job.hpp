// SPDX-License-Identifier: MIT
// What a product needs of its tensor.
#pragma once

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "launch.hpp"
#include "products.hpp"

namespace ecco::cuda::detail {

/// Where the values apart of an h4 tensor lie behind DeviceTensorView::row_begins, if it has such.
inline const uint2* sparse_values(const DeviceTensorView& tensor) {
  if (tensor.row_begins == nullptr) return nullptr;
  return reinterpret_cast<const uint2*>(tensor.row_begins + (tensor.rows + 2) / 2 * 2);
}

/// A product without activations, sums and slices.
inline GemvJob gemv_job(const DeviceTensorView& tensor) {
  GemvJob job{};
  job.tiles = reinterpret_cast<const uint4*>(tensor.blocks);
  job.gated = product_table(tensor);
  job.codes = tensor.codes;
  job.row_begins = tensor.row_begins;
  job.sparse = sparse_values(tensor);
  job.tensor_scale = tensor.tensor_scale;
  job.rows = static_cast<unsigned>(tensor.rows);
  job.row_tiles = static_cast<unsigned>((tensor.rows + kTileRows - 1) / kTileRows);
  job.column_tiles = static_cast<unsigned>(blocks_per_row(tensor.cols));
  return job;
}

}  // namespace ecco::cuda::detail

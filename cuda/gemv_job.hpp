// SPDX-License-Identifier: MIT
// What a product needs of its tensor.
#pragma once

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "ecco/planar.hpp"
#include "launch.hpp"
#include "products.hpp"

namespace ecco::cuda::detail {

/// A product without activations, sums and slices.
inline GemvJob gemv_job(const DeviceTensorView& tensor) {
  GemvJob job{};
  describe_tiles(tensor, job);
  job.row_tiles = static_cast<unsigned>(row_tiles_of(tensor.rows));
  return job;
}

/// The kernel of a codec and a layout of tiles.
inline cudaError_t gemv_tiles(Codec codec, Layout layout, const GemvJob& job, unsigned slices,
                              cudaStream_t stream) {
  if (layout == Layout::dense) return gemv_dense(job, slices, stream);
  if (layout == Layout::paired) return gemv_paired(job, slices, stream);
  if (codec == Codec::h4) return gemv_h4(job, slices, stream);
  return planar::dispatch(
      codec, [&](auto planes) { return gemv_fast<decltype(planes)::value>(job, slices, stream); });
}

/// The kernel of the tensor's codec and layout.
inline cudaError_t gemv_launch(const DeviceTensorView& tensor, const GemvJob& job, unsigned slices,
                               cudaStream_t stream) {
  if (tensor.layout != Layout::raw) {
    return gemv_tiles(tensor.codec, tensor.layout, job, slices, stream);
  }
  if (tensor.codec != Codec::h4) return gemv_raw(tensor.codec, job, slices, stream);
  return gemv_raw_h4(job, tensor, slices, stream);
}

}  // namespace ecco::cuda::detail

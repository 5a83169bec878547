// SPDX-License-Identifier: MIT
// The end of products that are cut in slices, or have two digits per activation.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace ecco::cuda::detail {

/// y[vector][row] = the sum over the digits of the vector's activations of the sum over slices of
/// sums[slice][vector * digits + digit][row], both in their order.
struct SlicesJob {
  const float* sums;
  std::size_t slice_stride;
  std::size_t sum_stride;  ///< between columns of sums
  unsigned slices;
  unsigned rows;
  unsigned batch;   ///< at most 65535
  unsigned digits;  ///< 1 or 2
  float* y;
  std::size_t y_stride;
};
cudaError_t add_slices(const SlicesJob& job, cudaStream_t stream);

}  // namespace ecco::cuda::detail

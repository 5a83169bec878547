// SPDX-License-Identifier: MIT
// Products on paired tiles of P4.
#include "ecco/cuda/gemv_paired.cuh"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

cudaError_t gemv_paired(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return gemv_with<PairedLane, 3>(job, slices, stream);
}

}  // namespace ecco::cuda::detail

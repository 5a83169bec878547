// SPDX-License-Identifier: MIT
// Products on nibble tiles of H4.
#include "ecco/cuda/gemv_h4.cuh"

#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

cudaError_t gemv_h4(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return gemv_with<NibbleLane, 4>(job, slices, stream);
}

}  // namespace ecco::cuda::detail

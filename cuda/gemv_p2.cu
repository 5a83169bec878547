// SPDX-License-Identifier: MIT
// Products on fast tiles of P2.
#include "ecco/cuda/gemv_fast.cuh"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

template <>
cudaError_t gemv_fast<0>(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return gemv_with<FastLane<0>, 4>(job, slices, stream);
}

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Products on fast tiles of P5.
#include "ecco/cuda/gemv_fast.cuh"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

template <>
cudaError_t gemv_fast<3>(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return gemv_with<FastLane<3>, 2>(job, slices, stream);
}

}  // namespace ecco::cuda::detail

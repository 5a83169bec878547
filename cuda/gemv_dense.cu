// SPDX-License-Identifier: MIT
// Products on dense tiles of P4.
#include "ecco/cuda/gemv_dense.cuh"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

cudaError_t gemv_dense(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return gemv_with<DenseLane, 3>(job, slices, stream);
}

}  // namespace ecco::cuda::detail

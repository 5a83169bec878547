// SPDX-License-Identifier: MIT
// Products of dense tiles of P4 with many vectors.
#include "ecco/cuda/gemv_dense.cuh"
#include "gemm.cuh"

namespace ecco::cuda::detail {

cudaError_t gemm_dense(const GemmJob& job, cudaStream_t stream) {
  return gemm_with<DenseLane>(job, stream);
}

}  // namespace ecco::cuda::detail

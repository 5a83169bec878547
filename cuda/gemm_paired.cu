// SPDX-License-Identifier: MIT
// Products of paired tiles of P4 with many vectors.
#include "ecco/cuda/gemv_paired.cuh"
#include "gemm.cuh"

namespace ecco::cuda::detail {

cudaError_t gemm_paired(const GemmJob& job, cudaStream_t stream) {
  return gemm_with<PairedLane>(job, stream);
}

}  // namespace ecco::cuda::detail

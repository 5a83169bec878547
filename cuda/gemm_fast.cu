// SPDX-License-Identifier: MIT
// Products of fast tiles of P2..P5 with many vectors.
#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/planar.hpp"
#include "gemm.cuh"

namespace ecco::cuda::detail {

cudaError_t gemm_fast(Codec codec, const GemmJob& job, cudaStream_t stream) {
  return ecco::planar::dispatch(codec, [&](auto planes) {
    return gemm_with<FastLane<decltype(planes)::value>>(job, stream);
  });
}

}  // namespace ecco::cuda::detail

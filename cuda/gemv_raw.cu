// SPDX-License-Identifier: MIT
// Products on raw blocks of P2..P5.
#include "ecco/cuda/gemv_raw.cuh"
#include "ecco/planar.hpp"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {

cudaError_t gemv_raw(Codec codec, const GemvJob& job, unsigned slices, cudaStream_t stream) {
  return ecco::planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    constexpr int kBlocks = kPlanes == 0 ? 3 : 2;
    return gemv_with<RawLane<kPlanes>, kBlocks, 2>(job, slices, stream);
  });
}

}  // namespace ecco::cuda::detail

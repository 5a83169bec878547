// SPDX-License-Identifier: MIT
// Decoding of fast tiles of P2..P5.
#include "decode_tiles.cuh"
#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/planar.hpp"

namespace ecco::cuda::detail {

template <typename T>
cudaError_t decode_fast(Codec codec, const DecodeTilesJob& job, T* out, cudaStream_t stream) {
  return ecco::planar::dispatch(codec, [&](auto planes) {
    return decode_with<FastLane<decltype(planes)::value>>(job, out, stream);
  });
}

template cudaError_t decode_fast(Codec, const DecodeTilesJob&, half*, cudaStream_t);
template cudaError_t decode_fast(Codec, const DecodeTilesJob&, bfloat16*, cudaStream_t);
template cudaError_t decode_fast(Codec, const DecodeTilesJob&, float*, cudaStream_t);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Decoding of paired tiles of P4.
#include "decode_tiles.cuh"
#include "ecco/cuda/gemv_paired.cuh"

namespace ecco::cuda::detail {

template <typename T>
cudaError_t decode_paired(const DecodeTilesJob& job, T* out, cudaStream_t stream) {
  return decode_with<PairedLane>(job, out, stream);
}

template cudaError_t decode_paired(const DecodeTilesJob&, half*, cudaStream_t);
template cudaError_t decode_paired(const DecodeTilesJob&, bfloat16*, cudaStream_t);
template cudaError_t decode_paired(const DecodeTilesJob&, float*, cudaStream_t);

}  // namespace ecco::cuda::detail

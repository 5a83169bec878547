// SPDX-License-Identifier: MIT
// Decoding of dense tiles of P4.
#include "decode_tiles.cuh"
#include "ecco/cuda/gemv_dense.cuh"

namespace ecco::cuda::detail {

template <typename T>
cudaError_t decode_dense(const DecodeTilesJob& job, T* out, cudaStream_t stream) {
  return decode_with<DenseLane>(job, out, stream);
}

template cudaError_t decode_dense(const DecodeTilesJob&, half*, cudaStream_t);
template cudaError_t decode_dense(const DecodeTilesJob&, bfloat16*, cudaStream_t);
template cudaError_t decode_dense(const DecodeTilesJob&, float*, cudaStream_t);

}  // namespace ecco::cuda::detail

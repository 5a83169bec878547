// SPDX-License-Identifier: MIT
// Decoding of nibble tiles of H4, then of the sparse corrections.
#include "decode_tiles.cuh"
#include "ecco/cuda/gemv_h4.cuh"

namespace ecco::cuda::detail {
namespace {

/// With factors m instead of -m / 128: a value is m times its numerator / 128, and the sign of a
/// zero that of m.
struct NibbleDecodeLane : NibbleLane {
  static __device__ __forceinline__ float factor(std::uint8_t code, float tensor_scale) {
    return tensor_scale * to_float(fp8_e4m3{code});
  }
  static __device__ __forceinline__ void scale(std::uint32_t bytes, float m, float (&values)[4]) {
#pragma unroll
    for (unsigned b = 0; b < 4; ++b) {  // 0x4B0000cc is 2^23 + cc
      const float biased = __uint_as_float(prmt(bytes, 0x4B000000u, 0x7440u + b));
      values[b] = __fmul_rn(m, (8388736.0f - biased) * 0x1p-7f);
    }
  }
};

/// A warp per row.
template <typename T>
__global__ void __launch_bounds__(kThreads) place_kernel(DecodeTilesJob job, T* out) {
  for (unsigned row = blockIdx.x * kWarps + static_cast<unsigned>(warp_index()); row < job.rows;
       row += gridDim.x * kWarps) {
    const std::uint32_t end = job.row_begins[row + 1];
    std::uint32_t i = job.row_begins[row] + static_cast<unsigned>(lane_index());
    for (; i < end; i += kWarpLanes) {
      const uint2 sparse = job.sparse[i];
      const float value = __fmul_rn(job.tensor_scale, __uint_as_float(sparse.y));
      out[row * job.row_stride + sparse.x] = from_float<T>(value);
    }
  }
}

}  // namespace

template <typename T>
cudaError_t decode_nibbles(const DecodeTilesJob& job, T* out, cudaStream_t stream) {
  cudaError_t error = decode_with<NibbleDecodeLane>(job, out, stream);
  unsigned grid = 0;
  if (error == cudaSuccess) {
    error = grid_size(place_kernel<T>, job.rows, kWarps, kThreads, 0, grid);
  }
  if (error != cudaSuccess) return error;
  return launch_kernel(place_kernel<T>, grid, kThreads, 0, stream, job, out);
}

template cudaError_t decode_nibbles(const DecodeTilesJob&, half*, cudaStream_t);
template cudaError_t decode_nibbles(const DecodeTilesJob&, bfloat16*, cudaStream_t);
template cudaError_t decode_nibbles(const DecodeTilesJob&, float*, cudaStream_t);

}  // namespace ecco::cuda::detail

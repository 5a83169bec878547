// SPDX-License-Identifier: MIT
// Planar blocks -> half, bfloat16, float: a quad of lanes per block, eight blocks per warp.
#include "ecco/cuda/planar.cuh"
#include "ecco/planar.hpp"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr std::uint32_t kQuads = kThreads / planar::kQuadLanes;

template <int R, typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    decode_kernel(DecodeJob job, const std::uint32_t* __restrict__ table, T* __restrict__ out) {
  __shared__ planar::SharedTables<R> tables;
  planar::load_tables<R>(tables, table);
  __syncthreads();
  const int t = pinned(lane_index()) % planar::kQuadLanes;
  for_lane_blocks<planar::kQuadLanes>(
      job, [&](std::uint32_t block, const BlockPlace& place, bool live) {
        const std::size_t index = live ? block : job.block_count - 1;
        const std::uint32_t at = place.column * kGroup + 4 * static_cast<unsigned>(t);
        const std::uint32_t cols = live ? job.cols : 0;
        T* to = out + place.row * job.row_stride + at;
        planar::decode_quad<R>(job.blocks + index * (32 + 16 * R), t, tables, job.tensor_scale,
                               [&](int i, const float(&values)[4]) {
                                 store_four<kVector>(to + 16 * i, values,
                                                     at + 16 * static_cast<unsigned>(i), cols);
                               });
      });
}

template <int R, typename T>
cudaError_t launch(const DecodeJob& job, const std::uint32_t* table, T* out, cudaStream_t stream) {
  const auto kernel = job.vector ? decode_kernel<R, T, true> : decode_kernel<R, T, false>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, kQuads, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, table, out);
}

}  // namespace

template <typename T>
cudaError_t decode_planar(Codec codec, const DecodeJob& job, const std::uint32_t* table, T* out,
                          cudaStream_t stream) {
  return ecco::planar::dispatch(codec, [&](auto planes) {
    return launch<decltype(planes)::value>(job, table, out, stream);
  });
}

template cudaError_t decode_planar(Codec, const DecodeJob&, const std::uint32_t*, half*,
                                   cudaStream_t);
template cudaError_t decode_planar(Codec, const DecodeJob&, const std::uint32_t*, bfloat16*,
                                   cudaStream_t);
template cudaError_t decode_planar(Codec, const DecodeJob&, const std::uint32_t*, float*,
                                   cudaStream_t);

}  // namespace ecco::cuda::detail

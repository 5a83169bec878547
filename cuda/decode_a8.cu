// SPDX-License-Identifier: MIT
// A8 blocks -> half, bfloat16, float: 16 lanes per block.
#include "ecco/a8.hpp"
#include "ecco/cuda/a8.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr std::uint32_t kBlocks = kThreads / a8::kBlockLanes;

template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads) decode_kernel(DecodeJob job, T* __restrict__ out) {
  const int lane = lane_index();
  const std::uint32_t part = threadIdx.x % a8::kBlockLanes;
  for_lane_blocks<a8::kBlockLanes>(job, [&](std::uint32_t block, const BlockPlace& place,
                                            bool live) {
    const std::size_t index = live ? block : job.block_count - 1;
    const auto* words = reinterpret_cast<const std::uint32_t*>(job.blocks) + 16 * index;
    const a8::LaneValues lane_values =
        a8::decode_lanes(__ldg(words + part), lane, job.tensor_scale);
    float values[4];
    scale_bytes(lane_values.bytes, lane_values.factor, values);
    const std::uint32_t at = place.column * ecco::a8::kValues + 4 * part;
    store_four<kVector>(out + place.row * job.row_stride + at, values, at, live ? job.cols : 0);
  });
}

}  // namespace

template <typename T>
cudaError_t decode_a8(const DecodeJob& job, T* out, cudaStream_t stream) {
  const auto kernel = job.vector ? decode_kernel<T, true> : decode_kernel<T, false>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, kBlocks, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, out);
}

template cudaError_t decode_a8(const DecodeJob&, half*, cudaStream_t);
template cudaError_t decode_a8(const DecodeJob&, bfloat16*, cudaStream_t);
template cudaError_t decode_a8(const DecodeJob&, float*, cudaStream_t);

}  // namespace ecco::cuda::detail

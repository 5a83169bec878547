// SPDX-License-Identifier: MIT
// half, bfloat16, float -> A8 blocks: 16 lanes per block.
#include "ecco/cuda/encode_a8.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr std::uint32_t kBlocks = kThreads / a8::kBlockLanes;

template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    encode_a8_kernel(EncodeJob job, const T* __restrict__ rows) {
  const int lane = lane_index();
  const std::uint32_t part = threadIdx.x % a8::kBlockLanes;
  for_lane_blocks<a8::kBlockLanes>(job, [&](std::uint32_t block, const BlockPlace& place,
                                            bool live) {
    const std::uint32_t at = place.column * ecco::a8::kValues + 4 * part;
    float values[4];
    load_four<kVector>(rows + place.row * job.row_stride + at, at, live ? job.cols : 0, values);
    const std::uint32_t word = a8::encode_lanes(values, lane, job.tensor_scale);
    auto* words = reinterpret_cast<std::uint32_t*>(job.blocks);
    if (live) words[16 * static_cast<std::size_t>(block) + part] = word;
  });
}

}  // namespace

template <typename T>
cudaError_t encode_a8(const EncodeJob& job, const T* rows, cudaStream_t stream) {
  const auto kernel = job.vector ? encode_a8_kernel<T, true> : encode_a8_kernel<T, false>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, kBlocks, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, rows);
}

template cudaError_t encode_a8(const EncodeJob&, const half*, cudaStream_t);
template cudaError_t encode_a8(const EncodeJob&, const bfloat16*, cudaStream_t);
template cudaError_t encode_a8(const EncodeJob&, const float*, cudaStream_t);

}  // namespace ecco::cuda::detail

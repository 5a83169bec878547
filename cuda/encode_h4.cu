// SPDX-License-Identifier: MIT
// half, bfloat16, float -> H4 blocks in KV mode: a warp per block.
#include "ecco/cuda/encode_h4.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr int kWarps = kThreads / kWarpLanes;

template <typename T, bool kVector>
__global__ void __launch_bounds__(kThreads)
    encode_h4_kernel(EncodeJob job, h4::EncodeTables tables, const T* __restrict__ rows) {
  __shared__ h4::EncodeScratch scratch[kWarps];
  const int lane = lane_index();
  const int warp = warp_index();
  for_warp_blocks<kWarps>(job, [&](std::uint32_t block, const BlockPlace& place) {
    const std::uint32_t start = place.column * kGroup;
    const std::uint32_t at = start + 4 * static_cast<unsigned>(lane);
    float values[4];
    load_four<kVector>(rows + place.row * job.row_stride + at, at, job.cols, values);
    const int count = min(static_cast<int>(job.cols - start), kGroup);
    const std::uint32_t word =
        h4::encode_kv_warp(values, count, tables, job.tensor_scale, scratch[warp]);
    auto* words = reinterpret_cast<std::uint32_t*>(job.blocks);
    if (lane < 16)
      words[16 * static_cast<std::size_t>(block) + static_cast<unsigned>(lane)] = word;
  });
}

}  // namespace

template <typename T>
cudaError_t encode_h4(const EncodeJob& job, const DeviceCodecView& codec, const T* rows,
                      cudaStream_t stream) {
  const auto kernel = job.vector ? encode_h4_kernel<T, true> : encode_h4_kernel<T, false>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, kWarps, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, h4::encode_tables(codec), rows);
}

template cudaError_t encode_h4(const EncodeJob&, const DeviceCodecView&, const half*,
                               cudaStream_t);
template cudaError_t encode_h4(const EncodeJob&, const DeviceCodecView&, const bfloat16*,
                               cudaStream_t);
template cudaError_t encode_h4(const EncodeJob&, const DeviceCodecView&, const float*,
                               cudaStream_t);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// half, bfloat16, float -> P2..P5 blocks at effort fast: a warp per block.
#include "ecco/cuda/encode_planar.cuh"
#include "ecco/planar.hpp"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr int kEncodeThreads = 128;
constexpr int kWarps = kEncodeThreads / kWarpLanes;

/// The type of the input is decided at run time: it is a small part of the kernel.
template <typename T>
__device__ __forceinline__ void load_row(const EncodeJob& job, const void* rows,
                                         const BlockPlace& place, unsigned at,
                                         float (&values)[4]) {
  const T* from = static_cast<const T*>(rows) + place.row * job.row_stride + at;
  if (job.vector) {
    load_four<true>(from, at, job.cols, values);
  } else {
    load_four<false>(from, at, job.cols, values);
  }
}

template <int R>
__global__ void __launch_bounds__(kEncodeThreads, 4)  // or ptxas spills
    encode_planar_kernel(EncodeJob job, planar::EncodeTables tables, const void* rows,
                         InputType type) {
  __shared__ planar::EncodeScratch scratch[kWarps];
  const int lane = lane_index();
  const int warp = warp_index();
  for_warp_blocks<kWarps>(job, [&](std::uint32_t block, const BlockPlace& place) {
    const std::uint32_t start = place.column * kGroup;
    const std::uint32_t at = start + 4 * static_cast<unsigned>(lane);
    float values[4];
    if (type == InputType::half) {
      load_row<half>(job, rows, place, at, values);
    } else if (type == InputType::bfloat16) {
      load_row<bfloat16>(job, rows, place, at, values);
    } else {
      load_row<float>(job, rows, place, at, values);
    }
    const int count = min(static_cast<int>(job.cols - start), kGroup);
    const std::uint32_t word =
        planar::encode_warp<R>(values, count, tables, job.tensor_scale, scratch[warp]);
    constexpr int kWords = 8 + 4 * R;
    auto* words = reinterpret_cast<std::uint32_t*>(job.blocks);
    if (lane < kWords) {
      words[kWords * static_cast<std::size_t>(block) + static_cast<unsigned>(lane)] = word;
    }
  });
}

template <int R>
cudaError_t launch(const EncodeJob& job, const planar::EncodeTables& tables, const void* rows,
                   InputType type, cudaStream_t stream) {
  const auto kernel = encode_planar_kernel<R>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.block_count, kWarps, kEncodeThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, grid, kEncodeThreads, 0, stream, job, tables, rows, type);
}

}  // namespace

cudaError_t encode_planar(const EncodeJob& job, const DeviceCodecView& codec, int lowest,
                          int highest, const void* rows, InputType type, cudaStream_t stream) {
  return ecco::planar::dispatch(codec.codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    const auto tables = planar::encode_tables<kPlanes>(codec, lowest, highest);
    return launch<kPlanes>(job, tables, rows, type, stream);
  });
}

}  // namespace ecco::cuda::detail

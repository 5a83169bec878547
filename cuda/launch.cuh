// SPDX-License-Identifier: MIT
// What the kernels share: places of blocks in an output, sizes of grids.
#pragma once

#include "ecco/cuda/intrinsics.cuh"
#include "ecco/types.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

/// Row and block column of a running block index; advanced without division.
struct BlockPlace {
  std::uint32_t row;
  std::uint32_t column;

  __device__ __forceinline__ BlockPlace(std::uint32_t block, std::uint32_t per_row)
      : row(block / per_row), column(block % per_row) {}
  __device__ __forceinline__ void advance(const BlockPlace& step, std::uint32_t per_row) {
    row += step.row;
    column += step.column;
    if (column >= per_row) {
      column -= per_row;
      ++row;
    }
  }
};

/// Calls body(block, place) for each block of a warp: those of a job go round the warps of the
/// grid.
template <unsigned kWarps, typename Job, typename Body>
__device__ __forceinline__ void for_warp_blocks(const Job& job, Body&& body) {
  const std::uint32_t step = gridDim.x * kWarps;
  const BlockPlace advance(step, job.blocks_per_row);
  std::uint32_t block = blockIdx.x * kWarps + static_cast<unsigned>(warp_index());
  BlockPlace place(block, job.blocks_per_row);
  for (; block < job.block_count; block += step, place.advance(advance, job.blocks_per_row)) {
    body(block, place);
  }
}

/// The same for kLanes neighbouring lanes per block of kThreads threads: body(block, place, live).
/// A warp stays together while any of its lanes has a block; the others are not live.
template <unsigned kLanes, typename Job, typename Body>
__device__ __forceinline__ void for_lane_blocks(const Job& job, Body&& body) {
  constexpr std::uint32_t kBlocks = kThreads / kLanes;
  const std::uint32_t step = gridDim.x * kBlocks;
  const BlockPlace advance(step, job.blocks_per_row);
  std::uint32_t block = blockIdx.x * kBlocks + threadIdx.x / kLanes;
  BlockPlace place(block, job.blocks_per_row);
  for (std::uint32_t first = blockIdx.x * kBlocks; first < job.block_count;
       first += step, block += step, place.advance(advance, job.blocks_per_row)) {
    body(block, place, block < job.block_count);
  }
}

/// Blocks of threads for `items` that `per_block` share out: as many as run at the same time, not
/// more than there is work. `shared_bytes` = dynamic shared memory.
template <typename Kernel>
cudaError_t grid_size(Kernel kernel, std::uint32_t items, std::uint32_t per_block, int threads,
                      std::size_t shared_bytes, unsigned& grid) {
  int count = 0;
  const cudaError_t error =
      resident_blocks(reinterpret_cast<const void*>(kernel), threads, shared_bytes, count);
  if (error != cudaSuccess) return error;
  const unsigned wanted = items / per_block + (items % per_block != 0 ? 1u : 0u);
  const auto most = static_cast<unsigned>(count);
  grid = wanted < most ? wanted : most;
  return grid == 0 ? cudaErrorLaunchOutOfResources : cudaSuccess;
}

/// Launches a kernel, arguments converted to its parameters. Returns the error of this launch:
/// cudaGetLastError after <<<>>> also returns, and takes away, one that the caller of the library
/// left in the runtime.
template <typename... Parameters, typename... Arguments>
cudaError_t launch_kernel(void (*kernel)(Parameters...), dim3 grid, dim3 threads,
                          std::size_t shared_bytes, cudaStream_t stream,
                          const Arguments&... arguments) {
  const auto launch_with = [&](Parameters... parameters) {
    void* addresses[] = {&parameters...};
    return cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, threads, addresses,
                            shared_bytes, stream);
  };
  return launch_with(arguments...);
}

}  // namespace ecco::cuda::detail

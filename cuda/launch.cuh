// SPDX-License-Identifier: MIT
// What the kernels share: places of blocks in an output, sizes of grids.
#pragma once

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

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// y = W x on device tiles, int8 activations, up to 16 columns: a block of 8 warps per row tile and
// slice of K; warp w takes the column tiles w, w + 8, ... of the slice. docs/cuda.md, "Products".
// gemv_p2.cu and so on instantiate it for one kind of tile each, so that they compile side by
// side.
#pragma once

#include "ecco/cuda/gemv_h4.cuh"
#include "ecco/cuda/tile_row.hpp"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

inline constexpr int kWarps = kThreads / kWarpLanes;

/// Fills the tables of a block of threads, and waits for them.
template <typename Lane, typename Job>
__device__ void load_tables(GemvTables<Lane>& tables, const Job& job) {
  Lane::load_values(tables.values, job.gated);
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
    tables.factors[i] = Lane::factor(static_cast<std::uint8_t>(i), job.tensor_scale);
  }
  if constexpr (Lane::kCodes > 0) Lane::load_codes(tables.codes, job.codes);
  __syncthreads();
}

/// The sparse corrections of a product's tensor.
template <typename Job>
__device__ __forceinline__ SparseRows sparse_rows(const Job& job) {
  return {job.row_begins,
          reinterpret_cast<const SparseValue*>(job.sparse),
          reinterpret_cast<const std::int8_t*>(job.gated + kNullAt),
          reinterpret_cast<const std::uint32_t*>(job.tiles),
          job.column_tiles,
          job.tensor_scale};
}

/// Products of the sparse corrections of a row tile's rows, [row][column]: each slice takes an
/// equal part of a row's corrections. Whole warps call it.
template <int NB, int NT>
__device__ __forceinline__ void multiply_corrections(const GemvJob& job, unsigned row_tile,
                                                     int warp, const float* factors,
                                                     float (&out)[kTileRows][NT][8]) {
  const SparseRows rows = sparse_rows(job);
  for (unsigned r = static_cast<unsigned>(warp); r < kTileRows; r += kWarps) {
    const unsigned row = row_tile * kTileRows + r;
    if (row >= job.rows) return;
    const std::uint32_t begin = rows.begins[row];
    const std::uint64_t count = rows.begins[row + 1] - begin;
    float sums[NT][NB];
    multiply_sparse<NB, NT>(
        rows, row, begin + static_cast<std::uint32_t>(count * blockIdx.y / gridDim.y),
        begin + static_cast<std::uint32_t>(count * (blockIdx.y + 1) / gridDim.y),
        {reinterpret_cast<const std::int8_t*>(job.x), job.factors}, factors, sums);
    if (lane_index() == 0) {
#pragma unroll
      for (int n = 0; n < NT; ++n) {
#pragma unroll
        for (int c = 0; c < NB; ++c) out[r][n][c] = sums[n][c];
      }
    }
  }
}

/// The sums of all warps, in their order, and then those of sparse corrections, to the output or,
/// with slices, to the workspace.
template <bool kSparse, int NT>
__device__ __forceinline__ void reduce(const float (&sums)[kWarps][NT][4][kWarpLanes],
                                       const float (&apart)[kSparse ? kTileRows : 1][NT][8],
                                       const GemvJob& job, unsigned row_tile) {
  for (unsigned i = threadIdx.x; i < NT * 128; i += kThreads) {
    const unsigned n = i / 128;
    const unsigned part = i / 32 % 4;
    const unsigned lane = i % 32;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum = __fadd_rn(sum, sums[w][n][part][lane]);
    const unsigned row = row_tile * kTileRows + lane / 4 + part / 2 * 8;
    const unsigned column = n * 8 + lane % 4 * 2 + part % 2;
    if (row < job.rows && column < job.columns) {
      if constexpr (kSparse) sum = __fadd_rn(sum, apart[row % kTileRows][n][column % 8]);
      job.sums[(static_cast<std::size_t>(blockIdx.y) * job.columns + column) * job.sum_stride +
               row] = sum;
    }
  }
}

/// Resident blocks to compile for; without, ptxas aims at 64 registers for nibble tiles and spills
/// on sm_80 to sm_89.
template <typename Lane, int NT>
inline constexpr int kLeastBlocks = (Lane::kSparse && NT == 1) ? 3 : 0;

template <typename Lane, int NB, int NT>
__global__ void __launch_bounds__(kThreads, kLeastBlocks<Lane, NT>) gemv_kernel(GemvJob job) {
  __shared__ alignas(16) GemvTables<Lane> tables;
  __shared__ float sums[kWarps][NT][4][kWarpLanes];
  __shared__ float apart[Lane::kSparse ? kTileRows : 1][NT][8];
  load_tables<Lane>(tables, job);
  const int lane = pinned(lane_index());
  const int warp = warp_index();
  const int t = lane % 4;
  const int column = lane / 4 % NB;
  const int begin = static_cast<int>(blockIdx.y * job.slice) + warp;
  const int end =
      min(static_cast<int>((blockIdx.y + 1) * job.slice), static_cast<int>(job.column_tiles));
  constexpr int kXStep = kWarps * NT * 8 * NB;
  constexpr int kFactorStep = kWarps * NT * 8;
  for (unsigned row_tile = blockIdx.x; row_tile < job.row_tiles; row_tile += gridDim.x) {
    Accumulators<NT> acc = {};
    typename Lane::Cursor cursor(job.tiles, job.rows, job.column_tiles, row_tile,
                                 static_cast<unsigned>(begin), lane);
    const uint4* x = job.x + begin * NT * 8 * NB + column * 4 + t;
    const float* factors = job.factors + begin * NT * 8 + 2 * t;
    int left = (end - begin + kWarps - 1) / kWarps;
    Lane even;
    Lane odd;
    if (left > 0) cursor.load(even, 0);
    // The next tile is on its way while one is decoded; two per turn, so that no register moves.
    for (; left > 0; left -= 2) {
      if (left > 1) cursor.load(odd, kWarps);
      multiply_tile<Lane, NB, NT>(even, t, x, factors, tables, acc);
      if (left > 1) {
        if (left > 2) cursor.load(even, 2 * kWarps);
        multiply_tile<Lane, NB, NT>(odd, t, x + kXStep, factors + kFactorStep, tables, acc);
      }
      cursor.advance(2 * kWarps);
      x += 2 * kXStep;
      factors += 2 * kFactorStep;
    }
#pragma unroll
    for (int n = 0; n < NT; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[warp][n][i][lane] = acc[n][i];
    }
    if constexpr (Lane::kSparse) {
      multiply_corrections<NB, NT>(job, row_tile, warp, tables.factors, apart);
    }
    __syncthreads();
    reduce<Lane::kSparse, NT>(sums, apart, job, row_tile);
    __syncthreads();
  }
}

template <typename Lane, int NB, int NT>
cudaError_t launch(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  const auto kernel = gemv_kernel<Lane, NB, NT>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.row_tiles, 1, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  kernel<<<dim3(grid, slices), kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

template <typename Lane>
cudaError_t gemv_with(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  switch (stored_columns(job.columns)) {
    case 2:
      return launch<Lane, 2, 1>(job, slices, stream);
    case 4:
      return launch<Lane, 4, 1>(job, slices, stream);
    case 8:
      return launch<Lane, 8, 1>(job, slices, stream);
    default:
      return launch<Lane, 8, 2>(job, slices, stream);
  }
}

}  // namespace
}  // namespace ecco::cuda::detail

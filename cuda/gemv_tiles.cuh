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
__device__ __forceinline__ void reduce(const float (&sums)[NT][4][kThreads],
                                       const float (&apart)[kSparse ? kTileRows : 1][NT][8],
                                       const GemvJob& job, unsigned row_tile) {
  for (unsigned i = threadIdx.x; i < NT * 128; i += kThreads) {
    const unsigned n = i / 128;
    const unsigned part = i / 32 % 4;
    const unsigned lane = i % 32;
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) sum = __fadd_rn(sum, sums[n][part][w * kWarpLanes + lane]);
    const unsigned row = row_tile * kTileRows + lane / 4 + part / 2 * 8;
    const unsigned column = n * 8 + lane % 4 * 2 + part % 2;
    if (row < job.rows && column < job.columns) {
      if constexpr (kSparse) sum = __fadd_rn(sum, apart[row % kTileRows][n][column % 8]);
      job.sums[(static_cast<std::size_t>(blockIdx.y) * job.columns + column) * job.sum_stride +
               row] = sum;
    }
  }
}

/// Where a warp's activations lie: the same in all lanes, so that uniform registers hold it.
template <int NB, int NT>
struct FragmentPlace {
  const uint4* x;
  const float* factors;

  __device__ __forceinline__ FragmentPlace(const GemvJob& job, int column_tile)
      : x(job.x + column_tile * NT * 8 * NB), factors(job.factors + column_tile * NT * 8) {}
  /// The lane's share of the column tile so many further.
  __device__ __forceinline__ Fragments<NT> load(int columns, unsigned lane) const {
    return load_fragments<NB, NT>(x + columns * NT * 8 * NB + lane / 4 % NB * 4 + lane % 4,
                                  factors + columns * NT * 8 + lane % 4 * 2);
  }
  __device__ __forceinline__ void advance(int columns) {
    x += columns * NT * 8 * NB;
    factors += columns * NT * 8;
  }
};

/// acc += the products of a warp's `left` tiles of a row tile, kWarps apart, of which `even` has
/// the first already. Whole warps call it.
template <typename Lane, int NB, int NT>
__device__ __forceinline__ void multiply_tiles(typename Lane::Cursor cursor,
                                               FragmentPlace<NB, NT> fragments, int left, int lane,
                                               typename Lane::Place place,
                                               const GemvTables<Lane>& tables, Lane& even,
                                               Accumulators<NT>& acc) {
  const auto turn = [&](const Lane& tile, Lane& next, int at, bool more) {
    const Fragments<NT> x = fragments.load(at * kWarps, static_cast<unsigned>(lane));
    if (more) cursor.load(next, (at + 1) * kWarps);
    __syncwarp();  // keeps the loads here: ptxas would put them off until `tile` is decoded
    multiply_tile(tile, place, x, tables, acc);
  };
  Lane odd;
  for (; left > 0; left -= 2) {  // two per turn, so that no register moves
    turn(even, odd, 0, left > 1);
    if (left > 1) turn(odd, even, 1, left > 2);
    cursor.advance(2 * kWarps);
    fragments.advance(2 * kWarps);
  }
}

template <typename Lane, int kBlocks, int NB, int NT>
__global__ void __launch_bounds__(kThreads, kBlocks) gemv_kernel(GemvJob job) {
  __shared__ alignas(16) GemvTables<Lane> tables;
  __shared__ float sums[NT][4][kThreads];
  __shared__ float apart[Lane::kSparse ? kTileRows : 1][NT][8];
  const int lane = pinned(lane_index());
  const auto place = Lane::place(lane);
  const int warp = warp_index();
  const int begin = static_cast<int>(blockIdx.y * job.slice) + warp;
  const int end =
      min(static_cast<int>((blockIdx.y + 1) * job.slice), static_cast<int>(job.column_tiles));
  const int count = begin < end ? (end - begin + kWarps - 1) / kWarps : 0;
  const auto cursor_of = [&](unsigned row_tile) {
    return typename Lane::Cursor(job.tiles, job.rows, job.column_tiles, row_tile,
                                 static_cast<unsigned>(begin), lane);
  };
  // The first tile of a row tile is on its way while tables are loaded or sums added.
  Lane first;
  if (count > 0) cursor_of(blockIdx.x).load(first, 0);
  load_tables<Lane>(tables, job.gated, job.codes, job.tensor_scale);
  for (unsigned row_tile = blockIdx.x; row_tile < job.row_tiles; row_tile += gridDim.x) {
    Accumulators<NT> acc = {};
    multiply_tiles(cursor_of(row_tile), FragmentPlace<NB, NT>(job, begin), count, lane, place,
                   tables, first, acc);
    if (count > 0 && row_tile + gridDim.x < job.row_tiles) {
      cursor_of(row_tile + gridDim.x).load(first, 0);
    }
#pragma unroll
    for (int n = 0; n < NT; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[n][i][threadIdx.x] = acc[n][i];
    }
    if constexpr (Lane::kSparse) {
      multiply_corrections<NB, NT>(job, row_tile, warp, tables.factors, apart);
    }
    __syncthreads();
    reduce<Lane::kSparse, NT>(sums, apart, job, row_tile);
    __syncthreads();
  }
}

template <typename Lane, int kBlocks, int NB, int NT>
cudaError_t launch(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  const auto kernel = gemv_kernel<Lane, kBlocks, NB, NT>;
  unsigned grid = 0;
  const cudaError_t error = grid_size(kernel, job.row_tiles, 1, kThreads, 0, grid);
  if (error != cudaSuccess) return error;
  return launch_kernel(kernel, dim3(grid, slices), kThreads, 0, stream, job);
}

/// Compiled for so many resident blocks per multiprocessor with up to 8 columns, and for kWide
/// with 16 (0: as ptxas likes): the most for which the tile in hand and the next one fit into
/// registers. Sparse corrections of more than two columns need more of them.
template <typename Lane, int kBlocks, int kWide = 0>
cudaError_t gemv_with(const GemvJob& job, unsigned slices, cudaStream_t stream) {
  constexpr int kMany = Lane::kSparse ? 3 : kBlocks;
  switch (stored_columns(job.columns)) {
    case 2:
      return launch<Lane, kBlocks, 2, 1>(job, slices, stream);
    case 4:
      return launch<Lane, kMany, 4, 1>(job, slices, stream);
    case 8:
      return launch<Lane, kMany, 8, 1>(job, slices, stream);
    default:
      return launch<Lane, kWide, 8, 2>(job, slices, stream);
  }
}

}  // namespace
}  // namespace ecco::cuda::detail

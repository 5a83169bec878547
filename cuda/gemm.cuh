// SPDX-License-Identifier: MIT
// y = W x for more vectors than a gemv takes: weights are decoded from tiles, in registers, to
// halves that are the centroids themselves, and multiplied on tensor cores (m16n8k16, half,
// binary32 sums). docs/cuda.md, "Prefill". gemm_fast.cu, gemm_dense.cu and gemm_raw.cu instantiate
// it.
#pragma once

#include "decode_tiles.cuh"
#include "gemm_job.hpp"

namespace ecco::cuda::detail {
namespace {

inline constexpr int kGemmThreads = 128;
inline constexpr int kWarpTiles = 2;  ///< row tiles of a warp
inline constexpr int kBlockTiles = kGemmThreads / kWarpLanes * kWarpTiles;
inline constexpr int kGroupTiles = kGemmColumns / 8;  ///< n-tiles of a block
/// Bytes from a vector's 128 halves to the next one's in shared memory: rows of 32 bytes of four
/// vectors, which half a warp reads at once, lie in different banks.
inline constexpr int kVectorBytes = 2 * kGroup + 32;

/// d += A B for m16n8k16, A and B half.
__device__ __forceinline__ void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], uint2 b) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

/// Two halves byte - 128, exactly: with the byte above, 0x6400 + byte is 1024 + byte.
__device__ __forceinline__ std::uint32_t to_halves(std::uint32_t bytes, unsigned selector) {
  std::uint32_t result;
  asm("sub.rn.f16x2 %0, %1, %2;"
      : "=r"(result)
      : "r"(prmt(bytes, 0x64646464u, selector)), "r"(0x64806480u));
  return result;
}

/// 16 bytes from global to shared memory, not waited for.
__device__ __forceinline__ void copy_async(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from)
               : "memory");
}
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}

/// A tile as fragments: word i of `a` for the elements 16 i..16 i + 15, and the factors of the
/// rows g and g + 8.
struct HalfTile {
  std::uint32_t a[8][4];
  float factors[2];
};

/// k of the mma is permuted: lane t has the elements 4 t..4 t + 3 as 2 t, 2 t + 1, 2 t + 8 and
/// 2 t + 9, in A and in B.
template <typename Lane>
__device__ __forceinline__ void decode_tile(const Lane& share, int t,
                                            const GemvTables<Lane>& tables, HalfTile& tile) {
  const std::uint32_t headers[2] = {share.header_of(0), share.header_of(1)};
  const Gated<Lane::kTableWords> gated[2] = {load_gated(tables, headers[0] & 255u),
                                             load_gated(tables, headers[1] & 255u)};
  typename Lane::Decoder decoder(share, tables.codes, t);
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    std::uint32_t parts[Lane::kParts][4];
    decoder.decode(q, gated, parts);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t bytes = sum_parts(parts, i);
      tile.a[2 * q + i / 2][i % 2] = to_halves(bytes, 0x4140u);
      tile.a[2 * q + i / 2][i % 2 + 2] = to_halves(bytes, 0x4342u);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half)
    tile.factors[half] = tables.factors[headers[half] >> 8 & 255u];
}

/// The group's activations of the block's vectors, and their factors.
struct GemmShared {
  alignas(16) std::uint8_t x[kGemmColumns * kVectorBytes];
  float factors[kGemmColumns];
};

__device__ __forceinline__ void load_group(GemmShared& shared, const GemmJob& job,
                                           unsigned group) {
  constexpr unsigned kPieces = 2 * kGroup / 16;
  const std::size_t first = static_cast<std::size_t>(blockIdx.y) * kGemmColumns;
  for (unsigned i = threadIdx.x; i < kGemmColumns * kPieces; i += kGemmThreads) {
    const unsigned vector = i / kPieces;
    copy_async(shared.x + vector * kVectorBytes + i % kPieces * 16,
               job.x + ((first + vector) * job.column_tiles + group) * kPieces + i % kPieces);
  }
  for (unsigned i = threadIdx.x; i < kGemmColumns; i += kGemmThreads) {
    shared.factors[i] = job.factors[group * job.vectors + first + i];
  }
}

/// acc = fma(round(row factor * vector factor), group's sum, acc) for all vectors of the block.
__device__ __forceinline__ void multiply_group(const HalfTile (&tiles)[kWarpTiles],
                                               const GemmShared& shared, int lane, int n_tiles,
                                               float (&acc)[kWarpTiles][kGroupTiles][4]) {
  const int t = lane % 4;
#pragma unroll
  for (int n = 0; n < kGroupTiles; ++n) {
    if (n >= n_tiles) break;
    float d[kWarpTiles][4] = {};
    const std::uint8_t* x = shared.x + (8 * n + lane / 4) * kVectorBytes + 8 * t;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint2 b = *reinterpret_cast<const uint2*>(x + 32 * i);
#pragma unroll
      for (int m = 0; m < kWarpTiles; ++m) mma_f16(d[m], tiles[m].a[i], b);
    }
#pragma unroll
    for (int m = 0; m < kWarpTiles; ++m) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float factor =
            __fmul_rn(tiles[m].factors[j / 2], shared.factors[8 * n + 2 * t + j % 2]);
        acc[m][n][j] = __fmaf_rn(factor, d[m][j], acc[m][n][j]);
      }
    }
  }
}

__device__ __forceinline__ void store_sums(const float (&acc)[kGroupTiles][4], const GemmJob& job,
                                           unsigned row_tile, int lane) {
#pragma unroll
  for (int n = 0; n < kGroupTiles; ++n) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const unsigned row = row_tile * kTileRows + static_cast<unsigned>(lane / 4 + j / 2 * 8);
      const unsigned vector =
          blockIdx.y * kGemmColumns + static_cast<unsigned>(8 * n + lane % 4 * 2 + j % 2);
      if (row < job.rows && vector < job.batch) job.y[vector * job.y_stride + row] = acc[n][j];
    }
  }
}

/// A block of 4 warps takes 8 row tiles and 64 vectors, a warp two row tiles. While the group's
/// activations are copied, its weights are decoded.
template <typename Lane>
__global__ void __launch_bounds__(kGemmThreads) gemm_kernel(GemmJob job) {
  __shared__ alignas(16) GemvTables<Lane> tables;
  __shared__ GemmShared shared;
  load_tables<Lane>(tables, job);
  const int lane = pinned(lane_index());
  const unsigned row_tile =
      blockIdx.x * kBlockTiles + static_cast<unsigned>(warp_index() * kWarpTiles);
  const int n_tiles = static_cast<int>((job.batch - blockIdx.y * kGemmColumns + 7) / 8);
  const auto cursor_of = [&](unsigned m) {  // past the end the last tile, not stored
    return typename Lane::Cursor(job.tiles, job.rows, job.column_tiles,
                                 min(row_tile + m, job.row_tiles - 1), 0, lane);
  };
  typename Lane::Cursor cursors[kWarpTiles] = {cursor_of(0), cursor_of(1)};
  Lane shares[kWarpTiles];
#pragma unroll
  for (int m = 0; m < kWarpTiles; ++m) cursors[m].load(shares[m], 0);
  float acc[kWarpTiles][kGroupTiles][4] = {};
  for (unsigned group = 0; group < job.column_tiles; ++group) {
    load_group(shared, job, group);
    HalfTile tiles[kWarpTiles];
#pragma unroll
    for (int m = 0; m < kWarpTiles; ++m) {
      decode_tile(shares[m], lane % 4, tables, tiles[m]);
      cursors[m].advance(1);
      if (group + 1 < job.column_tiles) cursors[m].load(shares[m], 0);
    }
    wait_for_copies();
    __syncthreads();
    multiply_group(tiles, shared, lane, n_tiles, acc);
    __syncthreads();
  }
#pragma unroll
  for (unsigned m = 0; m < kWarpTiles; ++m) store_sums(acc[m], job, row_tile + m, lane);
}

template <typename Lane>
cudaError_t gemm_with(const GemmJob& job, cudaStream_t stream) {
  const dim3 grid((job.row_tiles + kBlockTiles - 1) / kBlockTiles, job.vectors / kGemmColumns);
  gemm_kernel<Lane><<<grid, kGemmThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

}  // namespace
}  // namespace ecco::cuda::detail

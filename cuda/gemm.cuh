// SPDX-License-Identifier: MIT
// y = W x for more vectors than a gemv takes: weights are decoded from tiles, in registers, to
// halves that are the centroids themselves, and multiplied on tensor cores (m16n8k16, half,
// binary32 sums). docs/cuda.md, "Prefill". gemm_fast.cu and so on instantiate it.
#pragma once

#include "gemm_job.hpp"
#include "gemv_tiles.cuh"

namespace ecco::cuda::detail {
namespace {

inline constexpr int kGemmThreads = 128;
inline constexpr int kWarpTiles = 2;  ///< row tiles of a warp
static_assert(kGemmThreads / kWarpLanes * kWarpTiles == kGemmRowTiles);
inline constexpr int kGroupTiles = kGemmColumns / 8;  ///< n-tiles of a block
/// Bytes from an element's halves of all vectors to the next one's in shared memory: 16 bytes of
/// each of eight elements, which a load of a matrix takes at once, lie in different banks.
inline constexpr int kElementBytes = 2 * kGemmColumns + 16;

/// d += A B for m16n8k16, A and B half.
__device__ __forceinline__ void mma_f16(float (&d)[4], const std::uint32_t (&a)[4],
                                        std::uint32_t b0, std::uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// Two halves of which each is the byte below 0x64, less 128, exactly: 0x6400 + byte is the half
/// 1024 + byte.
__device__ __forceinline__ std::uint32_t to_halves(std::uint32_t pair) {
  std::uint32_t result;
  asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(result) : "r"(pair), "r"(0x64806480u));
  return result;
}

/// The four bytes of register `at` of a tile's fragment as halves, bytes 0 and 2 in `even`, 1 and
/// 3 in `odd`: the sum of the parts modulo 256, which is signed. Sums of bytes 0 and 2 have 16
/// bits each, and what they leave of the sum of all words are those of bytes 1 and 3.
template <int kParts>
__device__ __forceinline__ void sum_to_halves(const std::uint32_t (&parts)[kParts][4], int at,
                                              std::uint32_t& even, std::uint32_t& odd) {
  std::uint32_t all = parts[0][at] ^ 0x80808080u;
  std::uint32_t low = all & 0x00ff00ffu;
  if constexpr (kParts > 1) {
#pragma unroll
    for (int k = 1; k < kParts; ++k) {
      all += parts[k][at];
      low += parts[k][at] & 0x00ff00ffu;
    }
    all -= low;
  }
  even = to_halves((low & 0x00ff00ffu) | 0x64006400u);
  odd = to_halves(prmt(all, 0x64646464u, 0x4341u));
}

/// Four matrices of 8 x 8 halves, whose rows' addresses the lanes give, as fragments of their
/// transposes.
__device__ __forceinline__ void load_matrices(const std::uint8_t* row, std::uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
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

/// k of the mma is permuted: lane t has the elements 4 t, 4 t + 2, 4 t + 1 and 4 t + 3 of sixteen
/// as 2 t, 2 t + 1, 2 t + 8 and 2 t + 9, in A and, by half_row, in B.
template <typename Lane>
__device__ __forceinline__ void decode_tile(const Lane& share, typename Lane::Place place,
                                            const GemvTables<Lane>& tables, HalfTile& tile) {
  const std::uint32_t headers[2] = {share.header_of(0), share.header_of(1)};
  const Gated<Lane::kTableWords> gated[2] = {load_gated(tables, headers[0] & 255u),
                                             load_gated(tables, headers[1] & 255u)};
  typename Lane::Decoder decoder(share, tables.codes, place);
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    std::uint32_t parts[Lane::kParts][4];
    decoder.decode(q, gated, parts);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      std::uint32_t(&a)[4] = tile.a[2 * q + i / 2];
      sum_to_halves(parts, i, a[i % 2], a[i % 2 + 2]);
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half)
    tile.factors[half] = tables.factors[headers[half] >> 8 & 255u];
}

/// The group's activations of the block's vectors, and their factors.
struct GemmShared {
  alignas(16) std::uint8_t x[kGroup * kElementBytes];
  alignas(16) float factors[kGemmColumns];
};

/// What a thread copies of each group.
struct GemmCopy {
  static constexpr unsigned kPieces = 2 * kGemmColumns / 16;  ///< of an element
  static constexpr unsigned kStep = kGemmThreads / kPieces;   ///< elements of all threads at once

  const uint4* x;
  const float* factors;
  std::uint8_t* to;

  __device__ __forceinline__ GemmCopy(GemmShared& shared, const GemmJob& job, unsigned group)
      : x(job.x +
          (static_cast<std::size_t>(blockIdx.y) * job.column_tiles + group) * (kGroup * kPieces) +
          threadIdx.x),
        factors(job.factors + static_cast<std::size_t>(group) * job.vectors +
                blockIdx.y * kGemmColumns + 4 * threadIdx.x),
        to(shared.x + threadIdx.x / kPieces * kElementBytes + threadIdx.x % kPieces * 16) {}

  /// Begins to copy the next group.
  __device__ __forceinline__ void begin(GemmShared& shared, unsigned vectors) {
#pragma unroll
    for (unsigned i = 0; i < kGroup / kStep; ++i) {
      copy_async(to + i * (kStep * kElementBytes), x + i * kGemmThreads);
    }
    x += kGroup * kPieces;
    if (threadIdx.x < kGemmColumns / 4) copy_async(shared.factors + 4 * threadIdx.x, factors);
    factors += vectors;
  }
};

/// acc = fma(round(row factor * vector factor), group's sum, acc) for all vectors of the block, 16
/// at a time.
__device__ __forceinline__ void multiply_group(const HalfTile (&tiles)[kWarpTiles],
                                               const GemmShared& shared, int lane, int n_tiles,
                                               float (&acc)[kWarpTiles][kGroupTiles][4]) {
  const std::uint8_t* x = shared.x + lane * kElementBytes;
#pragma unroll
  for (int n = 0; n < kGroupTiles; n += 2) {
    if (n >= n_tiles) break;
    float d[2][kWarpTiles][4] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // 32 elements
#pragma unroll
      for (int p = 0; p < 2; ++p) {
        std::uint32_t b[4];
        load_matrices(x + 32 * i * kElementBytes + 16 * (n + p), b);
#pragma unroll
        for (int m = 0; m < kWarpTiles; ++m) {
          mma_f16(d[p][m], tiles[m].a[2 * i], b[0], b[1]);
          mma_f16(d[p][m], tiles[m].a[2 * i + 1], b[2], b[3]);
        }
      }
    }
#pragma unroll
    for (int p = 0; p < 2; ++p) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float column = shared.factors[8 * (n + p) + 2 * (lane % 4) + j % 2];
#pragma unroll
        for (int m = 0; m < kWarpTiles; ++m) {
          const float factor = __fmul_rn(tiles[m].factors[j / 2], column);
          acc[m][n + p][j] = __fmaf_rn(factor, d[p][m][j], acc[m][n + p][j]);
        }
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
      if (row < job.rows && vector < job.batch) {
        const std::size_t at = static_cast<std::size_t>(blockIdx.z) * job.vectors + vector;
        job.sums[at * job.sum_stride + row] = acc[n][j];
      }
    }
  }
}

/// A block of 4 warps takes 8 row tiles, 64 vectors and a slice of K, a warp two row tiles. While
/// the group's activations are copied, its weights are decoded.
template <typename Lane>
__global__ void __launch_bounds__(kGemmThreads) gemm_kernel(GemmJob job) {
  __shared__ alignas(16) GemvTables<Lane> tables;
  __shared__ GemmShared shared;
  load_tables<Lane>(tables, job.gated, job.codes, job.tensor_scale);
  const int lane = pinned(lane_index());
  const auto place = Lane::place(lane);
  const unsigned row_tile =
      blockIdx.x * kGemmRowTiles + static_cast<unsigned>(warp_index() * kWarpTiles);
  const int n_tiles = static_cast<int>((job.batch - blockIdx.y * kGemmColumns + 7) / 8);
  const unsigned begin = blockIdx.z * job.plan.slice;
  const unsigned end = min(begin + job.plan.slice, job.column_tiles);
  const auto cursor_of = [&](unsigned m) {  // past the end the last tile, not stored
    return typename Lane::Cursor(job.tiles, job.rows, job.column_tiles,
                                 min(row_tile + m, job.row_tiles - 1), begin, lane);
  };
  typename Lane::Cursor cursors[kWarpTiles] = {cursor_of(0), cursor_of(1)};
  Lane shares[kWarpTiles];
#pragma unroll
  for (int m = 0; m < kWarpTiles; ++m) cursors[m].load(shares[m], 0);
  GemmCopy copy(shared, job, begin);
  float acc[kWarpTiles][kGroupTiles][4] = {};
  for (unsigned group = begin; group < end; ++group) {
    copy.begin(shared, job.vectors);
    HalfTile tiles[kWarpTiles];
#pragma unroll
    for (int m = 0; m < kWarpTiles; ++m) {
      decode_tile(shares[m], place, tables, tiles[m]);
      cursors[m].advance(1);
      if (group + 1 < end) cursors[m].load(shares[m], 0);
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
  const dim3 grid((job.row_tiles + kGemmRowTiles - 1) / kGemmRowTiles, job.vectors / kGemmColumns,
                  job.plan.slices);
  return launch_kernel(gemm_kernel<Lane>, grid, kGemmThreads, 0, stream, job);
}

}  // namespace
}  // namespace ecco::cuda::detail

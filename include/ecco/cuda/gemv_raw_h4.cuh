// SPDX-License-Identifier: MIT
// Raw H4 blocks in a product: 16 lanes of a warp walk the codes of a tile's 16 rows into shared
// memory, where the symbols lie in the order of fragments; outliers are multiplied one by one.
#pragma once

#include <cstdint>

#include "ecco/cuda/gemv.cuh"
#include "ecco/cuda/h4_lane.cuh"
#include "ecco/cuda/tile_row.hpp"

namespace ecco::cuda::h4 {

/// Shared memory of one warp: the blocks of 16 rows in one column.
struct TileScratch : StagedBlocks<kTileRows> {
  std::uint32_t apart[kTileRows]
                     [kGroup / 32];  ///< bits of elements that count 0: outliers, clipped
  Header headers[kTileRows];
  int ends[kTileRows];  ///< LaneBlock::end; the end of the block where outliers do not count
};

/// Marks what of its block a lane must not take from symbols.
__device__ __forceinline__ void mark_apart(std::uint32_t (&apart)[kGroup / 32],
                                           const std::uint32_t* block, const LaneBlock& walked) {
#pragma unroll
  for (int q = 0; q < kGroup / 32; ++q) {
    const int coded = min(max(walked.coded - 32 * q, 0), 32);
    apart[q] = coded == 32 ? 0u : 0xffffffffu << coded;
  }
  for (int at = walked.end; at <= kBlockBits - kOutlierBits; at += kOutlierBits) {
    const std::uint32_t place = __funnelshift_r(block[at / 32], block[at / 32 + 1], at) & 127u;
    apart[place / 32] |= 1u << place % 32;
  }
}

/// Stages and walks the blocks of 16 rows, lane r the block at blocks[r]. Whole warps call it.
__device__ __forceinline__ void walk_tile(TileScratch& scratch, const uint4* block,
                                          const Tables& tables, const std::uint32_t* codes) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  std::uint32_t* own = scratch.blocks + lane * kRowWords;
  if (lane < kTileRows) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint4 part = __ldg(block + i);
      own[4 * i] = part.x, own[4 * i + 1] = part.y, own[4 * i + 2] = part.z;
      own[4 * i + 3] = part.w;
    }
  }
  __syncwarp();
  if (lane < kTileRows) {
    const Header header = parse_header(own[0], tables);
    LaneBlock walked = walk_block(scratch, lane, tables.header_bits(), header.codebook, codes);
    if (header.is_zero()) walked = {kGroup, kBlockBits};
    mark_apart(scratch.apart[lane], own, walked);
    scratch.headers[lane] = header;
    scratch.ends[lane] = walked.end;
  }
  __syncwarp();
}

/// Four bytes, those marked 0: `marks` = the marks of four elements in its lowest bits.
__device__ __forceinline__ std::uint32_t clear_marked(std::uint32_t bytes, std::uint32_t marks) {
  return bytes & ~(((marks & 15u) * 0x00204081u & 0x01010101u) * 255u);
}

/// Activations as quantize stores them, of one column of blocks: [n-tile][2][column][t][q %
/// 2][h][b] and [n-tile][8].
struct BlockActivations {
  const std::int8_t* digits;
  const float* factors;
};

/// Adds the outliers of row `r` to a lane's sums of the columns 2 t and 2 t + 1, the last outlier
/// first and only the last one at each place: sum = fma(round(value * factor), digit, sum).
template <int NB, int NT>
__device__ __forceinline__ void multiply_outliers(const TileScratch& scratch, int r, int t,
                                                  float tensor_scale, const BlockActivations& x,
                                                  Accumulators<NT>& acc, int half) {
  const std::uint32_t* block = scratch.blocks + r * kRowWords;
  const int end = scratch.ends[r];
  std::uint64_t seen[2] = {0, 0};
  for (int i = outlier_count(end) - 1; i >= 0; --i) {
    const int at = end + kOutlierBits * i;
    const std::uint32_t bits = __funnelshift_r(block[at / 32], block[at / 32 + 1], at);
    const std::uint32_t e = bits & 127u;
    const std::uint64_t bit = std::uint64_t{1} << e % 64;
    const bool known = ((e < 64 ? seen[0] : seen[1]) & bit) != 0;
    if (known) continue;
    (e < 64 ? seen[0] : seen[1]) |= bit;
    const float value = tensor_scale * fp8_value(bits >> 7 & 255u);
    const std::uint32_t place =
        e / 64 * (NB * 64) + e / 4 % 4 * 16 + e / 32 % 2 * 8 + e / 16 % 2 * 4 + e % 4;
#pragma unroll
    for (int n = 0; n < NT; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const int column = 2 * t + j;  // those that are not stored repeat others
        const float digit = static_cast<float>(
            x.digits[n * 128 * NB + column % NB * 64 + static_cast<int>(place)]);
        float& sum = acc[n][2 * half + j];
        sum = __fmaf_rn(__fmul_rn(value, x.factors[n * 8 + column]), digit, sum);
      }
    }
  }
}

}  // namespace ecco::cuda::h4

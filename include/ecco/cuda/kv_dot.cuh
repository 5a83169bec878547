// SPDX-License-Identifier: MIT
// Products of blocks with queries while the blocks are decoded: what attention does with keys.
// Values are those of the decoders; sums are fused in binary32 in the orders stated. kQ = queries
// at a time. docs/cuda.md, "KV pages".
//
// @code
// __shared__ ecco::cuda::SharedQueries<4> queries;  // of the head's block b, zeros past the end
// float sums[4] = {};
// ecco::cuda::planar::dot_quad<2>(key + 64 * b, lane % 4, tables, tensor_scale, queries, sums);
// ecco::cuda::add_lanes(sums, ecco::cuda::planar::kQuadLanes);  // once, behind the last block
// @endcode
#pragma once

#include <cstdint>

#include "ecco/cuda/a8.cuh"
#include "ecco/cuda/h4_lane.cuh"
#include "ecco/cuda/planar.cuh"

namespace ecco::cuda {

/// Queries in shared memory: the values that a block has, zeros where it has padding.
template <int kQ>
struct alignas(16) SharedQueries {
  float values[kQ][kGroup];
};

/// sums[j] = fma(value i, query j's at place at + i, sums[j]), i = 0..3.
template <int kQ>
__device__ __forceinline__ void add_products(const float (&values)[4],
                                             const SharedQueries<kQ>& queries, int at,
                                             float (&sums)[kQ]) {
#pragma unroll
  for (int j = 0; j < kQ; ++j) {
    const float4 q = *reinterpret_cast<const float4*>(queries.values[j] + at);
    sums[j] = __fmaf_rn(values[0], q.x, sums[j]);
    sums[j] = __fmaf_rn(values[1], q.y, sums[j]);
    sums[j] = __fmaf_rn(values[2], q.z, sums[j]);
    sums[j] = __fmaf_rn(values[3], q.w, sums[j]);
  }
}

/// Sums of `lanes` neighbouring lanes, pairwise: neighbours first.
template <int kQ>
__device__ __forceinline__ void add_lanes(float (&sums)[kQ], int lanes) {
  for (int distance = 1; distance < lanes; distance *= 2) {
#pragma unroll
    for (int j = 0; j < kQ; ++j) sums[j] += __shfl_xor_sync(kFullMask, sums[j], distance);
  }
}

namespace planar {

/// Adds the products of lane t's 32 values, elements 16 i + 4 t + 0..3, i = 0, 4, 1, 5, 2, 6, 3,
/// 7. Called as decode_quad; add_lanes(sums, 4) at the end.
template <int R, int kQ>
__device__ __forceinline__ void dot_quad(const std::uint8_t* block, int t,
                                         const SharedTables<R>& tables, float tensor_scale,
                                         const SharedQueries<kQ>& queries, float (&sums)[kQ]) {
  decode_quad<R>(block, t, tables, tensor_scale, [&](int i, const float(&values)[4]) {
    add_products(values, queries, 16 * i + 4 * t, sums);
  });
}

}  // namespace planar

namespace a8 {

/// Adds the products of the lane's four values. Called as decode_lanes; add_lanes(sums, 16) at the
/// end.
template <int kQ>
__device__ __forceinline__ void dot_lanes(std::uint32_t word, int lane, float tensor_scale,
                                          const SharedQueries<kQ>& queries, float (&sums)[kQ]) {
  float values[4];
  const LaneValues four = decode_lanes(word, lane, tensor_scale);
  scale_bytes(four.bytes, four.factor, values);
  add_products(values, queries, 4 * (lane % kBlockLanes), sums);
}

}  // namespace a8

namespace h4 {

inline constexpr std::uint32_t kNoSymbol = 0x10;  ///< of clipped elements and below outliers

/// Shared memory of one warp, in columns of lanes where each lane reads its own.
struct DotScratch {
  std::uint32_t blocks[kWarpLanes * kRowWords + kWarpLanes];  ///< rows of 16 words and a 0
  std::uint32_t symbols[kGroup / 4][kWarpLanes];              ///< a byte each
  float values[kNoSymbol + 1][kWarpLanes];                    ///< by symbol; 0 of kNoSymbol
};

/// Walks the codes of a block into the lane's symbols; returns where its outliers begin, the end
/// of the block where codes are clipped.
__device__ __forceinline__ int walk_symbols(DotScratch& scratch, const std::uint32_t* block,
                                            int at, const std::uint32_t* codes, int lane) {
#pragma unroll 4
  for (int step = 0; step < kGroup / 4; ++step) {
    // A clipped block is read past its end, which changes nothing.
    const int word = min(at / 32, 16);
    std::uint32_t window = __funnelshift_r(block[word], block[word + 1], at);
    std::uint32_t symbols = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t entry = codes[window & 255u];
      const int length = static_cast<int>(entry & 0xffffu);
      at += length;
      const std::uint32_t symbol = at > kBlockBits ? kNoSymbol : entry >> 16;
      symbols |= symbol << 8 * i;
      window >>= length;
    }
    scratch.symbols[step][lane] = symbols;
  }
  return at;
}

/// Adds the products of the lane's whole block in the order of its elements, then those of its
/// outliers, the last one first. Call stage_rows and __syncwarp() before, __syncwarp() after.
/// `codes` = codes of all codebooks.
template <int kQ>
__device__ __forceinline__ void dot_lane(DotScratch& scratch, const Tables& tables,
                                         const std::uint32_t* codes, float tensor_scale,
                                         const SharedQueries<kQ>& queries, float (&sums)[kQ]) {
  const int lane = lane_index();
  const std::uint32_t* block = scratch.blocks + lane * kRowWords;
  const Header header = parse_header(block[0], tables);
  const float m = tensor_scale * fp8_value(header.scale);
  const auto* row = reinterpret_cast<const float*>(tables.patterns) + 16 * header.pattern;
#pragma unroll
  for (int s = 0; s < 16; ++s) scratch.values[s][lane] = __fmul_rn(m, __ldg(row + s));
  scratch.values[kNoSymbol][lane] = 0.0f;
  const int end = walk_symbols(scratch, block, tables.header_bits(),
                               codes + kCodeEntries * header.codebook, lane);
  const int outliers = header.is_zero() || end > kBlockBits ? 0 : outlier_count(end);
  const auto outlier = [&](int i) {
    const int at = end + kOutlierBits * i;
    return __funnelshift_r(block[at / 32], block[at / 32 + 1], at);
  };
  auto* symbols = reinterpret_cast<std::uint8_t*>(scratch.symbols);
  for (int i = 0; i < outliers; ++i) {
    const std::uint32_t place = outlier(i) & 127u;
    symbols[(place / 4 * kWarpLanes + static_cast<unsigned>(lane)) * 4 + place % 4] = kNoSymbol;
  }
#pragma unroll 4
  for (int step = 0; step < kGroup / 4; ++step) {
    const std::uint32_t word = scratch.symbols[step][lane];
    float decoded[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) decoded[i] = scratch.values[word >> 8 * i & 31u][lane];
    add_products(decoded, queries, 4 * step, sums);
  }
  std::uint64_t seen[2] = {0, 0};
  for (int i = outliers - 1; i >= 0; --i) {  // the last one at each place counts
    const std::uint32_t bits = outlier(i);
    const std::uint32_t place = bits & 127u;
    const std::uint64_t bit = std::uint64_t{1} << place % 64;
    const bool again = ((place < 64 ? seen[0] : seen[1]) & bit) != 0;
    seen[0] |= place < 64 ? bit : 0;
    seen[1] |= place < 64 ? 0 : bit;
    if (again) continue;
    const float value = tensor_scale * fp8_value(bits >> 7 & 255u);
#pragma unroll
    for (int j = 0; j < kQ; ++j) {
      sums[j] = __fmaf_rn(value, queries.values[j][place], sums[j]);
    }
  }
}

}  // namespace h4
}  // namespace ecco::cuda

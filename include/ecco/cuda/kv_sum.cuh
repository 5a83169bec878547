// SPDX-License-Identifier: MIT
// Weighted sums of blocks while they are decoded: what attention does with values. Values are
// those of the decoders; sums are fused in binary32, tokens ascending. kQ = queries at a time.
// docs/cuda.md, "KV pages".
//
// @code
// // P4, one warp: eight tokens, then the next; sums of columns 4 lane..4 lane + 3 of each query.
// __shared__ ecco::cuda::StagedRows rows;
// __shared__ ecco::cuda::SharedWeights<4> weights;  // [query][token], zeros past the end
// float sums[4][4] = {};
// for (int first = 0; first < ecco::cuda::kWeightChunk; first += ecco::cuda::kStagedRows) {
//   const std::uint8_t* block = block_of_token(first + lane / 4);
//   ecco::cuda::planar::stage_quad<2>(block, lane % 4, lane / 4, tables, tensor_scale, rows);
//   __syncwarp();
//   ecco::cuda::add_rows(rows, weights, first, lane, sums);
//   __syncwarp();
// }
// @endcode
#pragma once

#include <cstdint>

#include "ecco/cuda/a8.cuh"
#include "ecco/cuda/h4_store.cuh"
#include "ecco/cuda/planar.cuh"

namespace ecco::cuda {

inline constexpr int kStagedRows = 8;
inline constexpr int kWeightChunk = 64;  ///< tokens whose weights are in shared memory together

/// Blocks' values of a warp, in shared memory; rows are padded, so that the quads that store
/// neighbouring rows do so in different banks.
struct alignas(16) StagedRows {
  float values[kStagedRows][kGroup + 16];
};

/// Weights in shared memory; zeros of tokens and queries that are not.
template <int kQ>
struct alignas(16) SharedWeights {
  float values[kQ][kWeightChunk];
};

/// sums[j][i] = fma(weight of query j, value i, sums[j][i]).
template <int kQ>
__device__ __forceinline__ void add_weighted(const float (&weights)[kQ], const float (&values)[4],
                                             float (&sums)[kQ][4]) {
#pragma unroll
  for (int j = 0; j < kQ; ++j) {
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[j][i] = __fmaf_rn(weights[j], values[i], sums[j][i]);
  }
}

/// Adds the lane's values 4 lane..4 lane + 3 of the staged rows, whose weights are those of the
/// tokens `first`, a multiple of 4, and so on of the chunk. Call __syncwarp() before and after.
template <int kQ>
__device__ __forceinline__ void add_rows(const StagedRows& rows, const SharedWeights<kQ>& weights,
                                         int first, int lane, float (&sums)[kQ][4]) {
#pragma unroll
  for (int r = 0; r < kStagedRows; r += 4) {
    float four[4][kQ];  // [token][query]
#pragma unroll
    for (int j = 0; j < kQ; ++j) {
      const float4 w = *reinterpret_cast<const float4*>(weights.values[j] + first + r);
      four[0][j] = w.x;
      four[1][j] = w.y;
      four[2][j] = w.z;
      four[3][j] = w.w;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float4 v = *reinterpret_cast<const float4*>(rows.values[r + i] + 4 * lane);
      const float values[4] = {v.x, v.y, v.z, v.w};
      add_weighted(four[i], values, sums);
    }
  }
}

namespace planar {

/// Decodes eight blocks to the warp's rows, a quad to row `row`. Called as decode_quad.
template <int R>
__device__ __forceinline__ void stage_quad(const std::uint8_t* block, int t, int row,
                                           const SharedTables<R>& tables, float tensor_scale,
                                           StagedRows& rows) {
  decode_quad<R>(block, t, tables, tensor_scale, [&](int i, const float(&values)[4]) {
    *reinterpret_cast<float4*>(rows.values[row] + 16 * i + 4 * t) =
        make_float4(values[0], values[1], values[2], values[3]);
  });
}

}  // namespace planar

namespace a8 {

/// Adds the lane's four values of its block; the half warps have a token each, `token` of the
/// chunk. Called as decode_lanes.
template <int kQ>
__device__ __forceinline__ void add_lanes(std::uint32_t word, int lane, float tensor_scale,
                                          const SharedWeights<kQ>& weights, int token,
                                          float (&sums)[kQ][4]) {
  const LaneValues four = decode_lanes(word, lane, tensor_scale);
  float values[4];
  scale_bytes(four.bytes, four.factor, values);
  float own[kQ];
#pragma unroll
  for (int j = 0; j < kQ; ++j) own[j] = weights.values[j][token];
  add_weighted(own, values, sums);
}

}  // namespace a8

namespace h4 {

/// Adds 32 blocks that stage_rows has put into `scratch`, eight at a time through the warp's rows:
/// the tokens `first`, a multiple of 4, and so on of the chunk. Call __syncwarp() before and
/// after. `codes` as for walk_block.
template <int kQ>
__device__ __forceinline__ void add_blocks(LaneScratch<float>& scratch, StagedRows& rows,
                                           const Tables& tables, const std::uint32_t* codes,
                                           float tensor_scale, const SharedWeights<kQ>& weights,
                                           int first, float (&sums)[kQ][4]) {
  const int lane = lane_index();
  const std::uint32_t* own = scratch.blocks + lane * kRowWords;
  const Header header = parse_header(own[0], tables);
  const Destination<float> to{rows.values[lane % kStagedRows], kGroup};
  scratch.destinations[lane] = to;
  tabulate_values<float>(scratch, tables.patterns + 4 * header.pattern,
                         tensor_scale * fp8_value(header.scale));
  const LaneBlock walked = walk_block(scratch, static_cast<unsigned>(lane), tables.header_bits(),
                                      header.codebook, codes);
  __syncwarp();
#pragma unroll 1
  for (int part = 0; part < kWarpLanes; part += kStagedRows) {
    write_rows<true>(scratch, part, kStagedRows);
    __syncwarp();
    if (lane / kStagedRows == part / kStagedRows) {
      correct_block(own, walked, header.is_zero(), tensor_scale, to);
    }
    __syncwarp();
    add_rows(rows, weights, first + part, lane, sums);
    __syncwarp();
  }
}

}  // namespace h4
}  // namespace ecco::cuda

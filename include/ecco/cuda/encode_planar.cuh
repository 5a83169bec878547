// SPDX-License-Identifier: MIT
// P2..P5 blocks encoded by one warp each, as the compiled encoder does at effort fast, bit for
// bit: measure, score all patterns, search the best few (encode_planar_search.cuh), pack.
// docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/a8.hpp"
#include "ecco/cuda/encode_planar_search.cuh"

namespace ecco::cuda::planar {

inline constexpr int kFeatures = PlanarEncodeLayout::kFeatures;
inline constexpr int kBins = PlanarEncodeLayout::kBins;
inline constexpr float kBinsPerRms = kBins / 24.0f;

/// Shared memory of one warp: the block's values, then bins and shares of its elements.
struct alignas(16) EncodeScratch {
  std::uint32_t words[kGroup];
};

/// rd::Measure, with sums in the order of its eight lanes; the same in all lanes of the warp.
struct Measure {
  double sum_of_squares;
  double sum_of_magnitudes;
  float low;
  float high;
};
__device__ __forceinline__ Measure measure(const EncodeScratch& scratch, const float (&values)[4],
                                           int lane) {
  double sum = 0.0;  // lanes 0..7 sum squares, 8..15 magnitudes
  for (int i = 0; i < kGroup; i += 8) {
    const double value = bits_float(scratch.words[i + lane % 8]);
    sum += (lane & 8) == 0 ? value * value : fabs(value);  // squares are exact
  }
  sum += __shfl_xor_sync(kFullMask, sum, 4);
  sum += __shfl_xor_sync(kFullMask, sum, 2);
  sum += __shfl_xor_sync(kFullMask, sum, 1);
  std::uint32_t low = 0;
  std::uint32_t high = 0;
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const std::uint32_t magnitude = float_bits(values[t]) & 0x7fffffffu;
    if (values[t] < 0.0f) low = max(low, magnitude);
    if (values[t] > 0.0f) high = max(high, magnitude);
  }
  return {__shfl_sync(kFullMask, sum, 0), __shfl_sync(kFullMask, sum, 8),
          bits_float(__reduce_max_sync(kFullMask, low)),
          bits_float(__reduce_max_sync(kFullMask, high))};
}

/// rd::BlockSearch::base_code.
__device__ __forceinline__ int base_code(const Measure& measure, int count) {
  const double root_mean_square = sqrt(measure.sum_of_squares / count);
  const double mean_magnitude = measure.sum_of_magnitudes / count;
  return nearest_code(static_cast<float>(sqrt(root_mean_square * mean_magnitude)));
}

/// Share of element e of a block of `count`, in the features: ShortlistEncoder's shares_of.
__device__ __forceinline__ int share_of(int e, int count) {
  const auto due = [count](int elements) {
    return ((kGroup << 5) * elements + count) / (2 * count);
  };
  return e < count ? due(e + 1) - due(e) : 0;
}

/// Feature `lane` of the block, an int16; overwrites the scratch.
__device__ __forceinline__ int feature(EncodeScratch& scratch, const float (&values)[4],
                                       const std::int16_t* basis, int base, int count, int lane) {
  const float inverse = __fdiv_rn(kBinsPerRms, scale_of(base));
  __syncwarp();
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    const int e = 16 * (lane % 8) + 4 * t + lane / 8;
    const int bin = min(max(quantize(values[t], inverse) + kBins / 2, 0), kBins - 1);
    const int share = count == kGroup ? 0 : share_of(e, count);
    scratch.words[e] = static_cast<std::uint32_t>(bin) | static_cast<std::uint32_t>(share) << 16;
  }
  __syncwarp();
  int sum = 0;
  if (count == kGroup) {
#pragma unroll 2
    for (int e = 0; e < kGroup; e += 4) {
      const uint4 four = *reinterpret_cast<const uint4*>(scratch.words + e);
      const std::uint32_t bins[4] = {four.x, four.y, four.z, four.w};
#pragma unroll
      for (int i = 0; i < 4; ++i) {  // saturates after every element
        sum += __ldg(basis + bins[i] * kFeatures + static_cast<unsigned>(lane));
        sum = min(max(sum, -32768), 32767);
      }
    }
    return sum;
  }
  for (int e = 0; e < count; ++e) {
    const std::uint32_t word = scratch.words[e];
    sum += static_cast<int>(word >> 16) *
           __ldg(basis + (word & 0xffffu) * kFeatures + static_cast<unsigned>(lane));
  }
  return min(max(sum >> 4, -32768), 32767);
}

/// a.lo * b.byte0 + a.hi * b.byte1 + c with unsigned bytes; bytes 2 and 3, signed.
__device__ __forceinline__ std::int32_t dot_low(std::uint32_t a, std::uint32_t b, std::int32_t c) {
  std::int32_t result;
  asm("dp2a.lo.s32.u32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}
__device__ __forceinline__ std::int32_t dot_high(std::uint32_t a, std::uint32_t b,
                                                 std::int32_t c) {
  std::int32_t result;
  asm("dp2a.hi.s32.s32 %0, %1, %2, %3;" : "=r"(result) : "r"(a), "r"(b), "r"(c));
  return result;
}

/// EncodeKernels::scores of the lane's candidates 8 lane + 0..7. A feature is two bytes: of two
/// features the low ones, then the high ones.
__device__ __forceinline__ void score(const EncodeTables& tables, int feature, int base, int lane,
                                      std::int32_t (&keys)[8]) {
  const auto own = static_cast<std::uint32_t>(feature);
  const std::uint32_t pair = prmt(own, __shfl_down_sync(kFullMask, own, 1), 0x5140u);
#pragma unroll
  for (int k = 0; k < 8; ++k) keys[k] = static_cast<std::int32_t>(0x80000000u);
  const int first = (base & 7) * 4;
#pragma unroll 1
  for (int l = 0; l < 4; ++l) {
    std::int32_t low[8];
    std::int32_t high[8] = {};
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int4 bias = __ldg(tables.bias + ((first + l) * 2 + j) * kWarpLanes + lane);
      low[4 * j] = bias.x;
      low[4 * j + 1] = bias.y;
      low[4 * j + 2] = bias.z;
      low[4 * j + 3] = bias.w;
    }
    const uint4* factors = tables.factors + (first + l) * (kFeatures / 2) * 2 * kWarpLanes + lane;
#pragma unroll 4
    for (int p = 0; p < kFeatures / 2; ++p) {
      const std::uint32_t bytes = __shfl_sync(kFullMask, pair, 2 * p);
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint4 f = __ldg(factors + (2 * p + j) * kWarpLanes);
        const std::uint32_t word[4] = {f.x, f.y, f.z, f.w};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          low[4 * j + k] = dot_low(word[k], bytes, low[4 * j + k]);
          high[4 * j + k] = dot_high(word[k], bytes, high[4 * j + k]);
        }
      }
    }
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const std::uint32_t sum =
          static_cast<std::uint32_t>(low[k]) + (static_cast<std::uint32_t>(high[k]) << 8);
      keys[k] = max(keys[k], static_cast<std::int32_t>((sum & ~3u) | static_cast<unsigned>(l)));
    }
  }
}

/// planar::pack of the ranks of the lane's elements; returns word `lane` of the block.
template <int R>
__device__ __forceinline__ std::uint32_t pack(const int (&ranks)[4], int pattern, int code,
                                              int lane) {
  std::uint32_t own = 0;
  std::uint64_t lower = 0;  // bytes 0..7 of the block, and 8..15
  std::uint64_t upper = 0;
  int low = 0;
  int high = kTailBits;
  const std::uint32_t below = (1u << lane) - 1;
#pragma unroll
  for (int level = 1; level < 4; ++level) {
    std::uint32_t masks[4];
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      masks[t] = __ballot_sync(kFullMask, ranks[t] >> R >= level);
      if (level == 1 && lane == 4 + t) own = masks[t];
    }
    high -= __popc(masks[2]) + __popc(masks[3]);
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const int before = t % 2 == 0 ? 0 : __popc(masks[t - 1]);
      const int at = 16 + (t < 2 ? low : high) + before + __popc(masks[t] & below);
      const std::uint64_t bit = std::uint64_t{ranks[t] >> R > level} << at % 64;
      lower |= at < 64 ? bit : 0;
      upper |= at < 64 ? 0 : bit;
    }
    low += __popc(masks[0]) + __popc(masks[1]);
  }
#pragma unroll
  for (int plane = 0; plane < R; ++plane) {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const std::uint32_t word = __ballot_sync(kFullMask, (ranks[t] >> (R - 1 - plane) & 1) != 0);
      if (lane == 8 + 4 * plane + t) own = word;
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const auto part = static_cast<std::uint32_t>((i < 2 ? lower : upper) >> 32 * (i % 2));
    const std::uint32_t word = __reduce_or_sync(kFullMask, part);
    if (lane == i) own = word;
  }
  const std::uint32_t header =
      static_cast<std::uint32_t>(pattern) | static_cast<std::uint32_t>(code) << 8;
  return lane == 0 ? own | header : own;
}

/// Encodes one block; whole warps call it. `values` = elements 4 lane + 0..3 of the block, 0 past
/// `count` (1..128). Word l of the block is returned in lane l < 8 + 4 R. NaN counts as 0,
/// infinity as the largest finite value. Precondition: tensor_scale positive, at most 1e34.
///
/// @code
/// __shared__ ecco::cuda::planar::EncodeScratch scratch[kWarps];
/// float v[4];  // values 4 * lane + 0..3; tables = planar::encode_tables<2>(codec->view()): P4
/// const auto word = ecco::cuda::planar::encode_warp<2>(v, 128, tables, scale, scratch[warp]);
/// if (lane < 16) words[16 * block + lane] = word;
/// @endcode
template <int R>
__device__ __forceinline__ std::uint32_t encode_warp(const float (&values)[4], int count,
                                                     const EncodeTables& tables,
                                                     float tensor_scale, EncodeScratch& scratch) {
  const int lane = lane_index();
  __syncwarp();  // the scratch may be in use for the block before
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float value = __fdiv_rn(ecco::a8::detail::finite(values[i]), tensor_scale);
    scratch.words[4 * lane + i] = float_bits(value);
  }
  __syncwarp();
  float own[4];
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    own[t] = bits_float(scratch.words[16 * (lane % 8) + 4 * t + lane / 8]);
  }
  const Measure size = measure(scratch, own, lane);
  if (!(size.sum_of_squares > 0.0) || tables.lowest > tables.highest) return 0;
  const int base = base_code(size, count);
  std::int32_t keys[8];
  score(tables, feature(scratch, own, tables.basis, base, count, lane), base, lane, keys);
  BlockSearch<R> search(tables, own, count, lane);
  search.load(base, size.low, size.high);
  Lines lines;
  if (!search.search(keys, size.sum_of_squares, lines)) return 0;
  int ranks[4];
#pragma unroll
  for (int t = 0; t < 4; ++t) {
    ranks[t] = search.valid(t) ? static_cast<int>(lines.entry[t] >> 8) : 0;
  }
  return pack<R>(ranks, search.best().pattern, search.best().code, lane);
}

}  // namespace ecco::cuda::planar

// SPDX-License-Identifier: MIT
// H4 blocks encoded in KV mode by one warp each: lane l owns the values 4 l..4 l + 3. Equal to
// h4_encode.hpp bit for bit. docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/encode_layout.hpp"
#include "ecco/cuda/intrinsics.cuh"
#include "ecco/h4_encode.hpp"

namespace ecco::cuda::h4 {

/// A table prepared for encoding, in global memory.
struct EncodeTables {
  const float* boundaries;       ///< [pattern][16]: midpoints of neighbours / 128, then infinity
  const float* values;           ///< [pattern][16]: what each symbol stands for, over m
  const std::uint8_t* symbols;   ///< [pattern][16]: by the number of boundaries exceeded
  const float2* extremes;        ///< [pattern]: lowest and highest centroid / 128
  const std::uint32_t* lengths;  ///< [symbol][4]: bytes, code length in each codebook
  const std::uint32_t* codes;    ///< [codebook][16]: code as it stands in the stream | length << 8
  const std::uint32_t* padding;  ///< [codebook]: shortest symbol | its length << 8
  int pattern_count;
  int codebook_count;
  int pattern_bits;
  int codebook_bits;

  ECCO_HD constexpr int header_bits() const noexcept { return codebook_bits + pattern_bits + 8; }
};

/// Of a DeviceCodec, to be passed to a kernel.
inline EncodeTables encode_tables(const DeviceCodecView& codec) noexcept {
  const H4EncodeLayout layout(static_cast<std::size_t>(codec.pattern_count),
                              static_cast<std::size_t>(codec.codebook_count));
  const std::uint32_t* words = codec.encoding;
  return {reinterpret_cast<const float*>(words),
          reinterpret_cast<const float*>(codec.patterns),
          reinterpret_cast<const std::uint8_t*>(words + layout.symbols),
          reinterpret_cast<const float2*>(words + layout.extremes),
          words + layout.lengths,
          words + layout.codes,
          words + layout.padding,
          codec.pattern_count,
          codec.codebook_count,
          ecco::h4::index_bits(codec.pattern_count),
          ecco::h4::index_bits(codec.codebook_count)};
}

/// Shared memory of one warp.
struct EncodeScratch {
  std::uint32_t words[16];
};

/// The greatest of four keys per lane, the first of ties; found in all lanes alike.
struct Peak {
  std::uint32_t key;
  int element;  ///< 4 lane + i
};
__device__ __forceinline__ Peak greatest_key(const std::uint32_t (&keys)[4], int lane) {
  std::uint32_t own = keys[3];
  int element = 4 * lane + 3;
#pragma unroll
  for (int i = 2; i >= 0; --i) {
    if (keys[i] >= own) element = 4 * lane + i;
    own = max(own, keys[i]);
  }
  const std::uint32_t key = __reduce_max_sync(kFullMask, own);
  const int winner = __ffs(__ballot_sync(kFullMask, own == key)) - 1;
  return {key, __shfl_sync(kFullMask, element, winner)};
}

/// Maps binary32 to integers of the same order, and back; its own inverse.
__device__ __forceinline__ int ordered(int bits) { return bits ^ (bits >> 31 & 0x7fffffff); }

/// h4::nearest_pattern, a pattern per lane and step.
__device__ __forceinline__ int nearest_pattern(const EncodeTables& tables, float least,
                                               float greatest, int lane) {
  std::uint32_t own = 0xffffffffu;
  int pattern = 0;
  for (int p = lane; p < tables.pattern_count; p += kWarpLanes) {
    const float2 extremes = __ldg(tables.extremes + p);
    const float low = extremes.x - least;
    const float high = extremes.y - greatest;
    const float distance = __fadd_rn(__fmul_rn(low, low), __fmul_rn(high, high));
    if (float_bits(distance) < own) {  // not negative: ordered as its bits
      own = float_bits(distance);
      pattern = p;
    }
  }
  const std::uint32_t best = __reduce_min_sync(kFullMask, own);
  const int mine = own == best ? pattern : tables.pattern_count;
  return __reduce_min_sync(kFullMask, mine);
}

/// The pattern of KV mode for quotients, `largest` left out.
__device__ __forceinline__ int kv_pattern(const EncodeTables& tables, const float (&quotients)[4],
                                          int count, int largest, int lane) {
  int least = 0x7fffffff;
  int greatest = -0x7fffffff;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int e = 4 * lane + i;
    if (e >= count || e == largest) continue;
    const int key = ordered(static_cast<int>(float_bits(quotients[i])));
    least = min(least, key);
    greatest = max(greatest, key);
  }
  least = ordered(__reduce_min_sync(kFullMask, least));
  greatest = ordered(__reduce_max_sync(kFullMask, greatest));
  if (count == 1) return 0;
  return nearest_pattern(tables, bits_float(static_cast<std::uint32_t>(least)),
                         bits_float(static_cast<std::uint32_t>(greatest)), lane);
}

/// h4::nearest_symbol by four comparisons; the last boundary is never exceeded.
__device__ __forceinline__ std::uint32_t symbol_of(const EncodeTables& tables, int pattern,
                                                   float quotient) {
  const float* boundaries = tables.boundaries + 16 * pattern;
  int exceeded = 0;
#pragma unroll
  for (int step = 8; step > 0; step /= 2) {
    if (quotient > __ldg(boundaries + exceeded + step - 1)) exceeded += step;
  }
  return __ldg(tables.symbols + 16 * pattern + exceeded);
}

/// A codebook and the bits of all 128 codes in it.
struct CodebookChoice {
  int codebook;
  int bits;
};

/// h4::cheapest_codebook, four codebooks per word of lengths.
__device__ __forceinline__ CodebookChoice cheapest_codebook(const EncodeTables& tables,
                                                            const std::uint32_t (&symbols)[4],
                                                            int count, int lane) {
  CodebookChoice best{0, kGroup * huffman::kMaxLength + 1};
  for (int first = 0; first < tables.codebook_count; first += 4) {
    std::uint32_t sum = 0;  // of four lengths of at most 8 in each byte
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (4 * lane + i < count) sum += __ldg(tables.lengths + 4 * symbols[i] + first / 4);
    }
    const std::uint32_t even = __reduce_add_sync(kFullMask, sum & 0x00ff00ffu);
    const std::uint32_t odd = __reduce_add_sync(kFullMask, sum >> 8 & 0x00ff00ffu);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (first + k >= tables.codebook_count) break;
      const std::uint32_t sums = k % 2 == 0 ? even : odd;
      const std::uint32_t padding = __ldg(tables.padding + first + k) >> 8;
      const int bits = static_cast<int>((sums >> 16 * (k / 2) & 0xffffu) +
                                        static_cast<unsigned>(kGroup - count) * padding);
      if (bits < best.bits) best = {first + k, bits};
    }
  }
  return best;
}

/// True where the FP8 code of a value brings it nearer than its symbol does.
__device__ __forceinline__ bool improves(float value, float decoded, fp8_e4m3 code,
                                         float tensor_scale) {
  return ecco::h4::distance(value, tensor_scale * to_float(code)) <
         ecco::h4::distance(value, decoded);
}

/// ORs up to 32 bits into the block from bit `at` on; what lies past its end is dropped.
__device__ __forceinline__ void or_bits(EncodeScratch& scratch, std::uint32_t bits, int at) {
  const int word = at / 32;
  if (word < 16) atomicOr(scratch.words + word, bits << at % 32);
  if (word < 15) atomicOr(scratch.words + word + 1, __funnelshift_l(bits, 0u, at % 32));
}

/// Writes the codes of the lane's four symbols, all lanes' end to end from bit `at` on.
__device__ __forceinline__ void write_codes(EncodeScratch& scratch, const EncodeTables& tables,
                                            int codebook, const std::uint32_t (&symbols)[4],
                                            int at, int lane) {
  std::uint32_t bits = 0;
  std::uint32_t length = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t code = __ldg(tables.codes + 16 * codebook + static_cast<int>(symbols[i]));
    bits |= (code & 255u) << length;
    length += code >> 8;
  }
  std::uint32_t end = length;
#pragma unroll
  for (int distance = 1; distance < kWarpLanes; distance *= 2) {
    const std::uint32_t before = __shfl_up_sync(kFullMask, end, distance);
    if (lane >= distance) end += before;
  }
  or_bits(scratch, bits, at + static_cast<int>(end - length));
}

/// h4::pad_with_outliers: writes the `slots` outliers from bit `at` on. `open` = bit i: element i
/// of the lane improves as an outlier.
__device__ __forceinline__ void write_outliers(EncodeScratch& scratch, const float (&values)[4],
                                               unsigned open, int slots, int at, int largest,
                                               fp8_e4m3 scale, float tensor_scale, int lane) {
  std::uint32_t mine = 0;  // the outlier of slot `lane`
  std::uint32_t filler = static_cast<std::uint32_t>(largest) | std::uint32_t{scale.bits} << 7;
  for (int slot = 0; slot < slots; ++slot) {
    std::uint32_t keys[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // 0: not one
      keys[i] = (open >> i & 1u) != 0 ? (float_bits(values[i]) & 0x7fffffffu) + 1 : 0;
    }
    const Peak peak = greatest_key(keys, lane);
    std::uint32_t outlier = filler;
    if (peak.key != 0) {
      const int i = peak.element % 4;
      const float own = i == 0 ? values[0] : i == 1 ? values[1] : i == 2 ? values[2] : values[3];
      const float value = __shfl_sync(kFullMask, own, peak.element / 4);
      outlier = static_cast<std::uint32_t>(peak.element) |
                std::uint32_t{to_fp8_e4m3(value / tensor_scale).bits} << 7;
      if (peak.element / 4 == lane) open &= ~(1u << i);
      if (slot == 0) filler = outlier;
    }
    if (slot == lane) mine = outlier;
  }
  if (lane < slots) or_bits(scratch, mine, at + ecco::h4::kOutlierBits * lane);
}

/// Encodes one block; whole warps call it. `values` = the lane's, 0 past `count` (1..128). Word l
/// of the block is returned in lane l < 16. Precondition: tensor_scale positive, at most 1e34.
///
/// @code
/// __shared__ ecco::cuda::h4::EncodeScratch scratch[kWarps];
/// float v[4];                                                 // values 4 * lane + 0..3
/// const auto word = ecco::cuda::h4::encode_kv_warp(v, 128, tables, tensor_scale, scratch[warp]);
/// if (lane < 16) words[16 * block + lane] = word;
/// @endcode
__device__ __forceinline__ std::uint32_t encode_kv_warp(float (&values)[4], int count,
                                                        const EncodeTables& tables,
                                                        float tensor_scale,
                                                        EncodeScratch& scratch) {
  const int lane = lane_index();
  std::uint32_t magnitudes[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[i] = ecco::h4::finite(values[i]);
    magnitudes[i] = float_bits(values[i]) & 0x7fffffffu;
  }
  const int largest = greatest_key(magnitudes, lane).element;
  const int at_largest = largest % 4;
  const float own = at_largest == 0   ? values[0]
                    : at_largest == 1 ? values[1]
                    : at_largest == 2 ? values[2]
                                      : values[3];
  const fp8_e4m3 scale =
      to_fp8_e4m3(__fdiv_rn(__shfl_sync(kFullMask, own, largest / 4), tensor_scale));
  if ((scale.bits & 0x7fu) == 0) return 0;
  const float m = tensor_scale * to_float(scale);
  float quotients[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) quotients[i] = __fdiv_rn(values[i], m);
  const int pattern = kv_pattern(tables, quotients, count, largest, lane);
  std::uint32_t symbols[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t nearest = symbol_of(tables, pattern, quotients[i]);
    symbols[i] = 4 * lane + i == largest ? std::uint32_t{ecco::h4::kMaxSymbol} : nearest;
  }
  const CodebookChoice choice = cheapest_codebook(tables, symbols, count, lane);
  const std::uint32_t padding = __ldg(tables.padding + choice.codebook) & 255u;
  unsigned open = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (4 * lane + i >= count) {
      symbols[i] = padding;
      continue;
    }
    const float decoded = m * __ldg(tables.values + 16 * pattern + static_cast<int>(symbols[i]));
    const fp8_e4m3 code = to_fp8_e4m3(values[i] / tensor_scale);
    if (improves(values[i], decoded, code, tensor_scale)) open |= 1u << i;
  }
  if (lane < 16) scratch.words[lane] = 0;
  __syncwarp();
  const int header = tables.header_bits();
  if (lane == 0) {
    atomicOr(scratch.words, static_cast<std::uint32_t>(choice.codebook) |
                                static_cast<std::uint32_t>(pattern) << tables.codebook_bits |
                                std::uint32_t{scale.bits} << (header - 8));
  }
  write_codes(scratch, tables, choice.codebook, symbols, header, lane);
  write_outliers(scratch, values, open, max(ecco::h4::outlier_slots(header + choice.bits), 0),
                 header + choice.bits, largest, scale, tensor_scale, lane);
  __syncwarp();
  const std::uint32_t word = scratch.words[lane % 16];
  __syncwarp();
  return word;
}

}  // namespace ecco::cuda::h4

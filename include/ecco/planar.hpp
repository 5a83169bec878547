// SPDX-License-Identifier: MIT
// P2..P5, one block: decode, pack and check. Scalar, constexpr, host and device: THE reference
// that every other path equals bit for bit. Written as docs/format.md, section 2, is; R = mantissa
// planes.
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/types.hpp"

namespace ecco::planar {

/// Half (0 low, 1 high) that holds element e, and the bit of the half's 64-bit masks: byte e % 8
/// of the half's 8 bytes, bit e / 16 of that byte.
ECCO_HD constexpr int half_of(int element) noexcept { return (element >> 3) & 1; }
ECCO_HD constexpr int mask_bit(int element) noexcept { return 8 * (element & 7) + (element >> 4); }

/// Tail bits of a value of rank u: its class, at most 3 (truncated unary: the first bit lies in
/// plane U, class 4 drops its closing zero).
template <int R>
ECCO_HD constexpr int tail_bits(int rank) noexcept {
  const int level = rank >> R;
  return level < 3 ? level : 3;
}

ECCO_HD constexpr std::uint64_t load_le64(const std::uint8_t* bytes) noexcept {
  std::uint64_t word = 0;
  for (int i = 7; i >= 0; --i) word = word << 8 | bytes[i];
  return word;
}

ECCO_HD constexpr int popcount64(std::uint64_t word) noexcept {
  int count = 0;
  for (; word != 0; word &= word - 1) ++count;
  return count;
}

/// Parallel deposit: bit i of `source` goes to the i-th lowest set bit of `mask` (x86 PDEP).
ECCO_HD constexpr std::uint64_t deposit(std::uint64_t source, std::uint64_t mask) noexcept {
  std::uint64_t result = 0;
  for (; mask != 0; mask &= mask - 1, source >>= 1) {
    if ((source & 1) != 0) result |= mask & (~mask + 1);
  }
  return result;
}

/// Class masks of one half: bit j of mask[t] = element of bit j has class >= t + 1. t = 0..3.
struct HalfMasks {
  std::uint64_t mask[4];
  int used;  ///< tail bits consumed; over 64 only in blocks that are not valid
};

/// Decodes the levels of a half (0 low, 1 high) of any 16 + 16 bytes of header, tail and plane U.
ECCO_HD constexpr HalfMasks decode_half(const std::uint8_t* block, int half_index) noexcept {
  HalfMasks out{{load_le64(block + 16 + 8 * half_index), 0, 0, 0}, 0};
  std::uint64_t tail = load_le64(block + (half_index == 0 ? 2 : 8));
  for (int t = 1; t < 4; ++t) {
    const int n = popcount64(out.mask[t - 1]);
    out.used += n;
    if (n == 0) continue;
    const std::uint64_t chunk = half_index == 0 ? tail : tail >> (64 - n);
    out.mask[t] = deposit(chunk, out.mask[t - 1]);
    if (n == 64) {
      tail = 0;
    } else {
      tail = half_index == 0 ? tail >> n : tail << n;
    }
  }
  return out;
}

/// Ranks of the 128 values of a block: total on any bytes, each rank below 5 * 2^R.
template <int R>
ECCO_HD constexpr void decode_ranks(const std::uint8_t* block, std::uint8_t* ranks) noexcept {
  const HalfMasks masks[2] = {decode_half(block, 0), decode_half(block, 1)};
  for (int e = 0; e < kGroup; ++e) {
    const HalfMasks& half_masks = masks[half_of(e)];
    int rank = 0;
    for (int t = 0; t < 4; ++t) rank += static_cast<int>(half_masks.mask[t] >> mask_bit(e) & 1);
    for (int plane = 0; plane < R; ++plane) {
      rank = 2 * rank + (block[32 + 16 * plane + e % 16] >> (e / 16) & 1);
    }
    ranks[e] = static_cast<std::uint8_t>(rank);
  }
}

/// Factor of a block's centroids: tensor_scale * block_scale, rounded to binary32.
ECCO_HD constexpr float block_factor(const std::uint8_t* block, float tensor_scale) noexcept {
  return block[1] == 0 ? 0.0f : tensor_scale * e5m3_to_float(block[1]);
}

/// Decodes any block to its centroids as they are and returns their factor. `table` holds
/// `patterns` rows of 5 * 2^R centroids; a pattern index past the table, and scale code 0, read as
/// zeros. Complexity: O(128).
template <int R>
ECCO_HD constexpr float decode_int8(const std::uint8_t* block, const std::int8_t* table,
                                    int patterns, float tensor_scale, std::int8_t* out) noexcept {
  if (block[1] == 0 || block[0] >= patterns) {
    for (int e = 0; e < kGroup; ++e) out[e] = 0;
    return block_factor(block, tensor_scale);
  }
  std::uint8_t ranks[kGroup] = {};
  decode_ranks<R>(block, ranks);
  const std::int8_t* centroids = table + block[0] * (kClasses << R);
  for (int e = 0; e < kGroup; ++e) out[e] = centroids[ranks[e]];
  return block_factor(block, tensor_scale);
}

/// Decodes any block to 128 values: factor * centroid, each product rounded once to binary32.
template <int R>
ECCO_HD constexpr void decode(const std::uint8_t* block, const std::int8_t* table, int patterns,
                              float tensor_scale, float* out) noexcept {
  std::int8_t centroids[kGroup] = {};
  const float factor = decode_int8<R>(block, table, patterns, tensor_scale, centroids);
  for (int e = 0; e < kGroup; ++e) out[e] = factor * static_cast<float>(centroids[e]);
}

/// Why a block is not valid (docs/format.md, section 2).
enum class Fault : std::uint8_t {
  none,
  half_overflow,    ///< a half uses more than 64 tail bits
  tail_overflow,    ///< both together use more than 112
  dirty_tail,       ///< an unused tail bit is set
  unknown_pattern,  ///< the pattern is not in the table
  dirty_zero,       ///< scale code 0 with other bytes set
};

constexpr const char* fault_name(Fault fault) noexcept {
  switch (fault) {
    case Fault::none:
      return "valid";
    case Fault::half_overflow:
      return "a half uses more than 64 tail bits";
    case Fault::tail_overflow:
      return "more than 112 tail bits used";
    case Fault::dirty_tail:
      return "unused tail bits are set";
    case Fault::unknown_pattern:
      return "pattern index past the table";
    case Fault::dirty_zero:
      return "scale 0 but other bytes are set";
  }
  return "unknown fault";
}

/// First rule that the block breaks, or Fault::none. Complexity: O(128).
template <int R>
ECCO_HD constexpr Fault check(const std::uint8_t* block, int patterns) noexcept {
  if (block[1] == 0) {
    for (int i = 0; i < 32 + 16 * R; ++i) {
      if (block[i] != 0) return Fault::dirty_zero;
    }
    return Fault::none;
  }
  if (block[0] >= patterns) return Fault::unknown_pattern;
  const int low = decode_half(block, 0).used;
  const int high = decode_half(block, 1).used;
  if (low > kHalfTailBits || high > kHalfTailBits) return Fault::half_overflow;
  if (low + high > kTailBits) return Fault::tail_overflow;
  for (int k = low; k < kTailBits - high; ++k) {
    if ((block[2 + k / 8] >> (k % 8) & 1) != 0) return Fault::dirty_tail;
  }
  return Fault::none;
}

/// Tail bits that the ranks need, per half.
struct TailUse {
  int half[2];
  ECCO_HD constexpr bool fits() const noexcept {
    return half[0] <= kHalfTailBits && half[1] <= kHalfTailBits && half[0] + half[1] <= kTailBits;
  }
};
template <int R>
ECCO_HD constexpr TailUse tail_use(const std::uint8_t* ranks) noexcept {
  TailUse use{{0, 0}};
  for (int e = 0; e < kGroup; ++e) use.half[half_of(e)] += tail_bits<R>(ranks[e]);
  return use;
}

/// Packs 128 ranks into the 32 + 16 R bytes at `block`. Returns false, and writes nothing, when
/// they need more tail bits than a valid block has. Preconditions: scale_code > 0, ranks below 5 *
/// 2^R.
template <int R>
ECCO_HD constexpr bool pack(const std::uint8_t* ranks, std::uint8_t pattern,
                            std::uint8_t scale_code, std::uint8_t* block) noexcept {
  if (!tail_use<R>(ranks).fits()) return false;
  for (int i = 0; i < 32 + 16 * R; ++i) block[i] = 0;
  block[0] = pattern;
  block[1] = scale_code;
  for (int e = 0; e < kGroup; ++e) {
    const unsigned bit = 1u << (e / 16);
    if (ranks[e] >> R >= 1) block[16 + e % 16] |= static_cast<std::uint8_t>(bit);
    for (int plane = 0; plane < R; ++plane) {
      if ((ranks[e] >> (R - 1 - plane) & 1) != 0) {
        block[32 + 16 * plane + e % 16] |= static_cast<std::uint8_t>(bit);
      }
    }
  }
  int low = 0;           // next free bit of the stack that grows up
  int high = kTailBits;  // bits from here on belong to the stack that grows down
  for (int t = 1; t < 4; ++t) {
    for (int half_index = 0; half_index < 2; ++half_index) {
      int count = 0;
      for (int e = 0; e < kGroup; ++e) count += half_of(e) == half_index && ranks[e] >> R >= t;
      int at = half_index == 0 ? low : high - count;
      if (half_index == 0) {
        low += count;
      } else {
        high -= count;
      }
      for (int j = 0; j < 64; ++j) {  // a chunk lists its elements in the order of their mask bits
        const int e = 16 * (j % 8) + j / 8 + 8 * half_index;
        const int level = ranks[e] >> R;
        if (level < t) continue;
        if (level > t) block[2 + at / 8] |= static_cast<std::uint8_t>(1u << (at % 8));
        ++at;
      }
    }
  }
  return true;
}

/// Calls `function` with std::integral_constant-like R of a planar codec: the one place where the
/// run-time codec becomes a template argument.
template <int R>
struct Planes {
  static constexpr int value = R;
};
template <typename Function>
constexpr decltype(auto) dispatch(Codec codec, Function&& function) {
  switch (codec) {
    case Codec::p2:
      return function(Planes<0>{});
    case Codec::p3:
      return function(Planes<1>{});
    case Codec::p5:
      return function(Planes<3>{});
    default:
      return function(Planes<2>{});
  }
}

}  // namespace ecco::planar

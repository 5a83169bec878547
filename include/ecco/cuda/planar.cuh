// SPDX-License-Identifier: MIT
// P2..P5 blocks decoded by quads of lanes, four neighbouring lanes per block: lane t of a quad
// owns 32-bit word t of every plane, so the lanes 0 and 1 hold the low half of docs/format.md, 2
// and 3 the high one. Bit 8 b + i of a word is element 16 i + 4 t + b. Total on any bytes; equal
// to planar.hpp bit for bit. docs/cuda.md, "Decoding".
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/intrinsics.cuh"

namespace ecco::cuda::planar {

inline constexpr int kQuadLanes = 4;

/// Words of one pattern in a device table: its centroids + 128 as bytes, ranks ascending.
template <int R>
inline constexpr int kPatternWords = ((kClasses << R) + 3) / 4;

/// Rows of a device table: the 256 patterns that a block can name, zeros past those that exist,
/// and a row of zeros for blocks of scale 0.
inline constexpr int kZeroPattern = kMaxPatterns;
inline constexpr int kTableRows = kMaxPatterns + 1;

/// Shared memory of a block of threads that decodes planar blocks.
template <int R>
struct SharedTables {
  std::uint8_t deposit[256];  ///< [mask + 16 chunk] = deposit(chunk, mask) + 16 popcount(mask)
  std::uint32_t patterns[kTableRows * kPatternWords<R>];
};

/// Fills SharedTables::deposit; all threads of the (one-dimensional) block call it, then
/// __syncthreads().
__device__ __forceinline__ void load_deposit(std::uint8_t (&table)[256]) {
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
    const unsigned mask = i & 15u;
    unsigned chunk = i >> 4;
    unsigned deposited = 0;
    for (unsigned bit = 0; bit < 4; ++bit) {
      if ((mask >> bit & 1u) == 0) continue;
      deposited |= (chunk & 1u) << bit;
      chunk >>= 1;
    }
    table[i] = static_cast<std::uint8_t>(deposited | __popc(mask) << 4);
  }
}

/// Fills the tables; called as load_deposit. `table` = kTableRows rows of kPatternWords<R> words.
template <int R>
__device__ __forceinline__ void load_tables(SharedTables<R>& shared, const std::uint32_t* table) {
  for (unsigned i = threadIdx.x; i < kTableRows * kPatternWords<R>; i += blockDim.x) {
    shared.patterns[i] = table[i];
  }
  load_deposit(shared.deposit);
}

/// One lane's share of a block.
template <int R>
struct LaneWords {
  uint4 head;  ///< pattern, scale and tail, the same in all four lanes
  std::uint32_t upper;
  std::uint32_t mantissa[R > 0 ? R : 1];  ///< most significant plane first
};

/// Loads the share of lane t (0..3). `block` is aligned to 16 bytes.
template <int R>
__device__ __forceinline__ LaneWords<R> load_words(const std::uint8_t* block, int t) {
  LaneWords<R> words;
  words.head = __ldg(reinterpret_cast<const uint4*>(block));
  const auto* planes = reinterpret_cast<const std::uint32_t*>(block + 16) + t;
  words.upper = __ldg(planes);
#pragma unroll
  for (int plane = 0; plane < R; ++plane) words.mantissa[plane] = __ldg(planes + 4 * plane + 4);
  return words;
}

/// Bit i of `chunk` to the i-th lowest set bit of `mask`, nibble by nibble.
__device__ __forceinline__ std::uint32_t deposit(std::uint32_t chunk, std::uint32_t mask,
                                                 const std::uint8_t* table) {
  std::uint32_t result = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const std::uint32_t index = __funnelshift_r(mask << (28 - 4 * i), chunk, 28) & 255u;
    const std::uint32_t entry = table[index];
    result = __funnelshift_r(result, entry, 4);
    chunk >>= entry >> 4;
  }
  return result;
}

/// Masks of the elements of class >= 2, of class 4, and of odd class, in a lane's word.
struct ClassMasks {
  std::uint32_t second;
  std::uint32_t fourth;
  std::uint32_t odd;
  int used;  ///< tail bits of the lane's half
};

/// Decodes the levels of the tail (docs/format.md, section 2). Whole warps call it: the two lanes
/// of a half tell each other how many elements of a level they hold.
__device__ __forceinline__ ClassMasks decode_classes(uint4 head, std::uint32_t upper, int t,
                                                     const std::uint8_t* table) {
  const bool high = (t & 2) != 0;
  const std::uint64_t middle = static_cast<std::uint64_t>(head.w) << 32 | head.z;
  const std::uint64_t bottom = static_cast<std::uint64_t>(head.x) >> 16 |
                               static_cast<std::uint64_t>(head.y) << 16 |
                               static_cast<std::uint64_t>(head.z) << 48;
  const std::uint64_t tail = high ? middle : bottom;
  std::uint32_t mask = upper;
  ClassMasks classes{0, 0, upper, 0};
  int& used = classes.used;
#pragma unroll
  for (int level = 2; level <= 4; ++level) {
    const int own = __popc(mask);
    const int other = __shfl_xor_sync(kFullMask, own, 1);
    const int before = (t & 1) != 0 ? other : 0;
    const int place = high ? 64 - used - own - other + before : used + before;
    const std::uint64_t chunk = place >= 0 ? shift_right(tail, static_cast<std::uint32_t>(place))
                                           : shift_left(tail, static_cast<std::uint32_t>(-place));
    used += own + other;
    mask = deposit(static_cast<std::uint32_t>(chunk), mask, table);
    classes.odd ^= mask;
    if (level == 2) classes.second = mask;
    if (level == 4) classes.fourth = mask;
  }
  return classes;
}

/// Bits i and i + 4 of every byte of a plane's word, moved to bit `to` of the nibbles.
__device__ __forceinline__ std::uint32_t nibble_bits(std::uint32_t word, int i, int to) {
  return (i >= to ? word >> (i - to) : word << (to - i)) & (0x11111111u << to);
}

/// Selector of PRMT that takes bytes 4..7 where the plane has a 1, else 0..3, in place.
__device__ __forceinline__ std::uint32_t choice(std::uint32_t word, int i) {
  return nibble_bits(word, i, 2) | 0x32103210u;
}

/// Selectors of the eight elements 16 i + 4 t + b and 16 (i + 4) + 4 t + b, interleaved: nibble
/// 2 b belongs to the first, 2 b + 1 to the second.
struct Selectors {
  std::uint32_t index;  ///< place of the centroid in eight bytes
  std::uint32_t odd;    ///< choices by class, see ClassMasks
  std::uint32_t second;
  std::uint32_t fourth;

  __device__ __forceinline__ Selectors upper() const {
    return {index >> 16, odd >> 16, second >> 16, fourth >> 16};
  }
};

template <int R>
__device__ __forceinline__ Selectors selectors(const LaneWords<R>& words,
                                               const ClassMasks& classes, int i) {
  Selectors out{0, 0, 0, choice(classes.fourth, i)};
#pragma unroll
  for (int plane = 0; plane < R; ++plane) {
    out.index |= nibble_bits(words.mantissa[plane], i, R - 1 - plane);
  }
  if constexpr (R <= 2) out.index |= nibble_bits(classes.odd, i, R);
  if constexpr (R == 0) {
    out.index |= nibble_bits(classes.second & ~classes.fourth, i, 1);
    out.index |= nibble_bits(classes.fourth, i, 2);
  }
  if constexpr (R == 1) out.index |= nibble_bits(classes.second, i, 2);
  if constexpr (R == 2) out.second = choice(classes.second, i);
  if constexpr (R == 3) {
    out.odd = choice(classes.odd, i);
    out.second = choice(classes.second, i);
  }
  return out;
}

/// Four centroids + 128 of a pattern by the low four nibbles of the selectors.
template <int R>
__device__ __forceinline__ std::uint32_t centroids(const std::uint32_t (&p)[kPatternWords<R>],
                                                   const Selectors& s) {
  if constexpr (R == 0) {
    return prmt(p[0], p[1], s.index);
  } else if constexpr (R == 1) {
    return prmt(prmt(p[0], p[1], s.index), prmt(p[2], p[2], s.index), s.fourth);
  } else if constexpr (R == 2) {
    const std::uint32_t low = prmt(p[0], p[1], s.index);
    const std::uint32_t high = prmt(p[2], p[3], s.index);
    return prmt(prmt(low, high, s.second), prmt(p[4], p[4], s.index), s.fourth);
  } else {
    const std::uint32_t low = prmt(prmt(p[0], p[1], s.index), prmt(p[2], p[3], s.index), s.odd);
    const std::uint32_t high = prmt(prmt(p[4], p[5], s.index), prmt(p[6], p[7], s.index), s.odd);
    return prmt(prmt(low, high, s.second), prmt(p[8], p[9], s.index), s.fourth);
  }
}

/// Centroids + 128 of the elements 16 i + 4 t + 0..3 and of 16 (i + 4) + 4 t + 0..3, i = 0..3.
struct CentroidPair {
  std::uint32_t low;
  std::uint32_t high;
};
template <int R>
__device__ __forceinline__ CentroidPair
centroid_pair(const std::uint32_t (&pattern)[kPatternWords<R>], const LaneWords<R>& words,
              const ClassMasks& classes, int i) {
  const Selectors lower = selectors<R>(words, classes, i);
  const std::uint32_t x = centroids<R>(pattern, lower);
  const std::uint32_t y = centroids<R>(pattern, lower.upper());
  return {prmt(x, y, 0x6420u), prmt(x, y, 0x7531u)};
}

/// Decodes one block with a quad and hands the values out: sink(i, values) gets the elements 16 i
/// + 4 t + 0..3 of lane t, i = 0..7 in the order 0, 4, 1, 5, 2, 6, 3, 7. Whole warps call it, each
/// quad with a block of its own. `patterns` = patterns of the table. Each product is rounded once.
///
/// @code
/// __shared__ ecco::cuda::planar::SharedTables<2> tables;        // P4
/// ecco::cuda::planar::load_tables<2>(tables, table);  // DeviceTensorView::patterns, as words
/// __syncthreads();
/// const int t = threadIdx.x % 4;
/// ecco::cuda::planar::decode_quad<2>(block, t, tables, tensor_scale,
///     [&](int i, const float (&v)[4]) { /* elements 16 * i + 4 * t + 0..3 */ });
/// @endcode
template <int R, typename Sink>
__device__ __forceinline__ void decode_quad(const std::uint8_t* block, int t,
                                            const SharedTables<R>& tables, float tensor_scale,
                                            Sink&& sink) {
  const LaneWords<R> words = load_words<R>(block, t);
  const ClassMasks classes = decode_classes(words.head, words.upper, t, tables.deposit);
  const std::uint32_t code = words.head.x >> 8 & 255u;
  const int row = code == 0 ? kZeroPattern : static_cast<int>(words.head.x & 255u);
  const float factor = tensor_scale * bits_float((code << 20) + (103u << 23));
  std::uint32_t pattern[kPatternWords<R>];
#pragma unroll
  for (int i = 0; i < kPatternWords<R>; ++i) {
    pattern[i] = tables.patterns[row * kPatternWords<R> + i];
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const CentroidPair pair = centroid_pair<R>(pattern, words, classes, i);
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      float values[4];
      scale_bytes(k == 0 ? pair.low : pair.high, factor, values);
      sink(i + 4 * k, values);
    }
  }
}

}  // namespace ecco::cuda::planar

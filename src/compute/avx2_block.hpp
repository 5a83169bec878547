// SPDX-License-Identifier: MIT
// One planar block to 128 int8 centroids with AVX2 and BMI2; equals planar::decode_int8 on any
// bytes. For use inside AVX2 target regions only.
//
// The scalar side turns the tail into class masks: per half two chains of three deposits (PDEP).
// The vector side gathers, for each element, its bit of every plane into an index of at most 4
// bits: two delta swaps transpose 4 planes of 8 bits per byte to 8 indices of 4 bits per 4 bytes.
// A byte shuffle then looks the centroid up; patterns of 20 and 40 centroids take two and three
// shuffles of 16 and a choice by mask. The windows of 16 are loaded straight from the table.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ecco/planar.hpp"
#include "ecco/tensor.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco::avx2 {

/// Centroids of a block: part[g] holds elements 32 g .. 32 g + 31.
struct BlockBytes {
  __m256i part[4];
};

/// What decoding needs of a tensor besides the block.
struct Table {
  const std::int8_t* centroids;
  int patterns;

  explicit Table(const TensorView& tensor) noexcept
      : centroids(tensor.table().centroids.data()), patterns(tensor.table().patterns()) {}
};

/// Stands in for patterns past the table and for blocks of scale 0.
alignas(64) inline constexpr std::int8_t kZeroPattern[64] = {};

[[gnu::always_inline]] inline std::uint64_t load64(const std::uint8_t* bytes) noexcept {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

[[gnu::always_inline]] inline __m128i load128(const void* bytes) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(bytes));
}

[[gnu::always_inline]] inline __m256i pair(__m128i low, __m128i high) noexcept {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

/// Class masks as planes: bit of class_n set = class >= n.
struct Classes {
  __m128i at_least_1, at_least_2, at_least_3, at_least_4;
};

/// Fetches blocks that are soon due: P4 decodes to int8 from DRAM at 17 G values/s with it, 12.5
/// without. The address may lie past the tensor, where a prefetch does nothing.
[[gnu::always_inline]] inline void prefetch_ahead(const std::uint8_t* block) noexcept {
  constexpr std::uintptr_t kAhead = 2048;
  _mm_prefetch(reinterpret_cast<const char*>(reinterpret_cast<std::uintptr_t>(block) + kAhead),
               _MM_HINT_T0);
}

/// Shift counts are used modulo 64, as SHLX and SHRX do. Only the first shift of a register must
/// get n = 64 right (it empties the register), hence its two steps: a later n = 64 needs n = 64
/// before it, which leaves nothing to shift; and where n = 0, all later masks are empty.
[[gnu::always_inline]] inline Classes decode_classes(const std::uint8_t* block) noexcept {
  const auto count = [](std::uint64_t word) {
    return static_cast<unsigned>(__builtin_popcountll(word));
  };
  const std::uint64_t low1 = load64(block + 16);
  const std::uint64_t high1 = load64(block + 24);
  std::uint64_t low_tail = load64(block + 2);
  std::uint64_t high_tail = load64(block + 8);
  unsigned n = count(low1);
  const std::uint64_t low2 = _pdep_u64(low_tail, low1);
  low_tail = low_tail >> 1 >> ((n - 1) & 63);
  const std::uint64_t low3 = _pdep_u64(low_tail, low2);
  low_tail >>= count(low2) & 63;
  const std::uint64_t low4 = _pdep_u64(low_tail, low3);
  n = count(high1);
  const std::uint64_t high2 = _pdep_u64(high_tail >> (-n & 63), high1);
  high_tail = high_tail << 1 << ((n - 1) & 63);
  n = count(high2);
  const std::uint64_t high3 = _pdep_u64(high_tail >> (-n & 63), high2);
  high_tail <<= n & 63;
  const std::uint64_t high4 = _pdep_u64(high_tail >> (-count(high3) & 63), high3);
  const auto plane = [](std::uint64_t low, std::uint64_t high) {
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  };
  return {load128(block + 16), plane(low2, high2), plane(low3, high3), plane(low4, high4)};
}

/// Indices of 4 bits: part[g] has those of elements 32 g .. 32 g + 31, bit b from planes[b].
[[gnu::always_inline]] inline BlockBytes transpose(const __m128i planes[4]) noexcept {
  const __m256i bits55 = _mm256_set1_epi8(0x55);
  const __m256i bits33 = _mm256_set1_epi8(0x33);
  const __m256i bits0f = _mm256_set1_epi8(0x0f);
  const __m256i a = pair(planes[0], planes[2]);
  const __m256i b = pair(planes[1], planes[3]);
  // Bit pairs: even elements' (a, b) in `even`, odd elements' in `odd`.
  const __m256i swap1 = _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(a, 1), b), bits55);
  const __m256i odd = _mm256_xor_si256(b, swap1);
  const __m256i even = _mm256_xor_si256(a, _mm256_add_epi8(swap1, swap1));
  const __m256i low_pairs = _mm256_permute2x128_si256(even, odd, 0x20);
  const __m256i high_pairs = _mm256_permute2x128_si256(even, odd, 0x31);
  // Nibbles: low lane even elements, high lane odd ones; 0, 4 and 1, 5 in `first`.
  const __m256i swap2 =
      _mm256_and_si256(_mm256_xor_si256(_mm256_srli_epi16(low_pairs, 2), high_pairs), bits33);
  const __m256i second = _mm256_xor_si256(high_pairs, swap2);
  const __m256i first = _mm256_xor_si256(low_pairs, _mm256_slli_epi16(swap2, 2));
  return {{_mm256_and_si256(first, bits0f), _mm256_and_si256(second, bits0f),
           _mm256_and_si256(_mm256_srli_epi16(first, 4), bits0f),
           _mm256_and_si256(_mm256_srli_epi16(second, 4), bits0f)}};
}

/// Moves the mask's bit 2 g (low lane) and 2 g + 1 (high lane) of every byte to its sign, where
/// BLENDV reads it; the other bits are of no use.
template <int G>
[[gnu::always_inline]] inline __m256i sign_of(__m256i mask) noexcept {
  constexpr int kLow = 7 - 2 * G;
  constexpr int kHigh = 6 - 2 * G;
  return _mm256_sllv_epi32(mask,
                           _mm256_set_epi32(kHigh, kHigh, kHigh, kHigh, kLow, kLow, kLow, kLow));
}

/// value where the mask has no bit, other where it has one.
[[gnu::always_inline]] inline BlockBytes choose(const BlockBytes& value, const BlockBytes& other,
                                                __m128i mask) noexcept {
  const __m256i both = _mm256_broadcastsi128_si256(mask);
  return {{_mm256_blendv_epi8(value.part[0], other.part[0], sign_of<0>(both)),
           _mm256_blendv_epi8(value.part[1], other.part[1], sign_of<1>(both)),
           _mm256_blendv_epi8(value.part[2], other.part[2], sign_of<2>(both)),
           _mm256_blendv_epi8(value.part[3], other.part[3], sign_of<3>(both))}};
}

[[gnu::always_inline]] inline BlockBytes look_up(const BlockBytes& indices,
                                                 __m128i window) noexcept {
  const __m256i both = _mm256_broadcastsi128_si256(window);
  return {{_mm256_shuffle_epi8(both, indices.part[0]), _mm256_shuffle_epi8(both, indices.part[1]),
           _mm256_shuffle_epi8(both, indices.part[2]),
           _mm256_shuffle_epi8(both, indices.part[3])}};
}

/// First centroid of the block's pattern, or zeros. `width` = centroids of a pattern.
[[gnu::always_inline]] inline const std::int8_t* pattern_of(const std::uint8_t* block,
                                                            const Table& table,
                                                            int width) noexcept {
  const std::int8_t* pattern = table.centroids + block[0] * width;
  const bool zeros = (block[1] == 0) | (block[0] >= table.patterns);
  return zeros ? kZeroPattern : pattern;
}

/// A pattern of 5 or 10 bytes (R = 0, 1) in the low bytes of a register; nothing past it is read.
template <int R>
[[gnu::always_inline]] inline __m128i load_small_pattern(const std::int8_t* pattern) noexcept {
  if constexpr (R == 0) {
    std::int32_t first;
    std::memcpy(&first, pattern, sizeof first);
    return _mm_insert_epi8(_mm_cvtsi32_si128(first), pattern[4], 4);
  } else {
    std::int16_t last;
    std::memcpy(&last, pattern + 8, sizeof last);
    return _mm_insert_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(pattern)), last, 4);
  }
}

/// The 5 * 2^R bytes of a pattern as windows of 16 that byte shuffles index: for R = 2 classes
/// 0..3, then (2, 3 and) 4 at its end; for R = 3 classes 0 and 1, 2 and 3, (3 and) 4.
template <int R>
struct Windows {
  static constexpr int kCount = R <= 1 ? 1 : R;
  __m128i window[kCount];
};

template <int R>
[[gnu::always_inline]] inline Windows<R> load_windows(const std::int8_t* pattern) noexcept {
  if constexpr (R <= 1) {
    return {{load_small_pattern<R>(pattern)}};
  } else if constexpr (R == 2) {
    return {{load128(pattern), load128(pattern + 4)}};
  } else {
    return {{load128(pattern), load128(pattern + 16), load128(pattern + 24)}};
  }
}

/// Where each element's centroid lies: an index into a window and which window.
struct Places {
  BlockBytes index;
  __m128i second;  ///< R = 3: classes >= 2, that is the second window
  __m128i last;    ///< R = 2, 3: class 4, that is the last window
};

/// Places of any block. In windows of 16 the classes 1, 3 and 4 are odd (R = 3), 2, 3 and 4 upper
/// (R = 2).
template <int R>
[[gnu::always_inline]] inline Places decode_places(const std::uint8_t* block) noexcept {
  prefetch_ahead(block);
  const auto [u1, u2, u3, u4] = decode_classes(block);
  const __m128i odd = _mm_xor_si128(u1, _mm_xor_si128(u2, u3));
  if constexpr (R == 0) {  // index = the class in binary
    const __m128i planes[4] = {_mm_xor_si128(odd, u4), _mm_xor_si128(u2, u4), u4,
                               _mm_setzero_si128()};
    return {transpose(planes), u2, u4};
  } else if constexpr (R == 1) {
    const __m128i planes[4] = {load128(block + 32), _mm_xor_si128(odd, u4), _mm_xor_si128(u2, u4),
                               u4};
    return {transpose(planes), u2, u4};
  } else if constexpr (R == 2) {
    const __m128i planes[4] = {load128(block + 48), load128(block + 32), odd, u2};
    return {transpose(planes), u2, u4};
  } else {
    const __m128i planes[4] = {load128(block + 64), load128(block + 48), load128(block + 32), odd};
    return {transpose(planes), u2, u4};
  }
}

/// The bytes of the windows at the places.
template <int R>
[[gnu::always_inline]] inline BlockBytes look_up(const Places& places,
                                                 const Windows<R>& windows) noexcept {
  BlockBytes bytes = look_up(places.index, windows.window[0]);
  if constexpr (R == 3) {
    bytes = choose(bytes, look_up(places.index, windows.window[1]), places.second);
  }
  if constexpr (R >= 2) {
    bytes = choose(bytes, look_up(places.index, windows.window[R - 1]), places.last);
  }
  return bytes;
}

/// Centroids of any block.
template <int R>
[[gnu::always_inline]] inline BlockBytes decode_block(const std::uint8_t* block,
                                                      const Table& table) noexcept {
  const std::int8_t* pattern = pattern_of(block, table, kClasses << R);
  return look_up<R>(decode_places<R>(block), load_windows<R>(pattern));
}

}  // namespace ecco::avx2

#include "isa/target_avx2_end.hpp"

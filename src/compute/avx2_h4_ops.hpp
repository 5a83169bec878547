// SPDX-License-Identifier: MIT
// What h4_rows.hpp leaves to the instruction set, in AVX2: look-ups by symbol. The decoder writes
// symbols last one first.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#include "compute/avx2_block.hpp"
#include "ecco/h4.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco::avx2 {

struct H4Ops {
  static int sum_lengths(const std::uint8_t* symbols, const std::uint8_t* lengths) noexcept {
    const __m256i table = _mm256_broadcastsi128_si256(load128(lengths));
    __m256i sum = _mm256_setzero_si256();  // at most 4 * 8 per byte
    for (int i = 0; i < kGroup; i += 32) {
      const auto* at = reinterpret_cast<const __m256i*>(symbols + i);
      sum = _mm256_add_epi8(sum, _mm256_shuffle_epi8(table, _mm256_loadu_si256(at)));
    }
    const __m256i words = _mm256_sad_epu8(sum, _mm256_setzero_si256());
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    return static_cast<int>(_mm_cvtsi128_si64(two) + _mm_extract_epi64(two, 1));
  }

  /// out[127 - i] = table[symbols[i]] over 128 symbols; both aligned to nothing but the table,
  /// which lies on 32 bytes if it is longer than 16.
  static void look_up_reversed(const std::uint8_t* symbols, const std::int8_t* table,
                               std::int8_t* out) noexcept {
    const __m256i values = _mm256_broadcastsi128_si256(load128(table));
    for (int i = 0; i < kGroup; i += 32) {
      const __m256i order = _mm256_permute4x64_epi64(reversed_halves(symbols + i), 0x4e);
      store(out + kGroup - 32 - i, _mm256_shuffle_epi8(values, order));
    }
  }
  template <typename T>
  requires(sizeof(T) == 2) static void look_up_reversed(const std::uint8_t* symbols,
                                                        const T* table, T* out) noexcept {
    const __m256i split = _mm256_shuffle_epi8(
        load(table), _mm256_broadcastsi128_si256(
                         _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)));
    const __m256i low = _mm256_permute4x64_epi64(split, 0x88);
    const __m256i high = _mm256_permute4x64_epi64(split, 0xdd);
    for (int i = 0; i < kGroup; i += 32) {
      // Quadwords 0 2 | 1 3 in order, so that halves put together are neighbours.
      const __m256i order = _mm256_permute4x64_epi64(reversed_halves(symbols + i), 0x72);
      const __m256i lows = _mm256_shuffle_epi8(low, order);
      const __m256i highs = _mm256_shuffle_epi8(high, order);
      T* const to = out + kGroup - 32 - i;
      store(to, _mm256_unpacklo_epi8(lows, highs));
      store(to + 16, _mm256_unpackhi_epi8(lows, highs));
    }
  }
  static void look_up_reversed(const std::uint8_t* symbols, const float* table,
                               float* out) noexcept {
    __m256i planes[4];
    split_bytes(table, planes);
    for (int i = 0; i < kGroup; i += 32) {
      // Doublewords 0 2 4 6 | 1 3 5 7 in order, for the same reason.
      const __m256i order = _mm256_permutevar8x32_epi32(reversed_halves(symbols + i),
                                                        _mm256_setr_epi32(4, 6, 0, 2, 5, 7, 1, 3));
      const auto bytes = [&](int b) { return _mm256_shuffle_epi8(planes[b], order); };
      const __m256i low0 = _mm256_unpacklo_epi8(bytes(0), bytes(1));
      const __m256i low1 = _mm256_unpackhi_epi8(bytes(0), bytes(1));
      const __m256i high0 = _mm256_unpacklo_epi8(bytes(2), bytes(3));
      const __m256i high1 = _mm256_unpackhi_epi8(bytes(2), bytes(3));
      float* const to = out + kGroup - 32 - i;
      store(to, _mm256_unpacklo_epi16(low0, high0));
      store(to + 8, _mm256_unpackhi_epi16(low0, high0));
      store(to + 16, _mm256_unpacklo_epi16(low1, high1));
      store(to + 24, _mm256_unpackhi_epi16(low1, high1));
    }
  }

  /// out[127 - i] = symbols[i] over 128 symbols.
  static void reverse(const std::uint8_t* symbols, std::uint8_t* out) noexcept {
    for (int i = 0; i < kGroup; i += 32) {
      store(out + kGroup - 32 - i, _mm256_permute4x64_epi64(reversed_halves(symbols + i), 0x4e));
    }
  }

 private:
  static __m256i load(const void* from) noexcept {
    return _mm256_loadu_si256(static_cast<const __m256i*>(from));
  }
  static void store(void* to, __m256i bytes) noexcept {
    _mm256_storeu_si256(static_cast<__m256i*>(to), bytes);
  }

  // 16 + 16 bytes, each last one first.
  static __m256i reversed_halves(const std::uint8_t* bytes) noexcept {
    const __m128i order = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm256_shuffle_epi8(load(bytes), _mm256_broadcastsi128_si256(order));
  }

  // planes[b] = byte b of each of sixteen floats, in both halves.
  static void split_bytes(const float* table, __m256i* planes) noexcept {
    const __m256i bytes = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m256i low = _mm256_shuffle_epi8(load(table), bytes);       // entries 0..3 | 4..7
    const __m256i high = _mm256_shuffle_epi8(load(table + 8), bytes);  // 8..11 | 12..15
    const __m256i even = _mm256_unpacklo_epi32(low, high);  // b0: 0 2, b1: 0 2 | b0: 1 3, b1: 1 3
    const __m256i odd = _mm256_unpackhi_epi32(low, high);   // b2 and b3 alike
    const __m256i fours = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i two = _mm256_permutevar8x32_epi32(even, fours);  // b0: 0 1 2 3 | b1: 0 1 2 3
    const __m256i more = _mm256_permutevar8x32_epi32(odd, fours);
    planes[0] = _mm256_permute2x128_si256(two, two, 0x00);
    planes[1] = _mm256_permute2x128_si256(two, two, 0x11);
    planes[2] = _mm256_permute2x128_si256(more, more, 0x00);
    planes[3] = _mm256_permute2x128_si256(more, more, 0x11);
  }
};

}  // namespace ecco::avx2

#include "isa/target_avx2_end.hpp"

#endif

// SPDX-License-Identifier: MIT
// Pieces of the products with 128 int8 weights in registers, for any codec. For use inside AVX2
// target regions only.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "compute/avx2_block.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco::avx2 {

// Bytes 16 I .. 16 I + 15 of a block.
template <int I>
[[gnu::always_inline]] inline __m128i sixteen(const BlockBytes& bytes) noexcept {
  return I % 2 == 0 ? _mm256_castsi256_si128(bytes.part[I / 2])
                    : _mm256_extracti128_si256(bytes.part[I / 2], 1);
}

// Eight int8 in the low half of `bytes`, widened.
[[gnu::always_inline]] inline __m256 to_floats(__m128i bytes) noexcept {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

[[gnu::always_inline]] inline __m128i upper_eight(__m128i bytes) noexcept {
  return _mm_unpackhi_epi64(bytes, bytes);
}

// Calls use(I, low eight, high eight) for I = 0 .. 7: elements 16 I .. 16 I + 15 as floats.
template <int I = 0, typename Use>
[[gnu::always_inline]] inline void for_each_sixteen(const BlockBytes& bytes, const Use& use) {
  const __m128i part = sixteen<I>(bytes);
  use(I, to_floats(part), to_floats(upper_eight(part)));
  if constexpr (I < 7) for_each_sixteen<I + 1>(bytes, use);
}

// Sums of lanes by halves: lane l += lane l + 4, then 2, 1 (gemv.hpp).
[[gnu::always_inline]] inline float sum_by_halves(__m256 lanes) noexcept {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

[[gnu::always_inline]] inline void store_bytes(const BlockBytes& bytes,
                                               std::int8_t* out) noexcept {
  for (int g = 0; g < 4; ++g) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 32 * g), bytes.part[g]);
  }
}

[[gnu::always_inline]] inline BlockBytes load_bytes(const std::int8_t* bytes) noexcept {
  BlockBytes out;
  for (int g = 0; g < 4; ++g) {
    out.part[g] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32 * g));
  }
  return out;
}

// Lanes 0..7 and 8..15 of a row's sums. (No default initialisers: GCC would compile the implicit
// constructor without AVX2.)
struct Lanes16 {
  __m256 low;
  __m256 high;
};

[[gnu::always_inline]] inline Lanes16 zero_lanes() noexcept {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
// Adds a block's products with 128 values to a row's sums.
[[gnu::always_inline]] inline void add_block(const BlockBytes& bytes, float block_factor,
                                             const float* x, Lanes16& sums) noexcept {
  Lanes16 partial = zero_lanes();
  for_each_sixteen(bytes, [&](int i, __m256 low, __m256 high) {
    partial.low = _mm256_fmadd_ps(low, _mm256_loadu_ps(x + 16 * i), partial.low);
    partial.high = _mm256_fmadd_ps(high, _mm256_loadu_ps(x + 16 * i + 8), partial.high);
  });
  const __m256 factor = _mm256_set1_ps(block_factor);
  sums.low = _mm256_fmadd_ps(factor, partial.low, sums.low);
  sums.high = _mm256_fmadd_ps(factor, partial.high, sums.high);
}

// Eight partial sums of the dot product of 128 int8: |c| <= 123 and |x| <= 127, so a pair of
// products fits 16 bits.
[[gnu::always_inline]] inline __m256i dot_block(const BlockBytes& centroids,
                                                const std::int8_t* x) noexcept {
  __m256i sum = _mm256_setzero_si256();
  for (int g = 0; g < 4; ++g) {
    const __m256i c = centroids.part[g];
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * g));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(c), _mm256_sign_epi8(values, c));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  return sum;
}

// Lane j = the sum of dots[j].
[[gnu::always_inline]] inline __m256 sum_dots(const __m256i dots[8]) noexcept {
  const __m256i first =
      _mm256_hadd_epi32(_mm256_hadd_epi32(dots[0], dots[1]), _mm256_hadd_epi32(dots[2], dots[3]));
  const __m256i last =
      _mm256_hadd_epi32(_mm256_hadd_epi32(dots[4], dots[5]), _mm256_hadd_epi32(dots[6], dots[7]));
  return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_permute2x128_si256(first, last, 0x20),
                                             _mm256_permute2x128_si256(first, last, 0x31)));
}

// The first `count` <= 8 factors of x, then 0.
[[gnu::always_inline]] inline __m256 activation_factors(const float* factors,
                                                        std::size_t count) noexcept {
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  return _mm256_maskload_ps(factors,
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane));
}

}  // namespace ecco::avx2

#include "isa/target_avx2_end.hpp"

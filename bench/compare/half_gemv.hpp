// SPDX-License-Identifier: MIT
// y = W x for W in half: the plain loop of an engine that keeps fp16 weights, with F16C and FMA.
#pragma once

#include <immintrin.h>

#include <cstddef>

#include "ecco/types.hpp"

namespace ecco::bench {

/// W is rows x cols without gaps, cols a multiple of 32. Precondition: the CPU has AVX2's set.
[[gnu::target("avx2,fma,f16c")]] inline void half_gemv(const half* w, std::size_t rows,
                                                       std::size_t cols, const float* x,
                                                       float* y) {
  for (std::size_t r = 0; r < rows; ++r, w += cols) {
    __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                      _mm256_setzero_ps()};
    for (std::size_t k = 0; k < cols; k += 32) {
      for (std::size_t i = 0; i < 4; ++i) {
        const __m256 weights =
            _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w + k + 8 * i)));
        sums[i] = _mm256_fmadd_ps(weights, _mm256_loadu_ps(x + k + 8 * i), sums[i]);
      }
    }
    alignas(32) float lanes[8];
    _mm256_store_ps(
        lanes, _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
    y[r] = 0.0f;
    for (const float lane : lanes) y[r] += lane;
  }
}

}  // namespace ecco::bench

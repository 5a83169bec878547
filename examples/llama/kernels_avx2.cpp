// SPDX-License-Identifier: MIT
// The kernels for AVX2, FMA and F16C. Only the functions marked LLAMA_AVX2 contain such code.
#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "llama/kernels.hpp"

#define LLAMA_AVX2 __attribute__((target("avx2,fma,f16c")))

namespace llama {
namespace {

using ecco::MatrixView;

LLAMA_AVX2 inline __m128i load_8_words(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

LLAMA_AVX2 inline __m256 load_8(Dtype dtype, const std::uint8_t* from) {
  switch (dtype) {
    case Dtype::f16:
      return _mm256_cvtph_ps(load_8_words(from));
    case Dtype::bf16:
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_8_words(from)), 16));
    case Dtype::f32:
      break;
  }
  __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm256_castsi256_ps(bits);
}

LLAMA_AVX2 void widen(Dtype dtype, const std::uint8_t* from, std::size_t count, float* to) {
  const std::size_t size = value_bytes(dtype);
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(to + i, load_8(dtype, from + i * size));
  if (i == count) return;
  std::uint8_t tail[8 * sizeof(float)] = {};
  float values[8];
  std::memcpy(tail, from + i * size, (count - i) * size);
  _mm256_storeu_ps(values, load_8(dtype, tail));
  std::memcpy(to + i, values, (count - i) * sizeof(float));
}

LLAMA_AVX2 inline float sum_lanes(__m256 lanes) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(lanes), _mm256_extractf128_ps(lanes, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/// Products of W rows of w with X rows of x: W * X sums of 8 lanes stay in registers.
///
///            w: W rows
///          +---+---+---+---+
///   x:     | . | . | . | . |   each cell: 8 lanes over k = 0, 8, 16, ...
///   X rows | . | . | . | . |
///          | . | . | . | . |
///          +---+---+---+---+
template <std::size_t W, std::size_t X>
LLAMA_AVX2 inline void multiply_tile(MatrixView<const float> w, std::size_t r,
                                     MatrixView<const float> x, std::size_t b,
                                     MatrixView<float> y) {
  const float* rows[W];
  const float* batch[X];
  __m256 sums[X][W];
  for (std::size_t j = 0; j < W; ++j) rows[j] = w.row(r + j);
  for (std::size_t i = 0; i < X; ++i) batch[i] = x.row(b + i);
  for (auto& row : sums) {
    for (__m256& sum : row) sum = _mm256_setzero_ps();
  }
  const std::size_t cols = padded(w.cols);
  for (std::size_t k = 0; k < cols; k += 8) {
    __m256 inputs[X];
    for (std::size_t i = 0; i < X; ++i) inputs[i] = _mm256_loadu_ps(batch[i] + k);
    for (std::size_t j = 0; j < W; ++j) {
      const __m256 weights = _mm256_loadu_ps(rows[j] + k);
      for (std::size_t i = 0; i < X; ++i) {
        sums[i][j] = _mm256_fmadd_ps(weights, inputs[i], sums[i][j]);
      }
    }
  }
  for (std::size_t i = 0; i < X; ++i) {
    for (std::size_t j = 0; j < W; ++j) y.row(b + i)[r + j] = sum_lanes(sums[i][j]);
  }
}

template <std::size_t X>
LLAMA_AVX2 inline void multiply_batch(MatrixView<const float> w, MatrixView<const float> x,
                                      std::size_t b, MatrixView<float> y) {
  std::size_t r = 0;
  for (; r + 4 <= w.rows; r += 4) multiply_tile<4, X>(w, r, x, b, y);
  for (; r < w.rows; ++r) multiply_tile<1, X>(w, r, x, b, y);
}

LLAMA_AVX2 void multiply(MatrixView<const float> w, MatrixView<const float> x,
                         MatrixView<float> y) {
  std::size_t b = 0;
  for (; b + 3 <= x.rows; b += 3) multiply_batch<3>(w, x, b, y);
  for (; b < x.rows; ++b) multiply_batch<1>(w, x, b, y);
}

LLAMA_AVX2 inline float dot(const float* a, const float* b, std::size_t count) {
  __m256 even = _mm256_setzero_ps();
  __m256 odd = _mm256_setzero_ps();
  std::size_t k = 0;
  for (; k + 16 <= count; k += 16) {
    even = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), _mm256_loadu_ps(b + k), even);
    odd = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 8), _mm256_loadu_ps(b + k + 8), odd);
  }
  float sum = sum_lanes(_mm256_add_ps(even, odd));
  for (; k < count; ++k) sum += a[k] * b[k];
  return sum;
}

/// Columns begin .. begin + 32 of the weighted sum of the values.
LLAMA_AVX2 inline void blend_32(const Attention& a, std::size_t begin) {
  __m256 sums[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                    _mm256_setzero_ps()};
  for (std::size_t t = 0; t < a.count; ++t) {
    const __m256 weight = _mm256_set1_ps(a.scores[t]);
    const float* value = a.values + t * a.stride + begin;
    for (std::size_t i = 0; i < 4; ++i) {
      sums[i] = _mm256_fmadd_ps(weight, _mm256_loadu_ps(value + 8 * i), sums[i]);
    }
  }
  for (std::size_t i = 0; i < 4; ++i) _mm256_storeu_ps(a.out + begin + 8 * i, sums[i]);
}

LLAMA_AVX2 void attend(const Attention& a) {
  for (std::size_t t = 0; t < a.count; ++t) {
    a.scores[t] = dot(a.query, a.keys + t * a.stride, a.dim) * a.scale;
  }
  const float inverse = 1.0f / detail::exponentiate(a.scores, a.count);
  for (std::size_t t = 0; t < a.count; ++t) a.scores[t] *= inverse;
  std::size_t i = 0;
  for (; i + 32 <= a.dim; i += 32) blend_32(a, i);
  for (; i < a.dim; ++i) {
    float sum = 0.0f;
    for (std::size_t t = 0; t < a.count; ++t) sum += a.scores[t] * a.values[t * a.stride + i];
    a.out[i] = sum;
  }
}

constexpr Kernels kAvx2 = {widen, multiply, attend};

}  // namespace

const Kernels& detail::avx2_kernels() { return kAvx2; }

}  // namespace llama

#endif

// SPDX-License-Identifier: MIT
// Planar codecs on the AVX2 path: blocks are decoded in registers (avx2_block.hpp) and stored or
// multiplied there.
#include "compute/kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "compute/avx2_block.hpp"
#include "compute/avx2_gemm.hpp"
#include "compute/avx2_products.hpp"
#include "ecco/planar.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco {
namespace {

using namespace avx2;  // NOLINT(google-build-using-namespace): the pieces of this path

constexpr std::size_t kBlockStride(int planes) {
  return static_cast<std::size_t>(32 + 16 * planes);
}

// ---- Decode ------------------------------------------------------------------------------------

// 128 values as f32: every centroid is widened and multiplied.
template <int R>
[[gnu::always_inline]] inline void decode_values(const std::uint8_t* block, const Table& table,
                                                 float tensor_scale, float* out) noexcept {
  const __m256 factor = _mm256_set1_ps(planar::block_factor(block, tensor_scale));
  for_each_sixteen(decode_block<R>(block, table), [&](int i, __m256 low, __m256 high) {
    _mm256_storeu_ps(out + 16 * i, _mm256_mul_ps(factor, low));
    _mm256_storeu_ps(out + 16 * i + 8, _mm256_mul_ps(factor, high));
  });
}

// Eight values as the 16 bits of T in 32-bit lanes.
template <typename T>
[[gnu::always_inline]] inline __m256i round_to(__m256 values) noexcept {
  if constexpr (std::is_same_v<T, half>) {
    return _mm256_cvtepu16_epi32(_mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  } else {  // bfloat16; the values are finite, so there is no NaN to keep
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  }
}

// The 16 values factor * window in T: low bytes in the low lane, high bytes in the high lane.
template <typename T>
[[gnu::always_inline]] inline __m256i scale_window(__m128i window, __m256 factor) noexcept {
  const __m256i first = round_to<T>(_mm256_mul_ps(factor, to_floats(window)));
  const __m256i last = round_to<T>(_mm256_mul_ps(factor, to_floats(upper_eight(window))));
  const __m256i words = _mm256_packus_epi32(first, last);  // 0-3, 8-11 | 4-7, 12-15
  const __m256i bytes = _mm256_packus_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xff)),
                                            _mm256_srli_epi16(words, 8));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_set_epi32(7, 3, 6, 2, 5, 1, 4, 0));
}

// 128 values in a 16-bit type: the pattern's few values are multiplied and rounded, then their
// low and high bytes are looked up.
template <int R, typename T>
[[gnu::always_inline]] inline void decode_values(const std::uint8_t* block, const Table& table,
                                                 float tensor_scale, T* out) noexcept {
  const auto pattern = avx2::load_windows<R>(avx2::pattern_of(block, table, kClasses << R));
  const __m256 factor = _mm256_set1_ps(planar::block_factor(block, tensor_scale));
  avx2::Windows<R> low_windows;
  avx2::Windows<R> high_windows;
  for (int w = 0; w < avx2::Windows<R>::kCount; ++w) {
    const __m256i values = scale_window<T>(pattern.window[w], factor);
    low_windows.window[w] = _mm256_castsi256_si128(values);
    high_windows.window[w] = _mm256_extracti128_si256(values, 1);
  }
  const avx2::Places places = avx2::decode_places<R>(block);
  const BlockBytes low = avx2::look_up<R>(places, low_windows);
  const BlockBytes high = avx2::look_up<R>(places, high_windows);
  auto* to = reinterpret_cast<__m128i*>(out);
  for (int g = 0; g < 4; ++g, to += 4) {
    const __m256i first = _mm256_unpacklo_epi8(low.part[g], high.part[g]);
    const __m256i last = _mm256_unpackhi_epi8(low.part[g], high.part[g]);
    _mm_storeu_si128(to, _mm256_castsi256_si128(first));
    _mm_storeu_si128(to + 1, _mm256_castsi256_si128(last));
    _mm_storeu_si128(to + 2, _mm256_extracti128_si256(first, 1));
    _mm_storeu_si128(to + 3, _mm256_extracti128_si256(last, 1));
  }
}

template <int R, typename T>
void decode(const TensorView& tensor, std::size_t first_row, MatrixView<T> out) {
  const Table table(tensor);
  const float tensor_scale = tensor.tensor_scale();
  const std::size_t whole = out.cols / kGroup * kGroup;
  for (std::size_t r = 0; r < out.rows; ++r) {
    const std::uint8_t* block = tensor.row(first_row + r);
    T* to = out.row(r);
    for (std::size_t at = 0; at < whole; at += kGroup, block += kBlockStride(R)) {
      decode_values<R>(block, table, tensor_scale, to + at);
    }
    if (whole < out.cols) {
      T values[kGroup];
      decode_values<R>(block, table, tensor_scale, values);
      std::memcpy(to + whole, values, (out.cols - whole) * sizeof(T));
    }
  }
}

template <int R>
void decode_int8(const TensorView& tensor, std::size_t first_row,
                 MatrixView<std::int8_t> centroids, MatrixView<float> factors) {
  const Table table(tensor);
  const float tensor_scale = tensor.tensor_scale();
  const std::size_t whole = centroids.cols / kGroup;
  for (std::size_t r = 0; r < centroids.rows; ++r) {
    const std::uint8_t* block = tensor.row(first_row + r);
    std::int8_t* to = centroids.row(r);
    float* factor = factors.row(r);
    for (std::size_t k = 0; k < whole; ++k, block += kBlockStride(R)) {
      store_bytes(decode_block<R>(block, table), to + k * kGroup);
      factor[k] = planar::block_factor(block, tensor_scale);
    }
    if (whole < factors.cols) {
      std::int8_t values[kGroup];
      store_bytes(decode_block<R>(block, table), values);
      std::memcpy(to + whole * kGroup, values, centroids.cols - whole * kGroup);
      factor[whole] = planar::block_factor(block, tensor_scale);
    }
  }
}

// ---- Products with f32 activations -------------------------------------------------------------

template <int R>
[[gnu::always_inline]] inline void add_planar(const std::uint8_t* block, const Table& table,
                                              float tensor_scale, const float* x,
                                              Lanes16& sums) noexcept {
  add_block(decode_block<R>(block, table), planar::block_factor(block, tensor_scale), x, sums);
}

template <int R>
void gemv_f32(const TensorView& tensor, RowRange rows, const float* x, float* y) {
  const Table table(tensor);
  const float tensor_scale = tensor.tensor_scale();
  const std::size_t whole = tensor.cols() / kGroup * kGroup;
  float tail[kGroup] = {};  // the last values of x, padded with 0
  if (whole < tensor.cols()) std::memcpy(tail, x + whole, (tensor.cols() - whole) * sizeof(float));
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const std::uint8_t* block = tensor.row(r);
    Lanes16 sums = zero_lanes();
    for (std::size_t at = 0; at < whole; at += kGroup, block += kBlockStride(R)) {
      add_planar<R>(block, table, tensor_scale, x + at, sums);
    }
    if (whole < tensor.cols()) add_planar<R>(block, table, tensor_scale, tail, sums);
    y[r] = sum_by_halves(_mm256_add_ps(sums.low, sums.high));
  }
}

// ---- Products with int8 activations ------------------------------------------------------------

// Eight consecutive blocks: their partial dot products and scale codes; what is past the row's
// end stays 0.
struct EightBlocks {
  __m256i dots[8];
  alignas(32) std::int32_t codes[8];
};

// planar::block_factor of eight blocks.
[[gnu::always_inline]] inline __m256 block_factors(const std::int32_t codes[8],
                                                   float tensor_scale) noexcept {
  const __m256i code = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes));
  const __m256i scale =
      _mm256_add_epi32(_mm256_slli_epi32(code, 20), _mm256_set1_epi32(103 << 23));
  const __m256 factor = _mm256_mul_ps(_mm256_set1_ps(tensor_scale), _mm256_castsi256_ps(scale));
  const __m256i zero = _mm256_cmpeq_epi32(code, _mm256_setzero_si256());
  return _mm256_andnot_ps(_mm256_castsi256_ps(zero), factor);
}

template <int R>
void gemv_int8(const TensorView& tensor, RowRange rows, const Int8Activations& x, float* y) {
  const Table table(tensor);
  const float tensor_scale = tensor.tensor_scale();
  const std::size_t blocks = tensor.blocks_per_row();
  const std::int8_t* values = x.values().data();
  const float* factors = x.factors().data();
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const std::uint8_t* block = tensor.row(r);
    __m256 sums = _mm256_setzero_ps();
    for (std::size_t k = 0; k < blocks; k += 8) {
      const std::size_t count = std::min<std::size_t>(8, blocks - k);
      EightBlocks eight;
      if (count < 8) std::memset(&eight, 0, sizeof eight);
      for (std::size_t j = 0; j < count; ++j, block += kBlockStride(R)) {
        eight.dots[j] = dot_block(decode_block<R>(block, table), values + (k + j) * kGroup);
        eight.codes[j] = block[1];
      }
      const __m256 scale = _mm256_mul_ps(block_factors(eight.codes, tensor_scale),
                                         activation_factors(factors + k, count));
      sums = _mm256_fmadd_ps(scale, sum_dots(eight.dots), sums);
    }
    y[r] = sum_by_halves(sums);
  }
}

// ---- Products with a batch ---------------------------------------------------------------------

// Decodes blocks first_block .. + count - 1 of the rows; rows past the end up to a multiple of
// kMicroRows have factor 0 and centroids 0.
template <int R>
void decode_tile(const TensorView& tensor, RowRange rows, std::size_t first_block,
                 std::size_t count, Tile& tile) {
  const Table table(tensor);
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const std::uint8_t* block = tensor.row(r) + first_block * kBlockStride(R);
    for (std::size_t k = 0; k < count; ++k, block += kBlockStride(R)) {
      float* out = tile.centroids[r - rows.begin] + k * kGroup;
      for_each_sixteen(decode_block<R>(block, table), [&](int i, __m256 low, __m256 high) {
        _mm256_store_ps(out + 16 * i, low);
        _mm256_store_ps(out + 16 * i + 8, high);
      });
      tile.factors[r - rows.begin][k] = planar::block_factor(block, tensor.tensor_scale());
    }
  }
  clear_rest(rows.end - rows.begin, tile);
}

template <int R>
void gemm_f32(const TensorView& tensor, RowRange rows, MatrixView<const float> x,
              const float* x_tail, MatrixView<float> y, float* sums) {
  const std::size_t whole = tensor.cols() / kGroup;
  const MatrixView<const float> tails = dense_view(x_tail, x.rows, kGroup);
  Tile tile;
  for (std::size_t first = rows.begin; first < rows.end; first += kGemmRows) {
    const RowRange part = {first, std::min(rows.end, first + kGemmRows)};
    const std::size_t count = part.end - part.begin;
    std::memset(sums, 0, x.rows * kGemmRows * kGemmLanes * sizeof(float));
    for (std::size_t k = 0; k < whole; k += kTileBlocks) {
      const std::size_t blocks = std::min(kTileBlocks, whole - k);
      decode_tile<R>(tensor, part, k, blocks, tile);
      multiply_batch(tile, count, blocks, x, k * kGroup, sums);
    }
    if (whole < tensor.blocks_per_row()) {
      decode_tile<R>(tensor, part, whole, 1, tile);
      multiply_batch(tile, count, 1, tails, 0, sums);
    }
    for (std::size_t r = 0; r < count; ++r) store_sums(sums, r, part.begin + r, y);
  }
}

// int8: eight blocks of a row are decoded to L1, then multiplied with each row of the batch.
struct EightDecoded {
  alignas(64) std::int8_t centroids[8][kGroup];
  alignas(32) std::int32_t codes[8];
};

template <int R>
void gemm_int8(const TensorView& tensor, RowRange rows, std::span<const Int8Activations> x,
               MatrixView<float> y) {
  const Table table(tensor);
  const std::size_t blocks = tensor.blocks_per_row();
  EightDecoded eight;
  __m256 sums[kGemmBatch];
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    const std::uint8_t* block = tensor.row(r);
    for (std::size_t b = 0; b < x.size(); ++b) sums[b] = _mm256_setzero_ps();
    for (std::size_t k = 0; k < blocks; k += 8) {
      const std::size_t count = std::min<std::size_t>(8, blocks - k);
      if (count < 8) std::memset(&eight, 0, sizeof eight);
      for (std::size_t j = 0; j < count; ++j, block += kBlockStride(R)) {
        store_bytes(decode_block<R>(block, table), eight.centroids[j]);
        eight.codes[j] = block[1];
      }
      const __m256 weight_factors = block_factors(eight.codes, tensor.tensor_scale());
      for (std::size_t b = 0; b < x.size(); ++b) {
        const std::int8_t* values = x[b].values().data() + k * kGroup;
        __m256i dots[8];
        for (std::size_t j = 0; j < 8; ++j) {
          dots[j] = j < count ? dot_block(load_bytes(eight.centroids[j]), values + j * kGroup)
                              : _mm256_setzero_si256();
        }
        const __m256 scale =
            _mm256_mul_ps(weight_factors, activation_factors(x[b].factors().data() + k, count));
        sums[b] = _mm256_fmadd_ps(scale, sum_dots(dots), sums[b]);
      }
    }
    for (std::size_t b = 0; b < x.size(); ++b) y.row(b)[r] = sum_by_halves(sums[b]);
  }
}

template <int R>
constexpr CodecKernels codec_kernels() {
  return {decode<R, float>, decode<R, half>, decode<R, bfloat16>, decode_int8<R>,
          gemv_f32<R>,      gemv_int8<R>,    gemm_f32<R>,         gemm_int8<R>};
}

}  // namespace
}  // namespace ecco

#include "isa/target_avx2_end.hpp"

namespace ecco {

ComputeKernels avx2_compute_kernels() noexcept {
  return {{codec_kernels<0>(), codec_kernels<1>(), codec_kernels<2>(), codec_kernels<3>()},
          avx2_h4_kernels()};
}

}  // namespace ecco

#endif

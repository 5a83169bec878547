// SPDX-License-Identifier: MIT
// The AVX2 path: blocks are decoded in registers (avx2_block.hpp) and stored or multiplied there.
#include "compute/kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "compute/avx2_block.hpp"
#include "ecco/planar.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco {
namespace {

using avx2::BlockBytes;
using avx2::decode_block;
using avx2::Table;

constexpr std::size_t kBlockStride(int planes) {
  return static_cast<std::size_t>(32 + 16 * planes);
}

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

// Lanes 0..7 and 8..15 of a row's sums. (No default initialisers: GCC would compile the implicit
// constructor without AVX2.)
struct Lanes16 {
  __m256 low;
  __m256 high;
};

[[gnu::always_inline]] inline Lanes16 zero_lanes() noexcept {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}

template <int R>
[[gnu::always_inline]] inline void add_block(const std::uint8_t* block, const Table& table,
                                             float tensor_scale, const float* x,
                                             Lanes16& sums) noexcept {
  const BlockBytes bytes = decode_block<R>(block, table);
  Lanes16 partial = zero_lanes();
  for_each_sixteen(bytes, [&](int i, __m256 low, __m256 high) {
    partial.low = _mm256_fmadd_ps(low, _mm256_loadu_ps(x + 16 * i), partial.low);
    partial.high = _mm256_fmadd_ps(high, _mm256_loadu_ps(x + 16 * i + 8), partial.high);
  });
  const __m256 factor = _mm256_set1_ps(planar::block_factor(block, tensor_scale));
  sums.low = _mm256_fmadd_ps(factor, partial.low, sums.low);
  sums.high = _mm256_fmadd_ps(factor, partial.high, sums.high);
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
      add_block<R>(block, table, tensor_scale, x + at, sums);
    }
    if (whole < tensor.cols()) add_block<R>(block, table, tensor_scale, tail, sums);
    y[r] = sum_by_halves(_mm256_add_ps(sums.low, sums.high));
  }
}

// ---- Products with int8 activations ------------------------------------------------------------

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

// Eight consecutive blocks: their partial dot products and scale codes; what is past the row's
// end stays 0.
struct EightBlocks {
  __m256i dots[8];
  alignas(32) std::int32_t codes[8];
};

// Lane j = the sum of dots[j].
[[gnu::always_inline]] inline __m256 sum_dots(const __m256i dots[8]) noexcept {
  const __m256i first =
      _mm256_hadd_epi32(_mm256_hadd_epi32(dots[0], dots[1]), _mm256_hadd_epi32(dots[2], dots[3]));
  const __m256i last =
      _mm256_hadd_epi32(_mm256_hadd_epi32(dots[4], dots[5]), _mm256_hadd_epi32(dots[6], dots[7]));
  return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_permute2x128_si256(first, last, 0x20),
                                             _mm256_permute2x128_si256(first, last, 0x31)));
}

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

// The first `count` <= 8 factors of x, then 0.
[[gnu::always_inline]] inline __m256 activation_factors(const float* factors,
                                                        std::size_t count) noexcept {
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  return _mm256_maskload_ps(factors,
                            _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane));
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
//
// f32: a tile of kGemmRows rows x kTileBlocks blocks is decoded to floats in L1, then multiplied
// with the batch in micro-tiles of kMicroRows rows x up to kMicroBatch rows of x: 12 sums of 8
// lanes, which with 3 vectors of weights and one of x fill the 16 registers. The running sums of
// the 16 lanes stay in scratch, [row of x][row of the tile][lane], between tiles along K.

constexpr std::size_t kTileBlocks = 4;
constexpr std::size_t kTileCols = kTileBlocks * kGroup;
constexpr std::size_t kMicroRows = 3;
constexpr std::size_t kMicroBatch = 4;
static_assert(kGemmRows % kMicroRows == 0);

struct Tile {
  alignas(64) float centroids[kGemmRows][kTileCols];
  float factors[kGemmRows][kTileBlocks];
};

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
  for (std::size_t r = rows.end - rows.begin; r % kMicroRows != 0; ++r) {
    std::memset(tile.centroids[r], 0, sizeof tile.centroids[r]);
    std::memset(tile.factors[r], 0, sizeof tile.factors[r]);
  }
}

// Adds blocks 0 .. blocks - 1 of kMicroRows rows of the tile to the sums of Batch rows of x;
// x[b] is the first value of the tile's columns, sums[b] the row of scratch of row_in_tile.
template <std::size_t Batch>
[[gnu::always_inline]] inline void multiply_micro(const Tile& tile, std::size_t row_in_tile,
                                                  std::size_t blocks, const float* const* x,
                                                  float* sums) noexcept {
  constexpr std::size_t kBatchStride = kGemmRows * kGemmLanes;
  for (std::size_t lanes = 0; lanes < kGemmLanes; lanes += 8) {
    for (std::size_t k = 0; k < blocks; ++k) {
      __m256 partial[Batch][kMicroRows];
      for (auto& row : partial) {
        for (__m256& sum : row) sum = _mm256_setzero_ps();
      }
      for (std::size_t e = k * kGroup + lanes; e < (k + 1) * kGroup; e += kGemmLanes) {
        __m256 weights[kMicroRows];
        for (std::size_t r = 0; r < kMicroRows; ++r) {
          weights[r] = _mm256_load_ps(tile.centroids[row_in_tile + r] + e);
        }
        for (std::size_t b = 0; b < Batch; ++b) {
          const __m256 value = _mm256_loadu_ps(x[b] + e);
          for (std::size_t r = 0; r < kMicroRows; ++r) {
            partial[b][r] = _mm256_fmadd_ps(weights[r], value, partial[b][r]);
          }
        }
      }
      for (std::size_t r = 0; r < kMicroRows; ++r) {
        const __m256 factor = _mm256_set1_ps(tile.factors[row_in_tile + r][k]);
        for (std::size_t b = 0; b < Batch; ++b) {
          float* sum = sums + b * kBatchStride + r * kGemmLanes + lanes;
          _mm256_store_ps(sum, _mm256_fmadd_ps(factor, partial[b][r], _mm256_load_ps(sum)));
        }
      }
    }
  }
}

// The tile's rows with Batch rows of x.
template <std::size_t Batch>
void multiply_tile(const Tile& tile, std::size_t rows, std::size_t blocks, const float* const* x,
                   float* sums) {
  for (std::size_t r = 0; r < rows; r += kMicroRows) {
    multiply_micro<Batch>(tile, r, blocks, x, sums + r * kGemmLanes);
  }
}

constexpr std::array kMultiplyTile = {multiply_tile<1>, multiply_tile<2>, multiply_tile<3>,
                                      multiply_tile<4>};
static_assert(kMultiplyTile.size() == kMicroBatch);

// Multiplies the tile with the whole batch; its columns begin at `at`, blocks as in the tile.
void multiply_batch(const Tile& tile, std::size_t rows, std::size_t blocks,
                    MatrixView<const float> x, std::size_t at, float* sums) {
  for (std::size_t b = 0; b < x.rows; b += kMicroBatch) {
    const std::size_t count = std::min(kMicroBatch, x.rows - b);
    const float* values[kMicroBatch] = {};
    for (std::size_t i = 0; i < count; ++i) values[i] = x.row(b + i) + at;
    kMultiplyTile[count - 1](tile, rows, blocks, values, sums + b * kGemmRows * kGemmLanes);
  }
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
    for (std::size_t b = 0; b < x.rows; ++b) {
      for (std::size_t r = 0; r < count; ++r) {
        const float* lanes = sums + (b * kGemmRows + r) * kGemmLanes;
        y.row(b)[part.begin + r] =
            sum_by_halves(_mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8)));
      }
    }
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
          scalar_compute_kernels().h4};
}

}  // namespace ecco

#endif

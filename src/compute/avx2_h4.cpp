// SPDX-License-Identifier: MIT
// H4 on the AVX2 path: chunks of blocks are decoded by table (h4_rows.hpp) to int8, then
// multiplied like planar ones; outliers follow in the order of gemv.hpp.
#include "compute/kernels.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compute/avx2_gemm.hpp"
#include "compute/avx2_h4_ops.hpp"
#include "compute/avx2_products.hpp"
#include "compute/h4_rows.hpp"
#include "ecco/block.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco {
namespace {

using namespace avx2;  // NOLINT(google-build-using-namespace): the pieces of this path

using Decoder = h4::RowDecoder<H4Ops>;

// Blocks first, first + 1, ... of a tensor, counted row-major.
struct BlockList {
  const std::uint8_t* block[h4::kChunk];

  BlockList(const TensorView& tensor, std::size_t first, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) block[i] = tensor.blocks().data() + 64 * (first + i);
  }
};

// ---- Decode ------------------------------------------------------------------------------------

// The values that the symbols stand for.
[[gnu::always_inline]] inline void values_of_symbols(const std::int8_t* pattern, float m,
                                                     float* values) noexcept {
  alignas(16) std::int8_t centroids[huffman::kSymbols] = {};
  std::copy_n(pattern, h4::kCentroids, centroids);
  const __m128i bytes = load128(centroids);
  const auto store = [&](int i, __m256i numerators) {
    const __m256 parts = _mm256_mul_ps(_mm256_cvtepi32_ps(numerators), _mm256_set1_ps(0x1p-7f));
    _mm256_store_ps(values + i, _mm256_mul_ps(_mm256_set1_ps(m), parts));
  };
  store(0, _mm256_cvtepi8_epi32(bytes));
  const __m256i upper = _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8));
  store(8, _mm256_blend_epi32(upper, _mm256_set1_epi32(128), 0x80));  // the maximum's symbol
}

template <typename T>
void convert(const float* values, T* out) noexcept {
  for (int s = 0; s < huffman::kSymbols; ++s) out[s] = from_float<T>(values[s]);
}
template <>
void convert(const float* values, half* out) noexcept {
  for (int s = 0; s < huffman::kSymbols; s += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + s),
                     _mm256_cvtps_ph(_mm256_load_ps(values + s), _MM_FROUND_TO_NEAREST_INT));
  }
}

// 128 values; the sixteen that the symbols stand for are converted once.
template <typename T>
[[gnu::always_inline]] inline void to_values(const h4::CodedBlock& coded, float tensor_scale,
                                             T* out) noexcept {
  if ((coded.scale.bits & 0x7fu) == 0) {
    std::fill_n(out, kGroup, T{});
    return;
  }
  alignas(32) float values[huffman::kSymbols];
  alignas(32) T table[huffman::kSymbols];
  values_of_symbols(coded.pattern, tensor_scale * to_float(coded.scale), values);
  convert(values, table);
  H4Ops::look_up_reversed(coded.last, table, out);
  std::fill(out + coded.coded, out + kGroup, T{});
  h4::Outlier outlier[h4::kMaxOutliers];
  const int count = h4::read_outliers(coded, outlier);
  for (int i = 0; i < count; ++i) {
    out[outlier[i].position] = from_float<T>(tensor_scale * to_float(outlier[i].value));
  }
}

template <typename T>
void decode(const TensorView& tensor, std::size_t first_row, MatrixView<T> out) {
  const std::size_t per_row = tensor.blocks_per_row();
  const std::size_t end = (first_row + out.rows) * per_row;
  Decoder decoder(tensor);
  for (std::size_t first = first_row * per_row; first < end; first += h4::kChunk) {
    const std::size_t count = std::min(h4::kChunk, end - first);
    const BlockList list(tensor, first, count);
    decoder.decode(list.block, count, [&](std::size_t i, const h4::CodedBlock& coded) {
      const std::size_t at = (first + i) % per_row * kGroup;
      T* const row = out.row((first + i) / per_row - first_row) + at;
      if (at + kGroup <= out.cols) return to_values(coded, tensor.tensor_scale(), row);
      alignas(32) T values[kGroup];
      to_values(coded, tensor.tensor_scale(), values);
      std::copy_n(values, out.cols - at, row);
    });
  }
}

// ---- Products ----------------------------------------------------------------------------------

// A chunk of blocks as int8.
struct Chunk {
  alignas(64) Int8Block blocks[h4::kChunk];

  void decode(Decoder& decoder, const std::uint8_t* const* list, std::size_t count,
              float tensor_scale) {
    decoder.decode(list, count, [&](std::size_t i, const h4::CodedBlock& coded) {
      h4::to_int8<H4Ops>(coded, tensor_scale, blocks[i]);
    });
  }
};

// Adds a block's outliers to the 16 lanes of a row's sums.
[[gnu::always_inline]] inline void add_outliers(const Int8Block& block, const float* x,
                                                float* lanes) noexcept {
  for (int i = 0; i < block.outliers; ++i) {
    const std::size_t e = block.positions[i];
    lanes[e % kGemmLanes] = std::fma(block.outlier_values[i], x[e], lanes[e % kGemmLanes]);
  }
}

[[gnu::always_inline]] inline void add_int8_block(const Int8Block& block, const float* x,
                                                  Lanes16& sums) noexcept {
  add_block(load_bytes(block.values), block.factor, x, sums);
  if (block.outliers == 0) return;
  alignas(32) float lanes[kGemmLanes];
  _mm256_store_ps(lanes, sums.low);
  _mm256_store_ps(lanes + 8, sums.high);
  add_outliers(block, x, lanes);
  sums = {_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8)};
}

// Calls use(row, k, block) for every block of the rows, in order.
template <typename Use>
[[gnu::always_inline]] inline void for_each_block(const TensorView& tensor, RowRange rows,
                                                  const Use& use) {
  const std::size_t per_row = tensor.blocks_per_row();
  const std::size_t end = rows.end * per_row;
  Decoder decoder(tensor);
  Chunk chunk;
  for (std::size_t first = rows.begin * per_row; first < end; first += h4::kChunk) {
    const std::size_t count = std::min(h4::kChunk, end - first);
    const BlockList list(tensor, first, count);
    chunk.decode(decoder, list.block, count, tensor.tensor_scale());
    std::size_t row = first / per_row;
    std::size_t k = first % per_row;
    for (std::size_t i = 0; i < count; ++i) {
      use(row, k, chunk.blocks[i]);
      if (++k == per_row) {
        k = 0;
        ++row;
      }
    }
  }
}

void gemv_f32(const TensorView& tensor, RowRange rows, const float* x, float* y) {
  if (tensor.cols() == 0) return std::fill(y + rows.begin, y + rows.end, 0.0f);
  const std::size_t whole = tensor.cols() / kGroup;
  float tail[kGroup] = {};  // the last values of x, padded with 0
  std::copy(x + whole * kGroup, x + tensor.cols(), tail);
  Lanes16 sums = zero_lanes();
  for_each_block(tensor, rows, [&](std::size_t row, std::size_t k, const Int8Block& block) {
    add_int8_block(block, k < whole ? x + k * kGroup : tail, sums);
    if (k + 1 < tensor.blocks_per_row()) return;
    y[row] = sum_by_halves(_mm256_add_ps(sums.low, sums.high));
    sums = zero_lanes();
  });
}

// Sum of the eight partial dot products of a block.
[[gnu::always_inline]] inline float dot(const Int8Block& block, const std::int8_t* x) noexcept {
  const __m256i eight = dot_block(load_bytes(block.values), x);
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return static_cast<float>(_mm_cvtsi128_si32(sum));
}

// Adds the product of a block with its int8 activations to a sum.
[[gnu::always_inline]] inline void add_int8_block(const Int8Block& block, const Int8Activations& x,
                                                  std::size_t k, float& sum) noexcept {
  const std::int8_t* values = x.values().data() + k * kGroup;
  const float factor = x.factors()[k];
  sum = std::fma(block.factor * factor, dot(block, values), sum);
  for (int i = 0; i < block.outliers; ++i) {
    sum = std::fma(block.outlier_values[i] * factor,
                   static_cast<float>(values[block.positions[i]]), sum);
  }
}

void gemv_int8(const TensorView& tensor, RowRange rows, const Int8Activations& x, float* y) {
  if (tensor.cols() == 0) return std::fill(y + rows.begin, y + rows.end, 0.0f);
  alignas(32) float sums[8] = {};
  for_each_block(tensor, rows, [&](std::size_t row, std::size_t k, const Int8Block& block) {
    add_int8_block(block, x, k, sums[k % 8]);
    if (k + 1 < tensor.blocks_per_row()) return;
    y[row] = sum_by_halves(_mm256_load_ps(sums));
    std::fill_n(sums, 8, 0.0f);
  });
}

// Batch: the blocks of column group k of kGemmRows rows make a tile, which is multiplied with the
// batch; then the outliers of the tile are added.
void fill_tile(const Int8Block* blocks, std::size_t rows, Tile& tile) {
  for (std::size_t r = 0; r < rows; ++r) {
    float* out = tile.centroids[r];
    for_each_sixteen(load_bytes(blocks[r].values), [&](int i, __m256 low, __m256 high) {
      _mm256_store_ps(out + 16 * i, low);
      _mm256_store_ps(out + 16 * i + 8, high);
    });
    tile.factors[r][0] = blocks[r].factor;
  }
  clear_rest(rows, tile);
}

void multiply_blocks(const Int8Block* blocks, std::size_t rows, MatrixView<const float> x,
                     std::size_t at, Tile& tile, float* sums) {
  fill_tile(blocks, rows, tile);
  multiply_batch(tile, rows, 1, x, at, sums);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t b = 0; b < x.rows && blocks[r].outliers > 0; ++b) {
      add_outliers(blocks[r], x.row(b) + at, sums + (b * kGemmRows + r) * kGemmLanes);
    }
  }
}

// Pointers to blocks k .. k + groups - 1 of the rows, column group by column group.
std::size_t list_tile(const TensorView& tensor, RowRange rows, std::size_t k, std::size_t groups,
                      const std::uint8_t** list) {
  std::size_t count = 0;
  for (std::size_t g = 0; g < groups; ++g) {
    for (std::size_t r = rows.begin; r < rows.end; ++r) {
      list[count++] = tensor.row(r) + 64 * (k + g);
    }
  }
  return count;
}

void gemm_f32(const TensorView& tensor, RowRange rows, MatrixView<const float> x,
              const float* x_tail, MatrixView<float> y, float* sums) {
  constexpr std::size_t kGroups = h4::kChunk / kGemmRows;
  const std::size_t whole = tensor.cols() / kGroup;
  const MatrixView<const float> tails = dense_view(x_tail, x.rows, kGroup);
  Decoder decoder(tensor);
  Chunk chunk;
  Tile tile;
  for (std::size_t first = rows.begin; first < rows.end; first += kGemmRows) {
    const RowRange part = {first, std::min(rows.end, first + kGemmRows)};
    const std::size_t count = part.end - part.begin;
    std::memset(sums, 0, x.rows * kGemmRows * kGemmLanes * sizeof(float));
    for (std::size_t k = 0; k < tensor.blocks_per_row(); k += kGroups) {
      const std::size_t groups = std::min(kGroups, tensor.blocks_per_row() - k);
      const std::uint8_t* list[h4::kChunk];
      chunk.decode(decoder, list, list_tile(tensor, part, k, groups, list), tensor.tensor_scale());
      for (std::size_t g = 0; g < groups; ++g) {
        const bool is_tail = k + g >= whole;
        multiply_blocks(chunk.blocks + g * count, count, is_tail ? tails : x,
                        is_tail ? 0 : (k + g) * kGroup, tile, sums);
      }
    }
    for (std::size_t r = 0; r < count; ++r) store_sums(sums, r, part.begin + r, y);
  }
}

void gemm_int8(const TensorView& tensor, RowRange rows, std::span<const Int8Activations> x,
               MatrixView<float> y) {
  alignas(32) float sums[kGemmBatch][8] = {};
  for (std::size_t b = 0; b < x.size() && tensor.cols() == 0; ++b) {
    std::fill(y.row(b) + rows.begin, y.row(b) + rows.end, 0.0f);
  }
  if (tensor.cols() == 0) return;
  for_each_block(tensor, rows, [&](std::size_t row, std::size_t k, const Int8Block& block) {
    for (std::size_t b = 0; b < x.size(); ++b) add_int8_block(block, x[b], k, sums[b][k % 8]);
    if (k + 1 < tensor.blocks_per_row()) return;
    for (std::size_t b = 0; b < x.size(); ++b) {
      y.row(b)[row] = sum_by_halves(_mm256_load_ps(sums[b]));
      std::fill_n(sums[b], 8, 0.0f);
    }
  });
}

}  // namespace
}  // namespace ecco

#include "isa/target_avx2_end.hpp"

namespace ecco {

CodecKernels avx2_h4_kernels() noexcept {
  return {decode<float>,
          decode<half>,
          decode<bfloat16>,
          scalar_compute_kernels().h4.decode_int8,  // refused before it is called
          gemv_f32,
          gemv_int8,
          gemm_f32,
          gemm_int8};
}

}  // namespace ecco

#endif

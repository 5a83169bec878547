// SPDX-License-Identifier: MIT
// A batch of f32 activations times a tile of decoded rows. For use inside AVX2 target regions
// only.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

#include "compute/avx2_products.hpp"
#include "compute/kernels.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco::avx2 {

// f32: a tile of kGemmRows rows x kTileBlocks blocks is decoded to floats in L1, then multiplied
// with the batch in micro-tiles of kMicroRows rows x up to kMicroBatch rows of x: 12 sums of 8
// lanes, which with 3 vectors of weights and one of x fill the 16 registers. The running sums of
// the 16 lanes stay in scratch, [row of x][row of the tile][lane], between tiles along K.

inline constexpr std::size_t kTileBlocks = 4;
inline constexpr std::size_t kTileCols = kTileBlocks * kGroup;
inline constexpr std::size_t kMicroRows = 3;
inline constexpr std::size_t kMicroBatch = 4;
static_assert(kGemmRows % kMicroRows == 0);

struct Tile {
  alignas(64) float centroids[kGemmRows][kTileCols];
  float factors[kGemmRows][kTileBlocks];
};

// Clears the rows `rows` .. up to a multiple of kMicroRows: they are multiplied, but not used.
inline void clear_rest(std::size_t rows, Tile& tile) noexcept {
  for (std::size_t r = rows; r % kMicroRows != 0; ++r) {
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

inline constexpr std::array kMultiplyTile = {multiply_tile<1>, multiply_tile<2>, multiply_tile<3>,
                                             multiply_tile<4>};
static_assert(kMultiplyTile.size() == kMicroBatch);

// Multiplies the tile with the whole batch; its columns begin at `at`, blocks as in the tile.
inline void multiply_batch(const Tile& tile, std::size_t rows, std::size_t blocks,
                           MatrixView<const float> x, std::size_t at, float* sums) {
  for (std::size_t b = 0; b < x.rows; b += kMicroBatch) {
    const std::size_t count = std::min(kMicroBatch, x.rows - b);
    const float* values[kMicroBatch] = {};
    for (std::size_t i = 0; i < count; ++i) values[i] = x.row(b + i) + at;
    kMultiplyTile[count - 1](tile, rows, blocks, values, sums + b * kGemmRows * kGemmLanes);
  }
}
// Column `row` of y from the sums of tile row `row_in_tile`.
inline void store_sums(const float* sums, std::size_t row_in_tile, std::size_t row,
                       MatrixView<float> y) noexcept {
  for (std::size_t b = 0; b < y.rows; ++b) {
    const float* lanes = sums + (b * kGemmRows + row_in_tile) * kGemmLanes;
    y.row(b)[row] = sum_by_halves(_mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8)));
  }
}

}  // namespace ecco::avx2

#include "isa/target_avx2_end.hpp"

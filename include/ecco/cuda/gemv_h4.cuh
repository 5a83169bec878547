// SPDX-License-Identifier: MIT
// Nibble tiles of H4 in a product: a lane's share, and the sparse corrections.
#pragma once

#include <cstdint>

#include "ecco/cuda/gemv_fast.cuh"
#include "ecco/cuda/tiles_h4.hpp"

namespace ecco::cuda {

/// P3's tile with sixteen values per pattern.
struct NibbleLane : FastLane<1, huffman::kSymbols> {
  static constexpr bool kSparse = true;
  static __device__ __forceinline__ float factor(std::uint8_t code, float tensor_scale) {
    return ecco::h4::int8_factor(fp8_e4m3{code}, tensor_scale);
  }
};

/// Sparse corrections of a tensor, and what its tiles say at their places.
struct SparseRows {
  const std::uint32_t* begins;  ///< rows + 1
  const SparseValue* values;    ///< row by row
  const std::int8_t* null;      ///< NibbleValues::null's value, of all patterns
  const std::uint32_t* tiles;   ///< NibbleTile
  unsigned column_tiles;
  float tensor_scale;
};

/// Activations as quantize stores them: columns of 8 NT, NB of 8 stored.
struct SparseActivations {
  const std::int8_t* digits;  ///< [column tile][n-tile][2][column][t][q % 2][h][b]
  const float* factors;       ///< [column tile][n-tile][8]
};

/// What a value w adds to the value v that its nibble says: w - round(factor v), rounded, with
/// w = round(tensor_scale * value). `factors` = GemvTables::factors.
__device__ __forceinline__ float sparse_rest(const SparseRows& rows, unsigned row,
                                             const SparseValue& sparse, const float* factors) {
  const std::size_t tile =
      static_cast<std::size_t>(row / kTileRows) * rows.column_tiles + sparse.column / kGroup;
  const std::uint32_t header =
      rows.tiles[tile * (sizeof(NibbleTile) / 4) + NibbleTile::kHeadersAt + row % 8] >>
      (row % kTileRows / 8 * 16);
  const float stated =
      __fmul_rn(factors[header >> 8 & 255u], static_cast<float>(rows.null[header & 255u]));
  return __fsub_rn(__fmul_rn(rows.tensor_scale, sparse.value), stated);
}

/// Adds the products of a row's values first .. last - 1 with all columns: sums[n][c] of column
/// 8 n + c, the same in all lanes. A value's sparse_rest, times the activation's factor, rounded
/// again, is added by fma(that, digit, sum). Lane l takes the values first + l, first + l + 32,
/// ...; lanes add up by halves, 16 and 16, 8 and 8, and so on. Whole warps call it.
template <int NB, int NT>
__device__ __forceinline__ void multiply_sparse(const SparseRows& rows, unsigned row,
                                                std::uint32_t first, std::uint32_t last,
                                                const SparseActivations& x, const float* factors,
                                                float (&sums)[NT][NB]) {
#pragma unroll
  for (int n = 0; n < NT; ++n) {
#pragma unroll
    for (int c = 0; c < NB; ++c) sums[n][c] = 0.0f;
  }
  for (std::uint32_t i = first + static_cast<unsigned>(lane_index()); i < last; i += kWarpLanes) {
    const SparseValue sparse = rows.values[i];
    const std::uint32_t column_tile = sparse.column / kGroup;
    const std::uint32_t e = sparse.column % kGroup;
    const float rest = sparse_rest(rows, row, sparse, factors);
    const std::uint32_t place =
        e / 64 * (NB * 64) + e / 4 % 4 * 16 + e / 32 % 2 * 8 + e / 16 % 2 * 4 + e % 4;
#pragma unroll
    for (int n = 0; n < NT; ++n) {
      const std::size_t at = static_cast<std::size_t>(column_tile) * NT + n;
#pragma unroll
      for (int c = 0; c < NB; ++c) {
        const float digit = static_cast<float>(x.digits[at * (128 * NB) + place + c * 64]);
        sums[n][c] = __fmaf_rn(__fmul_rn(rest, x.factors[at * 8 + c]), digit, sums[n][c]);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < NT; ++n) {
#pragma unroll
    for (int c = 0; c < NB; ++c) {
#pragma unroll
      for (int distance = 16; distance > 0; distance /= 2) {
        sums[n][c] = __fadd_rn(sums[n][c], __shfl_xor_sync(kFullMask, sums[n][c], distance));
      }
    }
  }
}

}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
// Launchers of products with many vectors; as launch.hpp.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "ecco/types.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

inline constexpr unsigned kGemmColumns = 64;  ///< vectors of a block of threads
inline constexpr unsigned kGemmRowTiles = 8;  ///< row tiles of a block of threads

/// Where element `e` of a group lies among its halves in x, so that a lane's four neighbours
/// 4 t..4 t + 3 of sixteen are what the fragments of mma.sync take from lane t.
constexpr unsigned half_row(unsigned e) { return (e & ~15u) | (e & 1u) << 3 | (e >> 1 & 7u); }

/// Activations of gemm as half, [vector / 64][column tile][half_row][vector % 64], zeros past the
/// batch.
struct RoundJob {
  std::size_t x_stride;  ///< between vectors, in values
  unsigned cols;
  unsigned batch;
  unsigned column_tiles;
  std::uint32_t* out;
  float* factors;  ///< [column tile][vector]
};
/// `vectors` = the batch rounded up to kGemmColumns.
template <typename T>
cudaError_t round_half(const RoundJob& job, const T* x, unsigned vectors, cudaStream_t stream);

/// Vectors as half, each with one power of two as its factor.
struct RoundVectorsJob {
  std::size_t x_stride;  ///< between vectors, in values
  unsigned cols;
  unsigned batch;
  std::size_t out_stride;  ///< a multiple of 4
  half* out;       ///< aligned to 8 bytes; up to out_stride, values may be written past cols
  float* factors;  ///< [vector]
};
template <typename T>
cudaError_t round_vectors(const RoundVectorsJob& job, const T* x, cudaStream_t stream);

/// y[vector][row] *= factor[vector].
struct ScaleJob {
  float* y;
  std::size_t y_stride;
  unsigned rows;
  unsigned batch;
  const float* factors;
};
cudaError_t scale_vectors(const ScaleJob& job, cudaStream_t stream);

/// Slices of K for so many blocks of threads without, of which a multiprocessor runs two at a
/// time: the slices of 8 column tiles or more, up to four turns of the GPU, that take the least
/// time if a slice's tables and sums take as long as 4 column tiles.
constexpr GemvPlan gemm_plan(unsigned blocks, unsigned column_tiles, unsigned multiprocessors) {
  constexpr unsigned kLeastSlice = 8;
  constexpr unsigned kStart = 4;
  constexpr unsigned kMostTurns = 4;
  const std::uint64_t resident = 2u * multiprocessors;
  GemvPlan best{column_tiles, 1};
  std::uint64_t least = ~std::uint64_t{0};
  for (std::uint64_t wanted = 1; wanted == 1 || (wanted * kLeastSlice <= column_tiles &&
                                                 wanted * blocks <= kMostTurns * resident);
       ++wanted) {
    const auto slice = static_cast<unsigned>((column_tiles + wanted - 1) / wanted);
    const unsigned slices = (column_tiles + slice - 1) / slice;
    const std::uint64_t turns = (std::uint64_t{blocks} * slices + resident - 1) / resident;
    if (turns * (slice + kStart) >= least) continue;
    least = turns * (slice + kStart);
    best = {slice, slices};
  }
  return best;
}

/// A product on tiles with many vectors.
struct GemmJob {
  const uint4* tiles;  ///< these six as in GemvJob
  const std::uint32_t* gated;
  const std::uint32_t* codes;
  const std::uint32_t* row_begins;
  const uint2* sparse;
  float tensor_scale;
  const uint4* x;        ///< of round_half
  const float* factors;  ///< of round_half
  float* sums;           ///< [slice][vector][sum_stride]
  std::size_t sum_stride;
  unsigned rows;
  unsigned row_tiles;
  unsigned column_tiles;
  GemvPlan plan;
  unsigned batch;
  unsigned vectors;  ///< the batch rounded up to kGemmColumns
};
cudaError_t gemm_fast(Codec codec, const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_dense(const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_paired(const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_raw(Codec codec, const GemmJob& job, cudaStream_t stream);
/// Without the sparse corrections, which gemm_corrections adds to y.
cudaError_t gemm_h4(const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_corrections(const GemmJob& job, float* y, std::size_t y_stride,
                             cudaStream_t stream);

}  // namespace ecco::cuda::detail

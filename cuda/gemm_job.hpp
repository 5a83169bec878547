// SPDX-License-Identifier: MIT
// Launchers of products with many vectors; as launch.hpp.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/types.hpp"

namespace ecco::cuda::detail {

/// Activations of gemm as half, [vector][column tile][128], zeros past the batch.
struct RoundJob {
  std::size_t x_stride;  ///< between vectors, in values
  unsigned cols;
  unsigned batch;
  unsigned column_tiles;
  uint2* out;
  float* factors;  ///< [column tile][vector]
};
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

/// A product on tiles with many vectors.
inline constexpr unsigned kGemmColumns = 64;  ///< vectors of a block of threads
struct GemmJob {
  const uint4* tiles;  ///< these four as in GemvJob
  const std::uint32_t* gated;
  const std::uint32_t* codes;
  float tensor_scale;
  const uint4* x;        ///< of round_half
  const float* factors;  ///< of round_half
  float* y;
  std::size_t y_stride;
  unsigned rows;
  unsigned row_tiles;
  unsigned column_tiles;
  unsigned batch;
  unsigned vectors;  ///< the batch rounded up to kGemmColumns
};
cudaError_t gemm_fast(Codec codec, const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_dense(const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_paired(const GemmJob& job, cudaStream_t stream);
cudaError_t gemm_raw(Codec codec, const GemmJob& job, cudaStream_t stream);

}  // namespace ecco::cuda::detail

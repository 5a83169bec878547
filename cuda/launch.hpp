// SPDX-License-Identifier: MIT
// The launchers of cuda/*.cu as device.cpp calls them: arguments are checked already; all of them
// return the error of the launch itself.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"

namespace ecco::cuda::detail {

/// Threads of a block, where a kernel has no reason for another number.
inline constexpr int kThreads = 256;

/// Streaming multiprocessors of the current device.
cudaError_t multiprocessors(int& count);

/// Blocks of a tensor and where their values go.
struct DecodeJob {
  const std::uint8_t* blocks;  ///< row-major, aligned to 16 bytes
  std::uint32_t block_count;   ///< rows * blocks_per_row, at least 1
  std::uint32_t blocks_per_row;
  std::uint32_t cols;
  std::size_t row_stride;  ///< of the output, in values
  float tensor_scale;
  bool vector;  ///< output rows and their ends are aligned to 4 values
};

/// P2..P5. `table` = planar::kTableRows rows of words, `patterns` of them real.
template <typename T>
cudaError_t decode_planar(Codec codec, const DecodeJob& job, const std::uint32_t* table,
                          int patterns, T* out, cudaStream_t stream);

/// Tables of h4.cuh by the host's names.
struct H4Tables {
  const void* patterns;
  const std::uint32_t* codes;
  int pattern_count;
  int codebook_count;
};

/// H4: one block per lane, or (`parallel`) the paper's decoder, one block per warp.
template <typename T>
cudaError_t decode_h4(const DecodeJob& job, const H4Tables& tables, bool parallel, T* out,
                      cudaStream_t stream);

template <typename T>
cudaError_t decode_a8(const DecodeJob& job, T* out, cudaStream_t stream);

}  // namespace ecco::cuda::detail

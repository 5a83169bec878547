// SPDX-License-Identifier: MIT
// The launchers of cuda/*.cu as device.cpp calls them: arguments are checked already; all of them
// return the error of the launch itself.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_types.h>

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/layout.hpp"
#include "ecco/types.hpp"

namespace ecco::cuda::detail {

/// Threads of a block, where a kernel has no reason for another number.
inline constexpr int kThreads = 256;

/// Streaming multiprocessors of the current device; asked once per device.
cudaError_t multiprocessors(int& count);

/// Blocks of a kernel that run on the current device at the same time; asked once per device,
/// kernel and sizes. Neither this nor multiprocessors allocates; any threads may call them.
cudaError_t resident_blocks(const void* kernel, int threads, std::size_t shared_bytes, int& count);

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

/// P2..P5. `table` = planar::kTableRows rows of words.
template <typename T>
cudaError_t decode_planar(Codec codec, const DecodeJob& job, const std::uint32_t* table, T* out,
                          cudaStream_t stream);

/// H4: one block per lane, or (`parallel`) the paper's decoder, one block per warp. The tables are
/// those of `tensor`.
template <typename T>
cudaError_t decode_h4(const DecodeJob& job, const DeviceTensorView& tensor, bool parallel, T* out,
                      cudaStream_t stream);

template <typename T>
cudaError_t decode_a8(const DecodeJob& job, T* out, cudaStream_t stream);

/// Rows of values and where their blocks go.
struct EncodeJob {
  std::uint8_t* blocks;       ///< row-major, aligned to 16 bytes
  std::uint32_t block_count;  ///< rows * blocks_per_row, at least 1
  std::uint32_t blocks_per_row;
  std::uint32_t cols;
  std::size_t row_stride;  ///< of the input, in values
  float tensor_scale;
  bool vector;  ///< input rows and their ends are aligned to 4 values
};
template <typename T>
cudaError_t encode_a8(const EncodeJob& job, const T* rows, cudaStream_t stream);

template <typename T>
cudaError_t encode_h4(const EncodeJob& job, const DeviceCodecView& codec, const T* rows,
                      cudaStream_t stream);

/// Type of values where it is no template argument.
enum class InputType : std::uint8_t { half, bfloat16, float32 };
template <typename T>
inline constexpr InputType kInputType = InputType::float32;
template <>
inline constexpr InputType kInputType<half> = InputType::half;
template <>
inline constexpr InputType kInputType<bfloat16> = InputType::bfloat16;

/// `lowest`, `highest` = scale codes that the tensor may use, none if lowest > highest.
cudaError_t encode_planar(const EncodeJob& job, const DeviceCodecView& codec, int lowest,
                          int highest, const void* rows, InputType type, cudaStream_t stream);

/// Columns that a fragment of activations stores for so many: 2, 4, 8, or 16 as twice 8 (not 1,
/// with which ptxas spills on sm_120). Lanes of columns that are not stored read others.
constexpr unsigned stored_columns(unsigned columns) {
  return columns <= 2 ? 2 : columns <= 4 ? 4 : columns <= 8 ? 8 : 16;
}

/// Activations and where their digits go; columns = vectors * digits.
struct QuantizeJob {
  std::size_t x_stride;      ///< between vectors, in values; in bytes of A8 blocks
  unsigned cols;             ///< values of a vector
  unsigned column_tiles;     ///< groups of 128
  unsigned n_tiles;          ///< 1 or 2
  unsigned stored;           ///< columns stored per n-tile: 2, 4, 8
  std::uint32_t* fragments;  ///< [column tile][n-tile][2][column][t] of 4 words
  float* factors;            ///< [column tile][n-tile][8]
};
template <typename T>
cudaError_t quantize(const QuantizeJob& job, const T* x, unsigned batch, bool two_digits,
                     cudaStream_t stream);
cudaError_t quantize_a8(const QuantizeJob& job, const std::uint8_t* blocks, float tensor_scale,
                        unsigned batch, bool two_digits, cudaStream_t stream);

/// Slices of K, so that there are about two blocks of threads per multiprocessor, each with a
/// column tile for every warp at least.
struct GemvPlan {
  unsigned slice;  ///< column tiles of one
  unsigned slices;
};
constexpr GemvPlan gemv_plan(unsigned row_tiles, unsigned column_tiles, unsigned multiprocessors) {
  const unsigned wanted = (2 * multiprocessors + row_tiles - 1) / row_tiles;
  const unsigned most = column_tiles < 16 ? 1 : column_tiles / 8;
  const unsigned slices = wanted < most ? wanted : most;
  const unsigned slice = (column_tiles + slices - 1) / slices;
  return {slice, (column_tiles + slice - 1) / slice};
}

/// Word of h4's gated tables from which the null values of all patterns lie, a byte each.
inline constexpr std::size_t kNullAt = 4 * kMaxPatterns;

/// A product on tiles, [row tile][column tile], rows past the end are zeros; or on raw blocks.
struct GemvJob {
  const uint4* tiles;
  /// Gated tables of all patterns, gated_word_at; h4: and those at kNullAt; raw: patterns.
  const std::uint32_t* gated;
  const std::uint32_t* codes;  ///< dense tiles: ClassCode::device_entry of 4096
  const uint4* x;              ///< fragments of quantize
  const float* factors;
  const std::uint32_t* row_begins;  ///< h4: of the sparse corrections, NibbleTiles
  const uint2* sparse;              ///< h4: these values
  float* sums;                      ///< [slice][column][sum_stride]
  float tensor_scale;
  unsigned rows;
  unsigned row_tiles;
  unsigned column_tiles;
  unsigned slice;    ///< column tiles of a slice of K
  unsigned columns;  ///< 1..16
  std::size_t sum_stride;
};
/// The kernels of products on tiles: fast ones of R mantissa planes, dense and paired ones of P4,
/// nibbles of H4.
template <int R>
cudaError_t gemv_fast(const GemvJob& job, unsigned slices, cudaStream_t stream);
template <>
cudaError_t gemv_fast<0>(const GemvJob& job, unsigned slices, cudaStream_t stream);
template <>
cudaError_t gemv_fast<1>(const GemvJob& job, unsigned slices, cudaStream_t stream);
template <>
cudaError_t gemv_fast<2>(const GemvJob& job, unsigned slices, cudaStream_t stream);
template <>
cudaError_t gemv_fast<3>(const GemvJob& job, unsigned slices, cudaStream_t stream);
cudaError_t gemv_dense(const GemvJob& job, unsigned slices, cudaStream_t stream);
cudaError_t gemv_paired(const GemvJob& job, unsigned slices, cudaStream_t stream);
cudaError_t gemv_h4(const GemvJob& job, unsigned slices, cudaStream_t stream);

/// The same on raw blocks of a planar codec.
cudaError_t gemv_raw(Codec codec, const GemvJob& job, unsigned slices, cudaStream_t stream);
cudaError_t gemv_raw_h4(const GemvJob& job, const DeviceTensorView& tensor, unsigned slices,
                        cudaStream_t stream);

/// Tiles and where their values go.
struct DecodeTilesJob {
  const uint4* tiles;  ///< these four as in GemvJob
  const std::uint32_t* gated;
  const std::uint32_t* codes;
  float tensor_scale;
  unsigned rows;
  unsigned cols;
  unsigned column_tiles;
  unsigned tile_count;              ///< at least 1
  std::size_t row_stride;           ///< of the output, in values
  bool vector;                      ///< output rows and their ends are aligned to 4 values
  const std::uint32_t* row_begins;  ///< these two as in GemvJob
  const uint2* sparse;
};
template <typename T>
cudaError_t decode_nibbles(const DecodeTilesJob& job, T* out, cudaStream_t stream);
template <typename T>
cudaError_t decode_fast(Codec codec, const DecodeTilesJob& job, T* out, cudaStream_t stream);
template <typename T>
cudaError_t decode_dense(const DecodeTilesJob& job, T* out, cudaStream_t stream);
template <typename T>
cudaError_t decode_paired(const DecodeTilesJob& job, T* out, cudaStream_t stream);

/// Blocks, row-major, to tiles, [row tile][column tile], or back.
struct RepackJob {
  const std::uint8_t* from;
  std::uint8_t* to;
  const std::uint32_t* codes;  ///< as in GemvJob
  std::uint32_t* faults;       ///< rises by the number of blocks that could not be converted
  unsigned pattern_count;
  unsigned rows;
  unsigned column_tiles;
  unsigned tiles;  ///< at least 1
};
cudaError_t repack_to_tiles(Codec codec, Layout layout, const RepackJob& job, cudaStream_t stream);
cudaError_t repack_to_blocks(Codec codec, Layout layout, const RepackJob& job,
                             cudaStream_t stream);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// How tensors are cut into pieces of work: the same pieces for any number of threads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "ecco/codec.hpp"
#include "ecco/decode.hpp"
#include "ecco/tensor.hpp"

namespace ecco {

/// Rows row .. row + rows - 1 of columns col .. col + cols - 1: whole rows, or a part of one row
/// that begins at a block. Values and blocks of a chunk are contiguous either way.
struct Chunk {
  std::uint64_t row = 0;
  std::uint64_t rows = 0;
  std::uint64_t col = 0;
  std::uint64_t cols = 0;

  [[nodiscard]] std::uint64_t values() const noexcept { return rows * cols; }
};

/// The chunks of a rows x cols matrix, of about kValues values each, in the order of the data.
class Chunks {
 public:
  static constexpr std::uint64_t kValues = 65536;  ///< a multiple of kGroup; 256 KB of binary32
  /// Chunks between two points of order (writing, hashing, releasing pages).
  static constexpr std::uint64_t kWindow = 256;

  Chunks(std::uint64_t rows, std::uint64_t cols) noexcept : rows_(rows), cols_(cols) {
    if (rows == 0 || cols == 0) return;
    pieces_ = (cols - 1) / kValues + 1;
    rows_per_chunk_ =
        std::max<std::uint64_t>(1, kValues / (blocks_per_row(cols) * std::uint64_t{kGroup}));
    count_ = pieces_ > 1 ? rows * pieces_ : (rows - 1) / rows_per_chunk_ + 1;
  }

  [[nodiscard]] std::uint64_t size() const noexcept { return count_; }

  [[nodiscard]] Chunk operator[](std::uint64_t index) const noexcept {
    if (pieces_ > 1) {
      const std::uint64_t col = index % pieces_ * kValues;
      return {index / pieces_, 1, col, std::min(kValues, cols_ - col)};
    }
    const std::uint64_t row = index * rows_per_chunk_;
    return {row, std::min(rows_per_chunk_, rows_ - row), 0, cols_};
  }

  /// Index of the chunk's first value in the tensor.
  [[nodiscard]] std::uint64_t first_value(const Chunk& chunk) const noexcept {
    return chunk.row * cols_ + chunk.col;
  }
  /// Index of the chunk's first block in the tensor.
  [[nodiscard]] std::uint64_t first_block(const Chunk& chunk) const noexcept {
    return chunk.row * blocks_per_row(cols_) + chunk.col / kGroup;
  }
  [[nodiscard]] static std::uint64_t blocks(const Chunk& chunk) noexcept {
    return chunk.rows * blocks_per_row(chunk.cols);
  }

 private:
  std::uint64_t rows_;
  std::uint64_t cols_;
  std::uint64_t pieces_ = 1;  ///< per row
  std::uint64_t rows_per_chunk_ = 1;
  std::uint64_t count_ = 0;
};

/// Part of `bytes` that holds the chunks begin .. end - 1, each value or block taking
/// `unit_bytes`.
template <typename FirstUnit>
std::span<const std::uint8_t> bytes_of_chunks(std::span<const std::uint8_t> bytes,
                                              const Chunks& chunks, std::uint64_t begin,
                                              std::uint64_t end, std::uint64_t unit_bytes,
                                              FirstUnit first_unit) {
  const std::uint64_t from = first_unit(chunks[begin]) * unit_bytes;
  const std::uint64_t to =
      end == chunks.size() ? bytes.size() : first_unit(chunks[end]) * unit_bytes;
  return bytes.subspan(from, to - from);
}

/// Decodes the values of a chunk, chunk.values() of them.
template <typename T>
Status decode_chunk(const TensorView& tensor, const Chunks& chunks, const Chunk& chunk, T* out) {
  const MatrixView<T> target = dense_view(out, chunk.rows, chunk.cols);
  if (chunk.cols == tensor.cols()) return decode_rows(tensor, chunk.row, target);
  const std::uint64_t bytes = block_bytes(tensor.codec());
  const auto part = TensorView::parse(
      tensor.codec(), chunk.rows, chunk.cols, tensor.tensor_scale(), tensor.table(),
      tensor.blocks().subspan(chunks.first_block(chunk) * bytes, Chunks::blocks(chunk) * bytes));
  return part ? decode_rows(*part, 0, target) : part.error();
}

}  // namespace ecco

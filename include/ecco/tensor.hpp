// SPDX-License-Identifier: MIT
// A compressed matrix: TensorView (validated once, then everything is noexcept), CompressedTensor.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"

namespace ecco {

inline constexpr float kMaxTensorScale = 1e34f;  ///< keeps every decoded value finite

/// Non-owning view of rows x cols values in blocks: exists only if the sizes are right, so
/// that whatever takes one need not check again. The blocks themselves may be any bytes.
class TensorView {
 public:
  /// Validates sizes and table; O(table). `blocks` holds rows * blocks_per_row(cols) blocks,
  /// row-major, without padding between rows. Blocks and centroids must outlive the view.
  /// Errors: unsupported (codec), corrupt (table, size, tensor_scale).
  static Result<TensorView> parse(Codec codec, std::size_t rows, std::size_t cols,
                                  float tensor_scale, PatternTableView table,
                                  std::span<const std::uint8_t> blocks) {
    if (!stores_tensors(codec)) {
      return fail(StatusCode::unsupported, "not a codec of stored tensors");
    }
    if (table.codec != codec) return fail(StatusCode::corrupt, "the table is of another codec");
    if (Status status = validate(table); !status) return fail(std::move(status));
    if (!(tensor_scale > 0.0f && tensor_scale <= kMaxTensorScale)) {
      return fail(StatusCode::corrupt,
                  "tensor_scale " + std::to_string(tensor_scale) + " is not in (0, 1e34]");
    }
    const std::size_t per_row = ecco::blocks_per_row(cols);
    const std::size_t row_bytes_limit = std::numeric_limits<std::size_t>::max() / 128;
    if (per_row > row_bytes_limit || (per_row > 0 && rows > row_bytes_limit / per_row)) {
      return fail(StatusCode::corrupt, "the shape overflows");
    }
    const std::size_t expected = rows * per_row * ecco::block_bytes(codec);
    if (blocks.size() != expected) {
      return fail(StatusCode::corrupt, std::to_string(blocks.size()) + " bytes of blocks, but " +
                                           std::to_string(rows) + " x " + std::to_string(cols) +
                                           " values in " + std::string(codec_name(codec)) +
                                           " take " + std::to_string(expected));
    }
    TensorView view;
    view.codec_ = codec;
    view.rows_ = rows;
    view.cols_ = cols;
    view.tensor_scale_ = tensor_scale;
    view.table_ = table;
    view.blocks_ = blocks;
    return view;
  }

  [[nodiscard]] Codec codec() const noexcept { return codec_; }
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] std::size_t blocks_per_row() const noexcept { return ecco::blocks_per_row(cols_); }
  [[nodiscard]] std::size_t row_bytes() const noexcept {
    return blocks_per_row() * ecco::block_bytes(codec_);
  }
  [[nodiscard]] float tensor_scale() const noexcept { return tensor_scale_; }
  [[nodiscard]] const PatternTableView& table() const noexcept { return table_; }
  [[nodiscard]] std::span<const std::uint8_t> blocks() const noexcept { return blocks_; }
  /// First byte of a row's blocks. Precondition: row < rows().
  [[nodiscard]] const std::uint8_t* row(std::size_t row) const noexcept {
    return blocks_.data() + row * row_bytes();
  }
  /// Stored bits per value, padding included and the table left out; 0 for an empty matrix.
  [[nodiscard]] double bits_per_weight() const noexcept {
    if (rows_ == 0 || cols_ == 0) return 0.0;
    return 8.0 * static_cast<double>(blocks_.size()) /
           (static_cast<double>(rows_) * static_cast<double>(cols_));
  }

 private:
  TensorView() = default;

  Codec codec_ = Codec::p4;
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  float tensor_scale_ = 1.0f;
  PatternTableView table_;
  std::span<const std::uint8_t> blocks_;
};

/// Owning compressed matrix; movable, copyable. view() is valid while the object lives unmoved.
class CompressedTensor {
 public:
  /// Same checks and errors as TensorView::parse.
  static Result<CompressedTensor> create(std::size_t rows, std::size_t cols, float tensor_scale,
                                         PatternTable table, std::vector<std::uint8_t> blocks) {
    CompressedTensor tensor;
    tensor.rows_ = rows;
    tensor.cols_ = cols;
    tensor.tensor_scale_ = tensor_scale;
    tensor.table_ = std::move(table);
    tensor.blocks_ = std::move(blocks);
    if (auto view = tensor.parse(); !view) return fail(view.error());
    return tensor;
  }

  [[nodiscard]] TensorView view() const { return *parse(); }
  [[nodiscard]] const PatternTable& table() const noexcept { return table_; }
  [[nodiscard]] std::span<const std::uint8_t> blocks() const noexcept { return blocks_; }

 private:
  CompressedTensor() = default;
  [[nodiscard]] Result<TensorView> parse() const {
    return TensorView::parse(table_.codec, rows_, cols_, tensor_scale_, table_.view(), blocks_);
  }

  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
  float tensor_scale_ = 1.0f;
  PatternTable table_;
  std::vector<std::uint8_t> blocks_;
};

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Rows of a matrix -> blocks: cuts rows into column blocks, applies the tensor's scale and the
// column weights, pads, and hands each block to the search.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/detail/block_search.hpp"
#include "ecco/rate_distortion.hpp"

namespace ecco::rd {

/// The column blocks of a matrix with everything that does not depend on the values.
class ColumnBlocks {
 public:
  /// Preconditions: check_importance and check_scales of encode_arguments.hpp pass. Throws
  /// std::bad_alloc only.
  ColumnBlocks(std::size_t cols, std::span<const float> importance, float tensor_scale)
      : cols_(cols), tensor_scale_(tensor_scale) {
    if (!importance.empty()) {
      for (std::size_t at = 0; at < cols; at += kGroup) {
        weights_.push_back(make_block_weights(importance.data() + at, elements(at / kGroup)));
      }
    } else if (cols % kGroup != 0) {
      weights_.push_back(make_block_weights(nullptr, static_cast<int>(cols % kGroup)));
    }
  }

  [[nodiscard]] std::size_t count() const noexcept { return blocks_per_row(cols_); }
  /// Values of column block k that are not padding.
  [[nodiscard]] int elements(std::size_t k) const noexcept {
    return static_cast<int>(std::min<std::size_t>(kGroup, cols_ - k * kGroup));
  }
  /// Weights of column block k, or null where all are 1 and none is padding.
  [[nodiscard]] const BlockWeights* weights(std::size_t k) const noexcept {
    if (weights_.size() == count() && count() != 0) {
      const BlockWeights& weights = weights_[k];
      return &weights;
    }
    return elements(k) == kGroup ? nullptr : &weights_.front();
  }
  /// Values of column block k of a row over the tensor's scale, padded with zeros: the row itself
  /// where nothing is to be done, else written to `buffer`.
  const float* normalize(const float* row, std::size_t k, float* buffer) const noexcept {
    const float* values = row + k * kGroup;
    const auto count = static_cast<std::size_t>(elements(k));
    if (tensor_scale_ == 1.0f && count == kGroup) return values;
    const auto scale = static_cast<double>(tensor_scale_);
    for (std::size_t i = 0; i < count; ++i) {
      buffer[i] = static_cast<float>(static_cast<double>(values[i]) / scale);
    }
    for (std::size_t i = count; i < kGroup; ++i) buffer[i] = 0.0f;
    return buffer;
  }

 private:
  std::size_t cols_;
  float tensor_scale_;
  std::vector<BlockWeights> weights_;
};

/// Exhaustive encoder of rows: effort best.
class RowEncoder {
 public:
  /// `table` and `columns` must outlive the object.
  RowEncoder(const PreparedTable& table, const Kernels& kernels, const ColumnBlocks& columns,
             ScaleRange range) noexcept
      : table_(table), columns_(columns), range_(range), search_(table, kernels, range) {}

  /// Encodes one row of finite values.
  void encode(const float* row, std::uint8_t* out) noexcept {
    alignas(32) std::array<float, kGroup> buffer;
    const std::size_t bytes = block_bytes(table_.codec);
    for (std::size_t k = 0; k < columns_.count(); ++k, out += bytes) {
      const float* values = columns_.normalize(row, k, buffer.data());
      if (range_.lowest > range_.highest || !search_.load(values, columns_.weights(k))) {
        std::memset(out, 0, bytes);
        continue;
      }
      search_.search_all(kBestRadius);
      search_.finish(out);
    }
  }

  static constexpr int kBestRadius = 2;  ///< scale codes tried on both sides of the usual one

 private:
  const PreparedTable& table_;
  const ColumnBlocks& columns_;
  ScaleRange range_;
  BlockSearch search_;
};

}  // namespace ecco::rd

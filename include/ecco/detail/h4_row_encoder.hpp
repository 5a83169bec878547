// SPDX-License-Identifier: MIT
// Rows of a matrix -> H4 blocks, in either mode.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "ecco/codec.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/h4_rate_aware.hpp"

namespace ecco::h4 {

/// What all rows of a tensor have in common.
struct RowOptions {
  const float* importance = nullptr;  ///< of the columns, or null: all alike
  float tensor_scale = 1.0f;
  float largest_value = 3.4028234663852886e38f;
};

/// Encoder of rows; holds scratch memory, so one object per thread.
class RowEncoder {
 public:
  /// Mode faithful. `table` must outlive the object.
  RowEncoder(const TableView& table, const RowOptions& options) noexcept
      : table_(table), options_(options) {}

  /// Mode rate-aware. Preconditions: RateAwareEncoder::usable(table); `tables` are those of
  /// `table`, and both outlive the object. Throws std::bad_alloc only.
  RowEncoder(const TableView& table, const RowOptions& options, const RateTables& tables,
             const SearchWidth& width, const SearchKernels& kernels = {})
      : table_(table), options_(options), search_(std::in_place, tables, width, kernels) {}

  /// Encodes one row of finite values.
  void encode(const float* row, std::size_t cols, std::uint8_t* out) {
    for (std::size_t k = 0; k < cols; k += kGroup, out += 64) {
      const int count = static_cast<int>(std::min<std::size_t>(kGroup, cols - k));
      const float* weights = options_.importance == nullptr ? nullptr : options_.importance + k;
      if (search_) {
        search_->encode(row + k, weights, count, table_, options_.tensor_scale,
                        options_.largest_value, out);
      } else {
        encode_faithful(row + k, weights, count, table_, options_.tensor_scale, out);
      }
    }
  }

 private:
  TableView table_;
  RowOptions options_;
  std::optional<RateAwareEncoder> search_;
};

}  // namespace ecco::h4

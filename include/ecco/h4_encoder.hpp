// SPDX-License-Identifier: MIT
// The compiled encoder of H4 weights, both modes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "ecco/config.hpp"
#include "ecco/encode.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// How H4 weights are encoded (docs/format.md, section 5): rate_aware chooses everything together
/// and clips nothing; faithful does as the ISCA 2025 paper, which may clip.
enum class H4Mode : std::uint8_t { rate_aware, faithful };

/// Encoder prepared for one table, mode and effort (of rate_aware). Immutable and safe to use from
/// several threads.
class ECCO_API H4Encoder {
 public:
  /// `table` is copied. Errors: corrupt; unsupported (not an h4 table, or rate_aware with flat
  /// codebooks alone: 128 codes of 4 bits never fit); out_of_memory.
  static Result<H4Encoder> create(const PatternTableView& table, H4Mode mode, Effort effort);

  /// Encodes `rows` into rows * blocks_per_row(cols) blocks. `importance`: of the columns, or
  /// empty; finite, >= 0. tensor_scale in (0, 1e34]: h4::tensor_scale_of the tensor's largest
  /// magnitude. No decoded value exceeds `largest_value` but by the rounding of tensor_scale, if
  /// no value of `rows` does. The bytes depend on values and options alone. Errors: not_finite
  /// (naming row and column), invalid_argument, shape_mismatch, out_of_memory.
  Status encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                     float tensor_scale, float largest_value, std::span<std::uint8_t> out) const;

  struct Impl;

 private:
  explicit H4Encoder(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

}  // namespace ecco

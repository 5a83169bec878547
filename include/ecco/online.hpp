// SPDX-License-Identifier: MIT
// Encoding while a model runs: keys and values to H4 blocks (the paper's KV mode), activations to
// A8 blocks. The compiled forms of h4::encode_kv and a8::encode, bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "ecco/config.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Encodes one token's keys or values. Immutable and safe to use from several threads.
class ECCO_API KvEncoder {
 public:
  /// `table` is an h4 table; it is copied. Errors: corrupt, unsupported, out_of_memory.
  static Result<KvEncoder> create(const PatternTableView& table);

  /// Encodes `row`, the keys (or values) of all heads end to end, into ceil(size / 128) blocks of
  /// 64 bytes; the last may be partly padding. NaN counts as 0, infinity as the largest finite
  /// value; magnitudes beyond 480 tensor_scale saturate. Errors: shape_mismatch, invalid_argument
  /// (tensor_scale not in (0, 1e34]).
  Status encode_row(std::span<const float> row, float tensor_scale,
                    std::span<std::uint8_t> out) const;

  struct Impl;

 private:
  explicit KvEncoder(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Encodes activations into ceil(size / 64) A8 blocks; the last may be partly padding. NaN counts
/// as 0, infinity as the largest finite value; magnitudes beyond 127 * 240 tensor_scale saturate.
/// Errors: shape_mismatch, invalid_argument (tensor_scale not in (0, 1e34]), unsupported
/// (ECCO_FORCE_ISA).
ECCO_API Status encode_a8(std::span<const float> row, float tensor_scale,
                          std::span<std::uint8_t> out);

}  // namespace ecco

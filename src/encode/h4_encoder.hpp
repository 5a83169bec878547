// SPDX-License-Identifier: MIT
// The compiled encoder of H4 weights, prepared for one table, mode and effort.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ecco/encode.hpp"
#include "encode/h4_kernels.hpp"

namespace ecco {

class H4Encoder {
 public:
  /// Precondition: a table that detail::check_table lets pass. Throws
  /// std::bad_alloc only.
  H4Encoder(const H4EncodeKernels& kernels, const PatternTableView& table, Effort effort,
            H4Mode mode);

  [[nodiscard]] Codec codec() const noexcept { return Codec::h4; }

  /// Encodes finite rows. Preconditions: those of Encoder::encode_rows. Throws
  /// std::bad_alloc only.
  void encode(MatrixView<const float> rows, std::span<const float> importance, float tensor_scale,
              float largest_value, std::span<std::uint8_t> out) const;

 private:
  void encode_faithful(MatrixView<const float> rows, std::span<const float> importance,
                       float tensor_scale, std::span<std::uint8_t> out) const;

  H4EncodeKernels kernels_;
  PatternTable table_;
  h4::SearchWidth width_;
  std::optional<h4::RateTables> rate_tables_;  // mode rate_aware only
  std::optional<CodingTables> coding_tables_;  // mode faithful only
};

}  // namespace ecco

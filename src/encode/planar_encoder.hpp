// SPDX-License-Identifier: MIT
// The compiled encoder of planar codecs, prepared for one table and effort.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ecco/encode.hpp"
#include "encode/shortlist_encoder.hpp"
#include "isa/kernels.hpp"

namespace ecco {

class PlanarEncoder {
 public:
  /// Precondition: a valid planar table. Throws std::bad_alloc only.
  PlanarEncoder(const EncodeKernels& kernels, const PatternTableView& table, Effort effort);

  [[nodiscard]] Codec codec() const noexcept { return table_.codec; }

  /// Encodes finite rows. Preconditions: those of Encoder::encode_rows. Throws std::bad_alloc
  /// only.
  void encode(MatrixView<const float> rows, std::span<const float> importance, float tensor_scale,
              float largest_value, std::span<std::uint8_t> out) const;

 private:
  [[nodiscard]] const rd::Kernels& search_kernels() const noexcept;

  const EncodeKernels& kernels_;
  rd::PreparedTable table_;
  ShortlistEffort effort_{};
  std::optional<Shortlist> shortlist_;  // none at effort best
};

}  // namespace ecco

// SPDX-License-Identifier: MIT
// What H4 blocks spend their bits on: the shares that the ISCA 2025 paper reports.
#pragma once

#include <cstdint>

#include "ecco/h4.hpp"

namespace ecco::h4 {

/// Counts over blocks, padding left out.
struct Statistics {
  std::uint64_t values = 0;
  std::uint64_t coded = 0;      ///< whose code is whole; none in blocks of scale +-0
  std::uint64_t code_bits = 0;  ///< of whole codes
  std::uint64_t clipped = 0;    ///< whose code is broken or missing: they decode to 0
  std::uint64_t outliers = 0;   ///< that an outlier stands for ("padded" in the paper)

  /// Adds any block; its first `count` elements are no padding. Complexity: O(bits of the block).
  constexpr void add(const std::uint8_t* block, const TableView& table,
                     int count = kGroup) noexcept {
    values += static_cast<std::uint64_t>(count);
    const Fields fields = parse(block, table);
    if ((fields.scale.bits & 0x7fu) == 0) return;
    const int whole = fields.coded < count ? fields.coded : count;
    coded += static_cast<std::uint64_t>(whole);
    clipped += static_cast<std::uint64_t>(count - whole);
    code_bits += static_cast<std::uint64_t>(
        ecco::h4::code_bits(fields.symbols, table.codebook(fields.codebook), whole));
    bool seen[kGroup] = {};
    for (int i = 0; i < fields.outliers; ++i) {
      const int position = fields.outlier[i].position;
      if (position < count && !seen[position]) ++outliers;
      seen[position] = true;
    }
  }

  constexpr Statistics& operator+=(const Statistics& other) noexcept {
    values += other.values;
    coded += other.coded;
    code_bits += other.code_bits;
    clipped += other.clipped;
    outliers += other.outliers;
    return *this;
  }

  [[nodiscard]] constexpr double clipped_share() const noexcept { return ratio(clipped, values); }
  [[nodiscard]] constexpr double outlier_share() const noexcept { return ratio(outliers, values); }
  /// Bits per whole code.
  [[nodiscard]] constexpr double mean_code_length() const noexcept {
    return ratio(code_bits, coded);
  }

 private:
  static constexpr double ratio(std::uint64_t part, std::uint64_t whole) noexcept {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
// Patterns in the form of the gated look-up of the products: values in tables of eight, whose
// bytes are corrected so that the sum of all tables is the value. docs/cuda.md, "Tiles".
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"

namespace ecco::cuda {

inline constexpr int kTableColumns = 8;    ///< bytes that one PRMT chooses from
inline constexpr int kMaxGatedTables = 5;  ///< P5: 40 values

/// Tables that so many values take; value k stands in column k % 8 of table k / 8.
constexpr int gated_tables(int values) noexcept {
  return (values + kTableColumns - 1) / kTableColumns;
}

/// 32-bit words of these tables; the last one may have four columns, or two.
constexpr int gated_words(int values) noexcept { return (values + 3) / 4; }

/// Where word i of `row_words` of pattern p lies in the tables of all patterns: four words of
/// every pattern, the next four, and in the end word by word, so that random patterns spread over
/// all banks of shared memory.
constexpr std::size_t gated_word_at(std::size_t i, std::size_t p, std::size_t row_words) noexcept {
  if (i >= row_words / 4 * 4) return i * kMaxPatterns + p;
  return (i / 4 * kMaxPatterns + p) * 4 + i % 4;
}

/// The tables of one pattern; a table that is off gives the sign of its byte, 0 or -1.
struct GatedPattern {
  std::int8_t tables[kMaxGatedTables][kTableColumns] = {};
};

/// Each value in -123..123, or, with two tables at most, in -128..126, and 127 where the other of
/// its column is not negative. Exactly N bytes of a column
/// are stored negative, N the largest n such that n of its values are <= -n: the values below -N,
/// then the first ones of -N. A byte is its value + N, less 1 where it is negative: read, it gives
/// its value and N, less 1 for each negative byte.
constexpr GatedPattern gate_pattern(const std::int8_t* values, int count) noexcept {
  GatedPattern out;
  for (int column = 0; column < kTableColumns; ++column) {
    const auto at_most = [&](int limit) {
      int found = 0;
      for (int k = column; k < count; k += kTableColumns) found += values[k] <= limit ? 1 : 0;
      return found;
    };
    int negatives = kMaxGatedTables;
    while (negatives > 0 && at_most(-negatives) < negatives) --negatives;
    int ties = negatives - at_most(-negatives - 1);  // values of -N that become negative
    for (int k = column; k < count; k += kTableColumns) {
      const bool negative = values[k] < -negatives || (values[k] == -negatives && ties-- > 0);
      out.tables[k / kTableColumns][column] =
          static_cast<std::int8_t>(values[k] + negatives - (negative ? 1 : 0));
    }
  }
  return out;
}

}  // namespace ecco::cuda

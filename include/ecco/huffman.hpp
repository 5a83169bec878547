// SPDX-License-Identifier: MIT
// Length-limited Huffman codes of 16 symbols: lengths (package-merge), canonical codes, decode
// tables. Lengths 2..8 as in the ISCA 2025 paper; docs/format.md, section 5, fixes the bit order.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ecco/config.hpp"

namespace ecco::huffman {

inline constexpr int kSymbols = 16;
inline constexpr int kMinLength = 2;  ///< bits of the shortest code
inline constexpr int kMaxLength = 8;  ///< bits of the longest code

/// Code length of each symbol.
using Lengths = std::array<std::uint8_t, kSymbols>;

/// True when every length is in 2..8 and they fill the code space exactly (sum of 2^-length = 1).
ECCO_HD constexpr bool is_complete(const std::uint8_t* lengths) noexcept {
  int filled = 0;  // in units of 2^-8
  for (int s = 0; s < kSymbols; ++s) {
    if (lengths[s] < kMinLength || lengths[s] > kMaxLength) return false;
    filled += 1 << (kMaxLength - lengths[s]);
  }
  return filled == 1 << kMaxLength;
}

namespace detail {

/// A package of the package-merge algorithm: its weight, and how often it holds each symbol.
struct Package {
  std::uint64_t weight = 0;
  Lengths uses{};
};

constexpr Package join(const Package& a, const Package& b) noexcept {
  Package sum{a.weight + b.weight, a.uses};
  for (std::size_t s = 0; s < kSymbols; ++s) {
    sum.uses[s] = static_cast<std::uint8_t>(sum.uses[s] + b.uses[s]);
  }
  return sum;
}

}  // namespace detail

/// Lengths in 2..8 that minimise sum of count * length over all complete codes with such lengths,
/// by package-merge (Larmore and Hirschberg 1990). The levels 1 and 2 are given to every symbol,
/// which makes 2 the least length. Counts may be 0. Precondition: their sum is below 2^56.
/// Complexity: O(symbols * (8 - 2)) packages.
constexpr Lengths limited_lengths(std::span<const std::uint64_t, kSymbols> counts) noexcept {
  // Symbols by ascending count (stable, so the result does not depend on the sort).
  std::array<std::size_t, kSymbols> order{};
  for (std::size_t s = 0; s < kSymbols; ++s) {
    std::size_t at = s;
    for (; at > 0 && counts[order[at - 1]] > counts[s]; --at) order[at] = order[at - 1];
    order[at] = s;
  }
  std::array<detail::Package, 2 * kSymbols> row{};  // packages of the level below, ascending
  std::size_t size = 0;
  for (int level = kMaxLength; level > kMinLength; --level) {
    std::array<detail::Package, 2 * kSymbols> merged{};
    const std::size_t pairs = size / 2;
    std::size_t at = 0;
    for (std::size_t s = 0, p = 0; s < kSymbols || p < pairs; ++at) {
      detail::Package pair = p < pairs ? detail::join(row[2 * p], row[2 * p + 1])
                                       : detail::Package{~std::uint64_t{0}, {}};
      if (s < kSymbols && counts[order[s]] <= pair.weight) {
        merged[at].weight = counts[order[s]];
        merged[at].uses[order[s]] = 1;
        ++s;
      } else {
        merged[at] = pair;
        ++p;
      }
    }
    row = merged;
    size = at;
  }
  // Of the code space n - 1 that a code of n symbols buys, levels 1 and 2 took 3 n / 4; the rest,
  // n / 4 - 1, is bought in packages of 1 / 8.
  Lengths lengths{};
  lengths.fill(kMinLength);
  for (std::size_t p = 0; p < 8 * (kSymbols / 4 - 1); ++p) {
    for (std::size_t s = 0; s < kSymbols; ++s) {
      lengths[s] = static_cast<std::uint8_t>(lengths[s] + row[p].uses[s]);
    }
  }
  return lengths;
}

/// Canonical codes: ascending by length, then by symbol; code[s] has length[s] bits, the first bit
/// of the stream being its most significant one.
struct Codes {
  Lengths lengths{};
  std::array<std::uint8_t, kSymbols> code{};
};

/// Precondition: is_complete(lengths).
ECCO_HD constexpr Codes canonical_codes(const Lengths& lengths) noexcept {
  Codes codes{lengths, {}};
  unsigned next = 0;
  for (unsigned length = kMinLength; length <= kMaxLength; ++length) {
    next <<= 1;
    for (std::size_t s = 0; s < kSymbols; ++s) {
      if (lengths[s] == length) codes.code[s] = static_cast<std::uint8_t>(next++);
    }
  }
  return codes;
}

/// What reading a canonical code bit by bit needs: symbols by length, then symbol, and how many
/// codes have each length.
struct SerialCode {
  std::array<std::uint8_t, kMaxLength + 1> count{};
  std::array<std::uint8_t, kSymbols> sorted{};
};

/// Precondition: is_complete(lengths).
ECCO_HD constexpr SerialCode serial_code(const std::uint8_t* lengths) noexcept {
  SerialCode code{};
  std::size_t at = 0;
  for (unsigned length = kMinLength; length <= kMaxLength; ++length) {
    for (unsigned s = 0; s < kSymbols; ++s) {
      if (lengths[s] != length) continue;
      code.sorted[at++] = static_cast<std::uint8_t>(s);
      ++code.count[length];
    }
  }
  return code;
}

/// The lowest `count` bits of `bits` in reverse: a code in the order of the stream, whose first
/// bit is the least significant.
ECCO_HD constexpr unsigned reverse_bits(unsigned bits, int count) noexcept {
  unsigned reversed = 0;
  for (int i = 0; i < count; ++i) reversed = reversed << 1 | (bits >> i & 1u);
  return reversed;
}

/// One code of the stream: its symbol and length.
struct Step {
  std::uint8_t symbol;
  std::uint8_t length;
};

/// Reads one code bit by bit: the reference of the tables below. next_bit() yields the next bit of
/// the stream; it is called once per bit of the code, at most 8 times.
template <typename NextBit>
ECCO_HD constexpr Step read_code(const SerialCode& code, NextBit&& next_bit) {
  unsigned value = 0;
  unsigned first = 0;  // least code of this length
  unsigned index = 0;  // of that code in code.sorted
  for (unsigned length = 1; length <= kMaxLength; ++length) {
    value = value << 1 | next_bit();
    const unsigned count = code.count[length];
    if (value - first < count) {
      return Step{code.sorted[index + value - first], static_cast<std::uint8_t>(length)};
    }
    index += count;
    first = (first + count) << 1;
  }
  return Step{0, kMaxLength};  // not reached with a complete code
}

/// Single-symbol decode table: entry i is the code that the next 8 bits of the stream begin with,
/// i having the first of them as its least significant bit. 512 bytes.
using StepTable = std::array<Step, 1 << kMaxLength>;

ECCO_HD constexpr StepTable step_table(const Codes& codes) noexcept {
  StepTable table{};
  for (unsigned s = 0; s < kSymbols; ++s) {
    const int length = codes.lengths[s];
    const unsigned first = reverse_bits(codes.code[s], length);
    for (unsigned i = first; i < table.size(); i += 1u << length) {
      table[i] = Step{static_cast<std::uint8_t>(s), static_cast<std::uint8_t>(length)};
    }
  }
  return table;
}

inline constexpr int kMultiBits = 11;    ///< look-ahead of the multi-symbol table
inline constexpr int kMultiSymbols = 4;  ///< most symbols that one look-up yields

/// All whole codes, at most 4, in the next 11 bits of the stream, as one word: their length in
/// bits 0..5, where a shift finds it; their number in byte 1; the symbols in the bytes 7, 6, 5, 4,
/// first one uppermost, unused ones 0. A decoder that writes its symbols downward stores the whole
/// word: the lower bytes fall where the next symbols go.
struct MultiStep {
  std::uint64_t word = 0;

  [[nodiscard]] ECCO_HD constexpr int length() const noexcept {
    return static_cast<int>(word & 63u);
  }
  [[nodiscard]] ECCO_HD constexpr std::uint32_t symbols() const noexcept {
    return static_cast<std::uint32_t>(word >> 32);
  }
  [[nodiscard]] ECCO_HD constexpr int count() const noexcept {
    return static_cast<int>(word >> 8 & 255u);
  }
};

/// Multi-symbol decode table, 16 KiB per codebook: one stays in the L1 cache.
using MultiTable = std::array<MultiStep, 1 << kMultiBits>;

constexpr MultiTable multi_table(const StepTable& steps) noexcept {
  MultiTable table{};
  for (unsigned i = 0; i < table.size(); ++i) {
    std::uint64_t symbols = 0;
    unsigned length = 0;
    unsigned count = 0;
    while (count < kMultiSymbols) {
      const Step step = steps[i >> length & 255u];
      if (length + step.length > kMultiBits) break;
      symbols |= static_cast<std::uint64_t>(step.symbol) << (56 - 8 * count++);
      length += step.length;
    }
    table[i].word = length | static_cast<std::uint64_t>(count) << 8 | symbols;
  }
  return table;
}

}  // namespace ecco::huffman

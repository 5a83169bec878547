// SPDX-License-Identifier: MIT
// What the rate-aware H4 encoder knows about a table before it sees a block: which symbol is best
// at which value when a bit costs lambda, for every pattern, codebook and lambda of a ladder.
// Integers only, so every machine and compiler makes the same choices.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "ecco/h4.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/huffman.hpp"

namespace ecco::h4 {

inline constexpr int kPlaces = 8;  ///< places (the unit of value / m) per step of a centroid
inline constexpr int kRungs = 46;  ///< Lagrange multipliers of the ladder

namespace detail {

/// Squared places per bit: 0, then from 8 on in ratios of 5/4, at last more than any error.
constexpr std::array<std::int64_t, kRungs> make_ladder() noexcept {
  std::array<std::int64_t, kRungs> ladder{};
  std::int64_t lambda = 8 << 16;
  for (std::size_t r = 1; r + 1 < ladder.size(); ++r, lambda += lambda / 4) {
    ladder[r] = (lambda + (1 << 15)) >> 16;
  }
  ladder.back() = std::int64_t{1} << 26;
  return ladder;
}

}  // namespace detail

inline constexpr std::array<std::int64_t, kRungs> kLadder = detail::make_ladder();

inline constexpr int kLowestPlace = -144 * kPlaces;  ///< thresholds below hold everywhere
inline constexpr int kBins = 2 * 144 * kPlaces;      ///< one per place; bin kBins holds nowhere

/// Bins of the thresholds between neighbouring symbols (by centroid, symbol 15 last): a value at
/// place t gets the symbol number[thresholds k whose bin is <= t - kLowestPlace]. Unused symbols
/// have equal thresholds on both sides. Entry 15 is 0, the bin that all values are at or above.
using Thresholds = std::array<std::int16_t, huffman::kSymbols>;

/// Upper envelope of the lines 2 c t - (c c + lambda length) over the symbols.
inline Thresholds make_thresholds(const std::int16_t* centroids, const std::uint8_t* lengths,
                                  std::int64_t lambda) noexcept {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  std::array<int, huffman::kSymbols> stack{};
  std::array<std::int64_t, huffman::kSymbols> begin{};  // least place of stack[i]
  std::size_t size = 0;
  const auto offset = [&](int s) {
    return std::int64_t{centroids[s]} * centroids[s] + lambda * lengths[s];
  };
  for (int s = 0; s < huffman::kSymbols; ++s) {
    std::int64_t from = std::numeric_limits<std::int64_t>::min();
    while (size > 0) {
      const int top = stack[size - 1];
      const std::int64_t run = 2 * (centroids[s] - centroids[top]);
      const std::int64_t rise = offset(s) - offset(top);
      if (run == 0) {
        from = rise < 0 ? begin[size - 1] : kNever;
      } else {
        from = rise / run + (rise % run > 0 ? 1 : 0);  // ceiling
      }
      if (from > begin[size - 1]) break;
      --size;
      from = begin[size];
    }
    if (from == kNever) continue;
    stack[size] = s;
    begin[size++] = from;
  }
  Thresholds bins{};
  std::size_t next = 0;  // of the envelope: the first symbol above the threshold
  for (int k = 0; k < kMaxSymbol; ++k) {
    while (next < size && stack[next] <= k) ++next;
    const std::int64_t place = next < size ? begin[next] : kNever;
    bins[static_cast<std::size_t>(k)] =
        place >= kLowestPlace + kBins
            ? std::int16_t{kBins}
            : static_cast<std::int16_t>(std::max<std::int64_t>(place - kLowestPlace, 0));
  }
  return bins;
}

/// Squared error in squared places, without the part that does not depend on symbols, and code
/// bits.
struct Cost {
  std::int64_t error;
  std::int64_t bits;
};

/// A pattern as the steps at its thresholds, for sums over the values above each; entry 15 holds
/// the lowest centroid itself, for the sum over all values.
struct PatternSteps {
  std::array<std::int16_t, huffman::kSymbols> centroid{};     // in places; [15] = m
  std::array<std::int32_t, huffman::kSymbols> square_step{};  // of c^2
  std::array<std::int32_t, huffman::kSymbols> minus_twice{};  // of -2 c
};
struct CodebookSteps {
  std::array<std::int32_t, huffman::kSymbols> length{};
  std::array<std::int32_t, huffman::kSymbols> length_step{};
  std::uint8_t shortest = 0;  // lowest symbol of least length
};

/// A table prepared for the search. Memory: 1.5 KiB per pattern and codebook.
class RateTables {
 public:
  /// Centroids in places (8 times those of the table), 15 ascending per pattern; codebooks of 16
  /// lengths. Throws std::bad_alloc only.
  RateTables(std::span<const std::int16_t> centroids, std::span<const std::uint8_t> codebooks)
      : patterns_(centroids.size() / kCentroids),
        codebooks_(codebooks.size() / huffman::kSymbols) {
    thresholds_.resize(patterns_.size() * codebooks_.size() * kRungs);
    for (std::size_t h = 0; h < codebooks_.size(); ++h) {
      prepare(codebooks.data() + h * huffman::kSymbols, codebooks_[h]);
    }
    for (std::size_t p = 0; p < patterns_.size(); ++p) {
      prepare(centroids.data() + p * kCentroids, patterns_[p]);
      for (std::size_t h = 0; h < codebooks_.size(); ++h) {
        for (std::size_t r = 0; r < kLadder.size(); ++r) {
          thresholds_[(r * patterns_.size() + p) * codebooks_.size() + h] = make_thresholds(
              patterns_[p].centroid.data(), codebooks.data() + h * huffman::kSymbols, kLadder[r]);
        }
      }
    }
  }

  explicit RateTables(const TableView& table)
      : RateTables(in_places(table), {table.lengths, static_cast<std::size_t>(table.codebooks) *
                                                         huffman::kSymbols}) {}

  [[nodiscard]] int patterns() const noexcept { return static_cast<int>(patterns_.size()); }
  [[nodiscard]] int codebooks() const noexcept { return static_cast<int>(codebooks_.size()); }
  /// Pairs of a pattern and a codebook: pair = pattern * codebooks() + codebook.
  [[nodiscard]] int pairs() const noexcept { return patterns() * codebooks(); }
  [[nodiscard]] const PatternSteps& pattern(int p) const noexcept {
    return patterns_[static_cast<std::size_t>(p)];
  }
  [[nodiscard]] const CodebookSteps& codebook(int h) const noexcept {
    return codebooks_[static_cast<std::size_t>(h)];
  }
  [[nodiscard]] const Thresholds& thresholds(int pair, int rung) const noexcept {
    return thresholds_[static_cast<std::size_t>(rung * pairs() + pair)];
  }
  [[nodiscard]] int header_bits() const noexcept {
    return index_bits(codebooks()) + index_bits(patterns()) + 8;
  }
  /// True when every code has 4 bits: 128 of them do not fit into a block beside its header.
  [[nodiscard]] bool always_clips() const noexcept {
    return std::all_of(codebooks_.begin(), codebooks_.end(), [](const CodebookSteps& codebook) {
      return codebook.length[codebook.shortest] == 4;
    });
  }

 private:
  static std::vector<std::int16_t> in_places(const TableView& table) {
    const std::span<const std::int8_t> from{table.centroids,
                                            static_cast<std::size_t>(table.patterns) * kCentroids};
    std::vector<std::int16_t> places;
    places.reserve(from.size());
    for (const std::int8_t c : from) places.push_back(static_cast<std::int16_t>(kPlaces * c));
    return places;
  }

  static void prepare(const std::int16_t* centroids, PatternSteps& out) noexcept {
    std::copy_n(centroids, kCentroids, out.centroid.begin());
    out.centroid[kMaxSymbol] = 128 * kPlaces;
    std::int32_t low = 0;
    for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
      const std::size_t threshold = k > 0 ? k - 1 : kMaxSymbol;
      const std::int32_t high = out.centroid[k];
      out.square_step[threshold] = high * high - low * low;
      out.minus_twice[threshold] = -2 * (high - low);
      low = high;
    }
  }

  static void prepare(const std::uint8_t* lengths, CodebookSteps& out) noexcept {
    out.shortest = shortest_symbol(lengths);
    std::copy_n(lengths, huffman::kSymbols, out.length.begin());
    for (std::size_t k = 0; k + 1 < huffman::kSymbols; ++k) {
      out.length_step[k] = out.length[k + 1] - out.length[k];
    }
    out.length_step[kMaxSymbol] = out.length[0];
  }

  std::vector<PatternSteps> patterns_;
  std::vector<CodebookSteps> codebooks_;
  std::vector<Thresholds> thresholds_;  // rung by rung: a search reads all pairs of one
};

/// Entries behind those of the bins, so that sums may be written in whole steps.
inline constexpr int kSumsOverrun = 32;

/// For each bin, the values at or above it: their number in bits 0..7, the sum of their places
/// above. Entry kBins is 0; those behind it mean nothing.
using PlainSums = std::array<std::int32_t, kBins + 1 + kSumsOverrun>;

/// The same with integer weights.
struct alignas(16) WeightedSum {
  std::int32_t places = 0;  ///< sum of weight * place
  std::int32_t count = 0;
  std::int32_t weight = 0;
  std::int32_t unused = 0;

  WeightedSum& operator+=(const WeightedSum& other) noexcept {
    places += other.places;
    count += other.count;
    weight += other.weight;
    return *this;
  }
  WeightedSum& operator-=(const WeightedSum& other) noexcept {
    places -= other.places;
    count -= other.count;
    weight -= other.weight;
    return *this;
  }
};
using WeightedSums = std::array<WeightedSum, kBins + 1 + kSumsOverrun>;

/// Cost of giving every value the symbol that the thresholds of a rung give it. Complexity: O(16),
/// however many values. The error's terms may wrap; the sum does not (below 2^31).
inline Cost evaluate(const RateTables& tables, const PlainSums& sums, int pair,
                     int rung) noexcept {
  const PatternSteps& pattern = tables.pattern(pair / tables.codebooks());
  const CodebookSteps& codebook = tables.codebook(pair % tables.codebooks());
  const Thresholds& bins = tables.thresholds(pair, rung);
  std::uint32_t error = 0;
  std::int32_t bits = 0;
  for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
    const std::int32_t sum = sums[static_cast<std::size_t>(bins[k])];
    error +=
        static_cast<std::uint32_t>(pattern.square_step[k]) *
            static_cast<std::uint32_t>(sum & 255) +
        static_cast<std::uint32_t>(pattern.minus_twice[k]) * static_cast<std::uint32_t>(sum >> 8);
    bits += codebook.length_step[k] * (sum & 255);
  }
  return {static_cast<std::int32_t>(error), bits};
}

inline Cost evaluate(const RateTables& tables, const WeightedSums& sums, int pair,
                     int rung) noexcept {
  const PatternSteps& pattern = tables.pattern(pair / tables.codebooks());
  const CodebookSteps& codebook = tables.codebook(pair % tables.codebooks());
  const Thresholds& bins = tables.thresholds(pair, rung);
  Cost cost{0, 0};
  for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
    const WeightedSum& sum = sums[static_cast<std::size_t>(bins[k])];
    cost.error += std::int64_t{pattern.square_step[k]} * sum.weight +
                  std::int64_t{pattern.minus_twice[k]} * sum.places;
    cost.bits += std::int64_t{codebook.length_step[k]} * sum.count;
  }
  return cost;
}

inline void score_pairs(const RateTables& tables, const PlainSums& sums, int rung, Cost* out) {
  for (int pair = 0; pair < tables.pairs(); ++pair) {
    out[pair] = evaluate(tables, sums, pair, rung);
  }
}
inline void score_pairs(const RateTables& tables, const WeightedSums& sums, int rung, Cost* out) {
  for (int pair = 0; pair < tables.pairs(); ++pair) {
    out[pair] = evaluate(tables, sums, pair, rung);
  }
}

}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
// The inner loops of the rate-aware search, scalar reference. The compiled library lends
// RateAwareEncoder faster ones with the same results.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "ecco/h4_rate_tables.hpp"

namespace ecco::h4 {
namespace detail {

inline constexpr int kMaxPlace = 2047;  ///< 256 steps of a centroid: beyond twice the scale

/// value / m in places, to nearest, within +-kMaxPlace. Exact products only: safe from fusing.
inline std::int16_t place_of(float value, float m) noexcept {
  const float limit = static_cast<float>(kMaxPlace) / (128 * kPlaces);
  const float quotient = std::clamp(value / m, -limit, limit);
  const float scaled = quotient * static_cast<float>(128 * kPlaces);
  return static_cast<std::int16_t>((scaled + 0x1.8p23f) - 0x1.8p23f);
}

/// Bin of a place: values beyond the bins count in the outermost one.
inline int bin_of(int place) noexcept { return std::clamp(place - kLowestPlace, 0, kBins - 1); }

}  // namespace detail

/// A group as its symbols are chosen; places and weights past `count` are 0.
struct Elements {
  int count;
  const std::int16_t* places;
  const std::uint16_t* weights;  ///< up to 2^13
  const std::uint8_t* rungs;     ///< each element's own
};

inline void place_values(const float* values, int count, float m, std::int16_t* places) {
  for (int e = 0; e < count; ++e) places[e] = detail::place_of(values[e], m);
}

/// Gives every element the symbol of its rung in a pair. Returns the cost of all, whatever their
/// weights.
inline Cost assign_symbols(const RateTables& tables, int pair, const Elements& elements,
                           std::uint8_t* symbols) {
  const PatternSteps& pattern = tables.pattern(pair / tables.codebooks());
  const CodebookSteps& codebook = tables.codebook(pair % tables.codebooks());
  Cost cost{0, 0};
  for (int e = 0; e < elements.count; ++e) {
    const Thresholds& bins = tables.thresholds(pair, elements.rungs[e]);
    const int place = elements.places[e];
    const int bin = detail::bin_of(place);
    std::size_t symbol = 0;
    for (std::size_t k = 0; k + 1 < huffman::kSymbols; ++k) symbol += bins[k] <= bin ? 1u : 0u;
    const std::int64_t c = pattern.centroid[symbol];
    cost.error += elements.weights[e] * (c * (c - 2 * place));
    cost.bits += codebook.length[symbol];
    symbols[e] = static_cast<std::uint8_t>(symbol);
  }
  return cost;
}

/// All of them; the defaults are the reference.
struct SearchKernels {
  void (*place)(const float* values, int count, float m, std::int16_t* places) = place_values;
  /// Costs of all pairs at one rung, in the order of their indices.
  void (*score)(const RateTables& tables, const PlainSums& sums, int rung,
                Cost* out) = score_pairs;
  void (*score_weighted)(const RateTables& tables, const WeightedSums& sums, int rung,
                         Cost* out) = score_pairs;
  /// evaluate() of one pair.
  Cost (*evaluate)(const RateTables& tables, const PlainSums& sums, int pair,
                   int rung) = h4::evaluate;
  Cost (*assign)(const RateTables& tables, int pair, const Elements& elements,
                 std::uint8_t* symbols) = assign_symbols;
};

}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
// State of a training run: patterns with the statistics that their centroids are means of.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/parallel.hpp"
#include "fit/search.hpp"

namespace ecco::fit {

/// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  /// Bell-shaped, mean 0, variance 1, within +-3.5: a sum of four uniform numbers.
  double bell();

 private:
  std::uint64_t state_;
};

/// A pattern in training, ranks in order of use. Sums run over the values seen, decayed.
struct Pattern {
  std::array<double, kMaxCentroids> centroid{};
  std::array<double, kMaxCentroids> sum{};     ///< of weight * value / scale
  std::array<double, kMaxCentroids> weight{};  ///< of scale^2 over the block's mean square
  std::array<double, kMaxCentroids> count{};
  double use = 0.0;    ///< blocks that chose it
  double error = 0.0;  ///< of these blocks
};

/// How one round treats what it has learnt so far.
struct Round {
  double memory = 0.0;    ///< factor that keeps the statistics of the rounds before, 0..1
  double replaced = 0.0;  ///< share of the patterns, the least useful ones, that may be replaced
                          ///< by halves of those with the largest total error
};

class Trainer {
 public:
  /// Starts from companded grids of varying width and phase.
  Trainer(Codec codec, int patterns, std::uint64_t seed);
  /// Starts from a table.
  Trainer(Codec codec, std::span<const std::int8_t> table, std::uint64_t seed);

  /// Adds patterns for values that are not bell-shaped, for the next round to try: their most
  /// probable centroids lie at one end, or at both.
  void add_probes();

  /// One iteration: searches the values, renews every pattern. Returns the mean relative squared
  /// error of the blocks, before the renewal.
  double step(std::span<const float> values, std::span<const float> importance, const Round& round,
              const ParallelFor& parallel);

  /// Keeps the `patterns` most used ones, most used first.
  void keep(int patterns);

  [[nodiscard]] std::vector<std::int8_t> table() const;

 private:
  void decay(double memory);
  double accumulate(std::span<const float> values, std::span<const float> importance,
                    std::span<const Choice> choices);
  void replace(double share);
  void split(Pattern& from, Pattern& to);
  void renew(Pattern& pattern) const;

  Codec codec_;
  std::size_t width_;
  Random random_;
  std::vector<Pattern> patterns_;
};

/// Patterns of a table, prepared for the search.
std::vector<PreparedPattern> prepare(Codec codec, std::span<const std::int8_t> table,
                                     const ParallelFor& parallel);

}  // namespace ecco::fit

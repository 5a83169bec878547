// SPDX-License-Identifier: MIT
// The trainer's search: which pattern, scale and ranks serve a block best.
//
// It is a search of its own, apart from the encoder's, because tables are pinned for ever: its
// result may not move when the encoder is tuned. Integers and exactly rounded operations in a
// fixed order only, so it is the same on every machine, compiler and number of threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/parallel.hpp"

namespace ecco::fit {

inline constexpr int kMaxCentroids = 40;
inline constexpr int kRungs = 28;  ///< of the ladder of Lagrange multipliers
inline constexpr int kBins = 1024;

/// Decision thresholds at one Lagrange multiplier: rank[i] holds between limit[i-1] and limit[i].
struct Envelope {
  int size = 0;
  std::array<float, kMaxCentroids> limit{};
  std::array<std::uint8_t, kMaxCentroids> rank{};
};

/// A pattern with its envelopes and, per rung and bin of a value, the cost of the best rank:
/// squared error in units of its codec << kCountBits | tail bits.
class PreparedPattern {
 public:
  PreparedPattern() = default;
  PreparedPattern(Codec codec, std::span<const std::int8_t> centroids);

  [[nodiscard]] const std::uint32_t* costs(int rung) const { return costs_.data() + rung * kBins; }
  [[nodiscard]] const Envelope& envelope(int rung) const {
    return envelopes_[static_cast<std::size_t>(rung)];
  }
  [[nodiscard]] double lambda(int rung) const { return lambdas_[static_cast<std::size_t>(rung)]; }
  [[nodiscard]] double centroid(int rank) const {
    return centroids_[static_cast<std::size_t>(rank)];
  }
  /// Steps of the scale from a block's root mean square to where this pattern fits it.
  [[nodiscard]] int scale_offset() const { return scale_offset_; }
  /// Scale code of the greatest centroid.
  [[nodiscard]] int reach() const { return reach_; }

 private:
  std::array<double, kMaxCentroids> centroids_{};
  std::array<double, kRungs> lambdas_{};
  std::array<Envelope, kRungs> envelopes_;
  std::vector<std::uint32_t> costs_;
  int scale_offset_ = 0;
  int reach_ = 0;
};

/// What the search chose for a block. `scale` is an E5M3 code without its limits:
/// (1 + (scale & 7) / 8) * 2^(scale >> 3).
struct Choice {
  int pattern = -1;  ///< -1: a block of zeros
  int scale = 0;
  double error = 0.0;  ///< weighted squared error over the block's weighted sum of squares
  std::array<std::uint8_t, kGroup> ranks{};
};

double scale_value(int scale);

/// Chooses for each block of 128 values. `importance` is empty or as long as `values`.
void search(Codec codec, std::span<const PreparedPattern> patterns, std::span<const float> values,
            std::span<const float> importance, std::span<Choice> choices,
            const ParallelFor& parallel);

}  // namespace ecco::fit

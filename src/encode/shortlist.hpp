// SPDX-License-Identifier: MIT
// Scores of all candidates of a block at once, by a low-rank factorisation.
//
// A candidate is a pattern at a scale relative to the block's root mean square. Its Lagrangian at
// a fixed multiplier, min over ranks u of (t - s c_u)^2 + lambda (n_u - 112 / 128), is a function
// F of the value t, summed over the block. Tabulated on kScoreBins bins and factored to kScoreRank
// terms, F = A B, the sum becomes A times the sum of the values' columns of B: the block's
// features. The greatest of a few multipliers is a Lagrangian dual bound, an estimate of the error
// at exactly 112 tail bits. All of it is in integers, so that every instruction set finds the same
// shortlist.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ecco/detail/block_search.hpp"
#include "encode/kernels.hpp"

namespace ecco {

/// Bins of a value per unit of the block's root mean square: 12 of them on each side.
inline constexpr float kBinsPerRms = kScoreBins / 24.0f;

class Shortlist {
 public:
  /// Tabulates the candidates of a table: every pattern at its usual scale and `neighbours` (0 to
  /// 2) scale codes on both sides. Plain arithmetic in a fixed order: the same on every machine.
  /// Throws std::bad_alloc. Complexity: about 0.1 s for 256 patterns and their neighbours.
  Shortlist(const rd::PreparedTable& table, int neighbours);

  /// Number of candidates with the padding that completes the last group.
  [[nodiscard]] int padded_candidates() const noexcept { return padded_; }
  [[nodiscard]] int candidates() const noexcept { return candidates_; }
  [[nodiscard]] const std::int16_t* basis() const noexcept { return basis_.data(); }
  /// Bias and factors for blocks whose base scale code has the mantissa `code & 7`.
  [[nodiscard]] const std::int32_t* bias(int mantissa) const noexcept {
    return bias_.data() + static_cast<std::size_t>(mantissa) * lists();
  }
  [[nodiscard]] const std::int16_t* factors(int mantissa) const noexcept {
    return factors_.data() + static_cast<std::size_t>(mantissa) * lists() * kScoreRank;
  }
  [[nodiscard]] int pattern(int candidate) const noexcept { return candidate / per_pattern_; }
  /// Scale code relative to the pattern's usual one.
  [[nodiscard]] int distance(int candidate) const noexcept {
    return candidate % per_pattern_ - per_pattern_ / 2;
  }
  /// Multiplier of index l over the block's mean square.
  [[nodiscard]] double lambda(int l) const noexcept {
    return lambdas_[static_cast<std::size_t>(l)];
  }

 private:
  /// F of one candidate at one multiplier, and how to compute it.
  using Row = std::array<float, kScoreBins>;
  /// kScoreRank functions of the bin, bin by bin.
  using Projection = std::array<std::array<float, kScoreRank>, kScoreBins>;
  using Coefficients = std::array<float, kScoreRank>;

  [[nodiscard]] std::size_t lists() const noexcept {
    return static_cast<std::size_t>(padded_) * kScoreLambdas;
  }
  void fill_row(const rd::PreparedTable& table, int mantissa, int candidate, int l,
                Row& row) const;
  [[nodiscard]] std::vector<Row> sample_rows(const rd::PreparedTable& table) const;
  void store(const std::vector<Coefficients>& coefficients,
             const std::array<double, kScoreRank>& mean,
             const std::array<double, kScoreRank>& deviation);

  int per_pattern_;
  int candidates_;
  int padded_;
  std::array<double, kScoreLambdas> lambdas_{};
  std::vector<std::int16_t> basis_;
  std::vector<std::int32_t> bias_;
  std::vector<std::int16_t> factors_;
};

}  // namespace ecco

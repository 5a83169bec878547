// SPDX-License-Identifier: MIT
// Training of pattern tables: entropy-constrained k-means over blocks of weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ecco/config.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"

namespace ecco {

struct FitOptions {
  Codec codec = Codec::p4;
  int patterns = kMaxPatterns;  ///< 1..256
  int rounds = 24;              ///< Lloyd iterations
  std::uint64_t seed = 1;
  /// Table to start from; empty: the initial patterns of the recipe.
  PatternTableView start = {};
  /// Importance of each value, or empty; same size as `values`.
  std::span<const float> importance = {};
};

/// Trains patterns on `values` (whole blocks of 128, finite). Deterministic: depends on values and
/// options alone. Errors: invalid_argument, not_finite, out_of_memory.
ECCO_API Result<PatternTable> fit_table(std::span<const float> values, const FitOptions& options,
                                        const ParallelFor& parallel = serial);

}  // namespace ecco

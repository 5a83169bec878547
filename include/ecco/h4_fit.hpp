// SPDX-License-Identifier: MIT
// Training of H4 tables: the ISCA 2025 paper's two-stage k-means, its refinement for the
// rate-aware encoder, and tables for KV mode.
#pragma once

#include <cstdint>
#include <span>

#include "ecco/config.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Blocks worth training on, for each pattern of an h4 table.
inline constexpr std::uint64_t kH4FitBlocksPerPattern = 128;

struct H4FitOptions {
  int patterns = 64;  ///< S, 16..256
  int codebooks = 4;  ///< H, 1..16
  /// Lloyd iterations with the rate-aware encoder after the paper's k-means; 0 = the paper's
  /// table, for mode faithful.
  int rounds = 12;
  std::uint64_t seed = 1;  ///< of the k-means++ seeds
  /// Table of the same S and H to refine, instead of the k-means. Empty: none.
  PatternTableView start = {};
  /// Importance of each value's squared error (activation-aware: of its column), finite and >= 0,
  /// or empty for all 1; same size as `values`.
  std::span<const float> importance = {};
};

/// Trains a table of 15-centroid patterns and Huffman codebooks on `values`: whole blocks of 128,
/// finite, of any magnitude, not all zero; blocks of zeros are passed over. Every block counts
/// alike. Depends on values and options alone, never on `parallel` or the instruction set. The
/// name is left empty. Errors: invalid_argument, not_finite, corrupt (start), out_of_memory.
/// Complexity: on one core about 0.1 ms a block for the k-means at S = 64 and as much again per
/// round.
ECCO_API Result<PatternTable> fit_h4_table(std::span<const float> values,
                                           const H4FitOptions& options = {},
                                           const ParallelFor& parallel = serial);

/// Trains a table for KV mode, which chooses patterns by extremes and symbols by distance alone:
/// centroids minimise squared error plus lambda times bits, for the lambda whose table encodes
/// `values` best, clipping included. `rounds` = iterations per lambda; start and importance are
/// not used. Otherwise as fit_h4_table.
ECCO_API Result<PatternTable> fit_h4_kv_table(std::span<const float> values,
                                              const H4FitOptions& options = {},
                                              const ParallelFor& parallel = serial);

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Training of pattern tables: entropy-constrained k-means over blocks of weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "ecco/codec.hpp"
#include "ecco/config.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"

namespace ecco {

struct FitOptions {
  Codec codec = Codec::p4;
  int patterns = kMaxPatterns;  ///< 1..256
  int rounds = 48;              ///< iterations, each over one batch
  /// Blocks of a batch; batches take turns and their statistics are averaged over several rounds.
  std::size_t batch_blocks = 2048;
  std::uint64_t seed = 1;  ///< of the perturbations that lead out of poor optima
  /// Table to start from; with fewer `patterns` than it has, the ones that serve `values` best.
  /// Empty: companded grids of varying width and phase.
  PatternTableView start = {};
  /// Importance of each value, finite and >= 0, or empty for all 1; same size as `values`.
  std::span<const float> importance = {};
  /// Called after each round with its number and the relative error of its batch; may be empty.
  std::function<void(int round, double error)> progress = {};
};

/// Trains patterns on `values`: whole blocks of 128, finite; blocks of zeros are passed over.
/// The relative squared error counts, each block alike (times its mean importance). Depends on
/// values and options alone, never on `parallel` or the instruction set. The name is left empty.
/// Errors: invalid_argument, not_finite, corrupt (start), out_of_memory. Complexity: about 0.1 ms
/// a block and round on one core at 256 patterns; memory 35 MB, 3 MB a thread and one batch.
ECCO_API Result<PatternTable> fit_table(std::span<const float> values, const FitOptions& options,
                                        const ParallelFor& parallel = serial);

/// Root mean square of the blocks' relative errors that `table` gives on `values` by the search
/// that training uses (some 0.5 % above effort best): tells whether a trained table beats the
/// standard one. Errors as in fit_table.
ECCO_API Result<double> fit_error(std::span<const float> values, PatternTableView table,
                                  std::span<const float> importance = {},
                                  const ParallelFor& parallel = serial);

/// Blocks worth training 256 patterns on, 32 MB of values; with fewer the table learns accidents
/// of the sample (16384 blocks: 1 % more error on the rest).
inline constexpr std::uint64_t kFitSampleBlocks = 65536;

/// Patterns for a table that serves `blocks` blocks: 1..256, and never more than what costs 1 % of
/// the blocks' bytes (P4: 256 patterns from 8000 blocks, a million values, on).
constexpr int fit_patterns(Codec codec, std::uint64_t blocks) noexcept {
  const auto pattern_bytes = static_cast<std::uint64_t>(centroids_per_pattern(codec));
  const std::uint64_t blocks_per_pattern =
      (100 * pattern_bytes + block_bytes(codec) - 1) / block_bytes(codec);
  const std::uint64_t patterns = blocks / blocks_per_pattern;
  if (patterns < 1) return 1;
  return patterns < kMaxPatterns ? static_cast<int>(patterns) : kMaxPatterns;
}

/// Number of blocks to train on, of `blocks` in all.
constexpr std::uint64_t fit_sample_size(std::uint64_t blocks,
                                        std::uint64_t most = kFitSampleBlocks) noexcept {
  return blocks < most ? blocks : most;
}

/// Index of the block to take as sample `index` of `samples` (at most `blocks`): the samples
/// ascend and are spread evenly, one in each of as many equal strata, at a place in it that
/// varies, so that no period of the tensor's layout is favoured.
constexpr std::uint64_t fit_sample_block(std::uint64_t index, std::uint64_t samples,
                                         std::uint64_t blocks) noexcept {
  const std::uint64_t whole = blocks / samples;
  const std::uint64_t rest = blocks % samples;  // the first `rest` strata hold one more
  const std::uint64_t begin = index * whole + (index < rest ? index : rest);
  const std::uint64_t size = whole + (index < rest ? 1 : 0);
  std::uint64_t hash = (index + 1) * 0x9e3779b97f4a7c15u;
  hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
  return begin + (hash >> 32) % size;
}

}  // namespace ecco

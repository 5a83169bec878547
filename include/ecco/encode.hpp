// SPDX-License-Identifier: MIT
// Rate-distortion encoder of planar blocks: options and the compiled entry points.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ecco/config.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// How hard the encoder searches: fast (a shortlist of few candidates), default_ (a longer one
/// with neighbouring scales), best (every pattern). The output is valid and decodes alike in all
/// cases.
enum class Effort : std::uint8_t { fast, default_, best };

struct CompressOptions {
  Codec codec = Codec::p4;
  Effort effort = Effort::default_;
  /// Column importances (cols values, or empty for all 1): the squared error of column k counts
  /// importance[k] times. Finite, >= 0. Activation-aware: the mean square of the column's input.
  std::span<const float> importance = {};
  /// Table to use; empty centroids mean the standard table of `codec`.
  PatternTableView table = {};
  /// No decoded value may exceed this magnitude (65504 for a source in half).
  float largest_value = 3.4028234663852886e38f;
};

/// Compresses a matrix, with the scalar exhaustive search (effort best) in reference::, with the
/// fastest path of any effort in the compiled function. The bytes depend on values and options
/// alone, never on `parallel` or the instruction set. Errors: not_finite (naming row and column),
/// invalid_argument (importance), unsupported, out_of_memory.
ECCO_API Result<CompressedTensor> compress(MatrixView<const float> weights,
                                           const CompressOptions& options = {},
                                           const ParallelFor& parallel = serial);

/// Encoder prepared for one table and effort; building one costs up to a second of search tables,
/// so share it between tensors. Immutable and safe to use from several threads.
class ECCO_API Encoder {
 public:
  /// `table` is copied. Errors: corrupt, unsupported, out_of_memory.
  static Result<Encoder> create(PatternTableView table, Effort effort);
  /// Encoder of the standard table of `codec`, built once per process.
  static Result<Encoder> standard(Codec codec, Effort effort);

  /// Encodes `rows` (any number of whole rows) into out, rows * blocks_per_row(cols) blocks.
  /// `importance` as in CompressOptions. Preconditions: finite values; out of the right size.
  /// Errors: not_finite, invalid_argument, shape_mismatch.
  Status encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                     float tensor_scale, float largest_value, std::span<std::uint8_t> out) const;

  struct Impl;

 private:
  explicit Encoder(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Collects what choose_tensor_scale needs, row by row; merge the parts of several threads.
struct ScaleStatistics {
  double sum_of_squares = 0.0;
  std::uint64_t values = 0;
  float least_block_rms = 0.0f;  ///< of blocks that are not all zero; 0 when there is none
  float greatest_magnitude = 0.0f;
};

}  // namespace ecco

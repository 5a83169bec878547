// SPDX-License-Identifier: MIT
// Rate-distortion encoder of planar blocks: options, the compiled entry points, and the
// header-only reference. docs/format.md, section 4.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ecco/config.hpp"
#include "ecco/detail/row_encoder.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/standard_tables.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/tensor_scale.hpp"
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
  /// What counts is the ratio to the block's median, between 1/64 and 1023.
  std::span<const float> importance = {};
  /// Table to use; empty centroids mean the standard table of `codec`.
  PatternTableView table = {};
  /// No decoded value may exceed this magnitude (65504 for a source in half).
  float largest_value = 3.4028234663852886e38f;
};

/// Compresses a matrix. The bytes depend on values and options alone, never on `parallel` or the
/// instruction set. Errors: not_finite (naming row and column), invalid_argument (importance,
/// largest_value), corrupt (table), unsupported, out_of_memory.
ECCO_API Result<CompressedTensor> compress(MatrixView<const float> weights,
                                           const CompressOptions& options = {},
                                           const ParallelFor& parallel = serial);

/// Encoder prepared for one table and effort; building one takes some tenths of a second, so share
/// it between tensors. Immutable and safe to use from several threads.
class ECCO_API Encoder {
 public:
  /// `table` is copied. Errors: corrupt, unsupported, out_of_memory.
  static Result<Encoder> create(PatternTableView table, Effort effort);
  /// Encoder of the standard table of `codec`, built once per process.
  static Result<Encoder> standard(Codec codec, Effort effort);

  /// Encodes `rows` (any number of whole rows) into out, rows * blocks_per_row(cols) blocks.
  /// `importance` and `largest_value` as in CompressOptions; tensor_scale in (0, 1e34], see
  /// choose_tensor_scale. Errors: not_finite (the row counts from the first of `rows`),
  /// invalid_argument, shape_mismatch, out_of_memory.
  Status encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                     float tensor_scale, float largest_value, std::span<std::uint8_t> out) const;

  struct Impl;

 private:
  explicit Encoder(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

namespace detail {

/// Table that the options ask for, copied. Errors: corrupt, unsupported.
inline Result<PatternTable> table_of(const CompressOptions& options) {
  if (!is_planar(options.codec)) {
    return fail(StatusCode::unsupported, "only the codecs p2 to p5 compress weights");
  }
  const bool standard = options.table.centroids.empty();
  const PatternTableView view = standard ? standard_table(options.codec) : options.table;
  if (view.codec != options.codec) {
    return fail(StatusCode::invalid_argument, "the table is of another codec");
  }
  if (Status status = validate(view); !status) return fail(std::move(status));
  PatternTable table;
  table.codec = view.codec;
  if (standard) table.name = kStandardTableName;
  table.centroids.assign(view.centroids.begin(), view.centroids.end());
  return table;
}

}  // namespace detail

/// Scalar, header-only, single-threaded: equals the compiled function at effort best, bit for bit.
namespace reference {

/// Compresses with the exhaustive search, whatever options.effort says. Same errors as
/// ecco::compress. Complexity: about 1 ms a block with 256 patterns.
inline Result<CompressedTensor> compress(MatrixView<const float> weights,
                                         const CompressOptions& options = {}) {
  try {
    Result<PatternTable> table = ecco::detail::table_of(options);
    if (!table) return fail(std::move(table.error()));
    ScaleStatistics statistics;
    if (Status status = add_rows(statistics, weights); !status) return fail(std::move(status));
    if (Status status = rd::check_largest_value(options.largest_value); !status) {
      return fail(std::move(status));
    }
    const float tensor_scale = choose_tensor_scale(statistics);

    const rd::Kernels kernels = rd::scalar_kernels(options.codec);
    const rd::PreparedTable prepared = rd::prepare_table(table->view(), kernels);
    rd::ColumnBlocks columns;
    Status status = columns.prepare(weights.cols, options.importance, tensor_scale);
    if (!status) return fail(std::move(status));
    rd::RowEncoder encoder(prepared, kernels, columns,
                           rd::scale_range(tensor_scale, options.largest_value));
    const std::size_t row_bytes = blocks_per_row(weights.cols) * block_bytes(options.codec);
    std::vector<std::uint8_t> blocks(weights.rows * row_bytes);
    for (std::size_t r = 0; r < weights.rows; ++r) {
      encoder.encode(weights.row(r), blocks.data() + r * row_bytes);
    }
    return CompressedTensor::create(weights.rows, weights.cols, tensor_scale, std::move(*table),
                                    std::move(blocks));
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::out_of_memory, "");
  }
}

}  // namespace reference
}  // namespace ecco

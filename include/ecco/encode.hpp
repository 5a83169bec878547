// SPDX-License-Identifier: MIT
// Encoders of weights, all codecs: options, the compiled entry points, and the header-only
// reference. docs/format.md, sections 4 (planar codecs) and 5 (h4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ecco/config.hpp"
#include "ecco/detail/encode_arguments.hpp"
#include "ecco/detail/h4_row_encoder.hpp"
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

/// How h4 is encoded (docs/format.md, section 5): rate_aware chooses everything together under the
/// 512 bits and clips nothing; faithful does as the ISCA 2025 paper, which pads or clips.
enum class H4Mode : std::uint8_t { rate_aware, faithful };

struct CompressOptions {
  Codec codec = Codec::p4;
  Effort effort = Effort::default_;
  H4Mode mode = H4Mode::rate_aware;  ///< of h4; faithful knows no effort
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
/// largest_value), corrupt (table), unsupported (codec; mode rate_aware with an h4 table of flat
/// codebooks alone, for 128 codes of 4 bits never fit; values over 4.48e36 in h4), out_of_memory.
ECCO_API Result<CompressedTensor> compress(MatrixView<const float> weights,
                                           const CompressOptions& options = {},
                                           const ParallelFor& parallel = serial);

/// Encoder prepared for one table and effort; building one takes some tenths of a second, so share
/// it between tensors. Immutable and safe to use from several threads.
class ECCO_API Encoder {
 public:
  /// `table` is copied. Errors: corrupt, unsupported, out_of_memory.
  static Result<Encoder> create(PatternTableView table, Effort effort,
                                H4Mode mode = H4Mode::rate_aware);
  /// Encoder of the standard table of `codec`, built once per process.
  static Result<Encoder> standard(Codec codec, Effort effort, H4Mode mode = H4Mode::rate_aware);

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

/// Errors: corrupt; unsupported, where `mode` cannot encode with the table.
inline Status check_table(const PatternTableView& table, H4Mode mode) {
  if (!stores_tensors(table.codec)) {
    return {StatusCode::unsupported,
            "codec " + std::string(codec_name(table.codec)) + " does not compress weights"};
  }
  Status status = validate(table);
  if (status && table.codec == Codec::h4 && mode == H4Mode::rate_aware &&
      !h4::RateAwareEncoder::usable(table.h4())) {
    return {StatusCode::unsupported,
            "every codebook is flat: 128 codes of 4 bits do not fit a block of 512 bits"};
  }
  return status;
}

/// Table that the options ask for, copied. Errors: corrupt, unsupported.
inline Result<PatternTable> table_of(const CompressOptions& options) {
  const bool standard = options.table.centroids.empty();
  const PatternTableView view = standard ? standard_table(options.codec) : options.table;
  if (stores_tensors(options.codec) && view.codec != options.codec) {
    return fail(StatusCode::invalid_argument, "the table is of another codec");
  }
  PatternTable table{options.codec,
                     standard ? std::string(kStandardTableName) : "",
                     {view.centroids.begin(), view.centroids.end()},
                     {view.codebooks.begin(), view.codebooks.end()}};
  if (Status status = check_table(table.view(), options.mode); !status) {
    return fail(std::move(status));
  }
  table.prepare();
  return table;
}

inline void reference_encode_planar(MatrixView<const float> weights,
                                    const CompressOptions& options, const PatternTableView& table,
                                    float tensor_scale, std::uint8_t* out) {
  const rd::Kernels kernels = rd::scalar_kernels(table.codec);
  const rd::PreparedTable prepared = rd::prepare_table(table, kernels);
  const rd::ColumnBlocks columns(weights.cols, options.importance, tensor_scale);
  rd::RowEncoder encoder(prepared, kernels, columns,
                         rd::scale_range(tensor_scale, options.largest_value));
  const std::size_t row_bytes = blocks_per_row(weights.cols) * block_bytes(table.codec);
  for (std::size_t r = 0; r < weights.rows; ++r, out += row_bytes) {
    encoder.encode(weights.row(r), out);
  }
}

inline void reference_encode_h4(MatrixView<const float> weights, const CompressOptions& options,
                                const h4::TableView& table, float tensor_scale,
                                std::uint8_t* out) {
  const h4::RowOptions row_options = {
      options.importance.empty() ? nullptr : options.importance.data(), tensor_scale,
      options.largest_value};
  const auto encode = [&](h4::RowEncoder encoder) {
    const std::size_t row_bytes = blocks_per_row(weights.cols) * block_bytes(Codec::h4);
    for (std::size_t r = 0; r < weights.rows; ++r, out += row_bytes) {
      encoder.encode(weights.row(r), weights.cols, out);
    }
  };
  if (options.mode == H4Mode::faithful) return encode({table, row_options});
  const h4::RateTables tables(table);
  encode({table, row_options, tables, h4::kBestSearch});
}

}  // namespace detail

/// Scalar, header-only, single-threaded: equals the compiled function at effort best, bit for bit.
namespace reference {

/// Compresses with the exhaustive search, whatever options.effort says. Same errors as
/// ecco::compress. Complexity: about 1 ms a planar block with 256 patterns, 0.3 ms an h4 block.
inline Result<CompressedTensor> compress(MatrixView<const float> weights,
                                         const CompressOptions& options = {}) {
  try {
    Result<PatternTable> table = ecco::detail::table_of(options);
    if (!table) return fail(std::move(table.error()));
    ScaleStatistics statistics;
    Status status = add_rows(statistics, weights);
    if (status) status = ecco::detail::check_importance(weights.cols, options.importance);
    if (status) status = ecco::detail::check_largest_value(options.largest_value);
    if (!status) return fail(std::move(status));
    const Result<float> tensor_scale = choose_tensor_scale(options.codec, statistics);
    if (!tensor_scale) return fail(tensor_scale.error());

    std::vector<std::uint8_t> blocks(weights.rows * blocks_per_row(weights.cols) *
                                     block_bytes(options.codec));
    const PatternTableView view = table->view();
    if (options.codec == Codec::h4) {
      ecco::detail::reference_encode_h4(weights, options, view.h4(), *tensor_scale, blocks.data());
    } else {
      ecco::detail::reference_encode_planar(weights, options, view, *tensor_scale, blocks.data());
    }
    return CompressedTensor::create(weights.rows, weights.cols, *tensor_scale, std::move(*table),
                                    std::move(blocks));
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::out_of_memory, "");
  }
}

}  // namespace reference
}  // namespace ecco

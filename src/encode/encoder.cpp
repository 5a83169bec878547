// SPDX-License-Identifier: MIT
// The compiled encoder: Encoder and compress.
#include <algorithm>
#include <array>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include "ecco/encode.hpp"
#include "encode/shortlist_encoder.hpp"
#include "isa/kernels.hpp"

namespace ecco {

struct Encoder::Impl {
  const EncodeKernels* kernels = nullptr;
  rd::PreparedTable table;
  ShortlistEffort effort;
  std::optional<Shortlist> shortlist;  // none at effort best

  [[nodiscard]] const rd::Kernels& search_kernels() const noexcept {
    return kernels->search[static_cast<std::size_t>(mantissa_planes(table.codec))];
  }
};

namespace {

constexpr ShortlistEffort kFast = {0, 8, 32};
constexpr ShortlistEffort kDefault = {2, 32, 0};

/// The failure of the first rows that have one, whichever thread meets it first.
class FirstFailure {
 public:
  void add(std::size_t row, Status status) {
    if (status || (!first_ && row_ <= row)) return;
    row_ = row;
    first_ = std::move(status);
  }
  [[nodiscard]] const Status& status() const noexcept { return first_; }

 private:
  std::size_t row_ = 0;
  Status first_;
};

Status out_of_memory() { return {StatusCode::out_of_memory, "out of memory in the encoder"}; }

}  // namespace

Result<Encoder> Encoder::create(PatternTableView table, Effort effort) {
  if (!is_planar(table.codec)) {
    return fail(StatusCode::unsupported, "only the codecs p2 to p5 compress weights");
  }
  if (Status status = validate(table); !status) return fail(std::move(status));
  try {
    const Result<const Kernels*> kernels = active_kernels();
    if (!kernels) return fail(kernels.error());
    auto impl = std::make_shared<Impl>();
    impl->kernels = &(*kernels)->encode;
    impl->table.codec = table.codec;
    impl->table = rd::prepare_table(table, impl->search_kernels());
    if (effort != Effort::best) {
      impl->effort = effort == Effort::fast ? kFast : kDefault;
      impl->shortlist.emplace(impl->table, impl->effort.neighbours);
    }
    return Encoder(std::move(impl));
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory());
  }
}

Result<Encoder> Encoder::standard(Codec codec, Effort effort) {
  if (!is_planar(codec)) {
    return fail(StatusCode::unsupported, "only the codecs p2 to p5 compress weights");
  }
  static std::mutex mutex;
  static std::array<std::optional<Encoder>, 12> encoders;
  const std::lock_guard lock(mutex);
  std::optional<Encoder>& encoder =
      encoders[static_cast<std::size_t>(3 * mantissa_planes(codec) + static_cast<int>(effort))];
  if (!encoder) {
    Result<Encoder> created = create(standard_table(codec), effort);
    if (!created) return created;
    encoder = std::move(*created);
  }
  return *encoder;
}

Status Encoder::encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                            float tensor_scale, float largest_value,
                            std::span<std::uint8_t> out) const {
  const std::size_t row_bytes = blocks_per_row(rows.cols) * block_bytes(impl_->table.codec);
  if (out.size() != rows.rows * row_bytes) {
    return {StatusCode::shape_mismatch, std::to_string(out.size()) + " bytes for blocks of " +
                                            std::to_string(rows.rows * row_bytes)};
  }
  try {
    if (Status status = rd::check_largest_value(largest_value); !status) return status;
    if (!detail::all_finite(rows)) return detail::not_finite(rows, 0, 0);
    rd::ColumnBlocks columns;
    if (Status status = columns.prepare(rows.cols, importance, tensor_scale); !status) {
      return status;
    }
    const rd::ScaleRange range = rd::scale_range(tensor_scale, largest_value);
    if (range.lowest > range.highest) {
      std::fill(out.begin(), out.end(), std::uint8_t{0});
    } else if (impl_->shortlist) {
      ShortlistEncoder(impl_->table, *impl_->shortlist, *impl_->kernels, columns, range,
                       impl_->effort)
          .encode(rows, out.data());
    } else {
      rd::RowEncoder encoder(impl_->table, impl_->search_kernels(), columns, range);
      for (std::size_t r = 0; r < rows.rows; ++r) {
        encoder.encode(rows.row(r), out.data() + r * row_bytes);
      }
    }
    return {};
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  }
}

Result<CompressedTensor> compress(MatrixView<const float> weights, const CompressOptions& options,
                                  const ParallelFor& parallel) {
  try {
    Result<PatternTable> table = detail::table_of(options);
    if (!table) return fail(std::move(table.error()));
    const bool standard = options.table.centroids.empty();
    const Result<Encoder> encoder = standard ? Encoder::standard(options.codec, options.effort)
                                             : Encoder::create(table->view(), options.effort);
    if (!encoder) return fail(encoder.error());

    std::mutex mutex;  // guards statistics and failure
    ScaleStatistics statistics;
    FirstFailure failure;
    parallel(weights.rows, [&](std::size_t begin, std::size_t end) {
      ScaleStatistics part;
      const MatrixView<const float> rows = {weights.row(begin), end - begin, weights.cols,
                                            weights.row_stride};
      Status status = add_rows(part, rows, begin);
      const std::lock_guard lock(mutex);
      statistics.merge(part);
      failure.add(begin, std::move(status));
    });
    if (!failure.status()) return fail(failure.status());
    const float tensor_scale = choose_tensor_scale(statistics);

    const std::size_t row_bytes = blocks_per_row(weights.cols) * block_bytes(options.codec);
    std::vector<std::uint8_t> blocks(weights.rows * row_bytes);
    parallel(weights.rows, [&](std::size_t begin, std::size_t end) {
      const MatrixView<const float> rows = {weights.row(begin), end - begin, weights.cols,
                                            weights.row_stride};
      Status status = encoder->encode_rows(
          rows, options.importance, tensor_scale, options.largest_value,
          std::span(blocks).subspan(begin * row_bytes, (end - begin) * row_bytes));
      const std::lock_guard lock(mutex);
      failure.add(begin, std::move(status));
    });
    if (!failure.status()) return fail(failure.status());
    return CompressedTensor::create(weights.rows, weights.cols, tensor_scale, std::move(*table),
                                    std::move(blocks));
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory());
  }
}

}  // namespace ecco

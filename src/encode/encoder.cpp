// SPDX-License-Identifier: MIT
// The compiled encoder: Encoder and compress.
#include <array>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <variant>

#include "ecco/encode.hpp"
#include "encode/h4_encoder.hpp"
#include "encode/planar_encoder.hpp"
#include "guarded.hpp"
#include "isa/kernels.hpp"

namespace ecco {

struct Encoder::Impl {
  std::variant<PlanarEncoder, H4Encoder> encoder;
};

namespace {

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

Result<Encoder> Encoder::create(PatternTableView table, Effort effort, H4Mode mode) {
  if (Status status = detail::check_table(table, mode); !status) return fail(std::move(status));
  if (effort > Effort::best) return fail(StatusCode::invalid_argument, "no such effort");
  try {
    if (table.codec == Codec::h4) {
      const Result<H4EncodeKernels> kernels = active_h4_encode_kernels();
      if (!kernels) return fail(kernels.error());
      return Encoder(std::make_shared<const Impl>(Impl{H4Encoder(*kernels, table, effort, mode)}));
    }
    const Result<const Kernels*> kernels = active_kernels();
    if (!kernels) return fail(kernels.error());
    return Encoder(
        std::make_shared<const Impl>(Impl{PlanarEncoder((*kernels)->encode, table, effort)}));
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory());
  }
}

Result<Encoder> Encoder::standard(Codec codec, Effort effort, H4Mode mode) {
  const PatternTableView table = standard_table(codec);
  if (table.codec != codec) return create({codec, {}}, effort, mode);  // gives the error
  if (effort > Effort::best) return create(table, effort, mode);       // so does this
  // Effort by codec, and one more row for mode faithful.
  static std::mutex mutex;
  static std::array<std::array<std::optional<Encoder>, 3>, kStoredCodecs.size() + 1> encoders;
  const bool faithful = codec == Codec::h4 && mode == H4Mode::faithful;
  const std::size_t row = faithful           ? kStoredCodecs.size()
                          : is_planar(codec) ? static_cast<std::size_t>(mantissa_planes(codec))
                                             : kPlanarCodecs.size();
  const std::lock_guard lock(mutex);
  std::optional<Encoder>& encoder = encoders[row][static_cast<std::size_t>(effort)];
  if (!encoder) {
    Result<Encoder> created = create(table, effort, mode);
    if (!created) return created;
    encoder = std::move(*created);
  }
  return *encoder;
}

Status Encoder::encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                            float tensor_scale, float largest_value,
                            std::span<std::uint8_t> out) const {
  return std::visit(
      [&](const auto& encoder) -> Status {
        const std::size_t bytes =
            rows.rows * blocks_per_row(rows.cols) * block_bytes(encoder.codec());
        if (out.size() != bytes) {
          return {StatusCode::shape_mismatch,
                  std::to_string(out.size()) + " bytes for blocks of " + std::to_string(bytes)};
        }
        try {
          Status status = detail::check_scales(tensor_scale, largest_value);
          if (status) status = detail::check_importance(rows.cols, importance);
          if (!status) return status;
          if (!detail::all_finite(rows)) return detail::not_finite(rows, 0, 0);
          encoder.encode(rows, importance, tensor_scale, largest_value, out);
          return {};
        } catch (const std::bad_alloc&) {
          return out_of_memory();
        }
      },
      impl_->encoder);
}

Result<CompressedTensor> compress(MatrixView<const float> weights, const CompressOptions& options,
                                  const ParallelFor& parallel) {
  return guarded([&]() -> Result<CompressedTensor> {
    Result<PatternTable> table = detail::table_of(options);
    if (!table) return fail(std::move(table.error()));
    const bool standard = options.table.centroids.empty();
    const Result<Encoder> encoder =
        standard ? Encoder::standard(options.codec, options.effort, options.mode)
                 : Encoder::create(table->view(), options.effort, options.mode);
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
    const Result<float> tensor_scale = choose_tensor_scale(options.codec, statistics);
    if (!tensor_scale) return fail(tensor_scale.error());

    const std::size_t row_bytes = blocks_per_row(weights.cols) * block_bytes(options.codec);
    std::vector<std::uint8_t> blocks(weights.rows * row_bytes);
    parallel(weights.rows, [&](std::size_t begin, std::size_t end) {
      const MatrixView<const float> rows = {weights.row(begin), end - begin, weights.cols,
                                            weights.row_stride};
      Status status = encoder->encode_rows(
          rows, options.importance, *tensor_scale, options.largest_value,
          std::span(blocks).subspan(begin * row_bytes, (end - begin) * row_bytes));
      const std::lock_guard lock(mutex);
      failure.add(begin, std::move(status));
    });
    if (!failure.status()) return fail(failure.status());
    return CompressedTensor::create(weights.rows, weights.cols, *tensor_scale, std::move(*table),
                                    std::move(blocks));
  });
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "encode/planar_encoder.hpp"

#include <algorithm>

namespace ecco {
namespace {

const rd::Kernels& kernels_of(const EncodeKernels& kernels, Codec codec) noexcept {
  return kernels.search[static_cast<std::size_t>(mantissa_planes(codec))];
}

}  // namespace

PlanarEncoder::PlanarEncoder(const EncodeKernels& kernels, const PatternTableView& table,
                             Effort effort)
    : kernels_(kernels), table_(rd::prepare_table(table, kernels_of(kernels, table.codec))) {
  if (effort == Effort::best) return;
  effort_ = effort == Effort::fast ? kFastEffort : kDefaultEffort;
  shortlist_.emplace(table_, effort_.neighbours);
}

const rd::Kernels& PlanarEncoder::search_kernels() const noexcept {
  return kernels_of(kernels_, table_.codec);
}

void PlanarEncoder::encode(MatrixView<const float> rows, std::span<const float> importance,
                           float tensor_scale, float largest_value,
                           std::span<std::uint8_t> out) const {
  const rd::ColumnBlocks columns(rows.cols, importance, tensor_scale);
  const rd::ScaleRange range = rd::scale_range(tensor_scale, largest_value);
  if (range.lowest > range.highest) {
    std::fill(out.begin(), out.end(), std::uint8_t{0});
  } else if (shortlist_) {
    ShortlistEncoder(table_, *shortlist_, kernels_, columns, range, effort_)
        .encode(rows, out.data());
  } else {
    rd::RowEncoder encoder(table_, search_kernels(), columns, range);
    const std::size_t row_bytes = columns.count() * block_bytes(table_.codec);
    for (std::size_t r = 0; r < rows.rows; ++r) {
      encoder.encode(rows.row(r), out.data() + r * row_bytes);
    }
  }
}

}  // namespace ecco

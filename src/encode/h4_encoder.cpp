// SPDX-License-Identifier: MIT
#include "encode/h4_encoder.hpp"

#include <algorithm>

#include "ecco/detail/h4_row_encoder.hpp"

namespace ecco {
namespace {

constexpr h4::SearchWidth width_of(Effort effort) {
  switch (effort) {
    case Effort::fast:
      return h4::kFastSearch;
    case Effort::best:
      return h4::kBestSearch;
    default:
      return h4::kDefaultSearch;
  }
}

}  // namespace

H4Encoder::H4Encoder(const H4EncodeKernels& kernels, const PatternTableView& table, Effort effort,
                     H4Mode mode)
    : kernels_(kernels),
      table_{Codec::h4,
             "",
             {table.centroids.begin(), table.centroids.end()},
             {table.codebooks.begin(), table.codebooks.end()}},
      width_(width_of(effort)) {
  if (mode == H4Mode::rate_aware) {
    rate_tables_.emplace(table_.view().h4());
  } else {
    coding_tables_.emplace(table_.view().h4());
  }
}

void H4Encoder::encode(MatrixView<const float> rows, std::span<const float> importance,
                       float tensor_scale, float largest_value,
                       std::span<std::uint8_t> out) const {
  if (coding_tables_) return encode_faithful(rows, importance, tensor_scale, out);
  const h4::RowOptions options = {importance.empty() ? nullptr : importance.data(), tensor_scale,
                                  largest_value};
  h4::RowEncoder encoder(table_.view().h4(), options, *rate_tables_, width_, kernels_.search);
  const std::size_t row_bytes = blocks_per_row(rows.cols) * block_bytes(Codec::h4);
  for (std::size_t r = 0; r < rows.rows; ++r) {
    encoder.encode(rows.row(r), rows.cols, out.data() + r * row_bytes);
  }
}

void H4Encoder::encode_faithful(MatrixView<const float> rows, std::span<const float> importance,
                                float tensor_scale, std::span<std::uint8_t> out) const {
  std::uint8_t* block = out.data();
  for (std::size_t r = 0; r < rows.rows; ++r) {
    for (std::size_t k = 0; k < rows.cols; k += kGroup, block += block_bytes(Codec::h4)) {
      const auto count = static_cast<int>(std::min<std::size_t>(kGroup, rows.cols - k));
      kernels_.encode_faithful(*coding_tables_, rows.row(r) + k,
                               importance.empty() ? nullptr : importance.data() + k, count,
                               tensor_scale, block);
    }
  }
}

}  // namespace ecco

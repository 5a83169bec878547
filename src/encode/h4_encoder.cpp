// SPDX-License-Identifier: MIT
#include "ecco/h4_encoder.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "encode/h4_kernels.hpp"

namespace ecco {
namespace {

constexpr std::size_t kBlockBytes = 64;

h4::SearchWidth width_of(Effort effort) {
  switch (effort) {
    case Effort::fast:
      return h4::kFastSearch;
    case Effort::best:
      return h4::kBestSearch;
    default:
      return h4::kDefaultSearch;
  }
}

Status check(MatrixView<const float> rows, std::span<const float> importance, float tensor_scale,
             float largest_value, std::size_t out_bytes) {
  if (!importance.empty() && importance.size() != rows.cols) {
    return {StatusCode::shape_mismatch, std::to_string(importance.size()) +
                                            " importances given for " + std::to_string(rows.cols) +
                                            " columns"};
  }
  const std::size_t bytes = rows.rows * blocks_per_row(rows.cols) * kBlockBytes;
  if (out_bytes != bytes) {
    return {StatusCode::shape_mismatch, "the blocks take " + std::to_string(bytes) +
                                            " bytes, not " + std::to_string(out_bytes)};
  }
  for (std::size_t k = 0; k < importance.size(); ++k) {
    if (!std::isfinite(importance[k]) || importance[k] < 0.0f) {
      return {StatusCode::invalid_argument,
              "importance of column " + std::to_string(k) + " is negative or not finite"};
    }
  }
  if (!(tensor_scale > 0.0f && tensor_scale <= 1e34f)) {
    return {StatusCode::invalid_argument, "tensor_scale is not in (0, 1e34]"};
  }
  if (!(largest_value > 0.0f)) {
    return {StatusCode::invalid_argument, "largest_value is not positive"};
  }
  return {};
}

Status check_finite(MatrixView<const float> rows) {
  for (std::size_t r = 0; r < rows.rows; ++r) {
    for (std::size_t k = 0; k < rows.cols; ++k) {
      if (!std::isfinite(rows.row(r)[k])) {
        return {StatusCode::not_finite,
                "row " + std::to_string(r) + ", column " + std::to_string(k) + " is not finite"};
      }
    }
  }
  return {};
}

}  // namespace

struct H4Encoder::Impl {
  std::vector<std::int8_t> centroids;
  std::vector<std::uint8_t> codebooks;
  std::optional<h4::RateTables> tables;  // rate_aware only
  h4::SearchWidth width{};
  H4EncodeKernels kernels;

  [[nodiscard]] h4::TableView view() const {
    return PatternTableView{Codec::h4, centroids, codebooks}.h4();
  }
};

Result<H4Encoder> H4Encoder::create(const PatternTableView& table, H4Mode mode, Effort effort) {
  if (table.codec != Codec::h4) {
    return fail(StatusCode::unsupported, "the h4 encoder needs an h4 table");
  }
  if (Status status = validate(table); !status) return fail(std::move(status));
  if (mode == H4Mode::rate_aware && !h4::RateAwareEncoder::usable(table.h4())) {
    return fail(StatusCode::unsupported,
                "every codebook is flat: 128 codes of 4 bits do not fit a block of 512 bits");
  }
  Result<H4EncodeKernels> kernels = active_h4_encode_kernels();
  if (!kernels) return fail(kernels.error());
  try {
    const auto impl = std::make_shared<Impl>();
    impl->centroids.assign(table.centroids.begin(), table.centroids.end());
    impl->codebooks.assign(table.codebooks.begin(), table.codebooks.end());
    if (mode == H4Mode::rate_aware) impl->tables.emplace(impl->view());
    impl->width = width_of(effort);
    impl->kernels = *kernels;
    return H4Encoder(impl);
  } catch (const std::bad_alloc&) {
    return fail(StatusCode::out_of_memory, "no memory left for the search tables");
  }
}

Status H4Encoder::encode_rows(MatrixView<const float> rows, std::span<const float> importance,
                              float tensor_scale, float largest_value,
                              std::span<std::uint8_t> out) const {
  Status status = check(rows, importance, tensor_scale, largest_value, out.size());
  if (status) status = check_finite(rows);
  if (!status) return status;
  try {
    std::optional<h4::RateAwareEncoder> search;
    if (impl_->tables) search.emplace(*impl_->tables, impl_->width, impl_->kernels.score);
    std::uint8_t* block = out.data();
    for (std::size_t r = 0; r < rows.rows; ++r) {
      for (std::size_t k = 0; k < rows.cols; k += kGroup, block += kBlockBytes) {
        const int count = static_cast<int>(std::min<std::size_t>(kGroup, rows.cols - k));
        const float* weights = importance.empty() ? nullptr : importance.data() + k;
        if (search) {
          search->encode(rows.row(r) + k, weights, count, impl_->view(), tensor_scale,
                         largest_value, block);
        } else {
          h4::encode_faithful(rows.row(r) + k, weights, count, impl_->view(), tensor_scale, block);
        }
      }
    }
    return {};
  } catch (const std::bad_alloc&) {
    return {StatusCode::out_of_memory, "no memory left to encode"};
  }
}

}  // namespace ecco

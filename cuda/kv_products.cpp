// SPDX-License-Identifier: MIT
// The host API of KV pages: products with their tokens.
#include <algorithm>
#include <string>

#include "ecco/cuda/kv_page.hpp"
#include "kv_job.hpp"
#include "products.hpp"

namespace ecco::cuda {
namespace {

using detail::check;
using detail::guarded;

constexpr std::size_t kMostInGrid = 65535;  ///< blocks of threads in a grid's y and z

std::string sized(std::size_t rows, std::size_t cols) {
  return std::to_string(rows) + " x " + std::to_string(cols);
}

/// The columns of a page of `width`. Error: shape_mismatch.
Result<KvColumns> columns_of(std::size_t width, KvColumns columns) {
  if (columns.first < width && columns.count <= width - columns.first) {
    if (columns.count == 0) columns.count = width - columns.first;
    return columns;
  }
  return fail(StatusCode::shape_mismatch,
              std::to_string(columns.count) + " columns from " + std::to_string(columns.first) +
                  " on asked of tokens of " + std::to_string(width) + " values");
}

/// Checks that `queries` are of heads of `head` values in so many columns. Errors: shape_mismatch,
/// unsupported.
Status check_heads(std::size_t queries, std::size_t head, std::size_t columns) {
  if (head == 0 || columns % head != 0 || queries % (columns / head) != 0) {
    return {StatusCode::shape_mismatch, std::to_string(queries) + " queries of heads of " +
                                            std::to_string(head) + " values for " +
                                            std::to_string(columns) + " columns"};
  }
  if (queries > kMostInGrid) {
    return {StatusCode::unsupported, std::to_string(queries) + " queries, at most " +
                                         std::to_string(kMostInGrid) + " are supported"};
  }
  return {};
}

}  // namespace

std::size_t weighted_sums_workspace_bytes(std::size_t queries, std::size_t tokens,
                                          std::size_t head_values) noexcept {
  if (queries > kMostInGrid || head_values > detail::kMostBlocks) return 0;
  if (detail::kv_slices(tokens) <= 1) return 0;
  const std::size_t most = std::min(detail::kMostKvSlices, tokens / detail::kKvSliceStep + 1);
  return most * queries * head_values * sizeof(float);
}

template <typename T>
Result<detail::KvJob> DeviceKvPage::product_job(std::size_t first, std::size_t tokens,
                                                std::size_t head, MatrixView<const T> in,
                                                MatrixView<float> out, KvColumns wanted) const {
  const auto columns = columns_of(width_, wanted);
  if (!columns) return fail(columns.error());
  Status status = check_heads(in.rows, head, columns->count);
  if (status && out.rows != in.rows) {
    status = {StatusCode::shape_mismatch, "results of " + sized(out.rows, out.cols) + " for " +
                                              std::to_string(in.rows) + " queries"};
  }
  if (status) status = check_range(first, tokens);
  if (status) status = detail::check_matrix("queries or weights", in);
  if (status) status = detail::check_matrix("results", out);
  if (status) status = detail::check_device(codec_.device, "the codec");
  if (!status) return fail(status);
  detail::KvJob job{};
  job.blocks = memory_ + first * token_bytes_;
  job.tokens = static_cast<std::uint32_t>(tokens);
  job.token_blocks = static_cast<std::uint32_t>(token_bytes_ / block_bytes(codec_.codec));
  job.first_column = static_cast<std::uint32_t>(columns->first);
  job.heads = static_cast<std::uint32_t>(columns->count / head);
  job.head_values = static_cast<std::uint32_t>(head);
  job.queries_per_head = static_cast<std::uint32_t>(in.rows) / job.heads;
  job.in = in.data;
  job.in_stride = in.row_stride;
  job.type = detail::kInputType<T>;
  job.tensor_scale = tensor_scale_;
  job.out = out.data;
  job.out_stride = out.row_stride;
  return job;
}

template <typename T>
Status DeviceKvPage::score_rows(std::size_t first, MatrixView<const T> queries,
                                MatrixView<float> out, Stream stream, KvColumns columns) const {
  const auto job = product_job(first, out.cols, queries.cols, queries, out, columns);
  if (!job) return job.error();
  if (out.cols == 0 || out.rows == 0) return {};
  return check("scores", detail::kv_scores(*job, codec_, stream));
}

template <typename T>
Status DeviceKvPage::sum_rows(std::size_t first, MatrixView<const T> weights,
                              MatrixView<float> out, std::span<std::uint8_t> workspace,
                              Stream stream, KvColumns columns) const {
  const auto job = product_job(first, weights.cols, out.cols, weights, out, columns);
  if (!job) return job.error();
  if (const std::size_t blocks = detail::blocks_of(codec_.codec, out.cols);
      blocks >= kMostInGrid) {
    return {StatusCode::unsupported, "heads of " + std::to_string(blocks) +
                                         " blocks, fewer than " + std::to_string(kMostInGrid) +
                                         " are supported"};
  }
  const std::size_t slices = detail::kv_slices(weights.cols);
  const std::size_t bytes = slices > 1 ? slices * out.rows * out.cols * sizeof(float) : 0;
  if (Status status = detail::check_workspace(workspace, bytes); !status) return status;
  if (out.rows == 0) return {};
  if (weights.cols == 0) return detail::clear(out, stream);
  return check("weighted_sums",
               detail::kv_sums(*job, codec_, reinterpret_cast<float*>(workspace.data()), stream));
}

Status DeviceKvPage::scores(std::size_t first, MatrixView<const half> queries,
                            MatrixView<float> out, Stream stream,
                            KvColumns columns) const noexcept {
  return guarded([&] { return score_rows(first, queries, out, stream, columns); });
}
Status DeviceKvPage::scores(std::size_t first, MatrixView<const bfloat16> queries,
                            MatrixView<float> out, Stream stream,
                            KvColumns columns) const noexcept {
  return guarded([&] { return score_rows(first, queries, out, stream, columns); });
}
Status DeviceKvPage::scores(std::size_t first, MatrixView<const float> queries,
                            MatrixView<float> out, Stream stream,
                            KvColumns columns) const noexcept {
  return guarded([&] { return score_rows(first, queries, out, stream, columns); });
}

Status DeviceKvPage::weighted_sums(std::size_t first, MatrixView<const half> weights,
                                   MatrixView<float> out, std::span<std::uint8_t> workspace,
                                   Stream stream, KvColumns columns) const noexcept {
  return guarded([&] { return sum_rows(first, weights, out, workspace, stream, columns); });
}
Status DeviceKvPage::weighted_sums(std::size_t first, MatrixView<const bfloat16> weights,
                                   MatrixView<float> out, std::span<std::uint8_t> workspace,
                                   Stream stream, KvColumns columns) const noexcept {
  return guarded([&] { return sum_rows(first, weights, out, workspace, stream, columns); });
}
Status DeviceKvPage::weighted_sums(std::size_t first, MatrixView<const float> weights,
                                   MatrixView<float> out, std::span<std::uint8_t> workspace,
                                   Stream stream, KvColumns columns) const noexcept {
  return guarded([&] { return sum_rows(first, weights, out, workspace, stream, columns); });
}

}  // namespace ecco::cuda

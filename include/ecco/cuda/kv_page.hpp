// SPDX-License-Identifier: MIT
// A page of a KV cache on a GPU: keys or values of a number of tokens as a plain array of blocks,
// [token][block], in memory that the caller provides, as ecco/kv_page.hpp holds them on the host.
// The rules of device.hpp on streams, allocation and errors hold; nothing here allocates or waits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ecco/cuda/encode.hpp"
#include "ecco/status.hpp"
#include "ecco/types.hpp"

namespace ecco::cuda {

namespace detail {
struct KvJob;
}

/// Columns first .. first + count - 1 of every token; count 0: all from `first` on.
struct KvColumns {
  std::size_t first = 0;
  std::size_t count = 0;
};

/// Bytes of workspace that are enough for weighted_sums of so many queries and up to so many
/// tokens. 0 up to 256 tokens.
std::size_t weighted_sums_workspace_bytes(std::size_t queries, std::size_t tokens,
                                          std::size_t head_values) noexcept;

/// Does not own its memory; a value that is copied freely, as long as one copy appends. How many
/// tokens it has is known to the host: work on the page is ordered by streams as usual.
class DeviceKvPage {
 public:
  /// A page without tokens in `memory`, aligned to 16 bytes: room for as many tokens of `width`
  /// values as fit. `codec` must outlive it. Errors: invalid_argument (width 0, alignment,
  /// tensor_scale not in (0, 1e34], a codec without tables), unsupported (2^31 blocks).
  static Result<DeviceKvPage> create(const DeviceCodecView& codec, std::size_t width,
                                     float tensor_scale, std::span<std::uint8_t> memory) noexcept;

  [[nodiscard]] Codec codec() const noexcept { return codec_.codec; }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }  ///< tokens
  [[nodiscard]] std::size_t size() const noexcept { return size_; }          ///< tokens
  [[nodiscard]] float tensor_scale() const noexcept { return tensor_scale_; }
  /// Bytes of one token: ceil(width / group) blocks.
  [[nodiscard]] std::size_t token_bytes() const noexcept { return token_bytes_; }
  /// The blocks of the tokens so far, device memory.
  [[nodiscard]] std::span<std::uint8_t> blocks() const noexcept {
    return {memory_, size_ * token_bytes_};
  }

  /// Encodes tokens (rows of width() values in device memory) in place behind those so far, to the
  /// blocks that KvPage::append writes. Not finite values are not looked for: NaN counts as 0,
  /// infinity as the largest finite value. Errors: shape_mismatch (another width, or more tokens
  /// than there is room for), those of encode.
  Status append(MatrixView<const half> tokens, Stream stream) noexcept;
  Status append(MatrixView<const bfloat16> tokens, Stream stream) noexcept;
  Status append(MatrixView<const float> tokens, Stream stream) noexcept;

  /// Decodes tokens first .. first + out.rows - 1, out.cols == width(). Errors: shape_mismatch,
  /// those of decode.
  Status read(std::size_t first, MatrixView<half> out, Stream stream) const noexcept;
  Status read(std::size_t first, MatrixView<bfloat16> out, Stream stream) const noexcept;
  Status read(std::size_t first, MatrixView<float> out, Stream stream) const noexcept;

  /// out[i][t] = sum over d of queries[i][d] * token[first + t][c + d], t = 0 .. out.cols - 1,
  /// out.rows == queries.rows: the scores of attention. `columns` hold heads of queries.cols
  /// values each, end to end, of any size; as many queries in a row belong to each head, and c is
  /// where that of query i begins. A head that shares a block with others costs as much as the
  /// whole block. Values are those of read in float, sums fused in binary32 in a fixed order
  /// (docs/cuda.md, "KV pages"); |error| <= (queries.cols + 8) 2^-24 times the sum of the
  /// products' magnitudes. Errors: shape_mismatch (also: columns that are no whole number of
  /// heads, queries that are no multiple of the heads), unsupported (more than 65535 queries),
  /// invalid_argument (alignment, strides, device), device_error.
  Status scores(std::size_t first, MatrixView<const half> queries, MatrixView<float> out,
                Stream stream, KvColumns columns = {}) const noexcept;
  Status scores(std::size_t first, MatrixView<const bfloat16> queries, MatrixView<float> out,
                Stream stream, KvColumns columns = {}) const noexcept;
  Status scores(std::size_t first, MatrixView<const float> queries, MatrixView<float> out,
                Stream stream, KvColumns columns = {}) const noexcept;

  /// out[i][d] = sum over t of weights[i][t] * token[first + t][c + d], t = 0 .. weights.cols - 1,
  /// out.rows == weights.rows: what attention makes of its probabilities and values. Heads are as
  /// for scores, of out.cols values. Sums are fused in binary32 in an order that depends on codec
  /// and number of tokens alone (docs/cuda.md, "KV pages"): results repeat bit for bit on any GPU.
  /// |error| <= 194 * 2^-24 times the sum of the products' magnitudes up to 16384 tokens, then
  /// (194 + tokens / 128) * 2^-24. A weight that is not finite makes its query's results NaN or
  /// infinities. `workspace`: weighted_sums_workspace_bytes, aligned to 16 bytes, not used by
  /// other work at the same time. Errors: as scores; invalid_argument (workspace), unsupported
  /// (heads of 65535 blocks).
  Status weighted_sums(std::size_t first, MatrixView<const half> weights, MatrixView<float> out,
                       std::span<std::uint8_t> workspace, Stream stream,
                       KvColumns columns = {}) const noexcept;
  Status weighted_sums(std::size_t first, MatrixView<const bfloat16> weights,
                       MatrixView<float> out, std::span<std::uint8_t> workspace, Stream stream,
                       KvColumns columns = {}) const noexcept;
  Status weighted_sums(std::size_t first, MatrixView<const float> weights, MatrixView<float> out,
                       std::span<std::uint8_t> workspace, Stream stream,
                       KvColumns columns = {}) const noexcept;

  /// Keeps the first `tokens`, or all if there are not more.
  void truncate(std::size_t tokens) noexcept { size_ = std::min(size_, tokens); }

 private:
  DeviceKvPage() = default;
  template <typename T>
  Status append_rows(MatrixView<const T> tokens, Stream stream);
  template <typename T>
  [[nodiscard]] Status read_rows(std::size_t first, MatrixView<T> out, Stream stream) const;
  template <typename T>
  [[nodiscard]] Result<detail::KvJob> product_job(std::size_t first, std::size_t tokens,
                                                  std::size_t head, MatrixView<const T> in,
                                                  MatrixView<float> out, KvColumns columns) const;
  template <typename T>
  [[nodiscard]] Status score_rows(std::size_t first, MatrixView<const T> queries,
                                  MatrixView<float> out, Stream stream, KvColumns columns) const;
  template <typename T>
  [[nodiscard]] Status sum_rows(std::size_t first, MatrixView<const T> weights,
                                MatrixView<float> out, std::span<std::uint8_t> workspace,
                                Stream stream, KvColumns columns) const;
  [[nodiscard]] Status check_range(std::size_t first, std::size_t tokens) const;

  DeviceCodecView codec_;
  std::uint8_t* memory_ = nullptr;
  std::size_t width_ = 0;
  std::size_t capacity_ = 0;
  std::size_t token_bytes_ = 0;
  std::size_t size_ = 0;
  float tensor_scale_ = 1.0f;
};

}  // namespace ecco::cuda

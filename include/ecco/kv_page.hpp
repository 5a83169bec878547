// SPDX-License-Identifier: MIT
// A page of a KV cache: keys or values of a number of tokens as a plain array of blocks,
// [token][block], written token by token and read in ranges. The ISCA 2025 paper keeps H4 blocks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/config.hpp"
#include "ecco/encode.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// A codec with its table and its encoder, prepared once for all pages. Immutable, cheap to copy,
/// safe to use from several threads.
class ECCO_API KvCodec {
 public:
  /// h4 encodes in KV mode, a planar codec at `effort`, a8 without a table. An empty table means
  /// the standard one: "standard-kv-1" for h4, "standard-1" for planar codecs. The table is
  /// copied. Errors: corrupt, invalid_argument (a table of another codec), unsupported,
  /// out_of_memory.
  static Result<KvCodec> create(Codec codec, const PatternTableView& table = {},
                                Effort effort = Effort::fast);

  [[nodiscard]] Codec codec() const noexcept;
  /// Precondition: codec() is not a8.
  [[nodiscard]] PatternTableView table() const noexcept;

  struct Impl;

 private:
  friend class KvPage;
  explicit KvCodec(std::shared_ptr<const Impl> impl) noexcept : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Movable, not copyable. Reading from several threads is safe while nobody appends.
class ECCO_API KvPage {
 public:
  /// Room for `capacity` tokens of `width` values: the keys (or values) of all heads, end to end;
  /// widths between groups are padded. tensor_scale in (0, 1e34]: h4 keeps magnitudes from
  /// 2^-10 tensor_scale (smaller groups become zeros) to 480 tensor_scale (larger values
  /// saturate). Errors: invalid_argument (width 0, tensor_scale), out_of_memory.
  static Result<KvPage> create(KvCodec codec, std::size_t width, std::size_t capacity,
                               float tensor_scale = 1.0f);
  KvPage(KvPage&&) noexcept = default;
  KvPage& operator=(KvPage&&) noexcept = default;
  KvPage(const KvPage&) = delete;
  KvPage& operator=(const KvPage&) = delete;
  ~KvPage() = default;

  [[nodiscard]] Codec codec() const noexcept { return codec_.codec(); }
  /// Precondition: codec() is not a8.
  [[nodiscard]] PatternTableView table() const noexcept { return codec_.table(); }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }  ///< tokens
  [[nodiscard]] float tensor_scale() const noexcept { return tensor_scale_; }
  /// Bytes of one token: ceil(width / group) blocks.
  [[nodiscard]] std::size_t token_bytes() const noexcept { return token_bytes_; }
  /// Bytes in memory: of capacity() tokens.
  [[nodiscard]] std::size_t bytes() const noexcept { return blocks_.size(); }
  /// The blocks of the tokens so far.
  [[nodiscard]] std::span<const std::uint8_t> blocks() const noexcept {
    return std::span(blocks_).first(size_ * token_bytes_);
  }

  /// Encodes tokens (rows of width() values) behind those so far: all, or none on error. A token's
  /// blocks depend on its values alone. Errors: shape_mismatch (another width, or more tokens than
  /// there is room for), not_finite (naming token and value), out_of_memory. Complexity: that of
  /// KvEncoder, Encoder or encode_a8.
  Status append(MatrixView<const float> tokens, const ParallelFor& parallel = serial);

  /// Decodes tokens first .. first + out.rows - 1, out.cols == width(). Errors: shape_mismatch,
  /// those of decode_rows.
  Status read(std::size_t first, MatrixView<float> out,
              const ParallelFor& parallel = serial) const noexcept;

  /// Keeps the first `tokens`, or all if there are not more.
  void truncate(std::size_t tokens) noexcept { size_ = std::min(size_, tokens); }

 private:
  explicit KvPage(KvCodec codec) noexcept : codec_(std::move(codec)) {}
  Status check_tokens(MatrixView<const float> tokens) const;
  Status encode(MatrixView<const float> tokens, std::uint8_t* out) const;
  Status decode(std::size_t first, MatrixView<float> out) const noexcept;

  KvCodec codec_;
  std::size_t width_ = 0;
  std::size_t capacity_ = 0;
  std::size_t token_bytes_ = 0;
  std::size_t size_ = 0;
  float tensor_scale_ = 1.0f;
  std::vector<std::uint8_t> blocks_;  ///< of the whole capacity
  std::optional<TensorView> view_;    ///< of blocks_; none for a8
};

}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/kv_page.hpp"

#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <string>

#include "compute/run_rows.hpp"
#include "ecco/a8.hpp"
#include "ecco/decode.hpp"
#include "ecco/online.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco {
namespace {

constexpr float kLargestFloat = std::numeric_limits<float>::max();

std::size_t blocks_of(Codec codec, std::size_t values) noexcept {
  const auto group = static_cast<std::size_t>(group_values(codec));
  return values / group + (values % group != 0 ? 1 : 0);
}

PatternTableView standard_table_of(Codec codec) noexcept {
  return codec == Codec::h4 ? standard_kv_table() : standard_table(codec);
}

/// run_rows of a body that may fail; all parts fail for the same reason if one does.
template <typename Body>
Status run_parts(const ParallelFor& parallel, std::size_t count, const Body& body) noexcept {
  std::mutex mutex;
  Status failure;
  Status status = run_rows(parallel, count, [&](std::size_t begin, std::size_t end) {
    Status part = body(begin, end);
    if (part) return;
    const std::lock_guard lock(mutex);
    failure = std::move(part);
  });
  return status ? failure : status;
}

Status out_of_memory() { return {StatusCode::out_of_memory, "no memory left for a KV page"}; }

}  // namespace

struct KvCodec::Impl {
  PatternTable table;  // its codec is the codec
  std::optional<KvEncoder> h4;
  std::optional<Encoder> planar;
};

Result<KvCodec> KvCodec::create(Codec codec, const PatternTableView& table, Effort effort) {
  const bool standard = table.centroids.empty();
  if (!standard && table.codec != codec) {
    return fail(StatusCode::invalid_argument, "the table is of another codec");
  }
  try {
    auto impl = std::make_shared<Impl>();
    impl->table.codec = codec;
    if (codec == Codec::a8) return KvCodec(std::move(impl));
    if (!stores_tensors(codec)) return fail(StatusCode::unsupported, "not a codec of KV pages");
    const PatternTableView view = standard ? standard_table_of(codec) : table;
    if (codec == Codec::h4) {
      Result<KvEncoder> encoder = KvEncoder::create(view);
      if (!encoder) return fail(std::move(encoder.error()));
      impl->h4 = std::move(*encoder);
    } else {
      Result<Encoder> encoder =
          standard ? Encoder::standard(codec, effort) : Encoder::create(view, effort);
      if (!encoder) return fail(std::move(encoder.error()));
      impl->planar = std::move(*encoder);
    }
    impl->table.centroids.assign(view.centroids.begin(), view.centroids.end());
    impl->table.codebooks.assign(view.codebooks.begin(), view.codebooks.end());
    impl->table.prepare();
    return KvCodec(std::move(impl));
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory());
  }
}

Codec KvCodec::codec() const noexcept { return impl_->table.codec; }

PatternTableView KvCodec::table() const noexcept { return impl_->table.view(); }

Result<KvPage> KvPage::create(KvCodec codec, std::size_t width, std::size_t capacity,
                              float tensor_scale) {
  if (width == 0) return fail(StatusCode::invalid_argument, "a KV page needs values per token");
  if (!(tensor_scale > 0.0f && tensor_scale <= kMaxTensorScale)) {
    return fail(StatusCode::invalid_argument, "tensor_scale is not in (0, 1e34]");
  }
  try {
    KvPage page(std::move(codec));
    const Codec kind = page.codec();
    const std::size_t blocks = blocks_of(kind, width);
    constexpr std::size_t kMost = std::numeric_limits<std::ptrdiff_t>::max() / 128;
    if (blocks > kMost || capacity > kMost / blocks) return fail(out_of_memory());
    page.width_ = width;
    page.capacity_ = capacity;
    page.tensor_scale_ = tensor_scale;
    page.token_bytes_ = blocks * block_bytes(kind);
    page.blocks_.resize(capacity * page.token_bytes_);
    if (kind == Codec::a8) return page;
    Result<TensorView> view =
        TensorView::parse(kind, capacity, width, tensor_scale, page.codec_.table(), page.blocks_);
    if (!view) return fail(std::move(view.error()));
    page.view_ = *view;
    return page;
  } catch (const std::bad_alloc&) {
    return fail(out_of_memory());
  }
}

Status KvPage::check_tokens(MatrixView<const float> tokens) const {
  if (tokens.cols != width_) {
    return {StatusCode::shape_mismatch, "tokens of " + std::to_string(tokens.cols) +
                                            " values for a page of " + std::to_string(width_)};
  }
  if (tokens.rows > capacity_ - size_) {
    return {StatusCode::shape_mismatch,
            std::to_string(tokens.rows) + " tokens for a page that holds " +
                std::to_string(size_) + " of " + std::to_string(capacity_)};
  }
  for (std::size_t t = 0; t < tokens.rows; ++t) {
    for (std::size_t i = 0; i < width_; ++i) {
      if (std::isfinite(tokens.row(t)[i])) continue;
      return {StatusCode::not_finite,
              "token " + std::to_string(t) + ", value " + std::to_string(i) + " is not finite"};
    }
  }
  return {};
}

Status KvPage::encode(MatrixView<const float> tokens, std::uint8_t* out) const {
  if (codec_.impl_->planar) {
    return codec_.impl_->planar->encode_rows(tokens, {}, tensor_scale_, kLargestFloat,
                                             {out, tokens.rows * token_bytes_});
  }
  for (std::size_t t = 0; t < tokens.rows; ++t) {
    const std::span<const float> token(tokens.row(t), width_);
    const std::span<std::uint8_t> blocks(out + t * token_bytes_, token_bytes_);
    Status status = codec_.impl_->h4 ? codec_.impl_->h4->encode_row(token, tensor_scale_, blocks)
                                     : encode_a8(token, tensor_scale_, blocks);
    if (!status) return status;
  }
  return {};
}

Status KvPage::append(MatrixView<const float> tokens, const ParallelFor& parallel) {
  if (Status status = check_tokens(tokens); !status) return status;
  std::uint8_t* out = blocks_.data() + size_ * token_bytes_;
  Status status = run_parts(parallel, tokens.rows, [&](std::size_t begin, std::size_t end) {
    return encode({tokens.row(begin), end - begin, width_, tokens.row_stride},
                  out + begin * token_bytes_);
  });
  if (status) size_ += tokens.rows;
  return status;
}

Status KvPage::decode(std::size_t first, MatrixView<float> out) const noexcept {
  if (view_) return decode_rows(*view_, first, out);
  for (std::size_t t = 0; t < out.rows; ++t) {
    a8::decode_row(blocks_.data() + (first + t) * token_bytes_, width_, tensor_scale_, out.row(t));
  }
  return {};
}

Status KvPage::read(std::size_t first, MatrixView<float> out,
                    const ParallelFor& parallel) const noexcept {
  if (out.cols != width_ || first > size_ || out.rows > size_ - first) {
    return {StatusCode::shape_mismatch,
            "tokens " + std::to_string(first) + " to " + std::to_string(first + out.rows) +
                " of " + std::to_string(out.cols) + " values asked of a page that holds " +
                std::to_string(size_) + " of " + std::to_string(width_)};
  }
  return run_parts(parallel, out.rows, [&](std::size_t begin, std::size_t end) {
    return decode(first + begin, {out.row(begin), end - begin, width_, out.row_stride});
  });
}

}  // namespace ecco

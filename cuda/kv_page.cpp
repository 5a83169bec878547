// SPDX-License-Identifier: MIT
// The host API of KV pages: creation, tokens in and out. Products: kv_products.cpp.
#include "ecco/cuda/kv_page.hpp"

#include <algorithm>
#include <string>

#include "block_rows.hpp"
#include "errors.hpp"
#include "launch.hpp"

namespace ecco::cuda {
using detail::guarded;
using detail::kMostBlocks;

Result<DeviceKvPage> DeviceKvPage::create(const DeviceCodecView& codec, std::size_t width,
                                          float tensor_scale,
                                          std::span<std::uint8_t> memory) noexcept try {
  if (width == 0) return fail(StatusCode::invalid_argument, "a KV page of tokens of 0 values");
  if (width > kMostBlocks || memory.size() / block_bytes(codec.codec) > kMostBlocks) {
    return fail(StatusCode::unsupported, "a KV page of " + std::to_string(memory.size()) +
                                             " bytes for tokens of " + std::to_string(width) +
                                             " values: 2^31 blocks or more");
  }
  Status status = detail::check_scale(tensor_scale);
  if (status) {
    status = detail::check_address("memory", memory.data(), detail::kAlignment, memory.empty());
  }
  if (!status) return fail(status);
  if (codec.codec != Codec::a8 && codec.encoding == nullptr) {
    return fail(detail::no_tables(codec.codec));
  }
  DeviceKvPage page;
  page.codec_ = codec;
  page.memory_ = memory.data();
  page.width_ = width;
  page.token_bytes_ = detail::blocks_of(codec.codec, width) * block_bytes(codec.codec);
  page.capacity_ = memory.size() / page.token_bytes_;
  page.tensor_scale_ = tensor_scale;
  return page;
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "a KV page");
}

template <typename T>
Status DeviceKvPage::append_rows(MatrixView<const T> tokens, Stream stream) {
  if (tokens.cols != width_) {
    return {StatusCode::shape_mismatch, "tokens of " + std::to_string(tokens.cols) +
                                            " values for a page of " + std::to_string(width_)};
  }
  if (tokens.rows > capacity_ - size_) {
    return {StatusCode::shape_mismatch,
            std::to_string(tokens.rows) + " tokens for a page that holds " +
                std::to_string(size_) + " of " + std::to_string(capacity_)};
  }
  Status status = encode(codec_, tokens, tensor_scale_,
                         {memory_ + size_ * token_bytes_, tokens.rows * token_bytes_}, stream);
  if (status) size_ += tokens.rows;
  return status;
}

Status DeviceKvPage::check_range(std::size_t first, std::size_t tokens) const {
  if (first <= size_ && tokens <= size_ - first) return {};
  return {StatusCode::shape_mismatch, "tokens " + std::to_string(first) + " to " +
                                          std::to_string(first + tokens) +
                                          " asked of a page that holds " + std::to_string(size_)};
}

template <typename T>
Status DeviceKvPage::read_rows(std::size_t first, MatrixView<T> out, Stream stream) const {
  if (out.cols != width_) {
    return {StatusCode::shape_mismatch, "tokens of " + std::to_string(out.cols) +
                                            " values asked of a page of " +
                                            std::to_string(width_)};
  }
  Status status = check_range(first, out.rows);
  if (status) status = detail::check_device(codec_.device, "the codec");
  if (!status) return status;
  const std::uint8_t* blocks = memory_ + first * token_bytes_;
  if (codec_.codec == Codec::a8) return decode_a8(blocks, tensor_scale_, out, stream);
  DeviceTensorView tensor;
  tensor.codec = codec_.codec;
  tensor.rows = out.rows;
  tensor.cols = width_;
  tensor.tensor_scale = tensor_scale_;
  tensor.device = codec_.device;
  tensor.blocks = blocks;
  tensor.patterns = codec_.patterns;
  tensor.codes = codec_.codes;
  tensor.pattern_count = codec_.pattern_count;
  tensor.codebook_count = codec_.codebook_count;
  return ecco::cuda::decode(tensor, out, stream);
}

Status DeviceKvPage::append(MatrixView<const half> tokens, Stream stream) noexcept {
  return guarded([&] { return append_rows(tokens, stream); });
}
Status DeviceKvPage::append(MatrixView<const bfloat16> tokens, Stream stream) noexcept {
  return guarded([&] { return append_rows(tokens, stream); });
}
Status DeviceKvPage::append(MatrixView<const float> tokens, Stream stream) noexcept {
  return guarded([&] { return append_rows(tokens, stream); });
}

Status DeviceKvPage::read(std::size_t first, MatrixView<half> out, Stream stream) const noexcept {
  return guarded([&] { return read_rows(first, out, stream); });
}
Status DeviceKvPage::read(std::size_t first, MatrixView<bfloat16> out,
                          Stream stream) const noexcept {
  return guarded([&] { return read_rows(first, out, stream); });
}
Status DeviceKvPage::read(std::size_t first, MatrixView<float> out, Stream stream) const noexcept {
  return guarded([&] { return read_rows(first, out, stream); });
}

}  // namespace ecco::cuda

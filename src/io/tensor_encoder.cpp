// SPDX-License-Identifier: MIT
#include "io/tensor_encoder.hpp"

#include "io/checksum.hpp"
#include "io/model_impl.hpp"
#include "io/text.hpp"

namespace ecco {

Result<Encoder> EncoderCache::get(const PatternTable* table) {
  if (table == nullptr) return Encoder::standard(codec_, effort_, mode_);
  if (table != table_ || !encoder_) {
    encoder_.reset();
    auto encoder = Encoder::create(table->view(), effort_, mode_);
    if (!encoder) return fail(encoder.error());
    encoder_ = std::move(*encoder);
    table_ = table;
  }
  return *encoder_;
}

Result<std::uint64_t> TensorEncoder::run(OutputFile& file, Job& job) {
  Checksum checksum;
  Status status = job.run_windows(
      chunks_,
      [&](std::uint64_t index) {
        const Chunk chunk = chunks_[index];
        Status encoded = encode(chunk, index);
        return encoded
                   ? job.advance(chunk.values() * float_bytes(tensor_.dtype), tensor_.source->name)
                   : encoded;
      },
      [&](std::uint64_t begin, std::uint64_t end) {
        release_pages(value_bytes(tensor_, chunks_, begin, end));
        const Chunk last = chunks_[end - 1];
        const std::uint64_t blocks =
            chunks_.first_block(last) + Chunks::blocks(last) - chunks_.first_block(chunks_[begin]);
        const auto bytes = std::span(window_).first(blocks * block_bytes_);
        checksum.update(bytes);
        return file.append(bytes);
      });
  if (!status) return fail(std::move(status));
  return checksum.digest();
}

Status TensorEncoder::encode(const Chunk& chunk, std::uint64_t index) {
  std::vector<float> values(chunk.values());
  widen(tensor_.dtype,
        tensor_.source->stored.data() + chunks_.first_value(chunk) * float_bytes(tensor_.dtype),
        values);
  const auto importance = tensor_.importance.empty()
                              ? tensor_.importance
                              : tensor_.importance.subspan(chunk.col, chunk.cols);
  const Chunk window_begin = chunks_[index / Chunks::kWindow * Chunks::kWindow];
  const std::uint64_t block = chunks_.first_block(chunk) - chunks_.first_block(window_begin);
  const Status status = encoder_.encode_rows(
      dense_view<const float>(values.data(), chunk.rows, chunk.cols), importance,
      tensor_.tensor_scale, largest_value(tensor_.dtype),
      std::span(window_).subspan(block * block_bytes_, Chunks::blocks(chunk) * block_bytes_));
  return prefixed(shown_place(tensor_.source->file, tensor_.source->name), status);
}

}  // namespace ecco

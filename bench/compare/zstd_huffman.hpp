// SPDX-License-Identifier: MIT
// zstd's Huffman decoder through its public interface: frames of blocks that are literals alone.
// Beside the codes, decompression reads a table per 128 KiB and copies the literals once.
#pragma once

#define ZSTD_STATIC_LINKING_ONLY  // for ZSTD_c_literalCompressionMode
#include <zstd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

namespace ecco::bench {

class ZstdHuffman {
 public:
  explicit ZstdHuffman(std::span<const std::uint8_t> symbols)
      : frame_(ZSTD_compressBound(symbols.size())), context_(ZSTD_createDCtx(), ZSTD_freeDCtx) {
    const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                       ZSTD_freeCCtx);
    // The search for matches skips nearly everything, and takes 7 equal symbols or more.
    set(context.get(), ZSTD_c_strategy, ZSTD_fast);
    set(context.get(), ZSTD_c_minMatch, 7);
    set(context.get(), ZSTD_c_targetLength, ZSTD_TARGETLENGTH_MAX);
    set(context.get(), ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
    frame_.resize(check(ZSTD_compress2(context.get(), frame_.data(), frame_.size(), symbols.data(),
                                       symbols.size())));
  }

  [[nodiscard]] std::size_t compressed_bytes() const noexcept { return frame_.size(); }

  void decode(std::span<std::uint8_t> out) const {
    check(
        ZSTD_decompressDCtx(context_.get(), out.data(), out.size(), frame_.data(), frame_.size()));
  }

 private:
  static std::size_t check(std::size_t result) {
    if (ZSTD_isError(result) != 0) throw std::runtime_error(ZSTD_getErrorName(result));
    return result;
  }
  static void set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
    check(ZSTD_CCtx_setParameter(context, parameter, value));
  }

  std::vector<std::uint8_t> frame_;
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context_;
};

}  // namespace ecco::bench

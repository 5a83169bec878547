// SPDX-License-Identifier: MIT
// Pattern tables in the form that the encoders read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "ecco/cuda/encode_layout.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/pattern_table.hpp"
#include "tables.hpp"

namespace ecco::cuda::detail {

inline void fill_h4_pattern(const h4::TableView& table, int p, const H4EncodeLayout& layout,
                            std::uint32_t* words) {
  const std::int8_t* pattern = table.pattern(p);
  const auto row = static_cast<std::size_t>(p);
  for (int k = 0; k < 16; ++k) {
    const auto at = 16 * row + static_cast<std::size_t>(k);
    const float boundary = k + 1 < h4::kCentroids
                               ? static_cast<float>(pattern[k] + pattern[k + 1]) * 0x1p-8f
                               : std::numeric_limits<float>::infinity();
    int symbol = std::min(k, h4::kCentroids - 1);
    while (symbol > 0 && pattern[symbol - 1] == pattern[symbol]) --symbol;
    words[at] = float_bits(boundary);
    set_byte(words + layout.symbols, at, symbol);
  }
  words[layout.extremes + 2 * row] = float_bits(static_cast<float>(pattern[0]) * 0x1p-7f);
  words[layout.extremes + 2 * row + 1] =
      float_bits(static_cast<float>(pattern[h4::kCentroids - 1]) * 0x1p-7f);
}

inline void fill_h4_codebook(const h4::TableView& table, int h, const H4EncodeLayout& layout,
                             std::uint32_t* words) {
  huffman::Lengths lengths{};
  std::copy_n(table.codebook(h), huffman::kSymbols, lengths.begin());
  const huffman::Codes codes = huffman::canonical_codes(lengths);
  const auto row = static_cast<std::size_t>(h);
  for (std::size_t s = 0; s < huffman::kSymbols; ++s) {
    set_byte(words + layout.lengths, 16 * s + row, lengths[s]);
    words[layout.codes + 16 * row + s] =
        huffman::reverse_bits(codes.code[s], lengths[s]) | unsigned{lengths[s]} << 8;
  }
  const std::uint8_t shortest = h4::shortest_symbol(lengths.data());
  words[layout.padding + row] = shortest | unsigned{lengths[shortest]} << 8;
}

inline std::vector<std::uint32_t> h4_encode_tables(const h4::TableView& table) {
  const H4EncodeLayout layout(static_cast<std::size_t>(table.patterns),
                              static_cast<std::size_t>(table.codebooks));
  std::vector<std::uint32_t> words(layout.size, 0);
  for (int p = 0; p < table.patterns; ++p) fill_h4_pattern(table, p, layout, words.data());
  for (int h = 0; h < table.codebooks; ++h) fill_h4_codebook(table, h, layout, words.data());
  return words;
}

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Pattern tables in the form that the encoders read.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "ecco/h4_encode.hpp"
#include "ecco/pattern_table.hpp"
#include "launch.hpp"
#include "tables.hpp"

namespace ecco::cuda::detail {

/// Places of the parts of an H4 table in words; all but the last are multiples of 4.
struct H4EncodeLayout {
  std::size_t values;
  std::size_t symbols;
  std::size_t extremes;
  std::size_t lengths;
  std::size_t codes;
  std::size_t padding;
  std::size_t size;

  H4EncodeLayout(std::size_t patterns, std::size_t codebooks)
      : values(16 * patterns),
        symbols(values + 16 * patterns),
        extremes(symbols + 4 * patterns),
        lengths(extremes + 2 * patterns + 2 * (patterns % 2)),
        codes(lengths + 64),
        padding(codes + 16 * codebooks),
        size(padding + codebooks) {}
};

inline void fill_h4_pattern(const h4::TableView& table, int p, const H4EncodeLayout& layout,
                            std::uint32_t* words) {
  const std::int8_t* pattern = table.pattern(p);
  const auto row = static_cast<std::size_t>(p);
  for (int k = 0; k < 16; ++k) {
    const auto at = 16 * row + static_cast<std::size_t>(k);
    const float boundary = k + 1 < h4::kCentroids
                               ? static_cast<float>(pattern[k] + pattern[k + 1]) * 0x1p-8f
                               : std::numeric_limits<float>::infinity();
    const auto numerator = static_cast<float>(h4::symbol_numerator(pattern, k));
    int symbol = std::min(k, h4::kCentroids - 1);
    while (symbol > 0 && pattern[symbol - 1] == pattern[symbol]) --symbol;
    words[at] = float_bits(boundary);
    words[layout.values + at] = float_bits(numerator * 0x1p-7f);
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

/// The tables in device memory.
inline H4EncodeTables h4_encode_tables(const std::uint32_t* words, int patterns, int codebooks) {
  const H4EncodeLayout layout(static_cast<std::size_t>(patterns),
                              static_cast<std::size_t>(codebooks));
  return {reinterpret_cast<const float*>(words),
          reinterpret_cast<const float*>(words + layout.values),
          reinterpret_cast<const std::uint8_t*>(words + layout.symbols),
          words + layout.extremes,
          words + layout.lengths,
          words + layout.codes,
          words + layout.padding,
          patterns,
          codebooks};
}

}  // namespace ecco::cuda::detail

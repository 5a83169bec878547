// SPDX-License-Identifier: MIT
// Pattern tables in the form that kernels read.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ecco/cuda/tiles_dense.hpp"
#include "ecco/cuda/tiles_gated.hpp"
#include "ecco/cuda/tiles_h4.hpp"
#include "ecco/cuda/tiles_paired.hpp"
#include "ecco/huffman.hpp"
#include "ecco/pattern_table.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

/// Words to copy to the device: values first, then what tiles need, then codes.
struct HostTables {
  std::vector<std::uint32_t> words;
  std::size_t gated_at = 0;
  std::size_t codes_at = 0;
  std::size_t row_begins_at = 0;
  std::size_t sparse_at = 0;
  int codebooks = 0;
};

/// Sets byte `index` of a row of words.
inline void set_byte(std::uint32_t* words, std::size_t index, int byte) {
  words[index / 4] |= static_cast<std::uint32_t>(byte & 255) << (8 * (index % 4));
}

/// 257 rows of centroids + 128; patterns past the table, and row 256, are zeros (128).
inline HostTables planar_tables(const PatternTableView& table) {
  const auto width = static_cast<std::size_t>(centroids_per_pattern(table.codec));
  const std::size_t row_words = (width + 3) / 4;
  HostTables out;
  out.words.assign((kMaxPatterns + 1) * row_words, 0);
  for (int p = 0; p <= kMaxPatterns; ++p) {
    std::uint32_t* row = out.words.data() + static_cast<std::size_t>(p) * row_words;
    for (std::size_t k = 0; k < width; ++k) {
      set_byte(row, k, (p < table.patterns() ? table.pattern(p)[k] : 0) + 128);
    }
  }
  return out;
}

/// Rows of 16 floats, the values of symbols at scale 1, and a row of zeros; then per codebook 256
/// words symbol << 16 | length.
inline HostTables h4_tables(const PatternTableView& table) {
  HostTables out;
  const h4::TableView h4 = table.h4();
  for (int p = 0; p < h4.patterns; ++p) {
    for (int k = 0; k < huffman::kSymbols; ++k) {
      const int numerator = h4::symbol_numerator(h4.pattern(p), k);
      out.words.push_back(float_bits(static_cast<float>(numerator) / 128.0f));
    }
  }
  out.words.resize(out.words.size() + huffman::kSymbols);
  out.codes_at = out.words.size();
  out.codebooks = h4.codebooks;
  for (int c = 0; c < h4.codebooks; ++c) {
    huffman::Lengths lengths{};
    std::copy_n(h4.codebook(c), huffman::kSymbols, lengths.begin());
    for (const huffman::Step& step : huffman::step_table(huffman::canonical_codes(lengths))) {
      out.words.push_back(static_cast<std::uint32_t>(step.symbol) << 16 | step.length);
    }
  }
  return out;
}

/// Appends room for gated tables of all patterns of so many values, read as uint4, and sets them
/// by value_of(pattern), a pointer to the values. Patterns past `patterns` are zeros. Returns
/// where the tables begin.
template <typename ValuesOf>
std::size_t append_gated(int values, int patterns, ValuesOf&& values_of, HostTables& out) {
  const auto row_words = static_cast<std::size_t>(gated_words(values));
  const std::size_t at = (out.words.size() + 3) / 4 * 4;
  out.words.resize(at + row_words * kMaxPatterns);
  for (int p = 0; p < patterns; ++p) {
    const GatedPattern gated = gate_pattern(values_of(p), values);
    for (std::size_t i = 0; i < 4 * row_words; ++i) {
      const std::size_t word = gated_word_at(i / 4, static_cast<std::size_t>(p), row_words);
      set_byte(out.words.data() + at + word, i % 4, gated.tables[i / 8][i % 8]);
    }
  }
  return at;
}

/// Appends the gated tables of paired tiles.
inline void append_paired(const PatternTableView& table, HostTables& out) {
  std::vector<std::int8_t> values;
  const auto values_of = [&](int p) {
    const std::int8_t* pattern = table.pattern(p);
    values.assign(pattern, pattern + 20);
    values.insert(values.end(), pattern + 16, pattern + 20);
    return values.data();
  };
  append_gated(kPairedValues, table.patterns(), values_of, out);
}

/// Appends the gated tables of nibble tiles and their null values. Patterns that do not fit have
/// no tiles and stay wrong.
inline void append_nibbles(const h4::TableView& table, HostTables& out) {
  std::vector<NibbleValues> patterns;
  for (int p = 0; p < table.patterns; ++p) patterns.push_back(nibble_values(table.pattern(p)));
  const auto values_of = [&](int p) { return patterns[static_cast<std::size_t>(p)].values; };
  out.gated_at = append_gated(huffman::kSymbols, table.patterns, values_of, out);
  out.words.resize(out.gated_at + kNullAt + kMaxPatterns / 4);
  for (std::size_t p = 0; p < patterns.size(); ++p) {
    set_byte(out.words.data() + out.gated_at + kNullAt, p, patterns[p].values[patterns[p].null]);
  }
}

/// Appends the 4096 entries of the class code of dense tiles.
inline void append_class_code(HostTables& out) {
  out.codes_at = out.words.size();
  for (std::size_t i = 0; i < 1u << ClassCode::kMaxLength; ++i) {
    out.words.push_back(class_code().device_entry(i));
  }
}

/// Appends what DeviceTensorView::row_begins and sparse point to.
inline void append_sparse(const NibbleTiles& tiles, HostTables& out) {
  out.row_begins_at = out.words.size();
  out.words.insert(out.words.end(), tiles.row_begins.begin(), tiles.row_begins.end());
  out.sparse_at = (out.words.size() + 1) / 2 * 2;  // aligned to a SparseValue
  out.words.resize(out.sparse_at);
  for (const SparseValue& sparse : tiles.sparse) {
    out.words.push_back(sparse.column);
    out.words.push_back(float_bits(sparse.value));
  }
}

inline HostTables host_tables(const PatternTableView& table) {
  if (!is_planar(table.codec)) {
    HostTables out = h4_tables(table);
    append_nibbles(table.h4(), out);
    return out;
  }
  HostTables out = planar_tables(table);
  const auto values_of = [&](int p) { return table.pattern(p); };
  out.gated_at =
      append_gated(centroids_per_pattern(table.codec), table.patterns(), values_of, out);
  if (table.codec == Codec::p4) {
    append_paired(table, out);
    append_class_code(out);
  }
  return out;
}

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Random H4 tables, blocks and fields for the tests of the decoders.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "ecco/h4.hpp"

namespace ecco::test {

/// (patterns, codebooks): the defaults, KV mode, the largest, and counts that are no powers of
/// two.
inline constexpr std::pair<int, int> kH4Shapes[] = {{64, 4}, {16, 4},  {256, 16},
                                                    {17, 1}, {100, 3}, {64, 5}};

struct H4Table {
  std::vector<std::int8_t> centroids;
  std::vector<std::uint8_t> lengths;

  [[nodiscard]] h4::TableView view() const {
    return {centroids.data(), static_cast<int>(centroids.size()) / h4::kCentroids, lengths.data(),
            static_cast<int>(lengths.size()) / huffman::kSymbols};
  }
};

/// Sorted centroids; codebook 0 is flat (4 bits each), later ones so skewed that both limits bind.
inline H4Table random_h4_table(std::mt19937& random, int patterns, int codebooks) {
  H4Table table;
  for (int p = 0; p < patterns; ++p) {
    std::vector<std::int8_t> row(h4::kCentroids);
    for (std::int8_t& c : row) {
      c = static_cast<std::int8_t>(static_cast<int>(random() % 255) - 127);
    }
    std::sort(row.begin(), row.end());
    table.centroids.insert(table.centroids.end(), row.begin(), row.end());
  }
  for (int h = 0; h < codebooks; ++h) {
    std::array<std::uint64_t, huffman::kSymbols> counts{};
    const auto spread = static_cast<unsigned>(1 + 7 * h % 30);
    for (auto& count : counts) count = 1 + (std::uint64_t{1} << (random() % spread));
    const huffman::Lengths lengths = huffman::limited_lengths(counts);
    table.lengths.insert(table.lengths.end(), lengths.begin(), lengths.end());
  }
  return table;
}

inline std::vector<huffman::StepTable> step_tables(const h4::TableView& table) {
  std::vector<huffman::StepTable> steps;
  for (int h = 0; h < table.codebooks; ++h) {
    huffman::Lengths lengths{};
    std::copy_n(table.codebook(h), huffman::kSymbols, lengths.begin());
    steps.push_back(huffman::step_table(huffman::canonical_codes(lengths)));
  }
  return steps;
}

inline h4::Fields random_h4_fields(std::mt19937& random, const h4::TableView& table,
                                   unsigned spread) {
  h4::Fields fields;
  fields.codebook = static_cast<int>(random() % static_cast<unsigned>(table.codebooks));
  fields.pattern = static_cast<int>(random() % static_cast<unsigned>(table.patterns));
  fields.scale.bits = static_cast<std::uint8_t>(1 + random() % 127 + (random() % 2) * 128);
  for (std::uint8_t& symbol : fields.symbols) {
    symbol = static_cast<std::uint8_t>(random() % spread);
  }
  for (h4::Outlier& outlier : fields.outlier) {
    outlier = {static_cast<std::uint8_t>(random() % 128),
               fp8_e4m3{static_cast<std::uint8_t>(random())}};
  }
  return fields;
}

/// Random bytes; by turns with a tail of equal bits (codes of one kind to the end) or of zeros.
inline void fill_adversarial(std::mt19937& random, int trial, std::uint8_t* block) {
  std::generate(block, block + 64, [&] { return static_cast<std::uint8_t>(random()); });
  if (trial % 3 == 1) std::fill(block + trial % 40, block + 64, std::uint8_t(trial % 2 * 255));
  if (trial % 50 == 2) std::fill(block + 2, block + 64, std::uint8_t{0});
  if (trial % 50 == 5) std::fill(block, block + 64, std::uint8_t{0});
}

}  // namespace ecco::test

// SPDX-License-Identifier: MIT
#include "ecco/cuda/tiles_h4.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/standard_tables.hpp"
#include "support/h4_tables.hpp"

namespace ecco::cuda {
namespace {

/// What the two tables of a fitting pattern read for a nibble.
int read_nibble(const GatedPattern& pattern, unsigned nibble) {
  const int own = pattern.tables[nibble / 8][nibble % 8];
  return own - (pattern.tables[1 - nibble / 8][nibble % 8] < 0 ? 1 : 0);
}

void expect_exact(const std::int8_t* pattern) {
  const NibbleValues nibbles = nibble_values(pattern);
  const GatedPattern gated = gate_pattern(nibbles.values, 16);
  for (int symbol = 0; symbol < 16; ++symbol) {
    const unsigned nibble = nibble_of_symbol(static_cast<unsigned>(symbol));
    EXPECT_EQ(symbol_of_nibble(nibble), static_cast<unsigned>(symbol));
    ASSERT_EQ(read_nibble(gated, nibble), -h4::symbol_numerator(pattern, symbol)) << symbol;
    EXPECT_LE(std::abs(nibbles.values[nibbles.null]), std::abs(nibbles.values[nibble]));
  }
}

TEST(NibbleValues, ReadEverySymbolOfTheStandardTables) {
  for (const h4::TableView& table : {standard_table(Codec::h4).h4(), standard_kv_table().h4()}) {
    for (int p = 0; p < table.patterns; ++p) {
      ASSERT_TRUE(nibble_values(table.pattern(p)).fits());
      expect_exact(table.pattern(p));
    }
  }
}

TEST(NibbleValues, ReadEverySymbolOfPatternsThatFit) {
  std::mt19937 random(5);
  int refused = 0;
  for (int trial = 0; trial < 50000; ++trial) {
    std::int8_t pattern[15];
    for (std::int8_t& c : pattern) {
      const int any = static_cast<int>(random() % 255) - 127;
      c = static_cast<std::int8_t>(trial % 3 == 0 ? any : random() % 3 == 0 ? -127 : any / 64);
      if (trial % 3 == 2) {
        c = static_cast<std::int8_t>(random() % 6 == 0 ? -127
                                                       : static_cast<int>(random() % 127) + 1);
      }
    }
    std::sort(pattern, pattern + 15);
    const auto lowest = std::count(pattern, pattern + 15, -127);
    const auto positive = std::count_if(pattern, pattern + 15, [](int c) { return c > 0; });
    const bool fits = lowest % 2 == 0 || lowest + positive < 15;
    ASSERT_EQ(nibble_values(pattern).fits(), fits);
    refused += fits ? 0 : 1;
    if (fits) expect_exact(pattern);
  }
  EXPECT_GT(refused, 10);
}

/// Blocks that clip, hold outliers, several at one place among them, or are zero.
std::vector<std::uint8_t> valid_blocks(std::mt19937& random, const h4::TableView& table,
                                       std::size_t rows, std::size_t cols) {
  const std::size_t per_row = blocks_per_row(cols);
  std::vector<std::uint8_t> bytes(64 * rows * per_row);
  for (std::size_t b = 0; b < rows * per_row; ++b) {
    if (b % 13 == 6) continue;
    h4::Fields fields = test::random_h4_fields(random, table, 1 + random() % 16);
    const std::size_t values = std::min<std::size_t>(128, cols - b % per_row * 128);
    for (h4::Outlier& outlier : fields.outlier) {
      outlier.position =
          static_cast<std::uint8_t>(outlier.position % std::min(values, std::size_t{40}));
    }
    h4::pack(fields, table, bytes.data() + 64 * b);
  }
  return bytes;
}

TEST(NibbleTiles, KeepEveryValue) {
  std::mt19937 random(6);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    for (const auto& [rows, cols] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {17, 129}, {33, 600}}) {
      SCOPED_TRACE(std::to_string(patterns) + " patterns, " + std::to_string(rows) + " x " +
                   std::to_string(cols));
      const test::H4Table h4 = test::random_h4_table(random, patterns, codebooks);
      PatternTable table;
      table.codec = Codec::h4;
      table.centroids = h4.centroids;
      table.codebooks = h4.lengths;
      const auto tensor = CompressedTensor::create(rows, cols, 0.37f, table,
                                                   valid_blocks(random, h4.view(), rows, cols));
      ASSERT_TRUE(tensor) << tensor.error().message();
      const auto tiles = pack_nibble_tiles(tensor->view());
      ASSERT_TRUE(tiles) << tiles.error().message();
      EXPECT_EQ(tiles->tiles.size(), (rows + 15) / 16 * blocks_per_row(cols) * 1056);
      ASSERT_EQ(tiles->row_begins.size(), rows + 1);
      std::vector<float> want(rows * cols);
      ASSERT_TRUE(decode_rows(tensor->view(), 0, dense_view(want.data(), rows, cols)));
      std::vector<float> row(cols);
      for (std::size_t r = 0; r < rows; ++r) {
        decode_nibble_row(*tiles, h4.view(), 0.37f, r, cols, row.data());
        for (std::size_t k = 0; k < cols; ++k) {
          ASSERT_EQ(float_bits(row[k]), float_bits(want[r * cols + k])) << r << ", " << k;
        }
      }
    }
  }
}

TEST(NibbleTiles, RefuseBlocksThatAreNotValid) {
  std::mt19937 random(7);
  const test::H4Table h4 = test::random_h4_table(random, 100, 4);
  PatternTable table;
  table.codec = Codec::h4;
  table.centroids = h4.centroids;
  table.codebooks = h4.lengths;
  std::vector<std::uint8_t> blocks = valid_blocks(random, h4.view(), 3, 200);
  std::fill_n(blocks.data() + 64 * 4, 64, std::uint8_t{255});  // pattern 127
  const auto tensor = CompressedTensor::create(3, 200, 1.0f, table, blocks);
  ASSERT_TRUE(tensor);
  const auto tiles = pack_nibble_tiles(tensor->view());
  ASSERT_FALSE(tiles);
  EXPECT_EQ(tiles.error().code(), StatusCode::corrupt);
  EXPECT_EQ(tiles.error().message(), "row 2, block 0: pattern index past the table");
}

}  // namespace
}  // namespace ecco::cuda

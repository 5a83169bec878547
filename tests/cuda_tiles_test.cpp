// SPDX-License-Identifier: MIT
#include "ecco/cuda/tiles.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ecco/standard_tables.hpp"
#include "support/planar_blocks.hpp"

namespace ecco::cuda {
namespace {

/// What a gated look-up of class s and place m' reads: the byte of its table and the signs of the
/// bytes of the others.
int gated_value(const GatedPattern& pattern, int s, int place) {
  const int column = place + s % 2 * 4;
  int sum = 0;
  for (int table = 0; table < 3; ++table) {
    const int byte = pattern.tables[table][column];
    sum += table == s / 2 ? byte : byte < 0 ? -1 : 0;
  }
  return sum;
}

void expect_exact(const std::int8_t* centroids) {
  const GatedPattern pattern = gate_pattern(centroids);
  for (int rank = 0; rank < 20; ++rank) {
    const int place = pattern.place_of_rank[rank];
    ASSERT_EQ(pattern.rank_of_place[rank / 4 * 4 + place], rank);
    ASSERT_EQ(gated_value(pattern, rank / 4, place), centroids[rank]) << "rank " << rank;
  }
}

TEST(GatedPattern, ReadsEveryCentroidOfTheStandardTable) {
  const PatternTableView table = standard_table(Codec::p4);
  for (int p = 0; p < table.patterns(); ++p) expect_exact(table.pattern(p));
}

TEST(GatedPattern, ReadsAnyCentroidsAlsoAtTheLimits) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 20000; ++trial) {
    std::int8_t centroids[20];
    for (std::int8_t& c : centroids) {
      const unsigned kind = random() % 4;
      const int any = static_cast<int>(random() % 247) - 123;
      const int small = static_cast<int>(random() % 9) - 4;
      c = static_cast<std::int8_t>(kind == 0   ? any
                                   : kind == 1 ? small
                                   : kind == 2 ? (trial % 2 == 0 ? 123 : -123)
                                               : (any < 0 ? -123 : 123));
    }
    expect_exact(centroids);
  }
}

TEST(ClassCode, IsCompleteAndDecodesItself) {
  const ClassCode& code = class_code();
  unsigned filled = 0;
  for (std::size_t k = 0; k < code.lengths.size(); ++k) {
    ASSERT_LE(code.lengths[k], ClassCode::kMaxLength);
    filled += 1u << (ClassCode::kMaxLength - code.lengths[k]);
    EXPECT_EQ(code.symbols[code.codes[k]], k);
  }
  EXPECT_EQ(filled, 1u << ClassCode::kMaxLength);
}

// 4 + T bits but for three exceptions; so a valid half, whose tail bits are at most 64, has at
// most 64 + 64 bits and what the exceptions add.
TEST(ClassCode, TakesFourBitsMoreThanTheTail) {
  const ClassCode& code = class_code();
  int exceptions = 0;
  for (std::size_t k = 0; k < code.lengths.size(); ++k) {
    int tail = 0;
    for (std::size_t v = 0, rest = k; v < 4; ++v, rest /= 5) {
      tail += planar::tail_bits<0>(static_cast<int>(rest % 5));
    }
    if (tail <= 8 && code.lengths[k] != 4 + tail) ++exceptions;
    EXPECT_TRUE(tail < 9 || code.lengths[k] == 12);
  }
  EXPECT_EQ(exceptions, 2);  // 0000, and the first symbol of 7 tail bits
  EXPECT_EQ(code.lengths[0], 5);
}

/// Valid blocks of many kinds: random, all of one rank, tails full to the last bit, zero.
std::vector<std::uint8_t> valid_blocks(std::mt19937& random, std::size_t count, int patterns) {
  std::vector<std::uint8_t> blocks(64 * count);
  for (std::size_t b = 0; b < count;) {
    std::uint8_t ranks[kGroup];
    const auto kind = random() % 6;
    for (int e = 0; e < kGroup; ++e) {
      unsigned level = 0;
      while (level < 4 && random() % 2 == 0) ++level;
      if (kind == 1) level = 0;
      if (kind == 2 && level > 2) level = 2;
      if (kind == 3) level = e < 37 ? 4 : 0;
      ranks[e] = static_cast<std::uint8_t>(4 * level + random() % 4);
    }
    if (kind == 4) {  // one half full, then the other until the tail is
      while (!planar::tail_use<2>(ranks).fits()) {
        std::uint8_t& rank = ranks[random() % kGroup];
        rank = static_cast<std::uint8_t>(rank < 4 ? rank : rank - 4);
      }
      for (int trial = 0; trial < 400; ++trial) {
        std::uint8_t& rank = ranks[random() % kGroup];
        if (rank >= 16) continue;
        rank = static_cast<std::uint8_t>(rank + 4);
        if (!planar::tail_use<2>(ranks).fits()) rank = static_cast<std::uint8_t>(rank - 4);
      }
    }
    const auto pattern = static_cast<std::uint8_t>(random() % static_cast<unsigned>(patterns));
    const auto scale = static_cast<std::uint8_t>(1 + random() % 255);
    std::uint8_t* block = blocks.data() + 64 * b;
    if (kind == 5 && b % 3 == 0) {
      std::fill(block, block + 64, std::uint8_t{0});
      ++b;
    } else if (planar::pack<2>(ranks, pattern, scale, block)) {
      ++b;
    }
  }
  return blocks;
}

PatternTable small_table(std::mt19937& random, int patterns) {
  PatternTable table;
  table.codec = Codec::p4;
  table.centroids = test::random_table(random, Codec::p4, patterns);
  return table;
}

TEST(Tiles, GiveBackEveryBlock) {
  std::mt19937 random(11);
  for (const auto& [rows, cols] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {16, 128}, {17, 129}, {40, 2880}}) {
    const std::size_t blocks = rows * blocks_per_row(cols);
    const auto tensor = CompressedTensor::create(rows, cols, 1.0f, small_table(random, 200),
                                                 valid_blocks(random, blocks, 200));
    ASSERT_TRUE(tensor) << tensor.error().message();
    for (const bool dense : {true, false}) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) +
                   (dense ? " dense" : " fast"));
      const auto tiles = pack_tiles(tensor->view(), dense);
      ASSERT_TRUE(tiles) << tiles.error().message();
      EXPECT_EQ(tiles->size(), (rows + 15) / 16 * blocks_per_row(cols) *
                                   (dense ? kDenseTileBytes : kFastTileBytes));
      const auto back = unpack_tiles(*tiles, dense, rows, cols, tensor->view().table());
      ASSERT_TRUE(back) << back.error().message();
      EXPECT_TRUE(std::equal(back->begin(), back->end(), tensor->blocks().begin(),
                             tensor->blocks().end()));
    }
  }
}

TEST(Tiles, RefuseBlocksThatAreNotValid) {
  std::mt19937 random(2);
  std::vector<std::uint8_t> blocks = valid_blocks(random, 6, 20);
  blocks[64 * 4] = 20;  // a pattern past the table
  blocks[64 * 4 + 1] = 1;
  const auto tensor =
      CompressedTensor::create(3, 200, 1.0f, small_table(random, 20), std::move(blocks));
  ASSERT_TRUE(tensor);
  for (const bool dense : {true, false}) {
    const auto tiles = pack_tiles(tensor->view(), dense);
    ASSERT_FALSE(tiles);
    EXPECT_EQ(tiles.error().code(), StatusCode::corrupt);
    EXPECT_EQ(tiles.error().message(), "row 2, block 0: pattern index past the table");
  }
}

// A half whose codes need 143 bits, found by dynamic programming over the lengths: 7 tail bits
// cost 12 for one symbol, so nine of these and one of 1 overflow 136.
TEST(Tiles, DenseOnesRefuseCodesThatDoNotFit) {
  const ClassCode& code = class_code();
  std::size_t costly = 0;
  while (code.lengths[costly] != 12 || [&] {
    int tail = 0;
    for (std::size_t v = 0, rest = costly; v < 4; ++v, rest /= 5) {
      tail += planar::tail_bits<0>(static_cast<int>(rest % 5));
    }
    return tail;
  }() != 7) {
    ++costly;
  }
  TileRow row;
  row.scale = 100;
  int groups = 9;
  for (int t = 0; t < 2; ++t) {
    for (int group = 0; group < 8; ++group) {
      std::size_t symbol = groups-- > 0 ? costly : groups == -1 ? 1 : 0;
      for (int b = 0; b < 4; ++b, symbol /= 5) {
        row.ranks[tile_element(t, group / 2, group % 2, b)] =
            static_cast<std::uint8_t>(4 * (symbol % 5));
      }
    }
  }
  std::vector<std::uint8_t> block(64);
  ASSERT_TRUE(write_row(row, block.data()));
  std::mt19937 random(2);
  const auto tensor = CompressedTensor::create(1, 128, 1.0f, small_table(random, 1), block);
  ASSERT_TRUE(tensor);
  const auto dense = pack_tiles(tensor->view(), true);
  ASSERT_FALSE(dense);
  EXPECT_EQ(dense.error().code(), StatusCode::unsupported);
  const auto fast = pack_tiles(tensor->view(), false);
  ASSERT_TRUE(fast);
  const auto back = unpack_tiles(*fast, false, 1, 128, tensor->view().table());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, block);
}

TEST(Tiles, OfAWrongSizeAreRefused) {
  std::mt19937 random(2);
  const PatternTable table = small_table(random, 3);
  const std::vector<std::uint8_t> tiles(kFastTileBytes - 1);
  const auto blocks = unpack_tiles(tiles, false, 1, 1, table.view());
  ASSERT_FALSE(blocks);
  EXPECT_EQ(blocks.error().code(), StatusCode::shape_mismatch);
}

}  // namespace
}  // namespace ecco::cuda

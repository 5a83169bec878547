// SPDX-License-Identifier: MIT
#include "ecco/cuda/tiles.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "ecco/cuda/tiles_gated.hpp"
#include "ecco/standard_tables.hpp"
#include "support/planar_blocks.hpp"

namespace ecco::cuda {
namespace {

/// What a gated look-up of value k reads: the byte of its table and the signs of the bytes of the
/// others.
int gated_value(const GatedPattern& pattern, int k, int count) {
  int sum = 0;
  for (int table = 0; table < gated_tables(count); ++table) {
    const int byte = pattern.tables[table][k % 8];
    sum += table == k / 8 ? byte : byte < 0 ? -1 : 0;
  }
  return sum;
}

void expect_exact(const std::int8_t* values, int count) {
  const GatedPattern pattern = gate_pattern(values, count);
  for (int k = 0; k < count; ++k) {
    ASSERT_EQ(gated_value(pattern, k, count), values[k]) << "value " << k << " of " << count;
  }
}

TEST(GatedPattern, ReadsEveryCentroidOfTheStandardTables) {
  for (const Codec codec : kPlanarCodecs) {
    const PatternTableView table = standard_table(codec);
    for (int p = 0; p < table.patterns(); ++p) {
      expect_exact(table.pattern(p), centroids_per_pattern(codec));
    }
  }
}

TEST(GatedPattern, ReadsAnyCentroidsAlsoAtTheLimits) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 20000; ++trial) {
    std::int8_t centroids[40];
    for (std::int8_t& c : centroids) {
      const unsigned kind = random() % 4;
      const int any = static_cast<int>(random() % 247) - 123;
      const int small = static_cast<int>(random() % 9) - 4;
      c = static_cast<std::int8_t>(kind == 0   ? any
                                   : kind == 1 ? small
                                   : kind == 2 ? (trial % 2 == 0 ? 123 : -123)
                                               : (any < 0 ? -123 : 123));
    }
    for (const int count : {5, 10, 20, 40}) expect_exact(centroids, count);
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
template <int R>
std::vector<std::uint8_t> valid_blocks(std::mt19937& random, std::size_t count, int patterns) {
  constexpr unsigned kPlace = 1u << R;
  constexpr std::size_t kBytes = sizeof(PlanarBlock<R>);
  std::vector<std::uint8_t> blocks(kBytes * count);
  for (std::size_t b = 0; b < count;) {
    std::uint8_t ranks[kGroup];
    const auto kind = random() % 6;
    for (int e = 0; e < kGroup; ++e) {
      unsigned level = 0;
      while (level < 4 && random() % 2 == 0) ++level;
      if (kind == 1) level = 0;
      if (kind == 2 && level > 2) level = 2;
      if (kind == 3) level = e < 37 ? 4 : 0;
      ranks[e] = static_cast<std::uint8_t>(kPlace * level + random() % kPlace);
    }
    if (kind == 4) {  // one half full, then the other until the tail is
      while (!planar::tail_use<R>(ranks).fits()) {
        std::uint8_t& rank = ranks[random() % kGroup];
        rank = static_cast<std::uint8_t>(rank < kPlace ? rank : rank - kPlace);
      }
      for (int trial = 0; trial < 400; ++trial) {
        std::uint8_t& rank = ranks[random() % kGroup];
        if (rank >= 4 * kPlace) continue;
        rank = static_cast<std::uint8_t>(rank + kPlace);
        if (!planar::tail_use<R>(ranks).fits()) rank = static_cast<std::uint8_t>(rank - kPlace);
      }
    }
    const auto pattern = static_cast<std::uint8_t>(random() % static_cast<unsigned>(patterns));
    const auto scale = static_cast<std::uint8_t>(1 + random() % 255);
    std::uint8_t* block = blocks.data() + kBytes * b;
    if (kind == 5 && b % 3 == 0) {
      std::fill(block, block + kBytes, std::uint8_t{0});
      ++b;
    } else if (planar::pack<R>(ranks, pattern, scale, block)) {
      ++b;
    }
  }
  return blocks;
}

PatternTable small_table(std::mt19937& random, Codec codec, int patterns) {
  PatternTable table;
  table.codec = codec;
  table.centroids = test::random_table(random, codec, patterns);
  return table;
}

template <typename Planes>
class Tiles : public ::testing::Test {
 protected:
  static constexpr int kPlanes = Planes::value;
  static constexpr Codec kCodec = kPlanarCodecs[kPlanes];
  static constexpr std::size_t kBlock = sizeof(PlanarBlock<kPlanes>);

  static std::vector<Layout> layouts() {
    if (kCodec != Codec::p4) return {Layout::fast};
    return {Layout::dense, Layout::paired, Layout::fast};
  }
};
struct PlanesName {
  template <typename Planes>
  static std::string GetName(int) {
    return std::string(codec_name(kPlanarCodecs[Planes::value]));
  }
};
using AllPlanes =
    ::testing::Types<planar::Planes<0>, planar::Planes<1>, planar::Planes<2>, planar::Planes<3>>;
TYPED_TEST_SUITE(Tiles, AllPlanes, PlanesName);

TYPED_TEST(Tiles, GiveBackEveryBlock) {
  std::mt19937 random(11);
  for (const auto& [rows, cols] :
       {std::pair<std::size_t, std::size_t>{1, 1}, {16, 128}, {17, 129}, {40, 2880}}) {
    const std::size_t blocks = rows * blocks_per_row(cols);
    const auto tensor =
        CompressedTensor::create(rows, cols, 1.0f, small_table(random, this->kCodec, 200),
                                 valid_blocks<TestFixture::kPlanes>(random, blocks, 200));
    ASSERT_TRUE(tensor) << tensor.error().message();
    for (const Layout layout : this->layouts()) {
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols) + " " +
                   std::string(layout_name(layout)));
      const auto tiles = pack_tiles(tensor->view(), layout);
      ASSERT_TRUE(tiles) << tiles.error().message();
      EXPECT_EQ(tiles->size(),
                (rows + 15) / 16 * blocks_per_row(cols) * tile_bytes(this->kCodec, layout));
      const auto back = unpack_tiles(*tiles, this->kCodec, layout, rows, cols);
      ASSERT_TRUE(back) << back.error().message();
      EXPECT_TRUE(std::equal(back->begin(), back->end(), tensor->blocks().begin(),
                             tensor->blocks().end()));
    }
  }
}

TYPED_TEST(Tiles, RefuseBlocksThatAreNotValid) {
  std::mt19937 random(2);
  std::vector<std::uint8_t> blocks = valid_blocks<TestFixture::kPlanes>(random, 6, 20);
  blocks[this->kBlock * 4] = 20;  // a pattern past the table
  blocks[this->kBlock * 4 + 1] = 1;
  const auto tensor = CompressedTensor::create(3, 200, 1.0f, small_table(random, this->kCodec, 20),
                                               std::move(blocks));
  ASSERT_TRUE(tensor);
  for (const Layout layout : this->layouts()) {
    const auto tiles = pack_tiles(tensor->view(), layout);
    ASSERT_FALSE(tiles);
    EXPECT_EQ(tiles.error().code(), StatusCode::corrupt);
    EXPECT_EQ(tiles.error().message(), "row 2, block 0: pattern index past the table");
  }
}

// Not to read past an array, which sanitizers see.
TYPED_TEST(Tiles, OfAnyBytesAreRefusedOrBlocks) {
  std::mt19937 random(4);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<std::uint8_t> tiles(tile_bytes(this->kCodec, Layout::fast));
    for (std::uint8_t& byte : tiles) {
      byte = static_cast<std::uint8_t>(trial % 2 == 0 ? static_cast<unsigned>(random())
                                                      : static_cast<unsigned>(trial));
    }
    const auto blocks = unpack_tiles(tiles, this->kCodec, Layout::fast, 16, 128);
    if (!blocks) {
      EXPECT_EQ(blocks.error().code(), StatusCode::corrupt);
    }
  }
}

TYPED_TEST(Tiles, OfAWrongSizeAreRefused) {
  const std::vector<std::uint8_t> tiles(tile_bytes(this->kCodec, Layout::fast) - 1);
  const auto blocks = unpack_tiles(tiles, this->kCodec, Layout::fast, 1, 1);
  ASSERT_FALSE(blocks);
  EXPECT_EQ(blocks.error().code(), StatusCode::shape_mismatch);
}

// What the header's table says of each of the 32 codes of two classes; and codes of pairs are
// their inverse.
TEST(PairedTiles, CodesAreThoseOfTheTable) {
  for (unsigned code = 0; code < 512; ++code) {
    const unsigned a = code & 15u;
    const unsigned b = code >> 4 & 15u;
    unsigned rank_a = 0;
    unsigned rank_b = 0;
    pair_ranks({a, b, code >> 8}, rank_a, rank_b);
    bool last_a = false;
    bool last_b = false;
    if (code >> 8 != 0) {
      const bool equal = (a & 4u) == (b & 4u);
      if (a < 8 && b < 8) last_a = last_b = true;
      if (a >= 8 && b < 8) last_a = true;
      if (a < 8 && b >= 8) last_b = true;
      if (a >= 8 && b >= 8) (equal ? last_a : last_b) = true;
    }
    EXPECT_EQ(rank_a, last_a ? 16 + a % 4 : a);
    EXPECT_EQ(rank_b, last_b ? 16 + b % 4 : b);
  }
  for (unsigned a = 0; a < 20; ++a) {
    for (unsigned b = 0; b < 20; ++b) {
      unsigned rank_a = 99;
      unsigned rank_b = 99;
      pair_ranks(pair_code(a, b), rank_a, rank_b);
      EXPECT_EQ(rank_a, a);
      EXPECT_EQ(rank_b, b);
    }
  }
}

TEST(Tiles, OfOtherCodecsAndLayoutsAreRefused) {
  std::mt19937 random(2);
  const auto tensor = CompressedTensor::create(1, 128, 1.0f, small_table(random, Codec::p3, 1),
                                               std::vector<std::uint8_t>(48));
  ASSERT_TRUE(tensor);
  for (const Layout layout : {Layout::raw, Layout::dense, Layout::paired, Layout::automatic}) {
    const auto tiles = pack_tiles(tensor->view(), layout);
    ASSERT_FALSE(tiles);
    EXPECT_EQ(tiles.error().code(), StatusCode::unsupported);
    EXPECT_EQ(tiles.error().message(), std::string(layout_name(layout)) + " tiles of p3");
    EXPECT_FALSE(unpack_tiles({}, Codec::p3, layout, 0, 0));
  }
}

// A half whose codes need 143 bits, found by dynamic programming over the lengths: 7 tail bits
// cost 12 for one symbol, so nine of these and one of 1 overflow 136.
TEST(DenseTiles, RefuseCodesThatDoNotFit) {
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
  ASSERT_TRUE(write_row<2>(row, block.data()));
  std::mt19937 random(2);
  const auto tensor =
      CompressedTensor::create(1, 128, 1.0f, small_table(random, Codec::p4, 1), block);
  ASSERT_TRUE(tensor);
  const auto dense = pack_tiles(tensor->view(), Layout::dense);
  ASSERT_FALSE(dense);
  EXPECT_EQ(dense.error().code(), StatusCode::unsupported);
  for (const Layout layout : {Layout::paired, Layout::fast}) {
    const auto tiles = pack_tiles(tensor->view(), layout);
    ASSERT_TRUE(tiles);
    const auto back = unpack_tiles(*tiles, Codec::p4, layout, 1, 128);
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, block);
  }
}

}  // namespace
}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
#include "ecco/h4.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "support/h4_tables.hpp"

namespace ecco::h4 {
namespace {

using test::H4Table;
using test::kH4Shapes;

// Decoder written from the sentences of docs/format.md on a string of '0' and '1', with a map from
// code strings to symbols; shares no code with the library but the FP8 conversion.
struct SpecBlock {
  std::vector<float> values;
  bool valid = false;
};
SpecBlock decode_by_specification(const std::uint8_t* block, const H4Table& table, float scale,
                                  int real_values) {
  std::string bits;
  for (int k = 0; k < 512; ++k) bits += (block[k / 8] >> (k % 8) & 1) != 0 ? '1' : '0';
  const int S = static_cast<int>(table.centroids.size()) / 15;
  const int H = static_cast<int>(table.lengths.size()) / 16;
  std::size_t at = 0;
  const auto take = [&](int n) {
    int value = 0;
    for (int i = 0; i < n; ++i) value |= (bits[at++] - '0') << i;
    return value;
  };
  int codebook = take(static_cast<int>(std::ceil(std::log2(H))));
  int pattern = take(static_cast<int>(std::ceil(std::log2(S))));
  const int scale_bits = take(8);
  const bool known = codebook < H && pattern < S;
  if (codebook >= H) codebook = 0;
  if (pattern >= S) pattern = 0;
  SpecBlock out{std::vector<float>(128, 0.0f), known};
  if (scale_bits % 128 == 0) {
    out.valid = bits == std::string(512, '0');
    return out;
  }
  std::map<std::string, int> codes;
  int next = 0;
  for (int length = 2; length <= 8; ++length) {
    next *= 2;
    for (int s = 0; s < 16; ++s) {
      if (table.lengths[static_cast<std::size_t>(codebook * 16 + s)] != length) continue;
      std::string code;
      for (int b = length - 1; b >= 0; --b) code += (next >> b & 1) != 0 ? '1' : '0';
      codes[code] = s;
      ++next;
    }
  }
  const float m = scale * to_float(fp8_e4m3{static_cast<std::uint8_t>(scale_bits)});
  std::size_t coded = 0;
  for (; coded < 128; ++coded) {
    std::string code;
    while (codes.count(code) == 0 && at + code.size() < 512) code += bits[at + code.size()];
    if (codes.count(code) == 0) break;
    at += code.size();
    const int s = codes[code];
    const auto row = static_cast<std::size_t>(pattern * 15);
    out.values[coded] =
        s == 15 ? m
                : m * (static_cast<float>(table.centroids[row + static_cast<std::size_t>(s)]) /
                       128.0f);
  }
  if (coded < 128) return out;
  for (std::size_t left = (512 - at) / 15; left > 0; --left) {
    const int position = take(7);
    const int value = take(8);
    out.values[static_cast<std::size_t>(position)] =
        scale * to_float(fp8_e4m3{static_cast<std::uint8_t>(value)});
    if (position >= real_values) out.valid = false;
  }
  if (bits.find('1', at) != std::string::npos) out.valid = false;
  return out;
}

void expect_equal_to_specification(const std::uint8_t* block, const H4Table& table, float scale,
                                   int real_values) {
  float values[kGroup];
  decode(block, table.view(), scale, values);
  const SpecBlock want = decode_by_specification(block, table, scale, real_values);
  for (std::size_t e = 0; e < kGroup; ++e) {
    ASSERT_EQ(float_bits(values[e]), float_bits(want.values[e])) << "element " << e;
  }
  ASSERT_EQ(check(block, table.view(), real_values) == Fault::none, want.valid);
}

TEST(H4, DecodesArbitraryBytesAsSpecified) {
  std::mt19937 random(1);
  for (const auto& [patterns, codebooks] : kH4Shapes) {
    const H4Table table = test::random_h4_table(random, patterns, codebooks);
    for (int trial = 0; trial < 1500; ++trial) {
      std::uint8_t block[64];
      test::fill_adversarial(random, trial, block);
      expect_equal_to_specification(block, table, 0.37f, 1 + trial % 128);
    }
  }
}

TEST(H4, PackedBlocksAreValidAndParseBack) {
  std::mt19937 random(2);
  int clipped = 0;
  for (const auto& [patterns, codebooks] : kH4Shapes) {
    const H4Table table = test::random_h4_table(random, patterns, codebooks);
    for (int trial = 0; trial < 1000; ++trial) {
      const Fields fields = test::random_h4_fields(random, table.view(), trial % 2 == 0 ? 16 : 5);
      std::uint8_t block[64];
      pack(fields, table.view(), block);
      expect_equal_to_specification(block, table, 1.0f, 128);
      ASSERT_EQ(check(block, table.view()), Fault::none);
      const Fields back = parse(block, table.view());
      ASSERT_EQ(back.codebook, fields.codebook);
      ASSERT_EQ(back.pattern, fields.pattern);
      ASSERT_EQ(back.scale.bits, fields.scale.bits);
      const int used = table.view().header_bits() +
                       code_bits(fields.symbols, table.view().codebook(fields.codebook));
      ASSERT_EQ(back.coded == kGroup, used <= kBlockBits);
      for (int e = 0; e < back.coded; ++e) ASSERT_EQ(back.symbols[e], fields.symbols[e]);
      ASSERT_EQ(back.outliers, std::max(outlier_slots(used), 0));
      for (int i = 0; i < back.outliers; ++i) {
        ASSERT_EQ(back.outlier[i].position, fields.outlier[i].position);
        ASSERT_EQ(back.outlier[i].value.bits, fields.outlier[i].value.bits);
      }
      if (back.coded < kGroup) {
        ++clipped;
        ASSERT_GT(back.end + 8, kBlockBits);  // filled up to less than one code
      }
    }
  }
  EXPECT_GT(clipped, 100);
}

TEST(H4, ACodebookOfTwosHoldsTheMostOutliers) {
  H4Table table;
  table.centroids.assign(16 * kCentroids, 0);
  table.lengths = {2, 2, 2, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 7};
  // 3/4 + 6/32 = 15/16; 2/64 = 31/32; 3/128 + 2/256 = 1
  ASSERT_TRUE(huffman::is_complete(table.lengths.data()));
  Fields fields;
  fields.scale.bits = 8;
  std::uint8_t block[64];
  pack(fields, table.view(), block);
  EXPECT_EQ(parse(block, table.view()).outliers, (512 - 12 - 256) / 15);
  EXPECT_LE((512 - 12 - 256) / 15, kMaxOutliers);
}

TEST(H4, CheckNamesEachFault) {
  std::mt19937 random(3);
  const H4Table table =
      test::random_h4_table(random, 17, 3);  // 5 and 2 bits, both with unused indices
  Fields fields = test::random_h4_fields(random, table.view(), 1);
  fields.codebook = 0;  // flat: 4 bits each
  for (std::uint8_t& symbol : fields.symbols) symbol = 0;
  std::uint8_t good[64];
  pack(fields, table.view(), good);
  ASSERT_EQ(check(good, table.view()), Fault::none);
  const auto with = [&](int bit, int count, unsigned value) {
    std::array<std::uint8_t, 64> block{};
    std::copy(good, good + 64, block.begin());
    for (int i = 0; i < count; ++i) {
      block[static_cast<std::size_t>((bit + i) / 8)] &=
          static_cast<std::uint8_t>(~(1u << ((bit + i) % 8)));
    }
    write_bits(block.data(), bit, count, value);
    return block;
  };
  EXPECT_EQ(check(with(0, 2, 3).data(), table.view()), Fault::unknown_codebook);
  EXPECT_EQ(check(with(2, 5, 17).data(), table.view()), Fault::unknown_pattern);
  EXPECT_EQ(check(with(7, 8, 0x80).data(), table.view()), Fault::dirty_zero);
  EXPECT_EQ(check(std::array<std::uint8_t, 64>{}.data(), table.view()), Fault::none);
}

TEST(H4, CheckNamesOutliersOnPaddingAndADirtyEnd) {
  H4Table table;
  table.centroids.assign(64 * kCentroids, 5);
  table.lengths = {3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5, 5, 5};
  ASSERT_TRUE(huffman::is_complete(table.lengths.data()));
  Fields fields;
  fields.scale.bits = 8;
  for (Outlier& outlier : fields.outlier) outlier = {99, fp8_e4m3{1}};
  std::uint8_t block[64];
  pack(fields, table.view(), block);
  const Fields back = parse(block, table.view());
  ASSERT_EQ(back.outliers, (512 - 14 - 3 * 128) / 15);
  EXPECT_EQ(check(block, table.view(), 100), Fault::none);
  EXPECT_EQ(check(block, table.view(), 99), Fault::outlier_on_padding);
  ASSERT_LT(back.end, kBlockBits);
  write_bits(block, kBlockBits - 1, 1, 1);
  EXPECT_EQ(check(block, table.view(), 100), Fault::dirty_end);
}

}  // namespace
}  // namespace ecco::h4

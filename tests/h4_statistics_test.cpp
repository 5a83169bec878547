// SPDX-License-Identifier: MIT
#include "ecco/h4_statistics.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "support/h4_tables.hpp"

namespace ecco {
namespace {

using test::H4Table;

// Codebook 0 is flat: 4 bits each. Header 6 + 2 + 8 bits: 16 + 124 * 4 = 512, so 124 codes fit.
// Codebook 1 gives symbol 0 two bits: 16 + 256 leave 240 bits, 16 outliers.
H4Table table() {
  std::mt19937 random(1);
  H4Table out = test::random_h4_table(random, 64, 4);
  const std::uint8_t skewed[] = {2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 7};
  std::copy(std::begin(skewed), std::end(skewed), out.lengths.begin() + 16);
  return out;
}

TEST(H4Statistics, CountsClippedElementsThatAreNoPadding) {
  const H4Table owner = table();
  h4::Fields fields{};
  fields.scale.bits = 0x38;
  std::fill(fields.symbols, fields.symbols + 128, std::uint8_t{3});
  std::uint8_t block[64];
  h4::pack(fields, owner.view(), block);
  h4::Statistics all;
  all.add(block, owner.view());
  EXPECT_EQ(all.values, 128u);
  EXPECT_EQ(all.coded, 124u);
  EXPECT_EQ(all.clipped, 4u);
  EXPECT_EQ(all.code_bits, 124u * 4);
  EXPECT_EQ(all.outliers, 0u);
  EXPECT_EQ(all.clipped_share(), 4.0 / 128);
  EXPECT_EQ(all.mean_code_length(), 4.0);
  h4::Statistics some;
  some.add(block, owner.view(), 125);
  EXPECT_EQ(some.values, 125u);
  EXPECT_EQ(some.clipped, 1u);
  some = {};
  some.add(block, owner.view(), 100);
  EXPECT_EQ(some.coded, 100u);
  EXPECT_EQ(some.clipped, 0u);
}

TEST(H4Statistics, CountsElementsUnderOutliersOnce) {
  const H4Table owner = table();
  ASSERT_TRUE(huffman::is_complete(owner.view().codebook(1)));
  h4::Fields fields{};
  fields.codebook = 1;
  fields.scale.bits = 0x38;
  for (int i = 0; i < 16; ++i) {
    fields.outlier[i] = {static_cast<std::uint8_t>(i < 3 ? 10 * i : 20), fp8_e4m3{0x40}};
  }
  std::uint8_t block[64];
  h4::pack(fields, owner.view(), block);
  h4::Statistics statistics;
  statistics.add(block, owner.view());
  EXPECT_EQ(statistics.outliers, 3u);
  EXPECT_EQ(statistics.mean_code_length(), 2.0);
  EXPECT_EQ(statistics.clipped, 0u);
  h4::Statistics some;
  some.add(block, owner.view(), 20);  // the outlier at 20 would lie on padding
  EXPECT_EQ(some.outliers, 2u);
  EXPECT_EQ(some.outlier_share(), 0.1);
  some += statistics;
  EXPECT_EQ(some.values, 148u);
  EXPECT_EQ(some.outliers, 5u);
  EXPECT_EQ(some.coded, 148u);
  EXPECT_EQ(some.code_bits, 2u * 148);
}

TEST(H4Statistics, CountsNoCodesInZeros) {
  const H4Table owner = table();
  std::uint8_t block[64] = {};
  h4::Statistics statistics;
  EXPECT_EQ(statistics.clipped_share(), 0.0);
  statistics.add(block, owner.view(), 60);
  EXPECT_EQ(statistics.values, 60u);
  EXPECT_EQ(statistics.coded + statistics.clipped + statistics.outliers, 0u);
  EXPECT_EQ(statistics.mean_code_length(), 0.0);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// The table-driven decoder against the serial reference.
#include "compute/h4_rows.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "ecco/standard_tables.hpp"
#include "support/h4_tables.hpp"

namespace ecco::h4 {
namespace {

void expect_same(const CodedBlock& got, const Fields& want, const TableView& table) {
  ASSERT_EQ(got.coded, want.coded);
  ASSERT_EQ(got.scale.bits, want.scale.bits);
  ASSERT_EQ(got.pattern, table.pattern(want.pattern));
  for (int e = 0; e < want.coded; ++e) ASSERT_EQ(got.symbol(e), want.symbols[e]) << e;
  Outlier outlier[kMaxOutliers];
  ASSERT_EQ(read_outliers(got, outlier), want.outliers);
  for (int i = 0; i < want.outliers; ++i) {
    ASSERT_EQ(outlier[i].position, want.outlier[i].position);
    ASSERT_EQ(outlier[i].value.bits, want.outlier[i].value.bits);
  }
}

void expect_same_int8(const Int8Block& got, const Int8Block& want) {
  ASSERT_EQ(float_bits(got.factor), float_bits(want.factor));
  for (int e = 0; e < kGroup; ++e) ASSERT_EQ(got.values[e], want.values[e]) << e;
  ASSERT_EQ(got.outliers, want.outliers);
  for (int i = 0; i < want.outliers; ++i) {
    ASSERT_EQ(got.positions[i], want.positions[i]);
    ASSERT_EQ(float_bits(got.outlier_values[i]), float_bits(want.outlier_values[i]));
  }
}

std::vector<std::uint8_t> any_blocks(std::mt19937& random, const TableView& table,
                                     std::size_t count) {
  std::vector<std::uint8_t> blocks(64 * count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 4 == 3) {
      test::fill_adversarial(random, static_cast<int>(random() % 1000), &blocks[64 * i]);
    } else {  // by turns short codes (outliers), all symbols (some clip) and one symbol throughout
      Fields fields = test::random_h4_fields(random, table, i % 4 == 0 ? 4 : 16);
      if (i % 4 == 2) std::fill(fields.symbols, fields.symbols + 128, fields.symbols[0]);
      pack(fields, table, &blocks[64 * i]);
    }
  }
  return blocks;
}

// Building them takes ten times as long as a block.
TEST(H4Rows, DecodeTablesOfStandardCodebooksAreBuiltOnce) {
  const std::vector<std::uint8_t> blocks(64);
  const auto tensor_of = [&](const PatternTableView& table) {
    return TensorView::parse(Codec::h4, 1, 128, 1.0f, table, blocks).value();
  };
  for (const PatternTableView& standard : {standard_table(Codec::h4), standard_kv_table()}) {
    const std::vector<std::uint8_t> copy(standard.codebooks.begin(), standard.codebooks.end());
    const Codes first(tensor_of(standard));
    const Codes second(tensor_of({Codec::h4, standard.centroids, copy}));
    const CodeTables want(standard.codebooks);
    for (int h = 0; h < 4; ++h) {
      EXPECT_EQ(first.of(h), second.of(h));
      EXPECT_EQ(std::memcmp(first.of(h), want.multi()[h].data(), sizeof(huffman::MultiTable)), 0);
    }
  }
}

TEST(H4Rows, EqualTheSerialDecoderOnAnyBytes) {
  std::mt19937 random(21);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    const test::H4Table table = test::random_h4_table(random, patterns, codebooks);
    const PatternTableView view{Codec::h4, table.centroids, table.lengths};
    for (const std::size_t count : {std::size_t{1}, std::size_t{5}, std::size_t{6}, std::size_t{7},
                                    std::size_t{40}, kChunk}) {
      for (int trial = 0; trial < 12; ++trial) {
        const std::vector<std::uint8_t> blocks = any_blocks(random, table.view(), count);
        const TensorView tensor =
            TensorView::parse(Codec::h4, 1, 128 * count, 0.7f, view, blocks).value();
        RowDecoder<ScalarOps> decoder(tensor);
        std::vector<int> seen(count, 0);
        std::vector<const std::uint8_t*> list(count);
        for (std::size_t i = 0; i < count; ++i) list[i] = &blocks[64 * i];
        decoder.decode(list.data(), count, [&](std::size_t i, const CodedBlock& coded) {
          ++seen[i];
          expect_same(coded, parse(&blocks[64 * i], table.view()), table.view());
          Int8Block got;
          Int8Block want;
          to_int8<ScalarOps>(coded, 0.7f, got);
          decode_int8(&blocks[64 * i], table.view(), 0.7f, want);
          expect_same_int8(got, want);
        });
        ASSERT_EQ(seen, std::vector<int>(count, 1));
        if (HasFatalFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
#include "ecco/h4_parallel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "support/h4_tables.hpp"

namespace ecco::h4 {
namespace {

void expect_same(const Fields& got, const Fields& want) {
  ASSERT_EQ(got.codebook, want.codebook);
  ASSERT_EQ(got.pattern, want.pattern);
  ASSERT_EQ(got.scale.bits, want.scale.bits);
  ASSERT_EQ(got.coded, want.coded);
  for (int e = 0; e < want.coded; ++e) ASSERT_EQ(got.symbols[e], want.symbols[e]) << e;
  ASSERT_EQ(got.end, want.end);
  ASSERT_EQ(got.outliers, want.outliers);
  for (int i = 0; i < want.outliers; ++i) {
    ASSERT_EQ(got.outlier[i].position, want.outlier[i].position);
    ASSERT_EQ(got.outlier[i].value.bits, want.outlier[i].value.bits);
  }
}

TEST(H4Parallel, EqualsTheSerialDecoderOnAnyBytes) {
  std::mt19937 random(5);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    const test::H4Table table = test::random_h4_table(random, patterns, codebooks);
    const std::vector<huffman::StepTable> steps = test::step_tables(table.view());
    for (int trial = 0; trial < 3000; ++trial) {
      std::uint8_t block[64];
      test::fill_adversarial(random, trial, block);
      expect_same(parallel::parse(block, table.view(), steps.data()),
                  h4::parse(block, table.view()));
      if (HasFatalFailure()) return;
    }
  }
}

// Blocks that only codes of 2 bits, only codes of 8 bits, or a clipped end make extreme.
TEST(H4Parallel, EqualsTheSerialDecoderOnPackedExtremes) {
  std::mt19937 random(6);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    const test::H4Table table = test::random_h4_table(random, patterns, codebooks);
    const std::vector<huffman::StepTable> steps = test::step_tables(table.view());
    for (int book = 0; book < codebooks; ++book) {
      for (int symbol = 0; symbol < huffman::kSymbols; ++symbol) {
        Fields fields = test::random_h4_fields(random, table.view(), 16);
        fields.codebook = book;
        std::fill(fields.symbols, fields.symbols + 100, static_cast<std::uint8_t>(symbol));
        std::uint8_t block[64];
        pack(fields, table.view(), block);
        expect_same(parallel::parse(block, table.view(), steps.data()),
                    h4::parse(block, table.view()));
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(H4Parallel, AChunkYieldsOneToFourSymbolsPerCase) {
  std::mt19937 random(7);
  const test::H4Table table = test::random_h4_table(random, 64, 4);
  const std::vector<huffman::StepTable> steps = test::step_tables(table.view());
  for (int trial = 0; trial < 500; ++trial) {
    std::uint8_t block[64];
    test::fill_adversarial(random, trial, block);
    const parallel::Chunk chunk = parallel::decode_chunk(block, 2 + trial % 60, 16, steps[3]);
    for (int o = 0; o < parallel::kOffsets; ++o) {
      EXPECT_GE(chunk.run.codes[o], 1);
      EXPECT_LE(chunk.run.codes[o], 4);
      EXPECT_LE(chunk.run.end[o], 7);
    }
  }
}

}  // namespace
}  // namespace ecco::h4

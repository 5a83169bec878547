// SPDX-License-Identifier: MIT
// All decoders of H4 agree, bit for bit, on what all its encoders make of random and of real
// values, and on arbitrary bytes. ECCO_TEST_BLOCKS sets how many blocks of each kind are tried.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "ecco/block.hpp"
#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "ecco/h4_parallel.hpp"
#include "ecco/model.hpp"
#include "ecco/online.hpp"
#include "support/h4_tables.hpp"

namespace ecco {
namespace {

std::size_t blocks_to_try() {
  const char* text = std::getenv("ECCO_TEST_BLOCKS");
  return text == nullptr ? 2000 : std::strtoul(text, nullptr, 10);
}

/// Bit-serial reference, table-driven decoder and the paper's parallel one.
class Decoders {
 public:
  explicit Decoders(const PatternTableView& table)
      : table_{Codec::h4,
               "",
               {table.centroids.begin(), table.centroids.end()},
               {table.codebooks.begin(), table.codebooks.end()}},
        steps_(test::step_tables(table.h4())) {
    table_.prepare();
  }

  /// Compares all values and fields of one row of blocks.
  void expect_agreement(std::span<const std::uint8_t> blocks, float tensor_scale) const {
    const std::size_t cols = blocks.size() / 64 * kGroup;
    const TensorView tensor =
        TensorView::parse(Codec::h4, 1, cols, tensor_scale, table_.view(), blocks).value();
    std::vector<float> fast(cols);
    std::vector<float> serial(cols);
    ASSERT_TRUE(decode_rows(tensor, 0, dense_view(fast.data(), 1, cols)));
    ASSERT_TRUE(reference::decode_rows(tensor, 0, dense_view(serial.data(), 1, cols)));
    for (std::size_t i = 0; i < cols; ++i) {
      ASSERT_EQ(float_bits(fast[i]), float_bits(serial[i])) << "value " << i;
    }
    for (std::size_t at = 0; at < blocks.size(); at += 64) {
      const h4::TableView table = table_.view().h4();
      const h4::Fields want = h4::parse(&blocks[at], table);
      const h4::Fields got = h4::parallel::parse(&blocks[at], table, steps_.data());
      ASSERT_EQ(got.coded, want.coded);
      ASSERT_EQ(got.end, want.end);
      ASSERT_EQ(got.outliers, want.outliers);
      ASSERT_TRUE(std::equal(want.symbols, want.symbols + want.coded, got.symbols));
      ++compared_;
    }
  }
  void expect_valid(std::span<const std::uint8_t> blocks, bool may_clip) const {
    for (std::size_t at = 0; at < blocks.size(); at += 64) {
      const h4::TableView table = table_.view().h4();
      ASSERT_EQ(h4::check(&blocks[at], table), h4::Fault::none);
      if (!may_clip) {
        ASSERT_EQ(h4::parse(&blocks[at], table).coded, kGroup);
      }
    }
  }
  [[nodiscard]] std::size_t compared() const { return compared_; }

 private:
  PatternTable table_;
  std::vector<huffman::StepTable> steps_;
  mutable std::size_t compared_ = 0;
};

/// Encodes whole blocks in every mode and compares the decoders on each.
class EncodersAndDecoders {
 public:
  void expect_agreement(const std::vector<float>& values) {
    float largest = 0.0f;
    for (const float value : values) largest = std::max(largest, h4::magnitude(value));
    const float scale = h4::tensor_scale_of(largest);
    std::vector<std::uint8_t> blocks(values.size() / kGroup * 64);
    const auto row = dense_view(values.data(), 1, values.size());
    for (const H4Mode mode : {H4Mode::rate_aware, H4Mode::faithful}) {
      const Encoder encoder = Encoder::standard(Codec::h4, Effort::fast, mode).value();
      ASSERT_TRUE(encoder.encode_rows(row, {}, scale, largest, blocks));
      weights_.expect_valid(blocks, mode == H4Mode::faithful);
      weights_.expect_agreement(blocks, scale);
    }
    ASSERT_TRUE(kv_encoder_.encode_row(values, scale, blocks));
    kv_.expect_valid(blocks, true);
    kv_.expect_agreement(blocks, scale);
  }
  [[nodiscard]] std::size_t compared() const { return weights_.compared() + kv_.compared(); }

 private:
  Decoders weights_{standard_table(Codec::h4)};
  Decoders kv_{standard_kv_table()};
  KvEncoder kv_encoder_ = KvEncoder::create(standard_kv_table()).value();
};

TEST(H4Decoders, AgreeOnEncodedRandomValues) {
  constexpr std::size_t kBatch = 250;
  EncodersAndDecoders all;
  std::mt19937 random(31);
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student(3.0f);
  std::vector<float> values(kBatch * kGroup);
  while (all.compared() < blocks_to_try() && !HasFatalFailure()) {
    for (std::size_t b = 0; b < kBatch; ++b) {
      const float size = std::exp(3.0f * normal(random));
      for (std::size_t e = b * kGroup; e < (b + 1) * kGroup; ++e) {
        values[e] = size * (b % 2 == 0 ? normal(random) : student(random));
      }
    }
    all.expect_agreement(values);
  }
  RecordProperty("blocks", std::to_string(all.compared()));
}

TEST(H4Decoders, AgreeOnEncodedRealWeights) {
  EncodersAndDecoders all;
  const Model model = Model::open(ECCO_TEST_DATA "/model").value();
  std::vector<float> values;
  for (const ModelTensor& tensor : model.tensors()) {
    if (tensor.cols() % kGroup != 0 || tensor.shape.size() < 2) continue;
    for (std::size_t row = 0; row < tensor.rows(); row += 100) {
      if (all.compared() >= blocks_to_try() || HasFatalFailure()) break;
      const std::size_t rows = std::min<std::size_t>(100, tensor.rows() - row);
      values.resize(rows * tensor.cols());
      ASSERT_TRUE(read_rows(model, tensor, row, dense_view(values.data(), rows, tensor.cols())));
      all.expect_agreement(values);
    }
  }
  RecordProperty("blocks", std::to_string(all.compared()));
}

TEST(H4Decoders, AgreeOnArbitraryBytes) {
  std::mt19937 random(32);
  const Decoders decoders(standard_table(Codec::h4));
  std::vector<std::uint8_t> blocks(100 * 64);
  for (int trial = 0; decoders.compared() < blocks_to_try() && !HasFatalFailure(); ++trial) {
    for (std::size_t b = 0; b < 100; ++b) {
      test::fill_adversarial(random, trial * 100 + static_cast<int>(b), &blocks[64 * b]);
    }
    decoders.expect_agreement(blocks, 0.37f);
  }
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// The golden files of codec h4: blocks against h4_blocks.txt by every decoder, and containers.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/h4_parallel.hpp"
#include "ecco/model.hpp"
#include "ecco/safetensors.hpp"
#include "support/golden_files.hpp"

namespace ecco {
namespace {

using test::golden;
using test::read_bytes;

/// One record of h4_blocks.txt.
struct GoldenBlock {
  std::string file;
  int patterns = 0;
  int codebooks = 0;
  float tensor_scale = 0.0f;
  std::string fault;
  int outliers = 0;
  std::vector<int> symbols;
  std::array<std::uint32_t, kGroup> values{};
};

std::vector<GoldenBlock> golden_blocks() {
  std::ifstream in(golden("h4_blocks.txt"));
  std::vector<GoldenBlock> blocks;
  std::string word;
  while (in >> word) {
    if (word == "#") {
      std::getline(in, word);
      continue;
    }
    GoldenBlock block;
    std::uint32_t scale = 0;
    std::size_t coded = 0;
    in >> block.file >> word >> block.patterns >> word >> block.codebooks >> word >> std::hex >>
        scale >> std::dec >> word >> block.fault >> word >> coded >> word >> block.outliers >>
        word;
    block.tensor_scale = bits_float(scale);
    block.symbols.resize(coded);
    for (int& symbol : block.symbols) in >> symbol;
    in >> word >> std::hex;
    for (std::uint32_t& value : block.values) in >> value;
    in >> std::dec;
    if (!in) ADD_FAILURE() << "h4_blocks.txt is damaged at " << block.file;
    blocks.push_back(block);
  }
  return blocks;
}

/// The table that h4_blocks.txt documents.
PatternTable golden_table(int patterns, int codebooks) {
  constexpr std::array<std::array<std::uint8_t, 16>, 4> kCodebooks = {
      {{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4},
       {5, 5, 5, 4, 4, 4, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5},
       {2, 2, 2, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 7},
       {7, 8, 8, 7, 7, 6, 6, 5, 5, 5, 5, 5, 5, 2, 2, 2}}};
  PatternTable table{Codec::h4, "", {}, {}};
  for (int p = 0; p < patterns; ++p) {
    for (int k = 0; k < 15; ++k) {
      table.centroids.push_back(static_cast<std::int8_t>(16 * k - 115 + 5 * p % 13));
    }
  }
  for (int h = 0; h < codebooks; ++h) {
    const auto& book = kCodebooks[static_cast<std::size_t>(h)];
    table.codebooks.insert(table.codebooks.end(), book.begin(), book.end());
  }
  table.prepare();
  return table;
}

h4::Fault fault_of(const std::string& name) {
  static const std::map<std::string, h4::Fault> faults = {
      {"none", h4::Fault::none},
      {"unknown_codebook", h4::Fault::unknown_codebook},
      {"unknown_pattern", h4::Fault::unknown_pattern},
      {"dirty_end", h4::Fault::dirty_end},
      {"dirty_zero", h4::Fault::dirty_zero}};
  return faults.at(name);
}

TEST(GoldenH4Blocks, HaveTheirFaultsSymbolsAndValues) {
  const std::vector<GoldenBlock> blocks = golden_blocks();
  ASSERT_GE(blocks.size(), 18u);
  for (const GoldenBlock& expected : blocks) {
    SCOPED_TRACE(expected.file);
    const std::vector<std::uint8_t> block = read_bytes(golden(expected.file));
    ASSERT_EQ(block.size(), 64u);
    const PatternTable table = golden_table(expected.patterns, expected.codebooks);
    EXPECT_EQ(h4::check(block.data(), table.view().h4()), fault_of(expected.fault));
    const h4::Fields fields = h4::parse(block.data(), table.view().h4());
    ASSERT_EQ(static_cast<std::size_t>(fields.coded), expected.symbols.size());
    EXPECT_EQ(fields.outliers, expected.outliers);
    EXPECT_TRUE(std::equal(expected.symbols.begin(), expected.symbols.end(), fields.symbols));
    const TensorView view =
        TensorView::parse(Codec::h4, 1, kGroup, expected.tensor_scale, table.view(), block)
            .value();
    std::array<float, kGroup> compiled{};
    std::array<float, kGroup> reference{};
    ASSERT_TRUE(decode_rows(view, 0, dense_view(compiled.data(), 1, kGroup)));
    ASSERT_TRUE(reference::decode_rows(view, 0, dense_view(reference.data(), 1, kGroup)));
    for (std::size_t e = 0; e < kGroup; ++e) {
      EXPECT_EQ(float_bits(compiled[e]), expected.values[e]) << "element " << e;
      EXPECT_EQ(float_bits(reference[e]), expected.values[e]) << "element " << e;
    }
  }
}

TEST(GoldenH4Files, TheValidOneDecodes) {
  const auto model = Model::open(golden("h4.valid.safetensors"), Checksums::check);
  ASSERT_TRUE(model) << model.error().message();
  const auto plain = SafetensorsFile::open(golden("h4.decoded.safetensors"));
  ASSERT_TRUE(plain) << plain.error().message();
  ASSERT_EQ(model->tensors().size(), 3u);
  EXPECT_EQ(model->find("ecco.codebook.0"), nullptr);
  for (const ModelTensor& tensor : model->tensors()) {
    SCOPED_TRACE(tensor.name);
    const TensorView view = model->view(tensor);
    const auto expected = plain->bytes(*plain->find(tensor.name));
    const auto compare = [&](auto value) {
      std::vector<decltype(value)> values(view.rows() * view.cols());
      ASSERT_TRUE(decode_rows(view, 0, dense_view(values.data(), view.rows(), view.cols())));
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
      ASSERT_EQ(expected.size(), values.size() * sizeof(value));
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes));
    };
    if (tensor.dtype == "F16") compare(half{});
    if (tensor.dtype == "BF16") compare(bfloat16{});
    if (tensor.dtype == "F32") compare(0.0f);
  }
}

TEST(GoldenH4Files, InvalidOnesAreCorrupt) {
  const std::map<std::string, std::string> reasons = {
      {"h4-15-patterns", "ecco.table.1: "},
      {"h4-centroid-128", "ecco.table.0: centroid 0 of pattern 0 is -128"},
      {"h4-code-length-9", "ecco.table.2: codebook 0: its lengths are not 2..8"},
      {"h4-codebook-alone", "ecco.codebook.x: codebooks without an h4 table"},
      {"h4-codebook-as-table", "w1: its table ecco.codebook.2 is none"},
      {"h4-codebook-of-p4", "ecco.codebook.1: codebooks of codec p4"},
      {"h4-descending-centroids", "ecco.table.0: the centroids of pattern 0 descend at place 7"},
      {"h4-incomplete-code", "ecco.table.1: codebook 0: its lengths"},
      {"h4-missing-codebook", "ecco.table.0: its codebooks ecco.codebook.0 are missing"}};
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ECCO_TEST_GOLDEN)) {
    const std::string name = entry.path().filename().string();
    files += name.starts_with("h4-") && name.ends_with(".invalid.safetensors") ? 1 : 0;
  }
  EXPECT_EQ(files, reasons.size());
  for (const auto& [name, reason] : reasons) {
    const auto model = Model::open(golden(name + ".invalid.safetensors"), Checksums::check);
    ASSERT_FALSE(model) << name;
    EXPECT_EQ(model.error().code(), StatusCode::corrupt) << name;
    EXPECT_NE(model.error().message().find(reason), std::string::npos) << model.error().message();
  }
}

}  // namespace
}  // namespace ecco

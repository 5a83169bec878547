// SPDX-License-Identifier: MIT
// The golden files of tests/golden, written from docs/format.md by make_golden.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/model.hpp"
#include "ecco/planar.hpp"
#include "ecco/safetensors.hpp"
#include "support/golden_files.hpp"

namespace ecco {
namespace {

using test::golden;
using test::read_bytes;

/// One record of blocks.txt.
struct GoldenBlock {
  std::string file;
  Codec codec = Codec::p4;
  int patterns = 0;
  float tensor_scale = 0.0f;
  std::string fault;
  std::array<int, 2> tail{};
  std::array<int, kGroup> ranks{};
  std::array<std::uint32_t, kGroup> values{};
};

std::vector<GoldenBlock> golden_blocks() {
  std::ifstream in(golden("blocks.txt"));
  std::vector<GoldenBlock> blocks;
  std::string word;
  while (in >> word) {
    if (word == "#") {
      std::getline(in, word);
      continue;
    }
    GoldenBlock block;
    std::string codec;
    std::uint32_t scale = 0;
    in >> block.file >> word >> codec >> word >> block.patterns >> word >> std::hex >> scale >>
        std::dec >> word >> block.fault >> word >> block.tail[0] >> block.tail[1] >> word;
    block.codec = parse_codec(codec).value();
    block.tensor_scale = bits_float(scale);
    for (int& rank : block.ranks) in >> rank;
    in >> word >> std::hex;
    for (std::uint32_t& value : block.values) in >> value;
    in >> std::dec;
    if (!in) ADD_FAILURE() << "blocks.txt is damaged at " << block.file;
    blocks.push_back(block);
  }
  return blocks;
}

/// The table that blocks.txt documents.
std::vector<std::int8_t> golden_table(Codec codec, int patterns) {
  std::vector<std::int8_t> table;
  for (int p = 0; p < patterns; ++p) {
    for (int u = 0; u < centroids_per_pattern(codec); ++u) {
      table.push_back(static_cast<std::int8_t>((37 * p + 11 * u) % 247 - 123));
    }
  }
  return table;
}

planar::Fault fault_of(const std::string& name) {
  static const std::map<std::string, planar::Fault> faults = {
      {"none", planar::Fault::none},
      {"half_overflow", planar::Fault::half_overflow},
      {"tail_overflow", planar::Fault::tail_overflow},
      {"dirty_tail", planar::Fault::dirty_tail},
      {"unknown_pattern", planar::Fault::unknown_pattern},
      {"dirty_zero", planar::Fault::dirty_zero}};
  return faults.at(name);
}

TEST(GoldenBlocks, HaveTheirFaultsRanksAndValues) {
  const std::vector<GoldenBlock> blocks = golden_blocks();
  ASSERT_GE(blocks.size(), 29u);
  for (const GoldenBlock& expected : blocks) {
    SCOPED_TRACE(expected.file);
    const std::vector<std::uint8_t> block = read_bytes(golden(expected.file));
    ASSERT_EQ(block.size(), block_bytes(expected.codec));
    planar::dispatch(expected.codec, [&](auto planes) {
      constexpr int kPlanes = decltype(planes)::value;
      EXPECT_EQ(planar::check<kPlanes>(block.data(), expected.patterns), fault_of(expected.fault));
      for (int half = 0; half < 2; ++half) {
        EXPECT_EQ(planar::decode_half(block.data(), half).used,
                  expected.tail[static_cast<std::size_t>(half)]);
      }
      std::array<std::uint8_t, kGroup> ranks{};
      planar::decode_ranks<kPlanes>(block.data(), ranks.data());
      EXPECT_TRUE(std::equal(ranks.begin(), ranks.end(), expected.ranks.begin()));
    });
    const std::vector<std::int8_t> table = golden_table(expected.codec, expected.patterns);
    const TensorView view = TensorView::parse(expected.codec, 1, kGroup, expected.tensor_scale,
                                              {expected.codec, table}, block)
                                .value();
    std::array<float, kGroup> values{};
    ASSERT_TRUE(decode_rows(view, 0, dense_view(values.data(), 1, kGroup)));
    for (std::size_t e = 0; e < kGroup; ++e) {
      EXPECT_EQ(float_bits(values[e]), expected.values[e]) << "element " << e;
    }
  }
}

TEST(GoldenBlocks, AreAllListed) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ECCO_TEST_GOLDEN)) {
    const bool planar = !entry.path().filename().string().starts_with("h4-");
    files += planar && entry.path().extension() == ".bin" ? 1 : 0;
  }
  EXPECT_EQ(files, golden_blocks().size());
}

/// A compressed tensor in the dtype of its source, as bytes.
template <typename T>
std::vector<std::uint8_t> decoded(const TensorView& view) {
  std::vector<T> values(view.rows() * view.cols());
  EXPECT_TRUE(decode_rows(view, 0, dense_view(values.data(), view.rows(), view.cols())));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(values.data());
  return {bytes, bytes + values.size() * sizeof(T)};
}

void expect_decodes(const std::string& name) {
  const auto model = Model::open(golden(name + ".valid.safetensors"), Checksums::check);
  ASSERT_TRUE(model) << model.error().message();
  const auto plain = SafetensorsFile::open(golden(name + ".decoded.safetensors"));
  ASSERT_TRUE(plain) << plain.error().message();
  EXPECT_EQ(model->tensors().size(), plain->entries().size());
  for (const ModelTensor& tensor : model->tensors()) {
    SCOPED_TRACE(tensor.name);
    const SafetensorsEntry* entry = plain->find(tensor.name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(tensor.dtype, entry->dtype);
    EXPECT_EQ(tensor.shape, entry->shape);
    std::vector<std::uint8_t> bytes(tensor.stored.begin(), tensor.stored.end());
    if (tensor.codec) {
      const TensorView view = model->view(tensor);
      bytes = tensor.dtype == "F16"    ? decoded<half>(view)
              : tensor.dtype == "BF16" ? decoded<bfloat16>(view)
                                       : decoded<float>(view);
    }
    const auto expected = plain->bytes(*entry);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin(), expected.end()));
  }
}

TEST(GoldenFiles, ValidOnesDecode) {
  expect_decodes("minimal");
  expect_decodes("all-codecs");
}

TEST(GoldenFiles, InvalidOnesAreCorrupt) {
  const std::map<std::string, std::string> reasons = {
      {"a8-in-a-file", "unknown codec \"a8\""},
      {"blocks-too-few", "[2, 128]"},
      {"centroid-out-of-range", "124"},
      {"checksum", "w: damaged: checksum"},
      {"damaged-header", "header: damaged: checksum"},
      {"missing-table", "ecco.table.u"},
      {"newer-format", "newer format"},
      {"tensor-in-no-group", "exactly one"},
      {"unknown-codec", "unknown codec \"p6\""},
      {"unused-table", "no tensor uses"},
      {"zero-tensor-scale", "tensor_scale"}};
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ECCO_TEST_GOLDEN)) {
    const std::string name = entry.path().filename().string();
    files += !name.starts_with("h4-") && name.ends_with(".invalid.safetensors") ? 1 : 0;
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

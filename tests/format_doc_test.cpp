// SPDX-License-Identifier: MIT
// The numbers of docs/format.md, read from the document itself, against the library.
#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "ecco/planar.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco {
namespace {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& document() {
  static const std::string text = read_text(ECCO_DOCS "/format.md");
  return text;
}

/// Content of the fenced block with that tag.
std::string fenced(const std::string& tag) {
  const std::string open = "\n```" + tag + "\n";
  const std::size_t begin = document().find(open);
  if (begin == std::string::npos) {
    ADD_FAILURE() << "docs/format.md has no block " << tag;
    return {};
  }
  const std::size_t end = document().find("```", begin + open.size());
  return document().substr(begin + open.size(), end - begin - open.size());
}

std::vector<std::uint8_t> hex_bytes(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::uint8_t> bytes;
  for (unsigned byte = 0; in >> std::hex >> byte;) {
    bytes.push_back(static_cast<std::uint8_t>(byte));
  }
  return bytes;
}

/// Pattern 0 all zero, then the documented pattern 1.
std::vector<std::int8_t> example_table() {
  std::vector<std::int8_t> table(20, 0);
  std::istringstream in(fenced("pattern"));
  for (int centroid = 0; in >> centroid;) table.push_back(static_cast<std::int8_t>(centroid));
  return table;
}

TEST(FormatDocument, BlockIsValid) {
  const std::vector<std::uint8_t> block = hex_bytes(fenced("block"));
  ASSERT_EQ(block.size(), 64u);
  ASSERT_EQ(example_table().size(), 40u);
  EXPECT_EQ(planar::check<2>(block.data(), 2), planar::Fault::none);
}

void expect_levels(const std::string& name, int half) {
  SCOPED_TRACE(name);
  const std::vector<std::uint8_t> block = hex_bytes(fenced("block"));
  const planar::HalfMasks masks = planar::decode_half(block.data(), half);
  std::istringstream in(fenced("levels " + name));
  std::string word;
  std::uint64_t mask = 0;
  in >> word >> std::hex >> mask;
  EXPECT_EQ(word, "mask1");
  EXPECT_EQ(masks.mask[0], mask);
  for (std::size_t level = 2; level <= 4; ++level) {
    const std::uint64_t before = mask;
    std::string chunk;
    in >> word >> chunk >> word >> std::hex >> mask;
    EXPECT_EQ(chunk.size(), static_cast<std::size_t>(std::popcount(before)));
    EXPECT_EQ(planar::deposit(std::stoull(chunk, nullptr, 2), before), mask);
    EXPECT_EQ(masks.mask[level - 1], mask) << "level " << level;
  }
  int used = 0;
  in >> word >> std::dec >> used;
  EXPECT_TRUE(in);
  EXPECT_EQ(masks.used, used);
}

TEST(FormatDocument, LevelsAreAsShown) {
  expect_levels("low", 0);
  expect_levels("high", 1);
}

TEST(FormatDocument, ValuesAreAsShown) {
  const std::vector<std::uint8_t> block = hex_bytes(fenced("block"));
  const std::vector<std::int8_t> table = example_table();
  std::array<std::uint8_t, kGroup> ranks{};
  std::array<float, kGroup> values{};
  planar::decode_ranks<2>(block.data(), ranks.data());
  planar::decode<2>(block.data(), table.data(), 2, 1.0f, values.data());

  std::array<int, kGroup> shown_ranks{};
  std::array<float, kGroup> shown_values{};
  std::istringstream in(fenced("values"));
  std::string word;
  std::size_t element = 0;
  int level = 0;
  int mantissa = 0;
  int centroid = 0;
  int lines = 0;
  while (in >> word >> element >> word >> level >> word >> mantissa >> word >>
         shown_ranks.at(element) >> word >> centroid >> word >> shown_values.at(element)) {
    ++lines;
    EXPECT_EQ(4 * level + mantissa, shown_ranks.at(element));
    EXPECT_EQ(table[20 + ranks.at(element)], centroid);
  }
  EXPECT_EQ(lines, 9);
  for (std::size_t e = 0; e < kGroup; ++e) {
    EXPECT_EQ(ranks[e], shown_ranks[e]) << e;
    EXPECT_EQ(float_bits(values[e]), float_bits(shown_values[e])) << e;
  }
}

TEST(FormatDocument, FileIsTheGoldenOne) {
  constexpr std::size_t kHeader = 568;
  std::string header = fenced("header");
  std::erase(header, '\n');
  ASSERT_LE(header.size(), kHeader);
  header.resize(kHeader, ' ');
  std::string file = {char(kHeader % 256), char(kHeader / 256), 0, 0, 0, 0, 0, 0};
  file += header;
  EXPECT_EQ(file.size(), 576u);
  for (const char* tag : {"block", "data"}) {
    for (const std::uint8_t byte : hex_bytes(fenced(tag))) file += static_cast<char>(byte);
  }
  EXPECT_TRUE(file == read_text(ECCO_TEST_GOLDEN "/minimal.valid.safetensors"));
}

TEST(FormatDocument, PinsTheStandardTables) {
  for (const Codec codec : kPlanarCodecs) {
    const PatternTableView table = standard_table(codec);
    std::ostringstream row;
    row << "| " << codec_name(codec) << " | " << table.patterns() << " | "
        << centroids_per_pattern(codec) << " | " << std::hex;
    row.width(16);
    row.fill('0');
    row << XXH3_64bits(table.centroids.data(), table.centroids.size()) << " |";
    EXPECT_NE(document().find(row.str()), std::string::npos) << row.str();
  }
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// docs/reader.py against the library, bit for bit: golden files, and arbitrary blocks under the
// standard tables.
#include <gtest/gtest.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/model.hpp"
#include "ecco/safetensors.hpp"
#include "ecco/standard_tables.hpp"
#include "support/h4_tables.hpp"
#include "support/planar_blocks.hpp"

namespace ecco {
namespace {

std::string temporary(const std::string& name) {
  return (std::filesystem::path(testing::TempDir()) / ("ecco_reader_test." + name)).string();
}

std::string golden(const std::string& name) {
  return std::string(ECCO_TEST_GOLDEN) + "/" + name + ".safetensors";
}

/// Runs the reader; false when it fails.
bool run_reader(const std::string& in, const std::string& out, const std::string& options = "") {
  const std::string command = std::string(ECCO_PYTHON) + " " + ECCO_DOCS + "/reader.py " + in +
                              " " + out + " " + options + " > " + temporary("log") + " 2>&1";
  return std::system(command.c_str()) == 0;
}

TEST(Reader, DecodesTheGoldenFiles) {
  for (const std::string name : {"minimal", "all-codecs", "h4"}) {
    const std::string out = temporary(name);
    ASSERT_TRUE(run_reader(golden(name + ".valid"), out)) << name;
    const auto got = SafetensorsFile::open(out);
    const auto expected = SafetensorsFile::open(golden(name + ".decoded"));
    ASSERT_TRUE(got && expected);
    ASSERT_EQ(got->entries().size(), expected->entries().size());
    for (const SafetensorsEntry& entry : expected->entries()) {
      const SafetensorsEntry* read = got->find(entry.name);
      ASSERT_NE(read, nullptr) << entry.name;
      EXPECT_EQ(read->dtype, entry.dtype);
      EXPECT_EQ(read->shape, entry.shape);
      const auto a = got->bytes(*read);
      const auto b = expected->bytes(entry);
      EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << entry.name;
    }
  }
}

constexpr std::size_t kRows = 40;
constexpr std::size_t kCols = 500;

/// A file of one matrix per codec: arbitrary blocks under the standard tables.
std::string write_arbitrary_file() {
  std::mt19937 random(20250901);
  std::ostringstream header;
  std::ostringstream ecco;
  std::string data;
  for (const Codec codec : kStoredCodecs) {
    const std::size_t size = block_bytes(codec);
    std::vector<std::uint8_t> blocks(kRows * blocks_per_row(kCols) * size);
    for (std::size_t at = 0; at < blocks.size(); at += size) {
      const std::span block = std::span(blocks).subspan(at, size);
      if (codec == Codec::h4) {
        test::fill_adversarial(random, static_cast<int>(at / size), block.data());
      } else if (random() % 4 == 0) {
        test::fill_valid(random, codec, kMaxPatterns, block);
      } else {
        test::fill_arbitrary(random, block);
      }
    }
    char checksum[17];
    std::snprintf(checksum, sizeof checksum, "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(blocks.data(), blocks.size())));
    const std::string name(codec_name(codec));
    ecco << (data.empty() ? "" : ",") << R"(\")" << name << R"(\":{\"codec\":\")" << name
         << R"(\",\"shape\":[)" << kRows << "," << kCols
         << R"(],\"dtype\":\"F32\",\"tensor_scale\":0.3,\"table\":\"standard-1\",\"xxh3\":\")"
         << checksum << R"(\"})";
    header << ",\"" << name << R"(":{"dtype":"U8","shape":[)" << kRows << ","
           << blocks_per_row(kCols) << "," << size << R"(],"data_offsets":[)" << data.size() << ","
           << data.size() + blocks.size() << "]}";
    data.append(blocks.begin(), blocks.end());
  }
  const std::string text = R"({"__metadata__":{"ecco":"{\"format\":1,\"tensors\":{)" + ecco.str() +
                           R"(},\"carried\":{},\"tables\":{}}"})" + header.str() + "}";
  std::string path = temporary("arbitrary");
  std::ofstream file(path, std::ios::binary);
  for (int shift = 0; shift < 64; shift += 8) file.put(static_cast<char>(text.size() >> shift));
  file << text << data;
  return path;
}

TEST(Reader, DecodesArbitraryBlocksLikeTheLibrary) {
  const std::string in = write_arbitrary_file();
  const std::string out = temporary("decoded");
  const auto model = Model::open(in, Checksums::check);
  ASSERT_TRUE(model) << model.error().message();
  ASSERT_TRUE(run_reader(in, out, "--f32"));
  const auto read = SafetensorsFile::open(out);
  ASSERT_TRUE(read) << read.error().message();
  for (const ModelTensor& tensor : model->tensors()) {
    std::vector<float> values(kRows * kCols);
    const auto view = dense_view(values.data(), kRows, kCols);
    ASSERT_TRUE(decode_rows(model->view(tensor), 0, view));
    const SafetensorsEntry* entry = read->find(tensor.name);
    ASSERT_NE(entry, nullptr);
    const auto bytes = read->bytes(*entry);
    const auto* expected = reinterpret_cast<const std::uint8_t*>(values.data());
    ASSERT_EQ(bytes.size(), values.size() * sizeof(float));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected)) << tensor.name;
  }
}

TEST(Reader, RefusesANewerFormat) {
  EXPECT_FALSE(run_reader(golden("newer-format.invalid"), temporary("refused")));
}

}  // namespace
}  // namespace ecco

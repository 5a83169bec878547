// SPDX-License-Identifier: MIT
#include "ecco/safetensors.hpp"

#include <sys/stat.h>

#include "support/safetensors_files.hpp"

namespace ecco {
namespace {

using test::Bytes;
using test::raw_safetensors;

class SafetensorsTest : public testing::Test {
 protected:
  Result<SafetensorsFile> open(const Bytes& bytes) {
    test::write_file(path_, bytes);
    return SafetensorsFile::open(path_);
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.path("model.safetensors");
};

TEST_F(SafetensorsTest, ListsEntriesInTheOrderOfTheirData) {
  const Bytes values = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto file = open(test::safetensors(
      {{"z", "F16", {2, 2}, values}, {"a", "U8", {3}, {9, 10, 11}}, {"empty", "F32", {0, 7}, {}}},
      {{"format", "pt"}}));
  ASSERT_TRUE(file) << file.error().message();
  ASSERT_EQ(file->entries().size(), 3u);
  EXPECT_EQ(file->entries()[0].name, "z");
  EXPECT_EQ(file->entries()[1].name, "a");
  EXPECT_EQ(file->path(), path_);
  const SafetensorsEntry* z = file->find("z");
  ASSERT_NE(z, nullptr);
  EXPECT_EQ(z->dtype, "F16");
  EXPECT_EQ(z->shape, (std::vector<std::uint64_t>{2, 2}));
  const auto bytes = file->bytes(*z);
  EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), values);
  EXPECT_EQ(file->bytes(*file->find("empty")).size(), 0u);
  EXPECT_EQ(file->find("b"), nullptr);
  EXPECT_EQ(file->metadata().at("format"), "pt");
  EXPECT_EQ(file->file_bytes(), file->header_bytes() + 11);
}

TEST_F(SafetensorsTest, AcceptsWhatTheFormatAllows) {
  EXPECT_TRUE(open(raw_safetensors("{}")));
  EXPECT_TRUE(open(raw_safetensors("{}      ")));  // padding
  EXPECT_TRUE(
      open(raw_safetensors(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", {7})))
      << "rank 0";
  EXPECT_TRUE(open(raw_safetensors(
      R"({"a":{"dtype":"Q7","shape":[3],"data_offsets":[0,2],"more":[1.5,null]}})", {1, 2})))
      << "an unknown dtype goes by its byte range, an unknown key is ignored";
  EXPECT_TRUE(open(
      raw_safetensors(R"({"a":{"dtype":"F4","shape":[6],"data_offsets":[0,3]}})", {1, 2, 3})));
}

/// A file that must be refused, and a part of the reason that must be given.
struct BadFile {
  const char* name;
  Bytes bytes;
  const char* reason;
};

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string nested(std::size_t depth) {
  return R"({"a":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
}

std::vector<BadFile> bad_files() {
  const Bytes four = {1, 2, 3, 4};
  const std::string good = entry("U8", "[4]", "[0,4]");
  const auto file = [&](const std::string& json) { return raw_safetensors(json, four); };
  const auto one = [&](const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
    return file(R"({"a":)" + entry(dtype, shape, offsets) + "}");
  };
  Bytes long_header = raw_safetensors("{}");
  long_header[1] = 1;  // 258 bytes
  Bytes huge_header = raw_safetensors("{}");
  for (std::size_t i = 0; i < 8; ++i) huge_header[i] = 0xff;
  Bytes over_limit = raw_safetensors("{}");
  over_limit[3] = 6;  // 100663298 bytes
  std::string nul = "{}";
  nul += '\0';
  nul += "{}";
  return {
      {"empty", {}, "truncated"},
      {"seven bytes", Bytes(7, 0), "truncated"},
      {"length past the end", long_header, "truncated: header of 258 bytes"},
      {"length of 2^64-1", huge_header, "more than 100000000"},
      {"length over 100 MB", over_limit, "more than 100000000"},
      {"no header", raw_safetensors(""), "does not begin with '{'"},
      {"leading space", raw_safetensors(" {}"), "does not begin with '{'"},
      {"array", raw_safetensors("[]"), "does not begin with '{'"},
      {"JSON ends early", raw_safetensors(R"({"a":)"), "not valid JSON"},
      {"trailing text", raw_safetensors("{} x"), "not valid JSON"},
      {"second document", raw_safetensors("{}{}"), "not valid JSON"},
      {"NUL after the document", raw_safetensors(nul), "not valid JSON"},
      {"comment", raw_safetensors("{/* */}"), "not valid JSON"},
      {"NaN", raw_safetensors(R"({"a":NaN})"), "not valid JSON"},
      {"invalid UTF-8", raw_safetensors("{\"\xff\":1}"), "not valid JSON"},
      {"huge number", raw_safetensors(R"({"a":1e999})"), "not valid JSON"},
      {"nested 65 deep", raw_safetensors(nested(65)), "nested over 64 deep"},
      {"nested a million deep", raw_safetensors(nested(1'000'000)), "nested over 64 deep"},
      {"duplicate name", file(R"({"a":)" + good + R"(,"a":)" + good + "}"), "duplicate key \"a\""},
      {"duplicate by escape", file("{\"a\":" + good + ",\"\\u0061\":" + good + "}"),
       "duplicate key \"a\""},
      {"duplicate inner key", file(R"({"a":{"dtype":"U8","dtype":"U8"}})"),
       "duplicate key \"dtype\""},
      {"entry is a number", file(R"({"a":1})"), "a: not a JSON object"},
      {"no dtype", file(R"({"a":{"shape":[4],"data_offsets":[0,4]}})"), "a: no dtype"},
      {"dtype is a number", file(R"({"a":{"dtype":8,"shape":[4],"data_offsets":[0,4]}})"),
       "a: no dtype"},
      {"no shape", file(R"({"a":{"dtype":"U8","data_offsets":[0,4]}})"), "a: no shape"},
      {"negative extent", one("U8", "[-4]", "[0,4]"), "a: no shape"},
      {"extent with a fraction", one("U8", "[4.0]", "[0,4]"), "a: no shape"},
      {"extent with an exponent", one("U8", "[4e0]", "[0,4]"), "a: no shape"},
      {"extent as a string", one("U8", R"(["4"])", "[0,4]"), "a: no shape"},
      {"extent of 2^63", one("Q7", "[9223372036854775808]", "[0,4]"), "a: no shape"},
      {"extent of 2^64", one("Q7", "[18446744073709551616]", "[0,4]"), "a: no shape"},
      {"values overflow", one("Q7", "[4294967296,4294967296]", "[0,4]"), "overflows"},
      {"bytes overflow", one("F64", "[4611686018427387904]", "[0,4]"), "overflows"},
      {"overflow before a zero", one("U8", "[4294967296,4294967296,0]", "[0,0]"), "overflows"},
      {"no offsets", file(R"({"a":{"dtype":"U8","shape":[4]}})"), "a: no data_offsets"},
      {"three offsets", one("U8", "[4]", "[0,4,4]"), "a: no data_offsets"},
      {"negative offset", one("U8", "[4]", "[-1,4]"), "a: no data_offsets"},
      {"offset of 2^63", one("U8", "[4]", "[0,9223372036854775808]"), "a: no data_offsets"},
      {"descending offsets", one("U8", "[4]", "[4,0]"), "a: data_offsets [4, 0] descend"},
      {"too few bytes", one("U8", "[5]", "[0,4]"), "a: U8 of shape [5] takes 5 bytes, not 4"},
      {"too many bytes", one("F16", "[1]", "[0,4]"), "a: F16 of shape [1] takes 2 bytes, not 4"},
      {"half a byte", one("F4", "[7]", "[0,4]"), "takes 3.5 bytes"},
      {"past the end", one("U8", "[5]", "[0,5]"), "a: truncated: bytes 0..5 pass the end"},
      {"far past the end", one("U8", "[1125899906842624]", "[0,1125899906842624]"),
       "pass the end"},
      {"hole at the begin", one("U8", "[3]", "[1,4]"), "a: bytes 1..4 leave a hole after 0"},
      {"bytes after the last", one("U8", "[3]", "[0,3]"), "1 bytes after the last tensor"},
      {"overlap",
       file(R"({"a":)" + entry("U8", "[3]", "[0,3]") + R"(,"b":)" + entry("U8", "[2]", "[2,4]") +
            "}"),
       "b: bytes 2..4 overlap"},
      {"hole",
       file(R"({"a":)" + entry("U8", "[1]", "[0,1]") + R"(,"b":)" + entry("U8", "[2]", "[2,4]") +
            "}"),
       "b: bytes 2..4 leave a hole after 1"},
      {"empty tensor inside another",
       file(R"({"a":)" + good + R"(,"b":)" + entry("U8", "[0]", "[2,2]") + "}"),
       "b: bytes 2..2 overlap"},
      {"metadata is an array", file(R"({"__metadata__":[],"a":)" + good + "}"),
       "__metadata__: not a JSON object"},
      {"metadata holds a number", file(R"({"__metadata__":{"x":1},"a":)" + good + "}"),
       "__metadata__: the value of \"x\" is not a string"},
  };
}

TEST_F(SafetensorsTest, RefusesEveryCorruptFileWithItsReason) {
  for (const BadFile& bad : bad_files()) {
    SCOPED_TRACE(bad.name);
    const auto file = open(bad.bytes);
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code(), StatusCode::corrupt);
    const std::string& message = file.error().message();
    EXPECT_TRUE(message.starts_with(path_ + ": ")) << message;
    EXPECT_NE(message.find(bad.reason), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST_F(SafetensorsTest, NestingOf64IsAllowed) {
  const std::string json = R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":)" +
                           std::string(62, '[') + std::string(62, ']') + "}}";
  EXPECT_TRUE(open(raw_safetensors(json)));
}

TEST_F(SafetensorsTest, ShowsHostileNamesOnOneShortLine) {
  const std::string controls = "{\"a\\n\\u001b[31m\\u0085\":1}";
  auto file = open(raw_safetensors(controls));
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().message().find("a\\x0A\\x1B[31m\\x85: not"), std::string::npos)
      << file.error().message();
  file = open(raw_safetensors("{\"" + std::string(100'000, 'n') + "end\":1}"));
  ASSERT_FALSE(file);
  EXPECT_LT(file.error().message().size(), path_.size() + 160);
  EXPECT_NE(file.error().message().find("nnn...nnn"), std::string::npos);
  EXPECT_NE(file.error().message().find("end: not"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesWhatIsNoFile) {
  const auto missing = SafetensorsFile::open(folder_.path("missing"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), StatusCode::io_error);
  EXPECT_EQ(missing.error().message(), folder_.path("missing") + ": No such file or directory");
  EXPECT_EQ(SafetensorsFile::open(folder_.path("")).error().code(), StatusCode::io_error);
  EXPECT_EQ(SafetensorsFile::open("/dev/null").error().code(), StatusCode::io_error);
  const std::string fifo = folder_.path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(SafetensorsFile::open(fifo).error().code(), StatusCode::io_error) << "must not wait";
}

TEST_F(SafetensorsTest, SurvivesEveryTruncationAndEveryBitFlip) {
  const Bytes good = test::safetensors(
      {{"layer.weight", "F16", {2, 2}, Bytes(8, 1)}, {"norm", "F32", {2}, Bytes(8, 2)}},
      {{"format", "pt"}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(open(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  for (std::size_t bit = 0; bit < 8 * (good.size() - 16); ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto file = open(bad);
    if (!file) continue;  // else a name, an unknown dtype or a string has changed
    std::uint64_t bytes = 0;
    for (const SafetensorsEntry& e : file->entries()) bytes += file->bytes(e).size();
    EXPECT_EQ(bytes, 16u);
  }
}

}  // namespace
}  // namespace ecco

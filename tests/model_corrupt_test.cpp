// SPDX-License-Identifier: MIT
// Corrupt models: each mutation of a good one, built by hand, ends in the expected reason.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <functional>

#include "ecco/model.hpp"
#include "support/safetensors_files.hpp"

namespace ecco {
namespace {

using nlohmann::json;
using test::Bytes;
using test::RawTensor;

std::string xxh3_digits(const Bytes& bytes) {
  std::string digits(17, '\0');
  std::snprintf(digits.data(), digits.size(), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  digits.pop_back();
  return digits;
}

/// A compressed file in parts, so that a test can break one.
struct Parts {
  std::vector<RawTensor> tensors;
  json ecco;
  std::map<std::string, std::string> metadata;

  [[nodiscard]] Bytes file() const {
    auto strings = metadata;
    if (!ecco.is_null())
      strings["ecco"] = ecco.is_string() ? ecco.get<std::string>() : ecco.dump();
    return test::safetensors(tensors, strings);
  }
  RawTensor& tensor(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(),
                         [&](const RawTensor& t) { return t.name == name; });
  }
};

/// Zero blocks: w [2, 200] by the standard table, t [2, 128] by a table of its own with two
/// patterns, and a carried vector.
Parts good_parts() {
  Parts parts;
  parts.tensors = {{"w", "U8", {2, 2, 64}, Bytes(256, 0)},
                   {"t", "U8", {2, 1, 64}, Bytes(128, 0)},
                   {"norm", "F32", {3}, Bytes(12, 1)},
                   {"ecco.table.t-1", "I8", {2, 20}, Bytes(40, 5)}};
  const auto checksum = [&](const char* name) { return xxh3_digits(parts.tensor(name).bytes); };
  parts.ecco = {
      {"format", 1},
      {"tensors",
       {{"w",
         {{"codec", "p4"},
          {"shape", {2, 200}},
          {"dtype", "F16"},
          {"tensor_scale", 1.0},
          {"table", "standard-1"},
          {"xxh3", checksum("w")}}},
        {"t",
         {{"codec", "p4"},
          {"shape", {2, 128}},
          {"dtype", "BF16"},
          {"tensor_scale", 0.25},
          {"table", "ecco.table.t-1"},
          {"xxh3", checksum("t")}}}}},
      {"carried", {{"norm", {{"xxh3", checksum("norm")}}}}},
      {"tables", {{"ecco.table.t-1", {{"codec", "p4"}, {"xxh3", checksum("ecco.table.t-1")}}}}}};
  return parts;
}

class ModelCorruptTest : public testing::Test {
 protected:
  Result<Model> open(const Bytes& bytes, Checksums checksums = Checksums::skip) {
    test::write_file(path_, bytes);
    return Model::open(path_, checksums);
  }

  test::TemporaryFolder folder_;
  std::string path_ = folder_.path("m.safetensors");
};

TEST_F(ModelCorruptTest, TheFileByHandIsGood) {
  const auto model = open(good_parts().file(), Checksums::check);
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_TRUE(model->compressed());
  ASSERT_EQ(model->tensors().size(), 3u);
  const ModelTensor* t = model->find("t");
  ASSERT_NE(t, nullptr);
  EXPECT_EQ(t->dtype, "BF16");
  EXPECT_EQ(t->shape, (std::vector<std::uint64_t>{2, 128}));
  EXPECT_EQ(t->tensor_scale, 0.25f);
  EXPECT_EQ(t->bits_per_weight, 8.0 * (128 + 40) / 256);
  EXPECT_EQ(model->find("w")->bits_per_weight, 8.0 * 256 / 400);
  EXPECT_EQ(model->bits_per_weight(), 8.0 * (256 + 128 + 40) / (400 + 256));
  EXPECT_EQ(model->tables().at("ecco.table.t-1").centroids.size(), 40u);
  EXPECT_EQ(model->find("ecco.table.t-1"), nullptr) << "tables are not tensors of the model";
  const auto found = verify_model(path_);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->defects.empty());
  EXPECT_TRUE(found->h4.empty());
}

TEST_F(ModelCorruptTest, ReadersTakeAnyOrderIntegersAndUnknownKeys) {
  Parts parts = good_parts();
  std::swap(parts.tensors[0], parts.tensors[3]);
  parts.ecco["later"] = {1, 2, 3};
  parts.ecco["tensors"]["w"]["later"] = "x";
  parts.ecco["tensors"]["w"]["tensor_scale"] = 2;
  const auto model = open(parts.file());
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->find("w")->tensor_scale, 2.0f);
}

struct Mutation {
  const char* name;
  std::function<void(Parts&)> apply;
  const char* reason;
};

json& entry(Parts& parts, const char* name) { return parts.ecco["tensors"][name]; }

std::vector<Mutation> mutations() {
  std::vector<Mutation> out = {
      {"no JSON", [](Parts& p) { p.ecco = json("{"); }, "metadata key \"ecco\": not valid JSON"},
      {"an array", [](Parts& p) { p.ecco = json::array(); }, "not a JSON object"},
      {"header checksum that does not match",
       [](Parts& p) { p.ecco["header_xxh3"] = "0123456789abcdef"; }, "header: damaged: checksum "},
      {"header checksum as a number", [](Parts& p) { p.ecco["header_xxh3"] = 7; },
       "its header_xxh3 is not 16"},
      {"duplicate key",
       [](Parts& p) { p.ecco = json(p.ecco.dump().insert(1, "\"carried\":{},")); },
       "duplicate key \"carried\""},
      {"text after the JSON", [](Parts& p) { p.ecco = json(p.ecco.dump() + "x"); },
       "not valid JSON"},
      {"no format", [](Parts& p) { p.ecco.erase("format"); }, "no \"format\""},
      {"format 2", [](Parts& p) { p.ecco["format"] = 2; }, "format 2 is not 1: a newer format"},
      {"format 1.0", [](Parts& p) { p.ecco["format"] = 1.0; }, "newer format"},
      {"format \"1\"", [](Parts& p) { p.ecco["format"] = "1"; }, "newer format"},
      {"format is an object", [](Parts& p) { p.ecco["format"] = json::object(); }, "newer format"},
      {"tensors is an array", [](Parts& p) { p.ecco["tensors"] = json::array(); },
       "no \"tensors\""},
      {"entry is a number", [](Parts& p) { entry(p, "w") = 1; }, "w: its metadata is not"},
      {"unknown codec", [](Parts& p) { entry(p, "w")["codec"] = "p9"; },
       "w: unknown codec \"p9\""},
      {"a8 in a file", [](Parts& p) { entry(p, "w")["codec"] = "a8"; }, "w: unknown codec \"a8\""},
      {"codec of other block bytes", [](Parts& p) { entry(p, "w")["codec"] = "p3"; },
       "w: stored as U8 [2, 2, 64], but [2, 200] in p3 takes U8 [2, 2, 48]"},
      {"dtype that is not compressed", [](Parts& p) { entry(p, "w")["dtype"] = "F64"; },
       "w: compressed from dtype \"F64\""},
      {"another shape",
       [](Parts& p) {
         entry(p, "w")["shape"] = {2, 300};
       },
       "[2, 300] in p4 takes U8 [2, 3, 64]"},
      {"rank 1", [](Parts& p) { entry(p, "w")["shape"] = {400}; }, "w: compressed, but its rank"},
      {"a shape that overflows",
       [](Parts& p) {
         entry(p, "w")["shape"] = {1ull << 40, 1ull << 40};
       },
       "overflows"},
      {"a negative extent",
       [](Parts& p) {
         entry(p, "w")["shape"] = {-2, 200};
       },
       "w: no \"shape\""},
      {"tensor_scale 0", [](Parts& p) { entry(p, "w")["tensor_scale"] = 0; },
       "w: tensor_scale 0 is not"},
      {"tensor_scale that rounds to 0", [](Parts& p) { entry(p, "w")["tensor_scale"] = 1e-60; },
       "w: tensor_scale 1e-60 is not"},
      {"negative tensor_scale", [](Parts& p) { entry(p, "w")["tensor_scale"] = -1.0; },
       "w: tensor_scale -1 is not"},
      {"tensor_scale over 1e34", [](Parts& p) { entry(p, "w")["tensor_scale"] = 2e34; },
       "w: tensor_scale 2e+34 is not"},
      {"tensor_scale over binary32", [](Parts& p) { entry(p, "w")["tensor_scale"] = 1e300; },
       "w: tensor_scale 1e+300 is not"},
      {"tensor_scale as a string", [](Parts& p) { entry(p, "w")["tensor_scale"] = "1"; },
       "w: no \"tensor_scale\""},
      {"short checksum", [](Parts& p) { entry(p, "w")["xxh3"] = "0123"; }, "w: its xxh3 \"0123\""},
      {"upper-case checksum", [](Parts& p) { entry(p, "w")["xxh3"] = "0123456789ABCDEF"; },
       "w: its xxh3"},
      {"table that is missing", [](Parts& p) { entry(p, "w")["table"] = "ecco.table.no"; },
       "w: its table ecco.table.no is missing"},
      {"unknown standard table", [](Parts& p) { entry(p, "w")["table"] = "standard-2"; },
       "w: its table standard-2 is missing"},
      {"table of another codec",
       [](Parts& p) { p.ecco["tables"]["ecco.table.t-1"]["codec"] = "p3"; },
       "t: its table ecco.table.t-1 is of codec p3, not p4"},
      {"table that no tensor uses", [](Parts& p) { entry(p, "t")["table"] = "standard-1"; },
       "ecco.table.t-1: a table that no tensor uses"},
      {"tensor in no group", [](Parts& p) { p.ecco["carried"].erase("norm"); },
       "norm: in 0 of the groups"},
      {"tensor in two groups",
       [](Parts& p) { p.ecco["carried"]["w"] = p.ecco["carried"]["norm"]; },
       "w: in 2 of the groups"},
      {"carried tensor that is missing",
       [](Parts& p) { p.ecco["carried"]["gone"] = p.ecco["carried"]["norm"]; },
       "gone: in the metadata, but not in the file"},
      {"compressed tensor that is missing",
       [](Parts& p) { p.ecco["tensors"]["gone"] = entry(p, "w"); },
       "gone: in the metadata, but not in the file"},
      {"table tensor that is missing", [](Parts& p) { p.tensors.pop_back(); },
       "ecco.table.t-1: in the metadata, but not"},
      {"blocks as I8", [](Parts& p) { p.tensor("w").dtype = "I8"; }, "w: stored as I8"},
      {"blocks of rank 2",
       [](Parts& p) {
         p.tensor("w").shape = {4, 64};
       },
       "w: stored as U8 [4, 64]"},
      {"table as U8", [](Parts& p) { p.tensor("ecco.table.t-1").dtype = "U8"; },
       "ecco.table.t-1: U8 of shape [2, 20] is no p4 table"},
      {"table of the wrong width",
       [](Parts& p) {
         p.tensor("ecco.table.t-1").shape = {4, 10};
       },
       "is no p4 table, which is I8 [patterns, 20]"},
      {"table of 0 patterns",
       [](Parts& p) {
         p.tensor("ecco.table.t-1").shape = {0, 20};
         p.tensor("ecco.table.t-1").bytes.clear();
       },
       "ecco.table.t-1: 0 patterns"},
      {"table of 257 patterns",
       [](Parts& p) {
         p.tensor("ecco.table.t-1").shape = {257, 20};
         p.tensor("ecco.table.t-1").bytes.assign(257 * 20, 0);
       },
       "ecco.table.t-1: 257 patterns"},
      {"centroid 124", [](Parts& p) { p.tensor("ecco.table.t-1").bytes[21] = 124; },
       "ecco.table.t-1: centroid 1 of pattern 1 is 124"},
      {"centroid -128", [](Parts& p) { p.tensor("ecco.table.t-1").bytes[0] = 0x80; },
       "ecco.table.t-1: centroid 0 of pattern 0 is -128"},
      {"table with a bad id",
       [](Parts& p) {
         p.tensor("ecco.table.t-1").name = "ecco.table.T";
         p.ecco["tables"]["ecco.table.T"] = p.ecco["tables"]["ecco.table.t-1"];
         p.ecco["tables"].erase("ecco.table.t-1");
         entry(p, "t")["table"] = "ecco.table.T";
       },
       "ecco.table.T: a table's name must be"},
      {"reserved name among the carried",
       [](Parts& p) {
         p.tensor("norm").name = "ecco.norm";
         p.ecco["carried"] = {{"ecco.norm", p.ecco["carried"]["norm"]}};
       },
       "ecco.norm: the prefix ecco. is reserved"},
  };
  for (const char* key : {"tensors", "carried", "tables"}) {
    out.push_back({key, [key](Parts& p) { p.ecco.erase(key); }, "which must be an object"});
  }
  for (const char* key : {"codec", "shape", "dtype", "tensor_scale", "table", "xxh3"}) {
    out.push_back({key, [key](Parts& p) { entry(p, "w").erase(key); }, "in its metadata"});
  }
  out.push_back({"table without checksum",
                 [](Parts& p) { p.ecco["tables"]["ecco.table.t-1"].erase("xxh3"); },
                 "ecco.table.t-1: no \"xxh3\""});
  out.push_back({"carried without checksum",
                 [](Parts& p) { p.ecco["carried"]["norm"].erase("xxh3"); }, "norm: no \"xxh3\""});
  return out;
}

TEST_F(ModelCorruptTest, EveryMutationEndsInItsReason) {
  for (const Mutation& mutation : mutations()) {
    SCOPED_TRACE(mutation.name);
    Parts parts = good_parts();
    mutation.apply(parts);
    const auto model = open(parts.file());
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code(), StatusCode::corrupt);
    const std::string& message = model.error().message();
    EXPECT_TRUE(message.starts_with(path_ + ": ")) << message;
    EXPECT_NE(message.find(mutation.reason), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST_F(ModelCorruptTest, AFlippedBitOfAnyDataIsFound) {
  const Parts parts = good_parts();
  const Bytes good = parts.file();
  for (std::size_t back = 1; back <= 436; back += 7) {
    Bytes bad = good;
    bad[bad.size() - back] ^= 4;
    const auto model = open(bad, Checksums::check);
    ASSERT_FALSE(model) << back;
    EXPECT_EQ(model.error().code(), StatusCode::corrupt);
    EXPECT_NE(model.error().message().find(": damaged: checksum "), std::string::npos)
        << model.error().message();
    const Status status =
        decompress_model(path_, folder_.path("out.safetensors"), ModelDecompressOptions());
    EXPECT_EQ(status.code(), StatusCode::corrupt);
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"m.safetensors"}) << "no half file";
  }
}

TEST_F(ModelCorruptTest, VerifyListsEveryDefect) {
  Parts parts = good_parts();
  parts.tensor("norm").bytes[0] ^= 1;
  Bytes& blocks = parts.tensor("w").bytes;
  blocks[2 * 64 + 1] = 9;  // row 1: scale set; all else zero: valid
  blocks[3 * 64 + 1] = 9;  // and its last block, with a bit between the stacks
  blocks[3 * 64 + 8] = 1;
  entry(parts, "w")["xxh3"] = xxh3_digits(blocks);
  parts.tensor("t").bytes[1] = 1;
  parts.tensor("t").bytes[0] = 2;  // of two patterns
  test::write_file(path_, parts.file());
  const auto found = verify_model(path_);
  ASSERT_TRUE(found) << found.error().message();
  const std::vector<Defect>& defects = found->defects;
  ASSERT_EQ(defects.size(), 4u);
  EXPECT_EQ(defects[0].tensor, "w");
  EXPECT_EQ(defects[0].reason,
            "1 invalid blocks of 4; the first is block 1 of row 1: unused tail bits are set");
  EXPECT_EQ(defects[1].tensor, "t");
  EXPECT_NE(defects[1].reason.find("damaged: checksum"), std::string::npos);
  EXPECT_EQ(defects[2].tensor, "t");
  EXPECT_EQ(defects[2].reason,
            "1 invalid blocks of 2; the first is block 0 of row 0: pattern index past the table");
  EXPECT_EQ(defects[3].tensor, "norm");

  // Invalid blocks under the right checksums decompress all the same.
  Parts invalid = good_parts();
  invalid.tensor("t").bytes = Bytes(128, 0xff);
  entry(invalid, "t")["xxh3"] = xxh3_digits(invalid.tensor("t").bytes);
  test::write_file(path_, invalid.file());
  EXPECT_TRUE(
      decompress_model(path_, folder_.path("out.safetensors"), ModelDecompressOptions()).ok());
}

TEST_F(ModelCorruptTest, SurvivesEveryTruncationAndEveryBitFlipOfTheHeader) {
  const Bytes good = good_parts().file();
  const std::size_t header = good.size() - 436;
  for (std::size_t size = 0; size < good.size(); size += size < header ? 13 : 1) {
    EXPECT_FALSE(open(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))));
  }
  for (std::size_t bit = 0; bit < 8 * header; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    const auto model = open(bad);
    if (!model) continue;
    for (const ModelTensor& tensor : model->tensors()) {
      std::vector<float> row(tensor.cols());
      const Status status = read_rows(*model, tensor, 0, dense_view(row.data(), 1, row.size()));
      EXPECT_TRUE(status.ok() || status.code() == StatusCode::unsupported);
    }
  }
}

class IndexTest : public testing::Test {
 protected:
  void SetUp() override {
    test::write_file(
        folder_.path("a.safetensors"),
        test::safetensors({{"one", "F32", {1}, Bytes(4, 1)}, {"two", "F32", {1}, Bytes(4, 2)}}));
    test::write_file(folder_.path("b.safetensors"),
                     test::safetensors({{"three", "F32", {1}, Bytes(4, 3)}}));
    index_["metadata"] = {{"total_size", 12}};
    index_["weight_map"] = {
        {"one", "a.safetensors"}, {"two", "a.safetensors"}, {"three", "b.safetensors"}};
  }

  Result<Model> open(const std::string& text) {
    test::write_file(index_path_, text);
    return Model::open(index_path_);
  }

  void expect_refused(const std::string& text, const std::string& reason) {
    const auto model = open(text);
    ASSERT_FALSE(model) << text;
    EXPECT_NE(model.error().message().find(reason), std::string::npos) << model.error().message();
  }

  test::TemporaryFolder folder_;
  std::string index_path_ = folder_.path("model.safetensors.index.json");
  json index_;
};

TEST_F(IndexTest, GathersShards) {
  const auto model = open(index_.dump(2));
  ASSERT_TRUE(model) << model.error().message();
  ASSERT_EQ(model->tensors().size(), 3u);
  EXPECT_EQ(model->tensors()[0].name, "one");
  EXPECT_EQ(model->tensors()[1].name, "three");
  EXPECT_EQ(model->find("three")->file, folder_.path("b.safetensors"));
  EXPECT_FALSE(model->compressed());
  EXPECT_TRUE(Model::open(folder_.path(""))) << "the directory that holds the index";
}

TEST_F(IndexTest, RefusesAnIndexThatDoesNotFitItsShards) {
  expect_refused("{", "not valid JSON");
  expect_refused("{}", "no \"weight_map\"");
  expect_refused(R"({"weight_map":{"one":1}})", "one: its shard's name is not a string");
  expect_refused(R"({"weight_map":{"one":"a.safetensors","one":"a.safetensors"}})",
                 "duplicate key \"one\"");
  for (const char* name : {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ".", "",
                           "a.safetensors\\u0000"}) {
    expect_refused(R"({"weight_map":{"one":")" + std::string(name) + R"("}})",
                   "is not in the index's directory");
  }
  json changed = index_;
  changed["weight_map"]["four"] = "b.safetensors";
  expect_refused(changed.dump(), "four: missing from the shard b.safetensors");
  changed["weight_map"]["four"] = "c.safetensors";
  expect_refused(changed.dump(), "c.safetensors: No such file");
  changed = index_;
  changed["weight_map"].erase("two");
  expect_refused(changed.dump(), "two: in the shard a.safetensors, but not so in the weight_map");
  changed["weight_map"]["two"] = "b.safetensors";
  expect_refused(changed.dump(), "two: in the shard a.safetensors, but not so in the weight_map");
}

TEST_F(IndexTest, RefusesADirectoryWithoutAModel) {
  const auto model = Model::open(folder_.path(""));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code(), StatusCode::io_error);
  EXPECT_NE(model.error().message().find("a directory without model.safetensors"),
            std::string::npos);
}

}  // namespace
}  // namespace ecco

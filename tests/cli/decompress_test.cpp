// SPDX-License-Identifier: MIT
// ecco decompress, and the whole way round.
#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

class Decompress : public testing::Test {
 protected:
  void SetUp() override {
    write_file(in, small_model());
    expect_success(run_ecco({"compress", in, "-o", packed, "--effort", "best"}));
  }

  TemporaryFolder scratch;
  std::string in = scratch.path("in");
  std::string packed = scratch.path("packed");
  std::string out = scratch.path("out");
};

TEST_F(Decompress, GivesTheSourceTypesAndShapes) {
  expect_success(run_ecco({"decompress", packed, "-o", out}));
  const nlohmann::json before = parse_file(in).header;
  const nlohmann::json after = parse_file(out).header;
  for (const char* name : {"w", "v", "u", "bias", "ids"}) {
    EXPECT_EQ(after[name]["dtype"], before[name]["dtype"]) << name;
    EXPECT_EQ(after[name]["shape"], before[name]["shape"]) << name;
  }
  EXPECT_FALSE(after.contains("__metadata__") && after["__metadata__"].contains("ecco"));
}

TEST_F(Decompress, DtypeChangesTheCompressedTensorsOnly) {
  for (const auto& [option, dtype] : {std::pair{"f32", "F32"}, {"f16", "F16"}, {"bf16", "BF16"}}) {
    expect_success(run_ecco({"decompress", packed, "-o", out, "--dtype", option, "--force"}));
    const nlohmann::json header = parse_file(out).header;
    for (const char* name : {"w", "v", "u"}) EXPECT_EQ(header[name]["dtype"], dtype) << name;
    EXPECT_EQ(header["bias"]["dtype"], "F32");
    EXPECT_EQ(header["ids"]["dtype"], "I64");
  }
}

TEST_F(Decompress, RefusesWhatItCannotDo) {
  expect_error(run_ecco({"decompress", scratch.path("none"), "-o", out}), 1, "No such file");
  expect_error(run_ecco({"decompress", in, "-o", out}), 1, "not compressed");
  write_file(out, "precious");
  expect_error(run_ecco({"decompress", packed, "-o", out}), 1, "--force");
  EXPECT_EQ(read_text(out), "precious");
}

TEST_F(Decompress, ChecksumsAreChecked) {
  Bytes bytes = read_file(packed);
  bytes.back() ^= 1;
  write_file(packed, bytes);
  expect_error(run_ecco({"decompress", packed, "-o", out}), 1, "packed");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(WholeWay, TheModelInTheRepository) {
  const TemporaryFolder scratch;
  const std::string packed = scratch.path("packed");
  const std::string restored = scratch.path("restored");
  expect_success(run_ecco({"compress", kModelDirectory, "-o", packed, "--effort", "fast"}));
  const nlohmann::json config = nlohmann::json::parse(read_file(packed + "/config.json"));
  EXPECT_EQ(config["quantization_config"]["quant_method"], "ecco");
  expect_success(run_ecco({"verify", packed}));
  const nlohmann::json info =
      json_of(run_ecco({"info", packed, "--against", kModelDirectory, "--json"}));
  EXPECT_EQ(info["bits_per_weight"], 4.0);
  EXPECT_GT(info["rmse"], 0.078);
  EXPECT_LT(info["rmse"], 0.084);
  expect_success(run_ecco({"decompress", packed, "-o", restored}));
  EXPECT_EQ(std::filesystem::file_size(restored + "/model.safetensors"),
            std::filesystem::file_size(kModelFile));
  EXPECT_FALSE(
      nlohmann::json::parse(read_file(restored + "/config.json")).contains("quantization_config"));
  // The same values, so the same error.
  const nlohmann::json again =
      json_of(run_ecco({"info", packed, "--against", restored, "--json"}));
  EXPECT_LT(again["rmse"], 0.0003);  // rounding to half
}

}  // namespace
}  // namespace ecco::test

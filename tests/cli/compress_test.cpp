// SPDX-License-Identifier: MIT
// ecco compress.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

class Compress : public testing::Test {
 protected:
  void SetUp() override { write_file(in, small_model()); }

  /// `ecco compress IN -o OUT` and more.
  [[nodiscard]] Outcome compress(std::vector<std::string> more = {},
                                 const std::vector<std::string>& environment = {}) const {
    // On few blocks best is the quickest effort: the others begin with tables of some 0.1 s, which
    // sanitizers stretch to 16.
    if (std::find(more.begin(), more.end(), "--effort") == more.end()) {
      more.insert(more.end(), {"--effort", "best"});
    }
    more.insert(more.begin(), {"compress", in, "-o", out});
    return run_ecco(more, environment);
  }

  /// Only the input is there.
  void expect_nothing_written() const { EXPECT_EQ(scratch.names().size(), 1u); }

  TemporaryFolder scratch;
  std::string in = scratch.path("in.safetensors");
  std::string out = scratch.path("out.safetensors");
};

const nlohmann::json& tensor_of(const nlohmann::json& report, const std::string& name) {
  static const nlohmann::json kNone;
  for (const auto& tensor : report["tensors"]) {
    if (tensor["name"] == name) return tensor;
  }
  ADD_FAILURE() << name << " is not in the report";
  return kNone;
}

TEST_F(Compress, SummaryNamesBytesAndNumbers) {
  const Outcome outcome = compress({"--codec", "p3", "--threads", "1"});
  expect_success(outcome);
  EXPECT_NE(outcome.out.find("compressed  3 tensors"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("carried     2 tensors, 544 B"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("p3, best, table standard"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("1 thread,"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find('\x1b'), std::string::npos) << outcome.out;
}

TEST_F(Compress, H4TrainsATableWhereItsShapeIsGiven) {
  const Outcome outcome = run_ecco({"compress", in, "-o", out, "--codec", "h4", "--patterns", "16",
                                    "--codebooks", "2", "--mode", "faithful"});
  expect_success(outcome);
  EXPECT_NE(outcome.out.find("h4, faithful, table file"), std::string::npos) << outcome.out;
  const nlohmann::json info = json_of(run_ecco({"info", out, "--json"}));
  EXPECT_EQ(tensor_of(info, "w")["table"], "ecco.table.file-00001");
  const nlohmann::json report =
      json_of(run_ecco({"compress", in, "--dry-run", "--json", "--codec", "h4"}));
  EXPECT_EQ(report["mode"], "rate-aware");
  EXPECT_EQ(report["table"], "standard");
}

TEST_F(Compress, JsonReport) {
  const nlohmann::json report = json_of(compress({"--json", "--threads", "1"}));
  EXPECT_EQ(keys_of(report), (std::vector<std::string>{
                                 "bits_per_weight", "codec", "dry_run", "effort", "file", "mode",
                                 "output", "ratio", "seconds", "source_bytes", "stored_bytes",
                                 "table", "tensors", "threads", "values_per_second"}));
  EXPECT_EQ(report["codec"], "p4");
  EXPECT_TRUE(report["mode"].is_null());
  EXPECT_EQ(report["effort"], "best");
  EXPECT_EQ(json_of(run_ecco({"compress", in, "--dry-run", "--json"}))["effort"], "default");
  EXPECT_EQ(report["table"], "standard");
  EXPECT_EQ(report["dry_run"], false);
  EXPECT_EQ(report["threads"], 1);
  EXPECT_EQ(report["source_bytes"], std::filesystem::file_size(in));
  EXPECT_EQ(report["stored_bytes"], std::filesystem::file_size(out));
  // Blocks of 64 bytes: w 4 x 2, v 6 x 2, u 3 x 3; values 1024 + 780 + 1152.
  EXPECT_NEAR(report["bits_per_weight"].get<double>(), 8.0 * 64 * 29 / 2956, 1e-9);
  ASSERT_EQ(report["tensors"].size(), 5u);
  const nlohmann::json& v = tensor_of(report, "v");
  EXPECT_EQ(keys_of(v), (std::vector<std::string>{"codec", "dtype", "included", "name", "reason",
                                                  "shape", "source_bytes", "stored_bytes"}));
  EXPECT_EQ(v["shape"], (std::vector<int>{2, 3, 130}));
  EXPECT_EQ(v["dtype"], "BF16");
  EXPECT_EQ(v["codec"], "p4");
  EXPECT_EQ(v["source_bytes"], 1560);
  EXPECT_EQ(v["stored_bytes"], 768);
  EXPECT_TRUE(tensor_of(report, "ids")["codec"].is_null());
  EXPECT_NE(tensor_of(report, "ids")["reason"].get<std::string>().find("I64"), std::string::npos);
}

TEST_F(Compress, DryRunListsAndWritesNothing) {
  const Outcome outcome = run_ecco({"compress", in, "--dry-run"});
  expect_success(outcome);
  for (const char* text : {"carried", "rank 1", "I64", "2 x 3 x 130", "1560", "768"}) {
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << '\n' << outcome.out;
  }
  const nlohmann::json dry = json_of(compress({"--dry-run", "--json"}));
  EXPECT_EQ(dry["dry_run"], true);
  expect_nothing_written();
  const nlohmann::json wet = json_of(compress({"--json"}));
  EXPECT_EQ(dry["tensors"], wet["tensors"]);
}

TEST_F(Compress, ExistingOutputNeedsForce) {
  write_file(out, "precious");
  expect_error(compress(), 1, "--force");
  EXPECT_EQ(read_text(out), "precious");
  expect_success(compress({"--force"}));
  EXPECT_GT(std::filesystem::file_size(out), 8u);
}

TEST_F(Compress, OutputThatIsNoRegularFileIsRefused) {
  std::filesystem::create_directory(out);
  expect_error(compress({"--force"}), 1, "out.safetensors");
  EXPECT_TRUE(std::filesystem::is_directory(out));
}

TEST_F(Compress, MissingAndForeignInputs) {
  expect_error(run_ecco({"compress", scratch.path("none"), "-o", out}), 1, "No such file");
  expect_error(run_ecco({"compress", scratch.path(""), "-o", out}), 1, "directory");
  write_file(in, "this is no safetensors file at all");
  expect_error(compress(), 1, "in.safetensors");
  write_file(in, "");
  expect_error(compress(), 1, "in.safetensors");
  expect_nothing_written();
}

TEST_F(Compress, OutputDirectoryMustExist) {
  expect_error(run_ecco({"compress", in, "-o", scratch.path("no/where")}), 1, "no/where");
  expect_nothing_written();
}

TEST_F(Compress, NotFiniteValuesNameTensorRowAndColumn) {
  std::vector<float> values = gaussian(512, 1);
  values[300] = std::numeric_limits<float>::quiet_NaN();
  write_file(in, safetensors({{"layer.w", "F32", {2, 256}, encode_values(values, "F32")}}));
  const Outcome outcome = compress();
  expect_error(outcome, 1, "layer.w");
  EXPECT_NE(outcome.err.find("row 1"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("column 44"), std::string::npos) << outcome.err;
  expect_nothing_written();
  expect_success(compress({"--exclude", "layer"}));
}

TEST_F(Compress, IncludeAndExcludeSearchAnywhere) {
  const nlohmann::json report =
      json_of(compress({"--include", "[uw]|bias", "--exclude", "^w$", "--json"}));
  EXPECT_EQ(tensor_of(report, "u")["codec"], "p4");
  EXPECT_EQ(tensor_of(report, "u")["included"], true);
  for (const char* name : {"w", "v", "bias", "ids"}) {
    EXPECT_TRUE(tensor_of(report, name)["codec"].is_null()) << name;
  }
  EXPECT_EQ(tensor_of(report, "bias")["included"], true);
  EXPECT_EQ(tensor_of(report, "v")["included"], false);
}

TEST_F(Compress, IncludedButCarriedIsReportedWithItsNumbers) {
  const Outcome outcome = compress({"--include", "bias|w"});
  expect_success(outcome);
  EXPECT_NE(outcome.out.find("not compressed although --include names it: bias: rank 1"),
            std::string::npos)
      << outcome.out;
  const Outcome none = compress({"--include", "nothing", "--force"});
  expect_success(none);
  EXPECT_NE(none.out.find("--include 'nothing' names no tensor"), std::string::npos) << none.out;
  const Outcome typo = compress({"--exclude", "lm_haed", "--force"});
  expect_success(typo);
  EXPECT_NE(typo.out.find("--exclude 'lm_haed' names no tensor"), std::string::npos) << typo.out;
}

TEST_F(Compress, BytesDependOnNothingButTheOptions) {
  std::vector<RawTensor> tensors;
  for (unsigned i = 0; i < 4; ++i) {
    tensors.push_back(gaussian_tensor(numbered(i), "F16", {13 + i, 640}, i));
  }
  write_file(in, safetensors(tensors));
  expect_success(compress({"--threads", "1"}));
  const Bytes expected = read_file(out);
  for (const char* threads : {"2", "7"}) {
    expect_success(compress({"--threads", threads, "--force"}));
    EXPECT_TRUE(read_file(out) == expected) << threads;
  }
  expect_success(compress({"--force"}, {"ECCO_FORCE_ISA=scalar"}));
  EXPECT_TRUE(read_file(out) == expected);
}

/// Values for which the standard table, made for bell shapes, is poor: a trained one is kept only
/// where it is better.
RawTensor arcsine_tensor(const std::string& name, double offset) {
  std::vector<float> values(32 * 640);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(offset + 2.0 * std::cos(static_cast<double>(i)));
  }
  return {name, "F16", {32, 640}, encode_values(values, "F16")};
}

TEST_F(Compress, TablesOfTheFileAndOfTheTensor) {
  write_file(in, safetensors({arcsine_tensor("a", 0.1), arcsine_tensor("b", 1.0)}));
  for (const std::string table : {"tensor", "file"}) {
    SCOPED_TRACE(table);
    expect_success(compress({"--table", table, "--codec", "p2", "--effort", "fast", "--force"}));
    const nlohmann::json info = json_of(run_ecco({"info", out, "--json"}));
    const auto of = [&](std::size_t i) { return info["tensors"][i]["table"].get<std::string>(); };
    EXPECT_TRUE(of(0).starts_with("ecco.table."));
    EXPECT_EQ(of(0) == of(1), table == "file");
    expect_success(run_ecco({"verify", out}));
  }
}

TEST_F(Compress, ImportanceIsChecked) {
  const std::string file = scratch.path("importance");
  const auto attempt = [&](const std::string& name, const std::string& dtype,
                           const std::vector<float>& values, const std::string& reason) {
    SCOPED_TRACE(reason);
    write_file(file, safetensors({{name, dtype, {values.size()}, encode_values(values, dtype)}}));
    expect_error(compress({"--importance", file}), 1, reason);
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  const std::vector<float> ones(256, 1.0f);
  std::vector<float> bad = ones;
  attempt("unknown", "F32", ones, "unknown");
  attempt("w", "F32", std::vector<float>(255, 1.0f), "255");
  attempt("w", "F16", ones, "F16");
  bad[7] = -1.0f;
  attempt("w", "F32", bad, "7");
  bad[7] = std::numeric_limits<float>::quiet_NaN();
  attempt("w", "F32", bad, "7");
  expect_error(compress({"--importance", scratch.path("none")}), 1, "No such file");

  expect_success(compress());
  const Bytes plain = read_file(out);
  std::vector<float> uneven = ones;
  for (std::size_t k = 0; k < 100; ++k) uneven[k] = 100.0f;
  write_file(file, safetensors({{"w", "F32", {256}, encode_values(uneven, "F32")}}));
  expect_success(compress({"--importance", file, "--force"}));
  EXPECT_FALSE(read_file(out) == plain);
}

TEST_F(Compress, OddNamesStayOnOneLine) {
  const std::string name = "a \"b\"\n\x1b[31mc\xc3\xa9";
  write_file(in, safetensors({gaussian_tensor(name, "F16", {2, 128}, 1)}));
  const Outcome list = run_ecco({"compress", in, "--dry-run"});
  expect_success(list);
  EXPECT_NE(list.out.find("a \"b\"\\x0A\\x1B[31mc\xc3\xa9"), std::string::npos) << list.out;
  EXPECT_EQ(json_of(compress({"--json"}))["tensors"][0]["name"], name);
  EXPECT_EQ(json_of(run_ecco({"info", out, "--json"}))["tensors"][0]["name"], name);
}

TEST_F(Compress, TwiceIsRefused) {
  expect_success(compress());
  expect_error(run_ecco({"compress", out, "-o", scratch.path("again")}), 1, "decompress it first");
}

}  // namespace
}  // namespace ecco::test

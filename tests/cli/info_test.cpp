// SPDX-License-Identifier: MIT
// ecco info.
#include <gtest/gtest.h>

#include <cmath>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

class Info : public testing::Test {
 protected:
  void SetUp() override {
    write_file(in, small_model());
    expect_success(run_ecco({"compress", in, "-o", packed, "--effort", "best"}));
  }

  TemporaryFolder scratch;
  std::string in = scratch.path("in");
  std::string packed = scratch.path("packed");
};

TEST_F(Info, JsonHasTheDocumentedKeys) {
  const nlohmann::json info = json_of(run_ecco({"info", packed, "--json"}));
  EXPECT_EQ(keys_of(info), (std::vector<std::string>{"bits_per_weight", "file_bytes",
                                                     "header_bytes", "rmse", "tensors"}));
  EXPECT_EQ(info["file_bytes"], std::filesystem::file_size(packed));
  EXPECT_EQ(info["header_bytes"], parse_file(packed).data_begin);
  EXPECT_NEAR(info["bits_per_weight"].get<double>(), 8.0 * 64 * 29 / 2956, 1e-9);
  EXPECT_TRUE(info["rmse"].is_null());
  ASSERT_EQ(info["tensors"].size(), 5u);  // by name: bias, ids, u, v, w
  for (const auto& tensor : info["tensors"]) {
    EXPECT_EQ(keys_of(tensor), (std::vector<std::string>{"bits_per_weight", "codec", "name",
                                                         "rmse", "shape", "snr_db", "table"}));
    EXPECT_TRUE(tensor["rmse"].is_null());
    EXPECT_TRUE(tensor["snr_db"].is_null());
  }
  const nlohmann::json& ids = info["tensors"][1];
  EXPECT_TRUE(ids["codec"].is_null());
  EXPECT_TRUE(ids["table"].is_null());
  EXPECT_EQ(ids["bits_per_weight"], 64.0);
  const nlohmann::json& v = info["tensors"][3];
  EXPECT_EQ(v["name"], "v");
  EXPECT_EQ(v["shape"], (std::vector<int>{2, 3, 130}));
  EXPECT_EQ(v["codec"], "p4");
  EXPECT_EQ(v["table"], "standard-1");
  EXPECT_NEAR(v["bits_per_weight"].get<double>(), 8.0 * 768 / 780, 1e-9);
}

TEST_F(Info, AgainstGivesErrors) {
  const nlohmann::json info = json_of(run_ecco({"info", packed, "--against", in, "--json"}));
  EXPECT_GT(info["rmse"], 0.06);
  EXPECT_LT(info["rmse"], 0.1);
  for (const auto& tensor : info["tensors"]) {
    ASSERT_EQ(tensor["rmse"].is_null(), tensor["codec"].is_null()) << tensor;
    if (tensor["codec"].is_null()) continue;
    EXPECT_NEAR(tensor["snr_db"].get<double>(), -20.0 * std::log10(tensor["rmse"].get<double>()),
                1e-6);
  }
  const Outcome list = run_ecco({"info", packed, "--against", in, "--threads", "1"});
  expect_success(list);
  for (const char* text : {"RMSE %", "SNR dB", "3 tensors", "2 tensors", "header"}) {
    EXPECT_NE(list.out.find(text), std::string::npos) << list.out;
  }
}

TEST_F(Info, ColumnsAreAligned) {
  const std::string list = run_ecco({"info", packed}).out;
  const std::size_t column = list.find("shape");
  ASSERT_NE(column, std::string::npos);
  const std::size_t second_line = list.find('\n') + 1;
  EXPECT_EQ(list.substr(second_line + column, 3), "128") << list;
}

TEST_F(Info, AgainstItselfHasNoError) {
  const std::string restored = scratch.path("restored");
  expect_success(run_ecco({"decompress", packed, "-o", restored, "--dtype", "f32"}));
  const nlohmann::json info = json_of(run_ecco({"info", packed, "--against", restored, "--json"}));
  EXPECT_EQ(info["rmse"], 0.0);
  EXPECT_EQ(info["tensors"][4]["rmse"], 0.0);
  EXPECT_TRUE(info["tensors"][4]["snr_db"].is_null());  // infinite
}

TEST_F(Info, OfAnUncompressedModel) {
  const nlohmann::json info = json_of(run_ecco({"info", in, "--json"}));
  EXPECT_TRUE(info["bits_per_weight"].is_null());
  EXPECT_EQ(info["tensors"][4]["bits_per_weight"], 16.0);
  const Outcome list = run_ecco({"info", in});
  expect_success(list);
  EXPECT_NE(list.out.find("compressed  0 tensors"), std::string::npos) << list.out;
}

TEST_F(Info, BadFiles) {
  expect_error(run_ecco({"info", scratch.path("none")}), 1, "No such file");
  expect_error(run_ecco({"info", packed, "--against", scratch.path("none")}), 1, "none");
  write_file(scratch.path("other"), safetensors({gaussian_tensor("w", "F16", {4, 255}, 1)}));
  expect_error(run_ecco({"info", packed, "--against", scratch.path("other"), "--json"}), 1, "");
  const std::string bytes = read_text(packed);
  write_file(packed, bytes.substr(0, bytes.size() - 1));
  expect_error(run_ecco({"info", packed}), 1, "packed");
  write_file(packed, bytes.substr(0, 100));
  expect_error(run_ecco({"info", packed, "--json"}), 1, "packed");
}

}  // namespace
}  // namespace ecco::test

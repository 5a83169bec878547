// SPDX-License-Identifier: MIT
// ecco verify.
#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

class Verify : public testing::Test {
 protected:
  void SetUp() override {
    write_file(in, small_model());
    expect_success(run_ecco({"compress", in, "-o", packed, "--effort", "best"}));
  }

  TemporaryFolder scratch;
  std::string in = scratch.path("in");
  std::string packed = scratch.path("packed");
};

/// An error on standard error beside a finding on standard output.
void expect_finding(const Outcome& outcome, const std::string& reason) {
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(outcome.err.starts_with("ecco: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n') + 1, outcome.err.size()) << outcome.err;
  EXPECT_NE(outcome.err.find(reason), std::string::npos) << outcome.err;
}

TEST_F(Verify, IntactFile) {
  const Outcome outcome = run_ecco({"verify", packed});
  expect_success(outcome);
  EXPECT_EQ(outcome.out, packed + ": intact, 5 tensors\n");
  const nlohmann::json json = json_of(run_ecco({"verify", packed, "--json"}));
  EXPECT_EQ(keys_of(json),
            (std::vector<std::string>{"clipped_share", "defects", "file", "h4", "intact",
                                      "mean_code_length", "outlier_share", "tensors"}));
  EXPECT_TRUE(json["clipped_share"].is_null()) << "no tensor is h4";
  EXPECT_EQ(json["h4"], nlohmann::json::array());
  EXPECT_EQ(json["intact"], true);
  EXPECT_EQ(json["file"], packed);
  EXPECT_EQ(json["tensors"], 5);
  EXPECT_EQ(json["defects"], nlohmann::json::array());
}

TEST_F(Verify, CountsWhatH4BlocksHold) {
  for (const std::string mode : {"rate-aware", "faithful"}) {
    expect_success(
        run_ecco({"compress", in, "-o", packed, "--codec", "h4", "--mode", mode, "--force"}));
    const nlohmann::json json = json_of(run_ecco({"verify", packed, "--json"}));
    EXPECT_EQ(json["intact"], true);
    ASSERT_FALSE(json["h4"].empty());
    EXPECT_EQ(
        keys_of(json["h4"][0]),
        (std::vector<std::string>{"clipped_share", "mean_code_length", "name", "outlier_share"}));
    if (mode == "rate-aware") {
      EXPECT_EQ(json["clipped_share"], 0.0);
    }
    EXPECT_LT(json["clipped_share"], 0.2);
    EXPECT_LT(json["outlier_share"], 16.0 / 128);
    EXPECT_GT(json["mean_code_length"], 2.0);
    EXPECT_LT(json["mean_code_length"], 4.5);
  }
}

TEST_F(Verify, AFlippedBitIsFound) {
  Bytes bytes = read_file(packed);
  bytes.back() ^= 0x40;
  write_file(packed, bytes);
  const Outcome outcome = run_ecco({"verify", packed, "--json"});
  expect_finding(outcome, "not intact");
  const nlohmann::json json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["intact"], false);
  ASSERT_FALSE(json["defects"].empty());
  EXPECT_EQ(keys_of(json["defects"][0]), (std::vector<std::string>{"reason", "tensor"}));
  EXPECT_TRUE(json["defects"][0]["tensor"].is_string());
  expect_finding(run_ecco({"verify", packed}), "1 of 5 tensors");
}

TEST_F(Verify, ACorruptHeaderIsFound) {
  const std::string bytes = read_text(packed);
  write_file(packed, bytes.substr(0, bytes.size() - 1));
  const Outcome outcome = run_ecco({"verify", packed, "--json"});
  expect_finding(outcome, "packed");
  const nlohmann::json json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["intact"], false);
  EXPECT_TRUE(json["tensors"].is_null());
  ASSERT_EQ(json["defects"].size(), 1u);
  EXPECT_TRUE(json["defects"][0]["tensor"].is_null());
  expect_error(run_ecco({"verify", packed}), 1, "packed");
}

TEST_F(Verify, NothingToVerify) {
  expect_error(run_ecco({"verify", in, "--json"}), 1, "no checksums");
  expect_error(run_ecco({"verify", scratch.path("none"), "--json"}), 1, "No such file");
  expect_error(run_ecco({"verify", scratch.path("")}), 1, "directory");
}

}  // namespace
}  // namespace ecco::test

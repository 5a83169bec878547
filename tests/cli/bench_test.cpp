// SPDX-License-Identifier: MIT
// ecco bench: its form and its checksums, never its speed.
#include <gtest/gtest.h>

#include <map>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

TEST(Bench, JsonOfOneCodec) {
  const nlohmann::json json = json_of(run_ecco({"bench", "--codec", "p4", "--json"}));
  EXPECT_EQ(keys_of(json), (std::vector<std::string>{"cpu", "isa", "results"}));
  EXPECT_FALSE(json["cpu"].get<std::string>().empty());
  const std::vector<std::string> names = {"decode_f32",     "decode_bf16", "decode_int8",
                                          "gemv_f32",       "gemv_int8",   "encode_fast",
                                          "encode_default", "encode_best"};
  ASSERT_EQ(json["results"].size(), names.size());
  std::map<std::string, std::string> checksums;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const nlohmann::json& result = json["results"][i];
    EXPECT_EQ(keys_of(result),
              (std::vector<std::string>{"checksum", "codec", "name", "values_per_second",
                                        "working_set_bytes"}));
    EXPECT_EQ(result["name"], names[i]);
    EXPECT_EQ(result["codec"], "p4");
    EXPECT_GT(result["values_per_second"], 0.0);
    EXPECT_GT(result["working_set_bytes"], 128 * 1024);  // beyond L1
    EXPECT_LT(result["working_set_bytes"], 256 * 1024);  // within the smallest L2
    EXPECT_EQ(result["checksum"].get<std::string>().size(), 16u);
    checksums[result["checksum"]] = names[i];
  }
  EXPECT_EQ(checksums.size(), names.size());  // no two compute the same
}

}  // namespace
}  // namespace ecco::test

// SPDX-License-Identifier: MIT
// ecco table.
#include <gtest/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdio>

#include "cli/program.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco::test {
namespace {

TEST(Table, JsonIsTheStandardTable) {
  for (const Codec codec : kPlanarCodecs) {
    const std::string name(codec_name(codec));
    SCOPED_TRACE(name);
    const nlohmann::json json = json_of(run_ecco({"table", name, "--json"}));
    EXPECT_EQ(keys_of(json), (std::vector<std::string>{"centroids", "codec", "name", "xxh3"}));
    EXPECT_EQ(json["codec"], name);
    EXPECT_EQ(json["name"], "standard-1");
    std::vector<std::int8_t> centroids;
    for (const auto& pattern : json["centroids"]) {
      ASSERT_EQ(pattern.size(), static_cast<std::size_t>(centroids_per_pattern(codec)));
      for (const auto& centroid : pattern) centroids.push_back(centroid.get<std::int8_t>());
    }
    const PatternTableView table = standard_table(codec);
    EXPECT_EQ(centroids, std::vector<std::int8_t>(table.centroids.begin(), table.centroids.end()));
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx",
                  static_cast<unsigned long long>(
                      XXH3_64bits(table.centroids.data(), table.centroids.size())));
    EXPECT_EQ(json["xxh3"], digits);
  }
}

TEST(Table, JsonOfH4HasCodebooks) {
  for (const bool kv : {false, true}) {
    const nlohmann::json json = json_of(kv ? run_ecco({"table", "h4", "--kv", "--json"})
                                           : run_ecco({"table", "h4", "--json"}));
    EXPECT_EQ(keys_of(json),
              (std::vector<std::string>{"centroids", "codebooks", "codec", "name", "xxh3"}));
    EXPECT_EQ(json["name"], kv ? "standard-kv-1" : "standard-1");
    EXPECT_EQ(json["centroids"].size(), kv ? 16u : 64u);
    const PatternTableView table = kv ? standard_kv_table() : standard_table(Codec::h4);
    std::vector<std::uint8_t> lengths;
    for (const auto& codebook : json["codebooks"]) {
      ASSERT_EQ(codebook.size(), 16u);
      for (const auto& length : codebook) lengths.push_back(length.get<std::uint8_t>());
    }
    EXPECT_EQ(lengths, std::vector<std::uint8_t>(table.codebooks.begin(), table.codebooks.end()));
    EXPECT_EQ(json["centroids"][1][14], table.pattern(1)[14]);
  }
  const Outcome list = run_ecco({"table", "h4"});
  expect_success(list);
  EXPECT_EQ(std::count(list.out.begin(), list.out.end(), '\n'), 1 + 64 + 1 + 4);
}

TEST(Table, ListHasOnePatternALine) {
  const Outcome outcome = run_ecco({"table", "p3"});
  expect_success(outcome);
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1 + 256);
  EXPECT_TRUE(outcome.out.starts_with("# p3 standard-1: 256 patterns of 10 centroids"));
}

}  // namespace
}  // namespace ecco::test

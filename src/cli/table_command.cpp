// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/text.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco::cli {
namespace {

std::string hash_of(const PatternTableView& table) {
  return xxh3_hex(
      {reinterpret_cast<const std::uint8_t*>(table.centroids.data()), table.centroids.size()});
}

std::vector<int> pattern_of(const PatternTableView& table, int index) {
  return {table.pattern(index), table.pattern(index) + centroids_per_pattern(table.codec)};
}

std::string json_table(const PatternTableView& table) {
  Json json;
  json["codec"] = codec_name(table.codec);
  json["name"] = kStandardTableName;
  json["xxh3"] = hash_of(table);
  json["centroids"] = Json::array();
  for (int p = 0; p < table.patterns(); ++p) json["centroids"].push_back(pattern_of(table, p));
  return to_line(json);
}

std::string list_table(const PatternTableView& table) {
  std::string out = fmt::format("# {} {}: {} patterns of {} centroids, xxh3 {}\n",
                                codec_name(table.codec), kStandardTableName, table.patterns(),
                                centroids_per_pattern(table.codec), hash_of(table));
  for (int p = 0; p < table.patterns(); ++p) {
    out += fmt::format("{:>4}\n", fmt::join(pattern_of(table, p), " "));
  }
  return out;
}

}  // namespace

Status run(const TableArguments& arguments) {
  const PatternTableView table = standard_table(arguments.codec);
  return write_output(arguments.json ? json_table(table) : list_table(table));
}

}  // namespace ecco::cli

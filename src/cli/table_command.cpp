// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
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

std::size_t codebooks_of(const PatternTableView& table) {
  return table.codebooks.size() / huffman::kSymbols;
}

std::vector<int> codebook_of(const PatternTableView& table, std::size_t index) {
  const auto lengths = table.codebooks.subspan(index * huffman::kSymbols, huffman::kSymbols);
  return {lengths.begin(), lengths.end()};
}

std::string json_table(const PatternTableView& table, std::string_view name) {
  Json json;
  json["codec"] = codec_name(table.codec);
  json["name"] = name;
  json["xxh3"] = hash_of(table);
  json["centroids"] = Json::array();
  for (int p = 0; p < table.patterns(); ++p) json["centroids"].push_back(pattern_of(table, p));
  for (std::size_t h = 0; h < codebooks_of(table); ++h) {
    json["codebooks"].push_back(codebook_of(table, h));
  }
  return to_line(json);
}

std::string list_table(const PatternTableView& table, std::string_view name) {
  std::string out =
      fmt::format("# {} {}: {} patterns of {} centroids, xxh3 {}\n", codec_name(table.codec), name,
                  table.patterns(), centroids_per_pattern(table.codec), hash_of(table));
  for (int p = 0; p < table.patterns(); ++p) {
    out += fmt::format("{:>4}\n", fmt::join(pattern_of(table, p), " "));
  }
  if (codebooks_of(table) == 0) return out;
  out +=
      fmt::format("# {} codebooks of {} code lengths\n", codebooks_of(table), huffman::kSymbols);
  for (std::size_t h = 0; h < codebooks_of(table); ++h) {
    out += fmt::format("{}\n", fmt::join(codebook_of(table, h), " "));
  }
  return out;
}

}  // namespace

Status run(const TableArguments& arguments) {
  const std::string_view name = arguments.kv ? kStandardKvTableName : kStandardTableName;
  const PatternTableView table =
      arguments.kv ? standard_kv_table() : standard_table(arguments.codec);
  return write_output(arguments.json ? json_table(table, name) : list_table(table, name));
}

}  // namespace ecco::cli

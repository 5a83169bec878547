// SPDX-License-Identifier: MIT
#include "io/stored_tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/text.hpp"

namespace ecco {
namespace {

/// What follows the prefix in the name of a table's part, "" where the name has not this form.
std::string_view table_id(std::string_view name, std::string_view prefix) {
  constexpr std::size_t kLongestId = 64;
  if (!name.starts_with(prefix)) return {};
  const std::string_view id = name.substr(prefix.size());
  const bool valid = id.size() <= kLongestId && std::all_of(id.begin(), id.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                              c == '.' || c == '-';
                     });
  return valid ? id : std::string_view();
}

/// Error unless a part of a table is stored as `dtype` [1..most_rows, width].
Status check_table_shape(const SafetensorsEntry& stored, std::string_view what,
                         std::string_view dtype, std::string_view rows, std::uint64_t most_rows,
                         std::uint64_t width) {
  if (stored.dtype != dtype || stored.shape.size() != 2 || stored.shape[1] != width) {
    return corrupt_tensor(
        stored.name,
        fmt::format("{} of shape {} is no {}, which is {} [{}, {}]", shown_name(stored.dtype),
                    shown_shape(stored.shape), what, dtype, rows, width));
  }
  if (stored.shape[0] < 1 || stored.shape[0] > most_rows) {
    return corrupt_tensor(stored.name,
                          fmt::format("{} {}, not 1..{}", stored.shape[0], rows, most_rows));
  }
  return {};
}

/// The tables of one file.
class TableLoader {
 public:
  TableLoader(const SafetensorsHeader& header, const EccoMetadata& ecco,
              std::span<const std::uint8_t> file) noexcept
      : header_(header), ecco_(ecco), file_(file) {}

  /// Loads the table of this name with its codebooks.
  Result<PatternTable> load(const std::string& name, const TableEntry& entry) const {
    const SafetensorsEntry& stored = *header_.find(name);
    Status status = check_table_shape(
        stored, fmt::format("{} table", codec_name(entry.codec)), "I8", "patterns", kMaxPatterns,
        static_cast<std::uint64_t>(centroids_per_pattern(entry.codec)));
    if (!status) return fail(std::move(status));
    PatternTable table{entry.codec, name, {}};
    const auto bytes = bytes_of(stored);
    table.centroids.reserve(bytes.size());
    for (const std::uint8_t byte : bytes) {
      table.centroids.push_back(static_cast<std::int8_t>(byte));
    }
    if (entry.codec == Codec::h4) status = load_codebooks(table);
    if (status) status = prefixed(shown_name(name), validate(table.view()));
    if (!status) return fail(std::move(status));
    table.prepare();
    return table;
  }

  /// Error for codebooks without a table.
  [[nodiscard]] Status check_codebooks(const std::string& name) const {
    const auto id = table_id(name, kCodebookPrefix);
    const auto table = ecco_.tables.find(std::string(kTablePrefix) + std::string(id));
    if (table != ecco_.tables.end() && table->second.codec == Codec::h4) return {};
    return corrupt_tensor(name, "codebooks without an h4 table of the same id");
  }

 private:
  Status load_codebooks(PatternTable& table) const {
    const auto id = table_id(table.name, kTablePrefix);
    const std::string name = std::string(kCodebookPrefix) + std::string(id);
    const auto entry = ecco_.tables.find(name);
    if (entry == ecco_.tables.end()) {
      return corrupt_tensor(table.name,
                            fmt::format("its codebooks {} are missing", shown_name(name)));
    }
    const SafetensorsEntry& stored = *header_.find(name);
    if (entry->second.codec != Codec::h4) {
      return corrupt_tensor(
          name, fmt::format("codebooks of codec {}, not h4", codec_name(entry->second.codec)));
    }
    Status status = check_table_shape(stored, "h4 codebook list", "U8", "codebooks",
                                      h4::kMaxCodebooks, huffman::kSymbols);
    if (!status) return status;
    const auto bytes = bytes_of(stored);
    table.codebooks.assign(bytes.begin(), bytes.end());
    return {};
  }

  [[nodiscard]] std::span<const std::uint8_t> bytes_of(const SafetensorsEntry& entry) const {
    return file_.subspan(header_.header_bytes + entry.begin, entry.end - entry.begin);
  }

  const SafetensorsHeader& header_;
  const EccoMetadata& ecco_;
  std::span<const std::uint8_t> file_;
};

}  // namespace

Result<std::map<std::string, PatternTable>> load_tables(const SafetensorsHeader& header,
                                                        const EccoMetadata& ecco,
                                                        std::span<const std::uint8_t> file,
                                                        const std::set<std::string_view>& used) {
  const TableLoader loader(header, ecco, file);
  std::map<std::string, PatternTable> out;
  for (const auto& [name, entry] : ecco.tables) {
    if (!table_id(name, kCodebookPrefix).empty()) {
      if (Status status = loader.check_codebooks(name); !status) return fail(std::move(status));
      continue;
    }
    if (table_id(name, kTablePrefix).empty()) {
      return fail(corrupt_tensor(name,
                                 "a table's name must be ecco.table. or ecco.codebook. and 1 to "
                                 "64 of a-z 0-9 _ . -"));
    }
    if (!used.contains(name)) return fail(corrupt_tensor(name, "a table that no tensor uses"));
    auto table = loader.load(name, entry);
    if (!table) return fail(table.error());
    out.emplace(name, std::move(*table));
  }
  return out;
}

}  // namespace ecco

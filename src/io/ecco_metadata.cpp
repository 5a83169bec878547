// SPDX-License-Identifier: MIT
#include "io/ecco_metadata.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "ecco/standard_tables.hpp"
#include "ecco/tensor.hpp"
#include "io/checksum.hpp"
#include "io/json.hpp"
#include "io/stored_tables.hpp"
#include "io/text.hpp"

namespace ecco {
namespace {

/// Every name of the metadata is a tensor of the file, and every tensor is in exactly one group.
Status check_groups(const SafetensorsHeader& header, const EccoMetadata& ecco) {
  for (const SafetensorsEntry& entry : header.entries) {
    const std::size_t groups = ecco.tensors.count(entry.name) + ecco.carried.count(entry.name) +
                               ecco.tables.count(entry.name);
    if (groups != 1) {
      return corrupt_tensor(
          entry.name, fmt::format("in {} of the groups \"tensors\", \"carried\" and \"tables\" of "
                                  "the metadata, not in exactly one",
                                  groups));
    }
    const bool reserved = entry.name.starts_with(kReservedPrefix);
    if (reserved && !ecco.tables.contains(entry.name)) {
      return corrupt_tensor(entry.name, "the prefix ecco. is reserved for tables");
    }
  }
  const auto missing = [&](const auto& group) -> Status {
    for (const auto& [name, entry] : group) {
      if (header.find(name) == nullptr) {
        return corrupt_tensor(name, "in the metadata, but not in the file");
      }
    }
    return {};
  };
  if (Status status = missing(ecco.tensors); !status) return status;
  if (Status status = missing(ecco.carried); !status) return status;
  return missing(ecco.tables);
}

/// A compressed tensor: stored as U8 blocks of the right number, and with a table of its codec.
Status check_compressed(const SafetensorsEntry& stored, const CompressedEntry& entry,
                        const EccoMetadata& ecco) {
  const FoldedShape folded = fold_shape(entry.shape);
  const std::vector<std::uint64_t> blocks = {folded.rows, blocks_per_row(folded.cols),
                                             block_bytes(entry.codec)};
  if (stored.dtype != "U8" || stored.shape != blocks) {
    return corrupt_tensor(
        stored.name,
        fmt::format("stored as {} {}, but {} in {} takes U8 {}", shown_name(stored.dtype),
                    shown_shape(stored.shape), shown_shape(entry.shape), codec_name(entry.codec),
                    shown_shape(blocks)));
  }
  if (find_standard_table(entry.codec, entry.table)) return {};
  const auto table = ecco.tables.find(entry.table);
  if (table == ecco.tables.end()) {
    return corrupt_tensor(stored.name,
                          fmt::format("its table {} is missing", shown_name(entry.table)));
  }
  if (!entry.table.starts_with(kTablePrefix)) {  // its codebooks stand in "tables" too
    return corrupt_tensor(stored.name,
                          fmt::format("its table {} is none", shown_name(entry.table)));
  }
  if (table->second.codec != entry.codec) {
    return corrupt_tensor(
        stored.name, fmt::format("its table {} is of codec {}, not {}", shown_name(entry.table),
                                 codec_name(table->second.codec), codec_name(entry.codec)));
  }
  return {};
}

/// Finds a header that was damaged in a way that leaves it well-formed.
Status check_header(const SafetensorsHeader& header, std::span<const std::uint8_t> file,
                    const EccoMetadata& ecco) {
  if (!ecco.header_xxh3) return {};
  const auto text = file.first(header.header_bytes).subspan(kHeaderLengthBytes);
  const std::uint64_t found = header_checksum(
      {reinterpret_cast<const char*>(text.data()), text.size()}, *ecco.header_xxh3);
  if (found == *ecco.header_xxh3) return {};
  return {StatusCode::corrupt, "header: " + checksum_mismatch(found, *ecco.header_xxh3)};
}

Json checksum_json(std::uint64_t checksum) { return Json{{"xxh3", hex_digits(checksum)}}; }

}  // namespace

std::string ecco_metadata_text(const EccoMetadata& metadata) {
  Json tensors = Json::object();
  for (const auto& [name, entry] : metadata.tensors) {
    tensors[name] = {{"codec", codec_name(entry.codec)},
                     {"shape", entry.shape},
                     {"dtype", entry.dtype},
                     {"tensor_scale", entry.tensor_scale},
                     {"table", entry.table},
                     {"xxh3", hex_digits(entry.xxh3)}};
  }
  Json carried = Json::object();
  for (const auto& [name, checksum] : metadata.carried) carried[name] = checksum_json(checksum);
  Json tables = Json::object();
  for (const auto& [name, entry] : metadata.tables) {
    tables[name] = checksum_json(entry.xxh3);
    tables[name]["codec"] = codec_name(entry.codec);
  }
  Json json = {{"format", 1},
               {"tensors", std::move(tensors)},
               {"carried", std::move(carried)},
               {"tables", std::move(tables)}};
  if (metadata.header_xxh3) json["header_xxh3"] = hex_digits(*metadata.header_xxh3);
  return json.dump();
}

std::uint64_t header_checksum(std::string_view text, std::uint64_t recorded) {
  const std::string digits = hex_digits(recorded);
  const std::string zeros(digits.size(), '0');
  Checksum checksum;
  while (true) {
    const std::size_t at = text.find(digits);
    const std::string_view before = text.substr(0, at);
    checksum.update({reinterpret_cast<const std::uint8_t*>(before.data()), before.size()});
    if (at == std::string_view::npos) return checksum.digest();
    checksum.update({reinterpret_cast<const std::uint8_t*>(zeros.data()), zeros.size()});
    text.remove_prefix(at + digits.size());
  }
}

Result<Container> parse_container(std::span<const std::uint8_t> file) {
  auto header = parse_safetensors_header(file);
  if (!header) return fail(header.error());
  return check_container(std::move(*header), file);
}

Result<Container> check_container(SafetensorsHeader header, std::span<const std::uint8_t> file) {
  Container out{std::move(header), std::nullopt, {}};
  const auto text = out.header.metadata.find(std::string(kEccoKey));
  if (text == out.header.metadata.end()) return out;
  auto ecco = parse_ecco_metadata(text->second);
  if (!ecco) return fail(ecco.error());
  if (Status status = check_header(out.header, file, *ecco); !status) {
    return fail(std::move(status));
  }
  if (Status status = check_groups(out.header, *ecco); !status) return fail(std::move(status));

  std::set<std::string_view> used;
  for (const auto& [name, entry] : ecco->tensors) {
    if (Status status = check_compressed(*out.header.find(name), entry, *ecco); !status) {
      return fail(std::move(status));
    }
    used.insert(entry.table);
  }
  auto tables = load_tables(out.header, *ecco, file, used);
  if (!tables) return fail(tables.error());
  out.tables = std::move(*tables);
  out.ecco = std::move(*ecco);
  return out;
}

FoldedShape fold_shape(std::span<const std::uint64_t> shape) noexcept {
  FoldedShape folded;
  if (shape.empty()) return folded;
  for (const std::uint64_t extent : shape.first(shape.size() - 1)) folded.rows *= extent;
  folded.cols = shape.back();
  return folded;
}

}  // namespace ecco

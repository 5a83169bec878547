// SPDX-License-Identifier: MIT
// The JSON string under the key "ecco" of `__metadata__`, and the check of a whole file against
// it. docs/format.md, section 7.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "io/safetensors_header.hpp"

namespace ecco {

inline constexpr std::string_view kEccoKey = "ecco";
inline constexpr std::string_view kReservedPrefix = "ecco.";
inline constexpr std::string_view kTablePrefix = "ecco.table.";
inline constexpr std::string_view kCodebookPrefix = "ecco.codebook.";  ///< beside an h4 table

/// What the metadata says of a compressed tensor.
struct CompressedEntry {
  Codec codec = Codec::p4;
  std::vector<std::uint64_t> shape;  ///< of the source; rank >= 2
  std::string dtype;                 ///< of the source: F16, BF16 or F32
  float tensor_scale = 1.0f;
  std::string table;  ///< of a standard table or of a table tensor
  std::uint64_t xxh3 = 0;
};

struct TableEntry {
  Codec codec = Codec::p4;
  std::uint64_t xxh3 = 0;
};

struct EccoMetadata {
  std::map<std::string, CompressedEntry> tensors;
  std::map<std::string, std::uint64_t> carried;  ///< checksums
  std::map<std::string, TableEntry> tables;      ///< centroids and codebooks
  std::optional<std::uint64_t> header_xxh3;      ///< see header_checksum; not every writer has it
};

/// A file of which everything but checksums and blocks has been checked.
struct Container {
  SafetensorsHeader header;
  std::optional<EccoMetadata> ecco;            ///< empty: a file that ecco did not write
  std::map<std::string, PatternTable> tables;  ///< by the names of their tensors
};

/// Parses the metadata string. Error: corrupt.
Result<EccoMetadata> parse_ecco_metadata(std::string_view text);

/// Inverse of parse_ecco_metadata.
std::string ecco_metadata_text(const EccoMetadata& metadata);

/// XXH3 of a header's JSON text, padding included, in which the 16 digits `recorded` read as zeros
/// wherever they stand: the sum that is recorded inside the text itself.
std::uint64_t header_checksum(std::string_view text, std::uint64_t recorded);

/// Parses the bytes of any file, compressed by ecco or not, and checks header, metadata, layout
/// and tables: what Model::open does with each file, and what fuzzers call. Errors: as above, one
/// line without the file's name. Memory: proportional to header and tables.
Result<Container> parse_container(std::span<const std::uint8_t> file);

/// The part of parse_container that follows parse_safetensors_header.
Result<Container> check_container(SafetensorsHeader header, std::span<const std::uint8_t> file);

/// Leading extents folded, and the last one; 1 x 1 for rank 0. Precondition: shape_values has a
/// value.
struct FoldedShape {
  std::uint64_t rows = 1;
  std::uint64_t cols = 1;
};
FoldedShape fold_shape(std::span<const std::uint64_t> shape) noexcept;

}  // namespace ecco

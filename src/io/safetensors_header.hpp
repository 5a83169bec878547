// SPDX-License-Identifier: MIT
// The header of a safetensors file: parsed and checked in memory. docs/format.md, section 7.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/safetensors.hpp"
#include "ecco/status.hpp"

namespace ecco {

inline constexpr std::size_t kHeaderLengthBytes = 8;  ///< of the number in front of the JSON
inline constexpr std::uint64_t kLongestHeader = 100'000'000;

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;        ///< in the order of their data
  std::vector<std::uint32_t> by_name;           ///< indices of entries, sorted by name
  std::map<std::string, std::string> metadata;  ///< the strings of `__metadata__`
  std::uint64_t header_bytes = 0;               ///< length field and JSON

  [[nodiscard]] const SafetensorsEntry* find(std::string_view name) const noexcept;
};

/// Parses the header of a file whose bytes these are and checks everything that needs no data:
/// JSON, names, shapes, and that the byte ranges tile the data section. Error: corrupt, one line
/// without the file's name. Complexity: O(header log header); memory: some 5 times the header, up
/// to 13 times for hostile ones, whose many short strings or extents are kept.
Result<SafetensorsHeader> parse_safetensors_header(std::span<const std::uint8_t> file);

/// Bits of a value of a dtype; empty for one that is not known.
std::optional<unsigned> dtype_bits(std::string_view dtype) noexcept;

/// Product of the extents; empty where it, or a product on the way, exceeds 2^63-1.
std::optional<std::uint64_t> shape_values(std::span<const std::uint64_t> shape) noexcept;

/// "[2, 3, 256]"
std::string shown_shape(std::span<const std::uint64_t> shape);

}  // namespace ecco

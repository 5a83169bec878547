// SPDX-License-Identifier: MIT
// Layout and header of a safetensors file to be written. docs/format.md, section 7.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ecco/safetensors.hpp"

namespace ecco {

/// Sorts entries into the order in which files are written (compressed tensors with 64-byte
/// blocks, other compressed ones, carried ones by descending element size, unknown dtypes, tables;
/// ties by name) and gives each its byte range. `rank` says which of these classes an entry
/// belongs to.
enum class LayoutClass : std::uint8_t { cache_line_blocks, other_blocks, carried, table };

struct LaidOutEntry {
  SafetensorsEntry entry;  ///< begin and end are set by lay_out
  std::uint64_t bytes = 0;
  LayoutClass layout_class = LayoutClass::carried;
  std::size_t source = 0;  ///< of the caller's own
};

/// Sorts and sets the ranges; returns the size of the data section.
std::uint64_t lay_out(std::vector<LaidOutEntry>& entries);

/// Length field and JSON, padded with spaces to a multiple of 64. `metadata` may be empty.
std::string safetensors_header_text(const std::vector<LaidOutEntry>& entries,
                                    const std::map<std::string, std::string>& metadata);

}  // namespace ecco

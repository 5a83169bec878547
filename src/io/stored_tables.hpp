// SPDX-License-Identifier: MIT
// Pattern tables and codebooks that a file holds. docs/format.md, section 7.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "io/ecco_metadata.hpp"

namespace ecco {

/// The tables of a file by their tensors' names, each valid, with its codebooks and one of `used`.
/// Precondition: every name of ecco.tables is a tensor of the header, and the header fits the
/// file. Error: corrupt, naming the tensor.
Result<std::map<std::string, PatternTable>> load_tables(const SafetensorsHeader& header,
                                                        const EccoMetadata& ecco,
                                                        std::span<const std::uint8_t> file,
                                                        const std::set<std::string_view>& used);

}  // namespace ecco

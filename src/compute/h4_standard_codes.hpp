// SPDX-License-Identifier: MIT
// Decode tables of the standard codebooks, shared by whoever has a table without its own.
#pragma once

#include <cstdint>
#include <span>

#include "ecco/h4_codes.hpp"

namespace ecco::h4 {

/// The decode tables of `codebooks` if these are standard ones, by content; else nullptr. Built
/// once per process, by the first call. Throws std::bad_alloc only.
const CodeTables* standard_code_tables(std::span<const std::uint8_t> codebooks);

}  // namespace ecco::h4

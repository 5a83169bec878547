// SPDX-License-Identifier: MIT
// Token ids in a file: little-endian, 16 bits each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ecco/status.hpp"

namespace llama {

/// Reads a file of ids below vocab_size. Errors: io_error; corrupt (empty, an odd number of bytes,
/// an id outside the vocabulary, with its place).
ecco::Result<std::vector<std::uint32_t>> read_tokens(const std::string& path,
                                                     std::size_t vocab_size);

}  // namespace llama

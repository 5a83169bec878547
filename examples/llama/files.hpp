// SPDX-License-Identifier: MIT
// Whole files in and out.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "ecco/status.hpp"

namespace llama {

/// The bytes of a regular file of at most `most_bytes`. Error: io_error.
ecco::Result<std::string> read_file(const std::string& path, std::size_t most_bytes);

/// Whether write_file may put a file there. Errors: already_exists (unless `overwrite`),
/// invalid_argument (a directory, a link, a device), io_error.
ecco::Status check_target(const std::string& path, bool overwrite);

/// Writes to a temporary name in the same directory and renames, so that no half file is ever
/// seen under `path`. Errors: those of check_target, io_error.
ecco::Status write_file(const std::string& path, std::string_view bytes, bool overwrite);

}  // namespace llama

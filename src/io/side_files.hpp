// SPDX-License-Identifier: MIT
// What lies beside the weights in a model's directory: config.json, tokenizer files, the index.
#pragma once

#include <map>
#include <string>

#include "ecco/status.hpp"
#include "io/model_files.hpp"
#include "io/output.hpp"

namespace ecco {

/// Whether the copy of config.json says that the weights are compressed.
enum class ConfigChange : std::uint8_t { add_quantization, remove_quantization };

/// Copies the small files of the model's directory that belong to a model. Errors: io_error;
/// corrupt (config.json); invalid_argument (add_quantization to a config that has one already).
Status copy_side_files(const ModelFiles& files, ConfigChange change, OutputSet& out);

/// Writes an index.
Status write_index(const std::string& name, std::uint64_t total_size,
                   const std::map<std::string, std::string>& weight_map, OutputSet& out);

}  // namespace ecco

// SPDX-License-Identifier: MIT
// How much each column of each matrix matters: the mean square of its input on a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "llama/eval.hpp"
#include "llama/transformer.hpp"

namespace llama {

/// cols values under each matrix's name. The embedding has them only where it is the output
/// matrix, too: as an embedding it is looked up, not multiplied.
using Importance = std::map<std::string, std::vector<float>>;

/// Mean squares over all positions of the first `windows` windows (see count_windows). Errors:
/// invalid_argument (activations that are not finite), cancelled, those of the passes.
ecco::Result<Importance> measure_importance(const Transformer& model,
                                            std::span<const std::uint32_t> tokens,
                                            std::size_t windows,
                                            const WindowProgress& progress = {});

/// Writes F32 vectors as safetensors, for ecco compress --importance. Errors: those of write_file.
ecco::Status write_importance(const Importance& importance, const std::string& path,
                              bool overwrite);

}  // namespace llama

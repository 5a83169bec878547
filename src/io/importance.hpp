// SPDX-License-Identifier: MIT
// Column importances of a model's matrices, from a safetensors file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Importances by tensor name; a tensor without an entry has 1 everywhere.
using Importances = std::map<std::string, std::vector<float>, std::less<>>;

/// Reads F32 vectors of one value per column under the names of the model's tensors; path "" gives
/// none. Errors: those of SafetensorsFile::open; invalid_argument for a name that the model lacks,
/// another dtype or length, and values that are negative or not finite.
Result<Importances> load_importances(const std::string& path, const Model& model);

}  // namespace ecco

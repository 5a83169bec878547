// SPDX-License-Identifier: MIT
// Which tensors of a model are compressed, and why the others are not.
#pragma once

#include <vector>

#include "ecco/model.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Decides about every tensor of the model, in the order of model.tensors(): codec or reason, and
/// the bytes it will take. Error: invalid_argument (regular expressions).
Result<std::vector<TensorOutcome>> select_tensors(const Model& model,
                                                  const ModelCompressOptions& options);

}  // namespace ecco

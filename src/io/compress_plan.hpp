// SPDX-License-Identifier: MIT
// What compress_model knows before it writes: the tensors to compress, their scales and tables.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/status.hpp"
#include "io/convert.hpp"
#include "io/importance.hpp"
#include "io/job.hpp"

namespace ecco {

/// A tensor to be compressed.
struct PlannedTensor {
  const ModelTensor* source = nullptr;
  FloatDtype dtype = FloatDtype::f16;
  std::span<const float> importance;  ///< of the columns, or empty
  float tensor_scale = 1.0f;
  const PatternTable* table = nullptr;  ///< nullptr: the standard one
};

/// Bytes of the values of chunks begin .. end - 1.
std::span<const std::uint8_t> value_bytes(const PlannedTensor& tensor, const Chunks& chunks,
                                          std::uint64_t begin, std::uint64_t end);

struct CompressPlan {
  Codec codec = Codec::p4;
  Importances importances;
  std::vector<std::unique_ptr<PatternTable>> tables;  ///< without names: those are per shard
  std::map<std::string, PlannedTensor, std::less<>> tensors;
};

/// Reads all values of the tensors that `outcomes` gives a codec, for their scales, and trains
/// tables where the options ask for them. Errors: not_finite (tensor, row, column), cancelled,
/// those of load_importances and of training.
Result<CompressPlan> plan_compression(const Model& model,
                                      const std::vector<TensorOutcome>& outcomes,
                                      const ModelCompressOptions& options, Job& job);

}  // namespace ecco

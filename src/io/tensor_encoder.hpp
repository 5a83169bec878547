// SPDX-License-Identifier: MIT
// One tensor of a model -> blocks in a file, window by window.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "ecco/encode.hpp"
#include "io/compress_plan.hpp"
#include "io/job.hpp"
#include "io/output.hpp"

namespace ecco {

/// Encoders, each built when the first tensor needs it; of trained tables the last one stays.
class EncoderCache {
 public:
  EncoderCache(Codec codec, Effort effort, H4Mode mode) noexcept
      : codec_(codec), effort_(effort), mode_(mode) {}

  /// `table` is that of a PlannedTensor. Errors: those of Encoder::create.
  Result<Encoder> get(const PatternTable* table);

 private:
  Codec codec_;
  Effort effort_;
  H4Mode mode_;
  const PatternTable* table_ = nullptr;
  std::optional<Encoder> encoder_;
};

/// Encodes one tensor and appends its blocks.
class TensorEncoder {
 public:
  TensorEncoder(const PlannedTensor& tensor, Codec codec, Encoder encoder)
      : tensor_(tensor),
        encoder_(std::move(encoder)),
        block_bytes_(block_bytes(codec)),
        chunks_(tensor.source->rows(), tensor.source->cols()),
        window_(std::min(Chunks::kWindow, chunks_.size()) * (Chunks::kValues / kGroup) *
                block_bytes_) {}

  /// Returns the checksum of the blocks.
  Result<std::uint64_t> run(OutputFile& file, Job& job);

 private:
  /// Writes the blocks of a chunk to their place in the window.
  Status encode(const Chunk& chunk, std::uint64_t index);

  const PlannedTensor& tensor_;
  Encoder encoder_;
  std::uint64_t block_bytes_;
  Chunks chunks_;
  std::vector<std::uint8_t> window_;
};

}  // namespace ecco

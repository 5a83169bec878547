// SPDX-License-Identifier: MIT
// Training tables on the tensors of a model: --table tensor and --table file.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/encode.hpp"
#include "ecco/parallel.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/status.hpp"
#include "io/convert.hpp"

namespace ecco {

/// Values that a table is trained on.
struct TrainingTensor {
  FloatDtype dtype = FloatDtype::f16;
  std::span<const std::uint8_t> stored;
  std::uint64_t rows = 0;
  std::uint64_t cols = 0;
  std::span<const float> importance;  ///< of the columns, or empty
};

/// What the caller may choose of a table.
struct TrainingOptions {
  Codec codec = Codec::p4;
  H4Mode mode = H4Mode::rate_aware;  ///< of h4; faithful: the paper's two k-means and no more
  int patterns = 0;                  ///< of h4; 0: 64, or as many as the blocks can pay for
  int codebooks = 0;                 ///< of h4; 0: 4
};

/// Trains one table on blocks spread evenly over all tensors; its name is left empty. Empty where
/// the standard table serves the blocks better than one of as many patterns as they can pay for,
/// and where all values are zero. Precondition: finite values. Memory: 16 MB, or 32 MB with
/// importances, beside that of fit_table.
Result<std::optional<PatternTable>> train_table(std::span<const TrainingTensor> tensors,
                                                const TrainingOptions& options,
                                                const ParallelFor& parallel);

}  // namespace ecco

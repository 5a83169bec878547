// SPDX-License-Identifier: MIT
// Perplexity of a model on a text, and its divergence from the model that it was made from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "llama/transformer.hpp"

namespace llama {

/// Called after each window; return false to stop.
using WindowProgress = std::function<bool(std::size_t done, std::size_t total)>;

struct Quality {
  std::size_t predictions = 0;
  double perplexity = 0.0;
  /// Mean over the predictions of sum p ln(p / q) in nats, p of the original; in double.
  std::optional<double> kl_divergence;
  double tokens_per_second = 0.0;             ///< of the model, the original's time left out
  std::size_t kv_cache_bytes = 0;             ///< of one window
  std::optional<KvStatistics> kv_statistics;  ///< over all windows, if the cache is in H4
};

/// Number of windows in `tokens`: non-overlapping, context tokens each, a short last one dropped;
/// at most `most` unless it is 0. Error: invalid_argument (not even one).
ecco::Result<std::size_t> count_windows(const Config& config, std::size_t tokens,
                                        std::size_t most);

/// Predicts tokens 1 .. context - 1 of each window from those before it in the window; no BOS is
/// put before. `original` may be null. Errors: invalid_argument (an original of another vocabulary
/// or context, logits that are not finite), cancelled, those of the passes.
ecco::Result<Quality> evaluate(const Transformer& model, const Transformer* original,
                               std::span<const std::uint32_t> tokens, std::size_t windows,
                               const ecco::ParallelFor& parallel,
                               const WindowProgress& progress = {});

}  // namespace llama

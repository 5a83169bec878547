// SPDX-License-Identifier: MIT
#include "ecco/fit.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "fit/search.hpp"
#include "fit/trainer.hpp"
#include "guarded.hpp"

namespace ecco {
namespace {

Status check_values(std::span<const float> values, std::span<const float> importance) {
  if (values.empty() || values.size() % kGroup != 0) {
    return {StatusCode::invalid_argument,
            std::to_string(values.size()) + " values are not one or more whole blocks of 128"};
  }
  if (!importance.empty() && importance.size() != values.size()) {
    return {StatusCode::invalid_argument, std::to_string(importance.size()) +
                                              " importances given for " +
                                              std::to_string(values.size()) + " values"};
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return {StatusCode::not_finite, "value " + std::to_string(i) + " is not finite"};
    }
  }
  for (std::size_t i = 0; i < importance.size(); ++i) {
    if (!std::isfinite(importance[i]) || importance[i] < 0.0f) {
      return {StatusCode::invalid_argument,
              "importance " + std::to_string(i) + " is negative or not finite"};
    }
  }
  return {};
}

Status check_options(const FitOptions& options) {
  if (!is_planar(options.codec)) {
    return {StatusCode::unsupported, "tables of this codec cannot be trained"};
  }
  if (options.patterns < 1 || options.patterns > kMaxPatterns) {
    return {StatusCode::invalid_argument,
            std::to_string(options.patterns) + " patterns asked for, not 1..256"};
  }
  if (options.rounds < 1 || options.batch_blocks < 1) {
    return {StatusCode::invalid_argument, "rounds and batch_blocks must be at least 1"};
  }
  if (options.start.centroids.empty()) return {};
  if (options.start.codec != options.codec) {
    return {StatusCode::invalid_argument, "the table to start from is of another codec"};
  }
  return validate(options.start);
}

/// Every `stride`-th block of a span of values, from block `first` on.
std::vector<float> take_blocks(std::span<const float> values, std::size_t first,
                               std::size_t stride) {
  std::vector<float> out;
  for (std::size_t at = first * kGroup; at < values.size(); at += stride * kGroup) {
    const auto block = values.subspan(at, kGroup);
    out.insert(out.end(), block.begin(), block.end());
  }
  return out;
}

/// At first little is remembered and patterns are moved about; later nothing is moved and more and
/// more is remembered, so that the last tables are means over many batches: about a fifth of the
/// rounds. A table to start from is disturbed less.
fit::Round schedule(int round, int rounds, bool started, std::size_t batches) {
  const double progress = static_cast<double>(round) / rounds;
  const double pace = 5.0 / rounds;
  fit::Round out;
  if (batches > 1) {
    out.memory =
        std::clamp((started ? 0.7 : 0.5) + 0.625 * progress, 0.0, std::max(0.5, 1.0 - pace));
  }
  const double most = std::min(0.15, pace) * (started ? 0.5 : 1.0);
  out.replaced = std::max(0.0, most * (1.0 - progress / (started ? 0.5 : 0.7)));
  return out;
}

PatternTable train(std::span<const float> values, const FitOptions& options,
                   const ParallelFor& parallel) {
  const bool started = !options.start.centroids.empty();
  fit::Trainer trainer = started
                             ? fit::Trainer(options.codec, options.start.centroids, options.seed)
                             : fit::Trainer(options.codec, options.patterns, options.seed);
  if (started) trainer.add_probes();
  const std::size_t blocks = values.size() / kGroup;
  const std::size_t batches = (blocks + options.batch_blocks - 1) / options.batch_blocks;
  for (int round = 0; round < options.rounds; ++round) {
    const std::size_t batch = static_cast<std::size_t>(round) % batches;
    const std::vector<float> some = take_blocks(values, batch, batches);
    const std::vector<float> weights = take_blocks(options.importance, batch, batches);
    const double error =
        trainer.step(some, weights, schedule(round, options.rounds, started, batches), parallel);
    if (round == 0) trainer.keep(options.patterns);
    if (options.progress) options.progress(round, std::sqrt(error));
  }
  trainer.keep(options.patterns);
  return {options.codec, {}, trainer.table()};
}

}  // namespace

Result<PatternTable> fit_table(std::span<const float> values, const FitOptions& options,
                               const ParallelFor& parallel) {
  return guarded([&]() -> Result<PatternTable> {
    Status status = check_options(options);
    if (status) status = check_values(values, options.importance);
    if (!status) return fail(std::move(status));
    return train(values, options, parallel);
  });
}

Result<double> fit_error(std::span<const float> values, PatternTableView table,
                         std::span<const float> importance, const ParallelFor& parallel) {
  return guarded([&]() -> Result<double> {
    Status status = validate(table);
    if (status) status = check_values(values, importance);
    if (!status) return fail(std::move(status));
    fit::Trainer trainer(table.codec, table.centroids, 0);
    return std::sqrt(trainer.step(values, importance, {}, parallel));
  });
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "llama/eval.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace llama {
namespace {

using ecco::MatrixView;
using ecco::Status;
using ecco::StatusCode;
using Clock = std::chrono::steady_clock;

/// Most logits held at a time, so that a large vocabulary or context does not fill the memory.
constexpr std::size_t kMostLogits = std::size_t{1} << 24;

/// ln of the sum of exp(z).
double log_sum_exp(const float* z, std::size_t count) {
  const double top = *std::max_element(z, z + count);
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) sum += std::exp(z[i] - top);
  return top + std::log(sum);
}

/// Sum of p ln(p / q) over the vocabulary.
double kl_divergence(const float* p, double p_norm, const float* q, double q_norm,
                     std::size_t count) {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const double log_p = p[i] - p_norm;
    sum += std::exp(log_p) * (log_p - (q[i] - q_norm));
  }
  return sum;
}

/// A model with the state of the window that it is at.
class Runner {
 public:
  Runner(const Transformer& model, KvCache cache, std::size_t logit_rows)
      : model_(model),
        cache_(std::move(cache)),
        hidden_(model.config().context, model.config().hidden_size),
        logits_(logit_rows, model.config().vocab_size) {}

  Status run(std::span<const std::uint32_t> window) {
    const Clock::time_point start = Clock::now();
    cache_.clear();
    Status status = model_.forward(window, cache_, hidden_.view());
    time_ += Clock::now() - start;
    return status;
  }

  /// Logits of positions first .. first + count - 1 of the window.
  Status compute_logits(std::size_t first, std::size_t count) {
    const Clock::time_point start = Clock::now();
    Status status = model_.logits({hidden_.view().row(first), count, hidden_.cols, hidden_.cols},
                                  {logits_.values.data(), count, logits_.cols, logits_.cols});
    time_ += Clock::now() - start;
    return status;
  }

  [[nodiscard]] const KvCache& cache() const { return cache_; }
  [[nodiscard]] const float* logits(std::size_t row) const { return logits_.view().row(row); }
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(time_).count(); }

 private:
  const Transformer& model_;
  KvCache cache_;
  Matrix hidden_;
  Matrix logits_;
  Clock::duration time_{};
};

/// Sums over predictions: every one in a slot of its own, added up in their order, so that the
/// result does not depend on the threads.
class Evaluation {
 public:
  static ecco::Result<Evaluation> create(const Transformer& model, const Transformer* original,
                                         const ecco::ParallelFor& parallel) {
    const Config& config = model.config();
    const std::size_t chunk =
        std::clamp<std::size_t>(kMostLogits / config.vocab_size, 1, config.context);
    auto cache = model.new_cache(config.context);
    if (!cache) return ecco::fail(cache.error());
    Evaluation evaluation(config, chunk, parallel, Runner(model, std::move(*cache), chunk));
    if (original == nullptr) return evaluation;
    cache = original->new_cache(config.context);
    if (!cache) return ecco::fail(cache.error());
    evaluation.original_.emplace(*original, std::move(*cache), chunk);
    return evaluation;
  }

  Status add_window(std::span<const std::uint32_t> window) {
    Status status = model_.run(window);
    if (status && original_) status = original_->run(window);
    for (std::size_t first = 0; first + 1 < context_ && status; first += chunk_) {
      const std::size_t count = std::min(chunk_, context_ - 1 - first);
      status = model_.compute_logits(first, count);
      if (status && original_) status = original_->compute_logits(first, count);
      if (status) status = add(window.subspan(first + 1, count));
    }
    if (status) add_statistics();
    return status;
  }

  [[nodiscard]] Quality result(std::size_t windows) const {
    const std::size_t predictions = windows * (context_ - 1);
    const auto count = static_cast<double>(predictions);
    Quality quality;
    quality.predictions = predictions;
    quality.perplexity = std::exp(negative_log_likelihood_ / count);
    if (original_) quality.kl_divergence = divergence_ / count;
    quality.tokens_per_second = static_cast<double>(windows * context_) / model_.seconds();
    quality.kv_cache_bytes = model_.cache().bytes();
    quality.kv_statistics = kv_statistics_;
    return quality;
  }

 private:
  Evaluation(const Config& config, std::size_t chunk, const ecco::ParallelFor& parallel,
             Runner model)
      : context_(config.context),
        vocab_size_(config.vocab_size),
        chunk_(chunk),
        parallel_(parallel),
        model_(std::move(model)) {}

  void add_statistics() {
    const std::optional<KvStatistics> window = model_.cache().statistics(parallel_);
    if (!window) return;
    if (!kv_statistics_) kv_statistics_.emplace();
    kv_statistics_->keys += window->keys;
    kv_statistics_->values += window->values;
  }

  Status add(std::span<const std::uint32_t> targets) {
    std::vector<double> losses(targets.size());
    std::vector<double> divergences(targets.size());
    parallel_(targets.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const float* q = model_.logits(i);
        const double q_norm = log_sum_exp(q, vocab_size_);
        losses[i] = q_norm - q[targets[i]];
        if (!original_) continue;
        const float* p = original_->logits(i);
        divergences[i] = kl_divergence(p, log_sum_exp(p, vocab_size_), q, q_norm, vocab_size_);
      }
    });
    negative_log_likelihood_ =
        std::accumulate(losses.begin(), losses.end(), negative_log_likelihood_);
    divergence_ = std::accumulate(divergences.begin(), divergences.end(), divergence_);
    if (std::isfinite(negative_log_likelihood_) && std::isfinite(divergence_)) return {};
    return {StatusCode::invalid_argument, "the model gives logits that are not finite"};
  }

  std::size_t context_;
  std::size_t vocab_size_;
  std::size_t chunk_;
  const ecco::ParallelFor& parallel_;
  Runner model_;
  std::optional<Runner> original_;
  double negative_log_likelihood_ = 0.0;
  double divergence_ = 0.0;
  std::optional<KvStatistics> kv_statistics_;
};

Status check_comparable(const Config& model, const Config& original) {
  if (model.vocab_size == original.vocab_size && model.context == original.context) return {};
  return {StatusCode::invalid_argument,
          fmt::format("the model has a vocabulary of {} and a context of {}, the original of {} "
                      "and {}",
                      model.vocab_size, model.context, original.vocab_size, original.context)};
}

}  // namespace

ecco::Result<std::size_t> count_windows(const Config& config, std::size_t tokens,
                                        std::size_t most) {
  if (config.context < 2) {
    return ecco::fail(StatusCode::invalid_argument,
                      "max_position_embeddings is 1: there is nothing to predict");
  }
  const std::size_t windows = tokens / config.context;
  if (windows == 0) {
    return ecco::fail(
        StatusCode::invalid_argument,
        fmt::format("{} tokens, but one window of the model takes {}", tokens, config.context));
  }
  return most == 0 ? windows : std::min(windows, most);
}

ecco::Result<Quality> evaluate(const Transformer& model, const Transformer* original,
                               std::span<const std::uint32_t> tokens, std::size_t windows,
                               const ecco::ParallelFor& parallel, const WindowProgress& progress) {
  if (original != nullptr) {
    Status status = check_comparable(model.config(), original->config());
    if (!status) return ecco::fail(std::move(status));
  }
  const std::size_t context = model.config().context;
  auto evaluation = Evaluation::create(model, original, parallel);
  if (!evaluation) return ecco::fail(evaluation.error());
  for (std::size_t w = 0; w < windows; ++w) {
    Status status = evaluation->add_window(tokens.subspan(w * context, context));
    if (!status) return ecco::fail(std::move(status));
    if (progress && !progress(w + 1, windows)) return ecco::fail(StatusCode::cancelled, "stopped");
  }
  return evaluation->result(windows);
}

}  // namespace llama

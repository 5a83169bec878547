// SPDX-License-Identifier: MIT
#include "llama/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace llama {

using ecco::Status;
using ecco::StatusCode;
using Clock = std::chrono::steady_clock;

namespace {

/// Logits of the token after the last one of `tokens`.
Status next_logits(const Transformer& model, std::span<const std::uint32_t> tokens, KvCache& cache,
                   Matrix& logits) {
  Matrix hidden(tokens.size(), model.config().hidden_size);
  Status status = model.forward(tokens, cache, hidden.view());
  if (!status) return status;
  const float* last = std::as_const(hidden).view().row(tokens.size() - 1);
  return model.logits(ecco::dense_view(last, 1, hidden.cols), logits.view());
}

}  // namespace

ecco::Result<Generation> generate(const Transformer& model, std::span<const std::uint32_t> prompt,
                                  std::size_t most, Sampler& sampler, const TokenSink& sink) {
  const Config& config = model.config();
  if (prompt.empty()) return ecco::fail(StatusCode::invalid_argument, "the prompt has no tokens");
  if (prompt.size() >= config.context) {
    return ecco::fail(StatusCode::invalid_argument,
                      fmt::format("the prompt has {} tokens, but the context of the model is {}",
                                  prompt.size(), config.context));
  }
  most = std::min(most, config.context - prompt.size());
  auto cache = model.new_cache(prompt.size() + most);
  if (!cache) return ecco::fail(cache.error());
  Matrix logits(1, config.vocab_size);
  Generation result;
  Clock::duration time{};
  std::vector<std::uint32_t> input(prompt.begin(), prompt.end());
  while (result.tokens < most) {
    const Clock::time_point start = Clock::now();
    Status status = next_logits(model, input, *cache, logits);
    if (!status) return ecco::fail(std::move(status));
    if (result.tokens > 0) time += Clock::now() - start;
    const auto token = sampler.draw(logits.values);
    if (!token) return ecco::fail(token.error());
    if (std::find(config.eos.begin(), config.eos.end(), *token) != config.eos.end()) break;
    ++result.tokens;
    if (!sink(*token)) break;
    input = {*token};
  }
  const double seconds = std::chrono::duration<double>(time).count();
  if (seconds > 0.0) result.tokens_per_second = static_cast<double>(result.tokens - 1) / seconds;
  return result;
}

}  // namespace llama

// SPDX-License-Identifier: MIT
// Continues a text, token by token.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "llama/sampler.hpp"
#include "llama/transformer.hpp"

namespace llama {

/// Given each token as soon as it is drawn; returns false to stop.
using TokenSink = std::function<bool(std::uint32_t token)>;

struct Generation {
  std::size_t tokens = 0;          ///< drawn and given to the sink
  double tokens_per_second = 0.0;  ///< of the passes after the prompt's; 0 if there was none
};

/// Runs the prompt, then draws until `most` tokens, the end of the text (config.eos) or the end of
/// the context. Errors: invalid_argument (a prompt that is empty or fills the context), those of
/// the passes and the sampler.
ecco::Result<Generation> generate(const Transformer& model, std::span<const std::uint32_t> prompt,
                                  std::size_t most, Sampler& sampler, const TokenSink& sink);

}  // namespace llama

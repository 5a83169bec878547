// SPDX-License-Identifier: MIT
// Draws the next token from logits.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "ecco/status.hpp"

namespace llama {

/// Draws from softmax(logits / temperature), in double: the same tokens for the same seed wherever
/// the logits are the same. Temperature 0 takes the greatest logit, the first of equal ones.
class Sampler {
 public:
  /// Precondition: temperature is finite and not negative.
  Sampler(double temperature, std::uint64_t seed) : temperature_(temperature), random_(seed) {}

  /// Error: invalid_argument (logits that are not finite).
  ecco::Result<std::uint32_t> draw(std::span<const float> logits);

 private:
  double temperature_;
  std::mt19937_64 random_;
  std::vector<double> weights_;
};

}  // namespace llama

// SPDX-License-Identifier: MIT
#include "llama/sampler.hpp"

#include <algorithm>
#include <cmath>

namespace llama {

ecco::Result<std::uint32_t> Sampler::draw(std::span<const float> logits) {
  if (!std::all_of(logits.begin(), logits.end(), [](float z) { return std::isfinite(z); })) {
    return ecco::fail(ecco::StatusCode::invalid_argument,
                      "the model gives logits that are not finite");
  }
  const auto top = std::max_element(logits.begin(), logits.end());
  if (temperature_ == 0.0) return static_cast<std::uint32_t>(top - logits.begin());

  weights_.resize(logits.size());
  double sum = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weights_[i] = std::exp((double{logits[i]} - double{*top}) / temperature_);
    sum += weights_[i];
  }
  // Not std::uniform_real_distribution, which every standard library may do in its own way.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * sum;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    left -= weights_[i];
    if (left < 0.0) return static_cast<std::uint32_t>(i);
  }
  return static_cast<std::uint32_t>(top - logits.begin());  // only by rounding
}

}  // namespace llama

// SPDX-License-Identifier: MIT
// The checks of what encoders of rows are given, the same for all codecs.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ecco/status.hpp"
#include "ecco/tensor.hpp"

namespace ecco::detail {

/// Error: invalid_argument, unless there is an importance for every column or none at all, and
/// each is finite and >= 0.
inline Status check_importance(std::size_t cols, std::span<const float> importance) {
  if (!importance.empty() && importance.size() != cols) {
    return {StatusCode::invalid_argument, std::to_string(importance.size()) + " importances for " +
                                              std::to_string(cols) + " columns"};
  }
  for (std::size_t k = 0; k < importance.size(); ++k) {
    if (importance[k] >= 0.0f && importance[k] <= 3.4028234663852886e38f) continue;
    return {StatusCode::invalid_argument, "the importance of column " + std::to_string(k) +
                                              " is " + std::to_string(importance[k]) +
                                              ", not finite and >= 0"};
  }
  return {};
}

/// Error: invalid_argument, unless `largest_value` is positive.
inline Status check_largest_value(float largest_value) {
  if (largest_value > 0.0f) return {};
  return {StatusCode::invalid_argument,
          "largest_value is " + std::to_string(largest_value) + ", not positive"};
}

/// Error: invalid_argument, unless tensor_scale is in (0, 1e34] and largest_value positive.
inline Status check_scales(float tensor_scale, float largest_value) {
  if (!(tensor_scale > 0.0f && tensor_scale <= kMaxTensorScale)) {
    return {StatusCode::invalid_argument,
            "tensor_scale " + std::to_string(tensor_scale) + " is not in (0, 1e34]"};
  }
  return check_largest_value(largest_value);
}

}  // namespace ecco::detail

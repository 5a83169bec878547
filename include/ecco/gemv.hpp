// SPDX-License-Identifier: MIT
// y = W x straight on blocks, W compressed: f32 activations (exact weights) or int8 ones (fast).
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ecco/block.hpp"
#include "ecco/config.hpp"
#include "ecco/parallel.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// y[r] = sum over k of W[r][k] * x[k]; x has tensor.cols() values, y tensor.rows(). Weights enter
/// exactly, sums are binary32 in this order, on every path and for any number of threads:
///   lane l = 0..15 of block b: p = fma(c[16 i + l], x[128 b + 16 i + l], p), i = 0..7, from p =
///   0, where c are the block's centroids and x is 0 past its end; then a[l] = fma(factor[b], p,
///   a[l]), b ascending, from a = 0; then y = the sum of a by halves: a[l] += a[l + 8], then 4,
///   2, 1.
/// NaN and infinity in x spread as IEEE 754 says. Errors: shape_mismatch, unsupported
/// (active_isa). Complexity: O(rows * cols) on 4 bits per weight read once; no allocation.
ECCO_API Status gemv(const TensorView& tensor, std::span<const float> x, std::span<float> y,
                     const ParallelFor& parallel = serial) noexcept;

/// Activations rounded to int8 with one factor per 128 values: x is about factor * value.
class Int8Activations {
 public:
  /// Quantises each group of 128 (the last one may be shorter; it is padded with 0):
  /// factor = max |x| / 127, value = x * (127 / max |x|) rounded to nearest even. A group of
  /// zeros, and one whose maximum is below 2^-100, has factor 0 and values 0. Error: not_finite,
  /// naming the index. Relative error of a value: at most max |x| / 254 of its group.
  static Result<Int8Activations> quantize(std::span<const float> x);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// blocks_per_row(size()) * 128 values, zero past the end.
  [[nodiscard]] std::span<const std::int8_t> values() const noexcept { return values_; }
  [[nodiscard]] std::span<const float> factors() const noexcept { return factors_; }

 private:
  std::size_t size_ = 0;
  std::vector<std::int8_t> values_;
  std::vector<float> factors_;
};

/// y = W x on int8 activations: dot products of a block are exact integers d[b]; then, on every
/// path and for any number of threads, s[b] = weight factor * activation factor (rounded), a[b %
/// 8] = fma(s[b], d[b], a[b % 8]), b ascending, from a = 0, and y = the sum of a by halves (a[l]
/// += a[l + 4], then 2, 1). Errors: shape_mismatch, unsupported. No allocation.
ECCO_API Status gemv(const TensorView& tensor, const Int8Activations& x, std::span<float> y,
                     const ParallelFor& parallel = serial) noexcept;

inline Result<Int8Activations> Int8Activations::quantize(std::span<const float> x) {
  Int8Activations out;
  out.size_ = x.size();
  out.values_.assign(blocks_per_row(x.size()) * kGroup, 0);
  out.factors_.assign(blocks_per_row(x.size()), 0.0f);
  for (std::size_t b = 0; b < out.factors_.size(); ++b) {
    const std::size_t begin = b * kGroup;
    const std::size_t end = std::min<std::size_t>(begin + kGroup, x.size());
    float largest = 0.0f;
    for (std::size_t k = begin; k < end; ++k) {
      if (!std::isfinite(x[k])) {
        return fail(StatusCode::not_finite, "activation " + std::to_string(k) + " is not finite");
      }
      largest = std::max(largest, std::fabs(x[k]));
    }
    if (largest < 0x1p-100f) continue;
    const float inverse = 127.0f / largest;
    out.factors_[b] = largest / 127.0f;
    for (std::size_t k = begin; k < end; ++k) {
      out.values_[k] = static_cast<std::int8_t>(std::nearbyint(x[k] * inverse));
    }
  }
  return out;
}

namespace detail {

inline Status check_gemv(const TensorView& tensor, std::size_t x, std::size_t y) noexcept {
  if (x == tensor.cols() && y == tensor.rows()) return {};
  return {StatusCode::shape_mismatch, "a " + std::to_string(tensor.rows()) + " x " +
                                          std::to_string(tensor.cols()) + " tensor takes x of " +
                                          std::to_string(tensor.cols()) + " and y of " +
                                          std::to_string(tensor.rows()) + " values, not " +
                                          std::to_string(x) + " and " + std::to_string(y)};
}

/// Sum of 2^n lanes by halves, the last step of every product.
template <std::size_t Lanes>
float sum_by_halves(std::array<float, Lanes> lanes) noexcept {
  for (std::size_t step = Lanes / 2; step > 0; step /= 2) {
    for (std::size_t l = 0; l < step; ++l) lanes[l] += lanes[l + step];
  }
  return lanes[0];
}

}  // namespace detail

namespace reference {

/// Row `row` of the product with f32 activations, x of tensor.cols() values.
inline float dot_row(const TensorView& tensor, std::size_t row, const float* x) noexcept {
  std::array<float, 16> sums{};
  const std::uint8_t* block = tensor.row(row);
  for (std::size_t at = 0; at < tensor.cols();
       at += kGroup, block += block_bytes(tensor.codec())) {
    Int8Block weights;
    decode_block(tensor, block, weights);
    for (std::size_t l = 0; l < 16; ++l) {
      float partial = 0.0f;
      for (std::size_t e = l; e < kGroup; e += 16) {
        const float value = at + e < tensor.cols() ? x[at + e] : 0.0f;
        partial = std::fma(static_cast<float>(weights.values[e]), value, partial);
      }
      sums[l] = std::fma(weights.factor, partial, sums[l]);
    }
    for (int i = 0; i < weights.outliers; ++i) {
      const std::size_t e = weights.positions[i];
      const float value = at + e < tensor.cols() ? x[at + e] : 0.0f;
      sums[e % 16] = std::fma(weights.outlier_values[i], value, sums[e % 16]);
    }
  }
  return detail::sum_by_halves(sums);
}

/// The same with int8 activations.
inline float dot_row(const TensorView& tensor, std::size_t row,
                     const Int8Activations& x) noexcept {
  std::array<float, 8> sums{};
  const std::uint8_t* block = tensor.row(row);
  for (std::size_t b = 0; b < tensor.blocks_per_row(); ++b, block += block_bytes(tensor.codec())) {
    Int8Block weights;
    decode_block(tensor, block, weights);
    const std::int8_t* values = x.values().data() + b * kGroup;
    int dot = 0;
    for (std::size_t e = 0; e < kGroup; ++e) dot += weights.values[e] * values[e];
    const float scale = weights.factor * x.factors()[b];
    float& sum = sums[b % 8];
    sum = std::fma(scale, static_cast<float>(dot), sum);
    for (int i = 0; i < weights.outliers; ++i) {
      const float weight = weights.outlier_values[i] * x.factors()[b];
      sum = std::fma(weight, static_cast<float>(values[weights.positions[i]]), sum);
    }
  }
  return detail::sum_by_halves(sums);
}

inline Status gemv(const TensorView& tensor, std::span<const float> x,
                   std::span<float> y) noexcept {
  if (Status status = detail::check_gemv(tensor, x.size(), y.size()); !status) return status;
  for (std::size_t r = 0; r < y.size(); ++r) y[r] = dot_row(tensor, r, x.data());
  return {};
}

inline Status gemv(const TensorView& tensor, const Int8Activations& x,
                   std::span<float> y) noexcept {
  if (Status status = detail::check_gemv(tensor, x.size(), y.size()); !status) return status;
  for (std::size_t r = 0; r < y.size(); ++r) y[r] = dot_row(tensor, r, x);
  return {};
}

}  // namespace reference
}  // namespace ecco

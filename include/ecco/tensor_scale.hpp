// SPDX-License-Identifier: MIT
// Statistics of a matrix, the check for NaN and infinity, and the scale of its tensor.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ecco/codec.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// What choose_tensor_scale needs to know of a matrix. Exact integers only, so that parts merge to
/// the same whatever the partition and the order.
struct ScaleStatistics {
  static constexpr int kLeastExponent = -320;  ///< below the mean square of any block
  static constexpr int kExponents = 640;

  /// Sum of the blocks' mean squares: significands of 24 bits, by exponent.
  std::array<std::uint64_t, kExponents> significands{};
  std::uint64_t blocks = 0;
  float least_block_rms = 0.0f;  ///< of blocks that are not all zero; 0 when there is none
  float greatest_magnitude = 0.0f;

  /// Adds the statistics of other rows of the same matrix.
  void merge(const ScaleStatistics& other) noexcept {
    for (std::size_t i = 0; i < significands.size(); ++i) significands[i] += other.significands[i];
    blocks += other.blocks;
    greatest_magnitude = std::max(greatest_magnitude, other.greatest_magnitude);
    if (least_block_rms == 0.0f ||
        (other.least_block_rms > 0.0f && other.least_block_rms < least_block_rms)) {
      least_block_rms = other.least_block_rms;
    }
  }
};

namespace detail {

/// Error for the first value of the rows that is NaN or infinite.
inline Status not_finite(MatrixView<const float> rows, std::size_t first_row,
                         std::size_t first_col) {
  for (std::size_t r = 0; r < rows.rows; ++r) {
    for (std::size_t k = 0; k < rows.cols; ++k) {
      const float value = rows.row(r)[k];
      if ((float_bits(value) & 0x7fffffffu) < 0x7f800000u) continue;
      const bool nan = (float_bits(value) & 0x7fffffu) != 0;
      return {StatusCode::not_finite, "row " + std::to_string(first_row + r) + ", column " +
                                          std::to_string(first_col + k) + " is not finite (" +
                                          (nan ? "nan" : (value > 0.0f ? "inf" : "-inf")) + ")"};
    }
  }
  return {};
}

/// Whether rows hold neither NaN nor infinity; O(rows * cols) without a branch per value.
inline bool all_finite(MatrixView<const float> rows) noexcept {
  std::uint32_t greatest = 0;
  for (std::size_t r = 0; r < rows.rows; ++r) {
    const float* row = rows.row(r);
    for (std::size_t k = 0; k < rows.cols; ++k) {
      greatest = std::max(greatest, float_bits(row[k]) & 0x7fffffffu);
    }
  }
  return greatest < 0x7f800000u;
}

/// Adds one block of 1..128 values; returns false if one of them is not finite. The squares are
/// exact in binary64 and their eight partial sums have a fixed order.
inline bool add_block(ScaleStatistics& statistics, const float* values,
                      std::size_t count) noexcept {
  std::array<double, 8> sum{};
  std::array<std::uint32_t, 8> magnitude{};
  const auto add = [&](std::size_t lane, float value) {
    sum[lane] += static_cast<double>(value) * static_cast<double>(value);
    magnitude[lane] = std::max(magnitude[lane], float_bits(value) & 0x7fffffffu);
  };
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) add(lane, values[i + lane]);
  }
  for (; i < count; ++i) add(i % 8, values[i]);
  const std::uint32_t greatest = *std::max_element(magnitude.begin(), magnitude.end());
  if (greatest >= 0x7f800000u) return false;
  ++statistics.blocks;
  if (greatest == 0) return true;
  const double mean_square =
      (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))) /
      static_cast<double>(count);
  int exponent = 0;
  const double fraction = std::frexp(mean_square, &exponent);  // 0.5 <= fraction < 1
  statistics.significands[static_cast<std::size_t>(exponent - ScaleStatistics::kLeastExponent)] +=
      static_cast<std::uint64_t>(fraction * 0x1p24);
  const auto rms = static_cast<float>(std::sqrt(mean_square));
  statistics.greatest_magnitude = std::max(statistics.greatest_magnitude, bits_float(greatest));
  if (statistics.least_block_rms == 0.0f || rms < statistics.least_block_rms) {
    statistics.least_block_rms = rms;
  }
  return true;
}

}  // namespace detail

/// Adds rows of a matrix, or of a part of it that begins at the multiple `first_col` of 128.
/// Error: not_finite, naming row and column, which count from `first_row` and `first_col`.
/// Complexity: O(rows * cols).
inline Status add_rows(ScaleStatistics& statistics, MatrixView<const float> rows,
                       std::size_t first_row = 0, std::size_t first_col = 0) {
  for (std::size_t r = 0; r < rows.rows; ++r) {
    for (std::size_t at = 0; at < rows.cols; at += kGroup) {
      const std::size_t count = std::min<std::size_t>(kGroup, rows.cols - at);
      if (!detail::add_block(statistics, rows.row(r) + at, count)) {
        return detail::not_finite(rows, first_row, first_col);
      }
    }
  }
  return {};
}

namespace detail {

/// docs/format.md, section 2: 1 when every block's best scale lies in 2^-20..240, judged by its
/// root mean square, of which that scale is about a 32nd, and the greatest magnitude; else the
/// power of two that brings the mean square nearest to 2^-16.
inline float planar_tensor_scale(const ScaleStatistics& statistics) noexcept {
  if (statistics.greatest_magnitude == 0.0f) return 1.0f;
  if (statistics.least_block_rms >= 0x1p-15f &&
      statistics.greatest_magnitude <= 240.0f * static_cast<float>(kMaxCentroid)) {
    return 1.0f;
  }
  double mean_square = 0.0;
  for (std::size_t i = 0; i < statistics.significands.size(); ++i) {
    const int exponent = static_cast<int>(i) + ScaleStatistics::kLeastExponent - 24;
    mean_square += std::ldexp(static_cast<double>(statistics.significands[i]), exponent);
  }
  mean_square /= static_cast<double>(statistics.blocks);
  int exponent = 0;
  std::frexp(mean_square, &exponent);  // mean square in 2^(exponent - 1) .. 2^exponent
  const int half = exponent >= 0 ? exponent / 2 : -((1 - exponent) / 2);  // floor
  return static_cast<float>(std::ldexp(1.0, std::clamp(half + 8, -149, 112)));
}

}  // namespace detail

/// Scale of a tensor. Planar codecs: see above. h4 (docs/format.md, section 5): the greatest
/// magnitude over 448, so that it has an FP8 code. Error: unsupported, where that scale would be
/// over kMaxTensorScale.
inline Result<float> choose_tensor_scale(Codec codec, const ScaleStatistics& statistics) {
  if (codec != Codec::h4) return detail::planar_tensor_scale(statistics);
  const float scale = h4::tensor_scale_of(statistics.greatest_magnitude);
  if (scale <= kMaxTensorScale) return scale;
  return fail(StatusCode::unsupported, "its largest magnitude is over 4.48e36, the most in h4");
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Rate-distortion decisions of the planar codecs: which rank is best for a value at a given
// Lagrange multiplier, and what a block then costs in squared error and tail bits.
//
// For one pattern and one multiplier lambda the best rank u minimises (t - c_u)^2 + lambda n_u:
// the upper envelope of the lines 2 c_u t - (c_u^2 + lambda n_u), hence a sorted list of
// thresholds. A ladder holds the lists of a geometric series of lambdas. Targets t = value / scale
// are integers, kFraction steps per centroid unit, and so is everything that decides: the result
// is the same on every machine, instruction set and compiler flag.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/planar.hpp"
#include "ecco/types.hpp"

namespace ecco::rd {

inline constexpr int kFraction = 32;      ///< fixed-point steps per centroid unit
inline constexpr int kMaxTarget = 8191;   ///< targets are clamped to -8191..8191
inline constexpr int kRungs = 28;         ///< lambda 0, 26 of a ratio of 5/4, class 0 alone
inline constexpr int kMaxCentroids = 40;  ///< of one planar pattern

/// Decisions at one multiplier. Line i of the envelope holds for targets in threshold[i - 1] + 1
/// .. threshold[i]; centroids ascend. Arrays are padded for 16-byte table look-ups.
struct alignas(32) Rung {
  std::array<std::int8_t, 48> centroid{};
  std::array<std::uint8_t, 48> bits{};                  ///< tail bits
  std::array<std::int32_t, kMaxCentroids> threshold{};  ///< as two equal 16-bit halves
  std::array<std::uint8_t, 48> rank{};
  std::int32_t lambda = 0;  ///< per tail bit, in units of 1 / kFraction^2 squared centroid units
  std::int32_t size = 0;    ///< lines; size - 1 thresholds

  /// Largest target of line i. Precondition: i < size - 1.
  [[nodiscard]] std::int16_t limit(int i) const noexcept {
    return static_cast<std::int16_t>(threshold[static_cast<std::size_t>(i)] & 0xffff);
  }
  /// Line that is best for a target. Complexity: O(size).
  [[nodiscard]] int line(int target) const noexcept {
    int i = 0;
    while (i + 1 < size && target > limit(i)) ++i;
    return i;
  }
};

/// A pattern ready for the search.
struct Ladder {
  std::array<Rung, kRungs> rungs;
  std::array<std::int8_t, kMaxCentroids> centroids{};  ///< by rank
  int reach_low = 1;     ///< magnitude of the most negative centroid, at least 1
  int reach_high = 1;    ///< greatest centroid, at least 1
  int scale_offset = 0;  ///< steps of the scale code from a block's rms to where the pattern fits
};

/// What a block costs: squared error in units of 1 / kFraction^2 squared centroid units (times the
/// weights, see BlockWeights), and the tail bits of its halves.
struct Cost {
  std::int64_t error = 0;
  std::array<int, 2> bits{};

  [[nodiscard]] int total_bits() const noexcept { return bits[0] + bits[1]; }
};

namespace detail {

constexpr std::int64_t floor_divide(std::int64_t a, std::int64_t b) noexcept {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

/// A line of the envelope, and the pattern's centroids as lines in ascending order.
struct Line {
  std::int64_t centroid = 0;  ///< fixed point
  std::int64_t offset = 0;    ///< c^2 + lambda n
  int rank = 0;
};

/// Fills the envelope of `lines`, which ascend by centroid. Integer targets alone count, so a line
/// that is best between two neighbouring integers only is left out.
inline void build_envelope(const Line* lines, int count, int planes, Rung& rung) noexcept {
  std::array<int, kMaxCentroids> stack{};
  std::array<std::int64_t, kMaxCentroids> limit{};
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) {
    const Line& line = lines[i];
    bool dominated = false;
    while (size > 0 && !dominated) {
      const Line& top = lines[stack[size - 1]];
      if (line.centroid == top.centroid) {  // the cheaper one stays
        dominated = line.offset >= top.offset;
        if (!dominated) --size;
        continue;
      }
      const std::int64_t cross =
          floor_divide(line.offset - top.offset, 2 * (line.centroid - top.centroid));
      if (size == 1 || cross > limit[size - 2]) {
        limit[size - 1] = cross;
        break;
      }
      --size;
    }
    if (!dominated) stack[size++] = i;
  }
  rung.size = static_cast<int>(size);
  for (std::size_t i = 0; i < rung.centroid.size(); ++i) {
    const Line& line = lines[stack[std::min(i, size - 1)]];
    rung.centroid[i] = static_cast<std::int8_t>(line.centroid / kFraction);
    rung.rank[i] = static_cast<std::uint8_t>(line.rank);
    rung.bits[i] = static_cast<std::uint8_t>(std::min(line.rank >> planes, 3));
  }
  for (std::size_t i = 0; i < rung.threshold.size(); ++i) {
    const auto clamped = static_cast<std::int32_t>(
        i + 1 < size ? std::clamp<std::int64_t>(limit[i], -32768, 32767) : 32767);
    rung.threshold[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(clamped) << 16 |
                                                  (static_cast<std::uint32_t>(clamped) & 0xffffu));
  }
}

}  // namespace detail

/// The centroids of a pattern in ascending order (equal ones by rank), in fixed point.
struct SortedCentroids {
  std::array<detail::Line, kMaxCentroids> lines{};
  int count = 0;
  int planes = 0;

  SortedCentroids(int mantissa_planes, const std::int8_t* centroids) noexcept
      : count(kClasses << mantissa_planes), planes(mantissa_planes) {
    for (int u = 0; u < count; ++u) {
      lines[static_cast<std::size_t>(u)] = {centroids[u] * kFraction, 0, u};
    }
    std::sort(lines.begin(), lines.begin() + count,
              [](const detail::Line& a, const detail::Line& b) {
                return a.centroid != b.centroid ? a.centroid < b.centroid : a.rank < b.rank;
              });
  }
  [[nodiscard]] int least() const noexcept { return centroid(0); }
  [[nodiscard]] int greatest() const noexcept { return centroid(count - 1); }
  /// Median distance between neighbours, at least 1, in centroid units.
  [[nodiscard]] int median_gap() const noexcept {
    std::array<int, kMaxCentroids> gaps{};
    for (int i = 0; i + 1 < count; ++i) {
      gaps[static_cast<std::size_t>(i)] = centroid(i + 1) - centroid(i);
    }
    std::sort(gaps.begin(), gaps.begin() + count - 1);
    return std::max(gaps[static_cast<std::size_t>((count - 1) / 2)], 1);
  }
  [[nodiscard]] int centroid(int index) const noexcept {
    return static_cast<int>(lines[static_cast<std::size_t>(index)].centroid) / kFraction;
  }
};

/// Builds the decisions at one multiplier among the ranks of at most `most_bits` tail bits.
inline void build_rung(const SortedCentroids& sorted, int lambda, int most_bits,
                       Rung& rung) noexcept {
  std::array<detail::Line, kMaxCentroids> lines{};
  int count = 0;
  for (int i = 0; i < sorted.count; ++i) {
    detail::Line line = sorted.lines[static_cast<std::size_t>(i)];
    const int bits = std::min(line.rank >> sorted.planes, 3);
    if (bits > most_bits) continue;
    line.offset = line.centroid * line.centroid + bits * std::int64_t{lambda};
    lines[static_cast<std::size_t>(count++)] = line;
  }
  rung.lambda = lambda;
  detail::build_envelope(lines.data(), count, sorted.planes, rung);
}

/// Builds the rungs of a pattern of 5 * 2^planes centroids. The lambdas are multiples of the
/// squared median distance between neighbouring centroids; the last rung allows class 0 alone, so
/// every block fits there. scale_offset is left as it is.
inline void build_ladder(int planes, const std::int8_t* centroids, Ladder& out) noexcept {
  const SortedCentroids sorted(planes, centroids);
  std::copy(centroids, centroids + sorted.count, out.centroids.begin());
  out.reach_low = std::max(-sorted.least(), 1);
  out.reach_high = std::max(sorted.greatest(), 1);
  const int gap = sorted.median_gap();
  int lambda = 10 * gap * gap;  // 0.01 gap^2
  for (std::size_t q = 0; q < kRungs; ++q) {
    if (q > 1) lambda = lambda / 4 * 5 + lambda % 4 * 5 / 4;
    build_rung(sorted, q == 0 ? 0 : lambda, q + 1 == kRungs ? 0 : 3, out.rungs[q]);
  }
}

/// Order and weights of the elements of a column block, for weighted errors and for padding: lane
/// i holds element element[i], lanes ascend by weight, and each 16 lanes share a shift of the
/// rung, so that lambda over weight is about the same for all. Independent of the values: prepared
/// once per column block.
struct BlockWeights {
  static constexpr int kGroups = 8;  ///< of 16 lanes
  static constexpr int kUnit = 64;   ///< weight of the median element
  static constexpr int kMaxShift = 24;

  alignas(32) std::array<std::uint16_t, kGroup> weight{};  ///< 1..65535; 0 is padding
  /// 0xff where the lane's element is of that half and not padding.
  alignas(32) std::array<std::array<std::uint8_t, kGroup>, 2> half_mask{};
  std::array<std::uint8_t, kGroup> element{};
  std::array<std::uint8_t, kGroups> shift{};
  int median_shift = 0;
  int greatest_shift = 0;
  int elements = kGroup;       ///< that are not padding
  double mean_weight = kUnit;  ///< of these
};

/// Prepares the weights of a column block: `importance` holds `elements` values, or is null for
/// all
/// 1. Importances are finite and >= 0; all zero counts as all 1. Complexity: O(128 log 128).
inline BlockWeights make_block_weights(const float* importance, int elements) {
  BlockWeights out;
  out.elements = elements;
  std::array<float, kGroup> sorted{};
  int positive = 0;
  for (int e = 0; e < elements && importance != nullptr; ++e) {
    if (importance[e] > 0.0f) sorted[static_cast<std::size_t>(positive++)] = importance[e];
  }
  std::sort(sorted.begin(), sorted.begin() + positive);
  const double median =
      positive > 0 ? static_cast<double>(sorted[static_cast<std::size_t>(positive / 2)]) : 1.0;
  std::array<int, kGroup> weight{};
  for (int e = 0; e < elements; ++e) {
    const double relative = positive > 0
                                ? static_cast<double>(importance[e]) / median * BlockWeights::kUnit
                                : static_cast<double>(BlockWeights::kUnit);
    weight[static_cast<std::size_t>(e)] =
        static_cast<int>(std::clamp(std::floor(relative + 0.5), 1.0, 65535.0));
  }
  for (int e = 0; e < kGroup; ++e) {
    out.element[static_cast<std::size_t>(e)] = static_cast<std::uint8_t>(e);
  }
  std::stable_sort(out.element.begin(), out.element.end(),
                   [&](std::uint8_t a, std::uint8_t b) { return weight[a] < weight[b]; });
  for (std::size_t i = 0; i < kGroup; ++i) {
    const int e = out.element[i];
    out.weight[i] = static_cast<std::uint16_t>(weight[static_cast<std::size_t>(e)]);
    const auto half = static_cast<std::size_t>(planar::half_of(e));
    out.half_mask[half][i] = out.weight[i] != 0 ? 0xff : 0;
  }
  std::int64_t total = 0;
  for (const std::uint16_t w : out.weight) total += w;
  out.mean_weight = static_cast<double>(total) / elements;
  // A group's lambda is that of its mean weight: shift s means lambda * (4/5)^s.
  int least = 0;
  std::array<int, BlockWeights::kGroups> shifts{};
  for (std::size_t g = 0; g < BlockWeights::kGroups; ++g) {
    std::int64_t sum = 0;
    std::int64_t count = 0;
    for (std::size_t i = 16 * g; i < 16 * g + 16; ++i) {
      sum += out.weight[i];
      count += out.weight[i] != 0 ? 1 : 0;
    }
    const std::int64_t unit = BlockWeights::kUnit * count * 1024;
    for (std::int64_t w = sum * 1024; w * 9 > unit * 10 && shifts[g] < 12; w = w * 4 / 5) {
      ++shifts[g];
    }
    for (std::int64_t w = sum * 1024; w * 10 < unit * 9 && shifts[g] > -12; w = w * 5 / 4) {
      --shifts[g];
    }
    least = std::min(least, shifts[g]);
  }
  out.median_shift = -least;
  for (std::size_t g = 0; g < BlockWeights::kGroups; ++g) {
    out.shift[g] = static_cast<std::uint8_t>(shifts[g] - least);
    out.greatest_shift = std::max(out.greatest_shift, shifts[g] - least);
  }
  return out;
}

/// The rungs of the eight groups of 16 lanes.
using GroupRungs = std::array<const Rung*, BlockWeights::kGroups>;

/// Scalar kernels, on 128 lanes each: the definition of what every other path computes.
namespace scalar {

/// Targets: value * inverse, rounded to binary32, then to an integer (ties to even), clamped.
inline void quantize(const float* values, float inverse, std::int16_t* targets) noexcept {
  for (int i = 0; i < kGroup; ++i) {
    const float product = values[i] * inverse;
    const float clamped = std::min(std::max(product, -8191.0f), 8191.0f);
    // Adding 1.5 * 2^52 leaves the rounded integer in the low bits.
    const auto shifted = static_cast<double>(clamped) + 0x1.8p52;
    targets[i] = static_cast<std::int16_t>(
        static_cast<std::int64_t>(__builtin_bit_cast(std::uint64_t, shifted) & 0xffffu));
  }
}

/// Index of the envelope line of each target.
inline void lines(const std::int16_t* targets, int count, const Rung& rung,
                  std::int16_t* out) noexcept {
  for (int i = 0; i < count; ++i) out[i] = 0;
  for (int k = 0; k + 1 < rung.size; ++k) {
    const std::int16_t limit = rung.limit(k);
    for (int i = 0; i < count; ++i) {
      out[i] = static_cast<std::int16_t>(out[i] + (targets[i] > limit ? 1 : 0));
    }
  }
}

/// Cost of a block in natural order, all weights 1.
inline Cost evaluate(const std::int16_t* targets, const Rung& rung) noexcept {
  std::array<std::int16_t, kGroup> line{};
  lines(targets, kGroup, rung, line.data());
  Cost cost;
  for (int i = 0; i < kGroup; ++i) {
    const auto k = static_cast<std::size_t>(line[static_cast<std::size_t>(i)]);
    const int d = targets[i] - rung.centroid[k] * kFraction;
    cost.error += std::int64_t{d} * d;
    cost.bits[static_cast<std::size_t>(planar::half_of(i))] += rung.bits[k];
  }
  return cost;
}

/// Cost of a block in the order of `weights`.
inline Cost evaluate_weighted(const std::int16_t* targets, const GroupRungs& rungs,
                              const BlockWeights& weights) noexcept {
  Cost cost;
  for (std::size_t g = 0; g < rungs.size(); ++g) {
    const Rung& rung = *rungs[g];
    std::array<std::int16_t, 16> line{};
    lines(targets + 16 * g, 16, rung, line.data());
    for (std::size_t i = 16 * g; i < 16 * g + 16; ++i) {
      const auto k = static_cast<std::size_t>(line[i - 16 * g]);
      const int d = targets[i] - rung.centroid[k] * kFraction;
      cost.error += std::int64_t{d} * d * weights.weight[i];
      for (std::size_t h = 0; h < 2; ++h) cost.bits[h] += rung.bits[k] & weights.half_mask[h][i];
    }
  }
  return cost;
}

/// Ranks of the 128 lanes.
inline void decide(const std::int16_t* targets, const GroupRungs& rungs,
                   std::uint8_t* ranks) noexcept {
  for (std::size_t g = 0; g < rungs.size(); ++g) {
    std::array<std::int16_t, 16> line{};
    lines(targets + 16 * g, 16, *rungs[g], line.data());
    for (std::size_t i = 0; i < 16; ++i) {
      ranks[16 * g + i] = rungs[g]->rank[static_cast<std::size_t>(line[i])];
    }
  }
}

}  // namespace scalar

}  // namespace ecco::rd

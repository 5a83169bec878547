// SPDX-License-Identifier: MIT
// Search of one planar block: pattern, scale and ranks of least weighted squared error under the
// tail limits (docs/format.md, section 4). One algorithm for the header-only reference and the
// compiled library: they differ in the kernels and in which candidates they try.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/pattern_table.hpp"
#include "ecco/planar.hpp"
#include "ecco/rate_distortion.hpp"
#include "ecco/types.hpp"

namespace ecco::rd {

/// Scale of a code; codes outside 1..255 continue the series (a block's rms may lie there).
inline float scale_of(int code) noexcept {
  return bits_float(static_cast<std::uint32_t>((code << 20) + (103 << 23)));
}
/// Least code whose scale is at least `value`, and the code nearest to it, for positive values.
inline int code_at_least(float value) noexcept {
  return (static_cast<int>(float_bits(value)) - (103 << 23) + (1 << 20) - 1) >> 20;
}
inline int nearest_code(float value) noexcept {
  return (static_cast<int>(float_bits(value)) - (103 << 23) + (1 << 19)) >> 20;
}

/// Scale codes that a tensor may use: lowest..highest, none when lowest > highest.
struct ScaleRange {
  int lowest = 1;
  int highest = 255;
};

/// Codes whose factor, tensor_scale * scale, keeps its four bits in binary32, and with which no
/// centroid, 123 at most, decodes to more than `largest_value`.
inline ScaleRange scale_range(float tensor_scale, float largest_value) noexcept {
  ScaleRange range;
  while (range.lowest <= 255 && tensor_scale * scale_of(range.lowest) < 0x1p-146f) ++range.lowest;
  const auto decodes_below = [&](int code) {
    const float factor = tensor_scale * scale_of(code);
    return factor * static_cast<float>(kMaxCentroid) <= largest_value;
  };
  while (range.highest >= 1 && !decodes_below(range.highest)) --range.highest;
  return range;
}

/// Magnitudes of a block's values, and the extremes on both sides of zero.
struct Measure {
  double sum_of_squares = 0.0;
  double sum_of_magnitudes = 0.0;
  float low = 0.0f;   ///< -least value, at least 0
  float high = 0.0f;  ///< greatest value, at least 0
};

namespace scalar {

/// Sum of eight lanes, pairwise.
inline double sum_of_lanes(const std::array<double, 8>& lane) noexcept {
  return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/// Sums in eight lanes. Squares are exact in binary64, so a fused sum is the same.
inline Measure measure(const float* values) noexcept {
  std::array<double, 8> squares{};
  std::array<double, 8> magnitudes{};
  std::array<float, 8> low{};
  std::array<float, 8> high{};
  for (std::size_t i = 0; i < kGroup; i += 8) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const float value = values[i + lane];
      squares[lane] += static_cast<double>(value) * static_cast<double>(value);
      magnitudes[lane] += static_cast<double>(std::fabs(value));
      low[lane] = std::max(low[lane], -value);
      high[lane] = std::max(high[lane], value);
    }
  }
  Measure out;
  out.sum_of_squares = sum_of_lanes(squares);
  out.sum_of_magnitudes = sum_of_lanes(magnitudes);
  for (std::size_t lane = 0; lane < 8; ++lane) {
    out.low = std::max(out.low, low[lane]);
    out.high = std::max(out.high, high[lane]);
  }
  return out;
}

/// planar::pack of ranks that fit.
template <int R>
void pack(const std::uint8_t* ranks, std::uint8_t pattern, std::uint8_t code,
          std::uint8_t* block) noexcept {
  planar::pack<R>(ranks, pattern, code, block);
}

}  // namespace scalar

/// The kernels of one codec on one instruction set.
struct Kernels {
  Measure (*measure)(const float* values) noexcept;
  void (*quantize)(const float* values, float inverse, std::int16_t* targets) noexcept;
  Cost (*evaluate)(const std::int16_t* targets, const Rung& rung) noexcept;
  Cost (*evaluate_weighted)(const std::int16_t* targets, const GroupRungs& rungs,
                            const BlockWeights& weights) noexcept;
  void (*decide)(const std::int16_t* targets, const GroupRungs& rungs,
                 std::uint8_t* ranks) noexcept;
  void (*pack)(const std::uint8_t* ranks, std::uint8_t pattern, std::uint8_t code,
               std::uint8_t* block) noexcept;
};

/// The scalar kernels: they define what every other path computes.
inline Kernels scalar_kernels(Codec codec) noexcept {
  return planar::dispatch(codec, [](auto planes) -> Kernels {
    return {scalar::measure,           scalar::quantize, scalar::evaluate,
            scalar::evaluate_weighted, scalar::decide,   scalar::pack<decltype(planes)::value>};
  });
}

/// A table ready for the search.
struct PreparedTable {
  Codec codec = Codec::p4;
  std::vector<Ladder> ladders;

  [[nodiscard]] int patterns() const noexcept { return static_cast<int>(ladders.size()); }
};

/// The multiplier that blocks usually end at, over their mean square: errors fall fourfold with
/// each mantissa plane.
constexpr double typical_lambda(int planes) noexcept { return 0.1408 / (1 << 2 * planes); }

/// What the search chose. The position on the ladder is the least that fits.
struct Choice {
  /// Estimated error, in squared values over kFraction^2.
  double cost = std::numeric_limits<double>::infinity();
  int pattern = -1;  ///< -1: nothing tried
  int code = 0;
  int position = 0;
};

/// Search state of one block at a time; one object per thread.
class BlockSearch {
 public:
  /// `table` must outlive the object. Precondition: range.lowest <= range.highest.
  BlockSearch(const PreparedTable& table, const Kernels& kernels, ScaleRange range) noexcept
      : table_(table), kernels_(kernels), range_(range), planes_(mantissa_planes(table.codec)) {}

  /// Takes 128 finite values, over the tensor's scale; padding, as `weights` has it, is zero.
  /// `weights` is null for a full block of weights 1 and must live until finish(). Returns false
  /// when all values are zero.
  bool load(const float* values, const BlockWeights* weights) noexcept {
    weights_ = weights;
    if (weights == nullptr) {
      std::memcpy(values_.data(), values, sizeof(values_));
    } else {
      for (std::size_t i = 0; i < kGroup; ++i) values_[i] = values[weights->element[i]];
    }
    measure_ = kernels_.measure(values);
    best_ = {};
    cached_.fill(kNotCached);
    if (!(measure_.sum_of_squares > 0.0)) return false;
    base_code_ = base_code(measure_, weights == nullptr ? kGroup : weights->elements);
    const float extreme = std::max(measure_.low, measure_.high);
    constexpr float kReach = static_cast<float>(kFraction) / static_cast<float>(kMaxTarget);
    least_code_ = std::min(code_at_least(extreme * kReach), range_.highest);
    log_lambda_ = log_lambda(typical_lambda(planes_) * 1024.0, base_code_);
    return true;
  }

  /// Code nearest to the size of that many values: the geometric mean of their root mean square
  /// and their mean magnitude. The scale that suits a block is a nearly constant part of it for
  /// normal, Laplace and Student t distributions alike (it follows the entropy power).
  static int base_code(const Measure& measure, int elements) noexcept {
    const double root_mean_square = std::sqrt(measure.sum_of_squares / elements);
    const double mean_magnitude = measure.sum_of_magnitudes / elements;
    return nearest_code(static_cast<float>(std::sqrt(root_mean_square * mean_magnitude)));
  }
  [[nodiscard]] int base_code() const noexcept { return base_code_; }
  [[nodiscard]] const Choice& best() const noexcept { return best_; }
  /// Best cost over the sum of squares, each element weighted with the mean weight.
  [[nodiscard]] double relative_cost() const noexcept {
    const double weight = weights_ == nullptr ? 1.0 : weights_->mean_weight;
    return best_.cost / (measure_.sum_of_squares * weight * (kFraction * kFraction));
  }

  /// Forgets what was tried of the loaded block.
  void forget() noexcept { best_ = {}; }

  /// Where the search of the next candidate starts: lambda in units of scale_of(code)^2 / 1024.
  void set_lambda(double lambda, int code) noexcept { log_lambda_ = log_lambda(lambda, code); }

  /// Tries a pattern at a scale code, which is clamped to the allowed ones, and, where its
  /// outermost centroid falls well short of the extreme value, scales that reach it wholly, half,
  /// a quarter ... of the way.
  void attempt(int pattern, int code) noexcept {
    const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
    code = std::clamp(code, range_.lowest, range_.highest);
    if (code >= least_code_) try_candidate(pattern, code);
    const float ratio = std::max(measure_.low / static_cast<float>(ladder.reach_low),
                                 measure_.high / static_cast<float>(ladder.reach_high));
    const int steps = std::min(code_at_least(ratio), range_.highest) - code;
    if (steps < 2 && code >= least_code_) return;
    for (int k = std::max(steps, 1); k > 0; k = k > 1 ? k / 2 : 0) {
      const int reaching = std::min(code + k, range_.highest);
      if (reaching >= least_code_) try_candidate(pattern, reaching);
    }
  }

  /// Neighbouring scales of the best candidate while they help.
  void climb() noexcept {
    for (int direction = 1; direction >= -1; direction -= 2) {
      for (int code = best_.code + direction; code >= range_.lowest && code <= range_.highest;
           code += direction) {
        if (code < least_code_) break;
        try_candidate(best_.pattern, code);
        if (best_.code != code) break;
      }
    }
  }

  /// Every pattern at the scale codes within `radius` of its usual one.
  void search_all(int radius) noexcept {
    for (int distance = 0; distance <= radius; ++distance) {
      for (int side = distance == 0 ? 1 : -1; side <= 1; side += 2) {
        for (int p = 0; p < table_.patterns(); ++p) {
          attempt(p, base_code_ + usual_offset(p) + distance * side);
        }
      }
    }
    climb();
  }

  [[nodiscard]] int usual_offset(int pattern) const noexcept {
    return table_.ladders[static_cast<std::size_t>(pattern)].scale_offset;
  }

  /// Writes the block of the best candidate. Precondition: one was tried.
  void finish(std::uint8_t* block) noexcept {
    std::array<std::uint8_t, kGroup> lanes;
    const std::int64_t error = decide(best_.pattern, best_.code, best_.position, lanes.data());
    if (best_.code == range_.lowest && error >= zero_error(best_.code)) {
      std::memset(block, 0, block_bytes(table_.codec));
      return;
    }
    std::array<std::uint8_t, kGroup> ranks{};
    if (weights_ == nullptr) {
      ranks = lanes;
    } else {
      for (std::size_t i = 0; i < kGroup; ++i) {
        if (weights_->weight[i] != 0) ranks[weights_->element[i]] = lanes[i];
      }
    }
    kernels_.pack(ranks.data(), static_cast<std::uint8_t>(best_.pattern),
                  static_cast<std::uint8_t>(best_.code), block);
  }

  /// The constrained optimum of one candidate; kept if it is the best so far.
  void try_candidate(int pattern, int code) noexcept {
    const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
    const std::int16_t* targets = quantized(code);
    const double unit = squared_scale(code);
    int low = -1;                    // greatest position known not to fit
    int high = last_position() + 1;  // least position known to fit
    Cost at_low;
    Cost at_high;
    int position = first_position(pattern, code);
    for (bool first = true;; first = false) {
      const Cost cost = evaluate(targets, ladder, position);
      const int excess = cost.total_bits() - kTailBits;
      if (first || excess > 0) {  // a Lagrangian bound of the error at exactly kTailBits
        const std::int64_t bound = cost.error + lambda_at(ladder, position) * excess;
        if (static_cast<double>(bound) * unit >= best_.cost) return;
      }
      const int step = std::max(1, std::abs(excess) / kBitsPerRung);
      if (excess > 0) {
        low = position;
        at_low = cost;
      } else {
        high = position;
        at_high = cost;
      }
      if (high - low == 1) break;
      position = std::clamp(position + (excess > 0 ? step : -step), low + 1, high - 1);
    }
    const std::int64_t estimate = estimate_error(pattern, code, high, at_high, at_low);
    const double cost = static_cast<double>(estimate) * unit;
    if (cost < best_.cost) {
      best_ = {cost, pattern, code, high};
      log_lambda_ = log_at(pattern, code, high);
    }
  }

 private:
  static constexpr int kSlots = 32;
  static constexpr int kNotCached = -1;
  static constexpr int kBitsPerRung = 6;             // tail bits that a step of one rung changes
  static constexpr std::int64_t kLogStep = 2700525;  // log2(5 / 4) * 2^23

  static double squared_scale(int code) noexcept {
    const auto scale = static_cast<double>(scale_of(code));
    return scale * scale;
  }
  /// Piecewise linear log2, in steps of 2^-23, of a multiplier in units of scale_of(code)^2 /
  /// 1024.
  static std::int64_t log_lambda(double lambda, int code) noexcept {
    return std::int64_t{float_bits(static_cast<float>(lambda))} +
           2 * (std::int64_t{code} * (1 << 20));
  }
  [[nodiscard]] std::int64_t log_at(int pattern, int code, int position) const noexcept {
    const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
    const int rung = std::max(position - median_shift(), 1);
    return log_lambda(ladder.rungs[1].lambda, code) + (rung - 1) * kLogStep;
  }
  [[nodiscard]] int first_position(int pattern, int code) const noexcept {
    const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
    const std::int64_t above = log_lambda_ - log_lambda(ladder.rungs[1].lambda, code);
    const std::int64_t rung = 1 + (above + kLogStep / 2) / kLogStep;
    return static_cast<int>(std::clamp<std::int64_t>(rung, 1, kRungs - 1)) + median_shift();
  }

  [[nodiscard]] int median_shift() const noexcept {
    return weights_ == nullptr ? 0 : weights_->median_shift;
  }
  [[nodiscard]] int last_position() const noexcept {
    return kRungs - 1 + (weights_ == nullptr ? 0 : weights_->greatest_shift);
  }
  static const Rung& rung_at(const Ladder& ladder, int position) noexcept {
    return ladder.rungs[static_cast<std::size_t>(std::clamp(position, 0, kRungs - 1))];
  }
  /// Multiplier of a tail bit in the units of Cost::error.
  [[nodiscard]] std::int64_t lambda_at(const Ladder& ladder, int position) const noexcept {
    const std::int64_t unit = weights_ == nullptr ? 1 : BlockWeights::kUnit;
    return rung_at(ladder, position - median_shift()).lambda * unit;
  }
  [[nodiscard]] GroupRungs group_rungs(const Ladder& ladder, int position) const noexcept {
    GroupRungs out{};
    for (std::size_t g = 0; g < out.size(); ++g) {
      out[g] = &rung_at(ladder, weights_ == nullptr ? position : position - weights_->shift[g]);
    }
    return out;
  }

  [[nodiscard]] Cost evaluate(const std::int16_t* targets, const Ladder& ladder,
                              int position) const noexcept {
    if (weights_ == nullptr) return kernels_.evaluate(targets, rung_at(ladder, position));
    return kernels_.evaluate_weighted(targets, group_rungs(ladder, position), *weights_);
  }

  /// Targets at a scale code, kept for the next candidate with the same code.
  const std::int16_t* quantized(int code) noexcept {
    const auto slot = static_cast<std::size_t>(code % kSlots);
    if (cached_[slot] != code) {
      const float inverse = static_cast<float>(kFraction) / scale_of(code);
      kernels_.quantize(values_.data(), inverse, targets_[slot].data());
      cached_[slot] = code;
    }
    return targets_[slot].data();
  }

  /// Error with the bits between two neighbouring positions spent, by interpolation, and with what
  /// it costs to respect the limit of a half.
  std::int64_t estimate_error(int pattern, int code, int position, const Cost& fits,
                              const Cost& beyond) noexcept {
    std::int64_t estimate = fits.error;
    if (position > 0) {
      const std::int64_t gain = (fits.error - beyond.error) * (kTailBits - fits.total_bits());
      estimate -= gain / std::max(beyond.total_bits() - fits.total_bits(), 1);
    }
    const int excess = std::max(fits.bits[0], fits.bits[1]) - kHalfTailBits;
    if (excess > 8) {
      std::array<std::uint8_t, kGroup> lanes;
      return std::max(estimate, decide(pattern, code, position, lanes.data()));
    }
    if (excess > 0) {
      const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
      estimate += lambda_at(ladder, std::min(position, kRungs - 2)) * excess * excess * 3 / 20;
    }
    return estimate;
  }

  [[nodiscard]] std::int64_t weight(std::size_t lane) const noexcept {
    return weights_ == nullptr ? 1 : weights_->weight[lane];
  }
  [[nodiscard]] int bits_of(std::uint8_t rank) const noexcept {
    return std::min(rank >> planes_, 3);
  }
  [[nodiscard]] std::size_t half_of(std::size_t lane) const noexcept {
    if (weights_ == nullptr) return lane >> 3 & 1;
    return static_cast<std::size_t>(planar::half_of(weights_->element[lane]));
  }
  [[nodiscard]] std::int64_t zero_error(int code) noexcept {
    const std::int16_t* targets = quantized(code);
    std::int64_t error = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      error += std::int64_t{targets[i]} * targets[i] * weight(i);
    }
    return error;
  }

  /// Positions of the two halves where each respects its limits, and the bits they then use.
  struct Halves {
    std::array<int, 2> position;
    std::array<int, 2> bits;
  };
  [[nodiscard]] Halves balance(const std::int16_t* targets, const Ladder& ladder,
                               int position) const noexcept {
    const Cost cost = evaluate(targets, ladder, position);
    Halves out{{position, position}, cost.bits};
    for (std::size_t h = 0; h < 2; ++h) {
      if (out.bits[h] <= kHalfTailBits) continue;
      // This half takes a larger multiplier, the other one may spend the rest with a smaller one.
      while (out.bits[h] > kHalfTailBits) {
        out.bits[h] = evaluate(targets, ladder, ++out.position[h]).bits[h];
      }
      const std::size_t other = 1 - h;
      while (out.position[other] > 0) {
        const int bits = evaluate(targets, ladder, out.position[other] - 1).bits[other];
        if (bits > kTailBits - kHalfTailBits) break;
        out.bits[other] = bits;
        --out.position[other];
      }
      break;
    }
    return out;
  }

  /// Ranks of a candidate, by lanes: those of `position`, then, in lane order, those of the
  /// position below it as far as they fit. (Between two neighbouring positions every change gains
  /// about the same per bit.) Returns the error.
  std::int64_t decide(int pattern, int code, int position, std::uint8_t* lanes) noexcept {
    const Ladder& ladder = table_.ladders[static_cast<std::size_t>(pattern)];
    const std::int16_t* targets = quantized(code);
    Halves halves = balance(targets, ladder, position);
    decide_halves(targets, ladder, halves.position, lanes);
    if (halves.position[0] > 0 || halves.position[1] > 0) {
      std::array<std::uint8_t, kGroup> finer;
      const std::array<int, 2> below = {std::max(halves.position[0] - 1, 0),
                                        std::max(halves.position[1] - 1, 0)};
      decide_halves(targets, ladder, below, finer.data());
      spend(finer.data(), halves.bits, lanes);
    }
    return error_of(targets, ladder, lanes);
  }

  void decide_halves(const std::int16_t* targets, const Ladder& ladder,
                     const std::array<int, 2>& position, std::uint8_t* lanes) const noexcept {
    kernels_.decide(targets, group_rungs(ladder, position[0]), lanes);
    if (position[1] == position[0]) return;
    std::array<std::uint8_t, kGroup> high;
    kernels_.decide(targets, group_rungs(ladder, position[1]), high.data());
    for (std::size_t i = 0; i < kGroup; ++i) {
      if (half_of(i) == 1) lanes[i] = high[i];
    }
  }

  /// Takes the changes from `lanes` to `finer` that fit the bits left.
  void spend(const std::uint8_t* finer, std::array<int, 2>& bits,
             std::uint8_t* lanes) const noexcept {
    for (std::size_t i = 0; i < kGroup; i += 8) {
      if (std::memcmp(finer + i, lanes + i, 8) == 0) continue;
      for (std::size_t j = i; j < i + 8; ++j) {
        if (finer[j] == lanes[j] || weight(j) == 0) continue;
        const int more = bits_of(finer[j]) - bits_of(lanes[j]);
        const std::size_t half = half_of(j);
        if (bits[half] + more > kHalfTailBits || bits[0] + bits[1] + more > kTailBits) continue;
        bits[half] += more;
        lanes[j] = finer[j];
      }
    }
  }

  [[nodiscard]] std::int64_t error_of(const std::int16_t* targets, const Ladder& ladder,
                                      const std::uint8_t* lanes) const noexcept {
    std::int64_t error = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
      const std::int64_t d = targets[i] - ladder.centroids[lanes[i]] * kFraction;
      error += d * d * weight(i);
    }
    return error;
  }

  const PreparedTable& table_;
  Kernels kernels_;
  ScaleRange range_;
  int planes_;
  const BlockWeights* weights_ = nullptr;
  alignas(32) std::array<float, kGroup> values_{};
  alignas(32) std::array<std::array<std::int16_t, kGroup>, kSlots> targets_{};
  std::array<int, kSlots> cached_{};
  Measure measure_;
  int base_code_ = 0;
  int least_code_ = 0;
  std::int64_t log_lambda_ = 0;
  Choice best_;
};

namespace detail {

inline constexpr int kTrialBlocks = 32;

/// Pseudo-random blocks of bell shapes between the normal and Student's t with few degrees of
/// freedom: Tukey's lambda distributions of lambda 1/8, 1/32, -1/16 and -1/8.
inline std::vector<std::array<float, kGroup>> trial_blocks() {
  constexpr std::array<int, 4> kRoots = {3, 5, -4, -3};  // square roots in a row; minus: inverse
  std::vector<std::array<float, kGroup>> blocks(kTrialBlocks);
  std::uint64_t state = 1;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const int roots = kRoots[b % kRoots.size()];
    for (float& value : blocks[b]) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const double p = (static_cast<double>(state >> 40) + 0.5) * 0x1p-24;
      double upper = p;
      double lower = 1.0 - p;
      for (int i = 0; i < std::abs(roots); ++i) {
        upper = std::sqrt(upper);
        lower = std::sqrt(lower);
      }
      value = static_cast<float>(roots > 0 ? upper - lower : 1.0 / lower - 1.0 / upper);
    }
  }
  return blocks;
}

/// Sets the usual scale of every pattern: the mean, on the four trial blocks that it serves best
/// beside the other patterns, of its best scale.
inline void set_scale_offsets(PreparedTable& table, const Kernels& kernels) {
  const std::vector<std::array<float, kGroup>> blocks = trial_blocks();
  struct Trial {
    double cost;
    int offset;
  };
  std::vector<std::array<Trial, kTrialBlocks>> trials(table.ladders.size());
  std::array<double, kTrialBlocks> least{};
  least.fill(std::numeric_limits<double>::infinity());
  BlockSearch search(table, kernels, ScaleRange{});
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    search.load(blocks[b].data(), nullptr);
    for (int p = 0; p < table.patterns(); ++p) {
      const Ladder& ladder = table.ladders[static_cast<std::size_t>(p)];
      const int reach = std::max(ladder.reach_low, ladder.reach_high);
      const int middle = search.base_code() + code_at_least(2.5f / static_cast<float>(reach)) -
                         code_at_least(1.0f);
      search.forget();
      for (int distance = -16; distance <= 24; distance += 4) {
        search.try_candidate(p, middle + distance);
      }
      search.try_candidate(p, search.best().code + 2);
      search.try_candidate(p, search.best().code - 2);
      search.climb();
      const Choice& best = search.best();
      trials[static_cast<std::size_t>(p)][b] = {best.cost, best.code - search.base_code()};
      least[b] = std::min(least[b], best.cost);
    }
  }
  for (std::size_t p = 0; p < trials.size(); ++p) {
    for (std::size_t b = 0; b < blocks.size(); ++b) trials[p][b].cost /= least[b];
    std::stable_sort(trials[p].begin(), trials[p].end(),
                     [](const Trial& x, const Trial& y) { return x.cost < y.cost; });
    const int sum =
        trials[p][0].offset + trials[p][1].offset + trials[p][2].offset + trials[p][3].offset;
    table.ladders[p].scale_offset = static_cast<int>(floor_divide(sum + 2, 4));
  }
}

}  // namespace detail

/// Prepares a valid planar table. Complexity: some 50 ms for 256 patterns, with AVX2 5.
inline PreparedTable prepare_table(const PatternTableView& view, const Kernels& kernels) {
  PreparedTable table;
  table.codec = view.codec;
  table.ladders.resize(static_cast<std::size_t>(view.patterns()));
  for (int p = 0; p < view.patterns(); ++p) {
    build_ladder(mantissa_planes(view.codec), view.pattern(p),
                 table.ladders[static_cast<std::size_t>(p)]);
  }
  detail::set_scale_offsets(table, kernels);
  return table;
}

}  // namespace ecco::rd

// SPDX-License-Identifier: MIT
// The search of one planar block by a warp: the candidates of a shortlist at effort fast, as
// rd::BlockSearch and ShortlistEncoder do it. What decides is uniform in all lanes and in the
// same integers and single rounded operations as on the CPU, so the choice is the same. Lane l
// owns the elements 16 (l % 8) + 4 t + l / 8, t = 0..3, so that ballot t is word t of a plane and
// t / 2 the half. docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/intrinsics.cuh"

namespace ecco::cuda::planar {

inline constexpr int kRungs = 28;     ///< rd::kRungs
inline constexpr int kFraction = 32;  ///< rd::kFraction
inline constexpr int kLadderWords = 32;
inline constexpr std::int32_t kNoKey = 0x7fffffff;

/// Lines of a rung, a power of two; those past the last are never reached.
template <int R>
inline constexpr int kLines = R == 3 ? 64 : 32;

/// A table prepared for encoding, in global memory; cuda/encode_tables.hpp fills it.
struct EncodeTables {
  /// [pattern][rung][kLines words]: int16 thresholds, then uint16 centroid | rank << 8 of a line.
  const std::uint32_t* rungs;
  /// [pattern][32]: lambdas of the rungs, least and greatest centroid's magnitude, scale offset.
  const std::int32_t* ladders;
  const std::int16_t* basis;  ///< [bin][32]: Shortlist's, as the next two
  const int4* bias;           ///< [mantissa][lambda][2][lane]: candidates 8 lane + 0..3, + 4..7
  const uint4* factors;       ///< [mantissa][lambda][pair of features][2][lane], 2 x int16 each
  const float* lambdas;       ///< [4]: multipliers over a block's mean square, times 1024
  double large_error;         ///< relative error from which more candidates are tried
  int candidates;             ///< patterns
  int first_picks;            ///< candidates tried, and tried where these leave a large error
  int more_picks;
  int lowest;  ///< scale codes that the tensor may use
  int highest;
};

__device__ __forceinline__ float scale_of(int code) {
  return bits_float(static_cast<std::uint32_t>((code << 20) + (103 << 23)));
}
__device__ __forceinline__ int code_at_least(float value) {
  return (static_cast<int>(float_bits(value)) - (103 << 23) + (1 << 20) - 1) >> 20;
}
__device__ __forceinline__ int nearest_code(float value) {
  return (static_cast<int>(float_bits(value)) - (103 << 23) + (1 << 19)) >> 20;
}

/// rd::scalar::quantize of one value.
__device__ __forceinline__ int quantize(float value, float inverse) {
  return __float2int_rn(fminf(fmaxf(__fmul_rn(value, inverse), -8191.0f), 8191.0f));
}

/// Numbers of the two halves; no array, which would go to local memory.
struct Halves {
  int low;
  int high;

  __device__ __forceinline__ int at(int index) const { return index == 0 ? low : high; }
};

/// Squared error, times the weight of an element, and tail bits of the halves.
struct Cost {
  std::int64_t error;
  Halves bits;

  __device__ __forceinline__ int total() const { return bits.low + bits.high; }
};

/// Sum over the warp of 32-bit numbers whose sum may be longer.
__device__ __forceinline__ std::int64_t long_sum(std::uint32_t value) {
  const std::uint32_t low = __reduce_add_sync(kFullMask, value & 0xffffu);
  const std::uint32_t high = __reduce_add_sync(kFullMask, value >> 16);
  return (static_cast<std::int64_t>(high) << 16) + low;
}

/// What is tried: a pattern at a scale code.
struct Choice {
  double cost;
  int pattern;
  int code;
  int position;
};

/// The ranks of a lane's elements: lines' entries, centroid | rank << 8.
struct Lines {
  std::uint32_t entry[4];
};

template <int R>
class BlockSearch {
 public:
  /// `values` = the lane's, over the tensor's scale; of `count` elements that are no padding.
  __device__ __forceinline__ BlockSearch(const EncodeTables& tables, const float (&values)[4],
                                         int count, int lane)
      : tables_(tables), unit_(count == kGroup ? 1 : 64) {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      values_[t] = values[t];
      if (16 * (lane % 8) + 4 * t + lane / 8 < count) valid_ |= 1u << t;
    }
  }

  /// Takes what the CPU's Measure says of the block.
  __device__ __forceinline__ void load(int base_code, float low, float high) {
    base_code_ = base_code;
    low_ = low;
    high_ = high;
    constexpr float kReach = static_cast<float>(kFraction) / 8191.0f;
    least_code_ = min(code_at_least(fmaxf(low, high) * kReach), tables_.highest);
    best_ = {__longlong_as_double(0x7ff0000000000000), -1, 0, 0};
  }

  /// ShortlistEncoder::encode_block but for the writing. `keys` = scores of the lane's candidates
  /// 8 lane + 0..7; sum_of_squares = of the values. One loop with one place that evaluates, so
  /// that the machine code stays small. Returns false where the block is all zeros.
  __device__ __forceinline__ bool search(std::int32_t (&keys)[8], double sum_of_squares, int lane,
                                         Lines& lines) {
    int picks = min(tables_.first_picks, tables_.candidates);
    int direction = 0;  // of the climb; 0: the shortlist is tried
    int reach = 0;      // scale codes beyond `code` that the next candidate has
    int pattern = 0;
    int code = 0;
    bool more = true;
    for (;;) {
      int candidate = code;
      bool final = false;
      if (direction == 0 && reach > 0) {
        candidate = min(code + reach, tables_.highest);
        reach /= 2;
      } else if (direction == 0 && picks > 0) {
        --picks;
        if (!next_pick(keys, lane, pattern)) continue;
        code = clamp_code(base_code_ + ladder(pattern)[kRungs + 2]);
        candidate = code;
        reach = reach_of(pattern, code);
      } else if (direction == 0) {
        direction = 1;
        pattern = best_.pattern;
        candidate = best_.code + 1;
      } else {
        candidate = code + direction;
        if (best_.code != code) {  // the last step did not help: turn, or end
          candidate = tables_.highest + 1;
        }
      }
      if (direction != 0) {
        code = candidate;
        if (direction > 0 && !allowed(candidate)) {
          direction = -1;
          candidate = best_.code - 1;
          code = candidate;
        }
        if (!allowed(candidate)) {
          if (more && relative_cost(sum_of_squares) > tables_.large_error) {
            more = false;
            direction = 0;
            reach = 0;
            picks = min(tables_.more_picks, tables_.candidates);
            continue;
          }
          final = true;
          candidate = best_.code;
        }
      }
      if (candidate < least_code_ && !final) continue;
      const std::int64_t error = try_candidate(pattern, candidate, final, lane, lines);
      if (final) return best_.code != tables_.lowest || error < zero_error();
    }
  }

  [[nodiscard]] __device__ __forceinline__ const Choice& best() const { return best_; }
  [[nodiscard]] __device__ __forceinline__ unsigned valid() const { return valid_; }

 private:
  static constexpr int kBitsPerRung = 6;
  static constexpr int kLogStep = 2700525;

  __device__ __forceinline__ const std::int32_t* ladder(int pattern) const {
    return tables_.ladders + kLadderWords * pattern;
  }
  __device__ __forceinline__ int clamp_code(int code) const {
    return min(max(code, tables_.lowest), tables_.highest);
  }
  __device__ __forceinline__ bool allowed(int code) const {
    return code >= tables_.lowest && code <= tables_.highest && code >= least_code_;
  }
  __device__ __forceinline__ double relative_cost(double sum_of_squares) const {
    return best_.cost / (sum_of_squares * unit_ * (kFraction * kFraction));
  }
  __device__ __forceinline__ std::int64_t lambda_at(int pattern, int position) const {
    return static_cast<std::int64_t>(__ldg(ladder(pattern) + position)) * unit_;
  }
  static __device__ __forceinline__ std::int64_t log_lambda(float lambda, int code) {
    return static_cast<std::int64_t>(float_bits(lambda)) +
           2 * (static_cast<std::int64_t>(code) * (1 << 20));
  }
  __device__ __forceinline__ std::int64_t first_log(int pattern, int code) const {
    return log_lambda(static_cast<float>(__ldg(ladder(pattern) + 1)), code);
  }
  __device__ __forceinline__ int first_position(int pattern, int code) const {
    const std::int64_t above = log_lambda_ - first_log(pattern, code) + kLogStep / 2;
    if (above < 0) return 1;
    if (above >= std::int64_t{kRungs - 2} * kLogStep) return kRungs - 1;
    return 1 + static_cast<int>(static_cast<std::uint32_t>(above) / kLogStep);
  }

  /// Takes the candidate of least key, the first of ties; false for the shortlist's padding.
  __device__ __forceinline__ bool next_pick(std::int32_t (&keys)[8], int lane, int& pattern) {
    std::int32_t own = keys[0];
    int index = 0;
#pragma unroll
    for (int j = 1; j < 8; ++j) {
      if (keys[j] < own) index = j;
      own = min(own, keys[j]);
    }
    const std::int32_t least = __reduce_min_sync(kFullMask, own);
    const int winner = __ffs(__ballot_sync(kFullMask, own == least)) - 1;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      if (lane == winner && j == index) keys[j] = kNoKey;
    }
    const int candidate = 8 * winner + __shfl_sync(kFullMask, index, winner);
    if (candidate >= tables_.candidates) return false;
    pattern = candidate;
    log_lambda_ = log_lambda(__ldg(tables_.lambdas + (least & 3)), base_code_);
    return true;
  }

  /// Scale codes from `code` to where the pattern's outermost centroid reaches the extreme value;
  /// 0 where that is not tried.
  __device__ __forceinline__ int reach_of(int pattern, int code) const {
    const float ratio = fmaxf(low_ / static_cast<float>(__ldg(ladder(pattern) + kRungs)),
                              high_ / static_cast<float>(__ldg(ladder(pattern) + kRungs + 1)));
    const int steps = min(code_at_least(ratio), tables_.highest) - code;
    return steps < 2 && code >= least_code_ ? 0 : max(steps, 1);
  }

  /// Entry of the line that is best for a target.
  __device__ __forceinline__ std::uint32_t line(const std::uint32_t* rung, int target) const {
    const auto* thresholds = reinterpret_cast<const std::int16_t*>(rung);
    int index = 0;
#pragma unroll
    for (int step = kLines<R> / 2; step > 0; step /= 2) {
      if (target > __ldg(thresholds + index + step - 1)) index += step;
    }
    return __ldg(reinterpret_cast<const std::uint16_t*>(rung) + kLines<R> + index);
  }
  __device__ __forceinline__ const std::uint32_t* rung(int pattern, int position) const {
    return tables_.rungs + (pattern * kRungs + min(position, kRungs - 1)) * kLines<R>;
  }
  static __device__ __forceinline__ int bits_of(std::uint32_t entry) {
    return min(static_cast<int>(entry >> (8 + R)), 3);
  }
  static __device__ __forceinline__ std::uint32_t squared_error(int target, std::uint32_t entry) {
    const int d = target - static_cast<std::int8_t>(entry & 255u) * kFraction;
    return static_cast<std::uint32_t>(d * d);
  }

  __device__ __forceinline__ Cost evaluate(int pattern, int position) const {
    const std::uint32_t* at = rung(pattern, position);
    std::uint32_t error = 0;
    std::uint32_t bits = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const std::uint32_t entry = line(at, targets_[t]);
      if ((valid_ >> t & 1u) == 0) continue;
      error += squared_error(targets_[t], entry);
      bits += static_cast<std::uint32_t>(bits_of(entry)) << 16 * (t / 2);
    }
    bits = __reduce_add_sync(kFullMask, bits);
    return {long_sum(error) * unit_,
            {static_cast<int>(bits & 0xffffu), static_cast<int>(bits >> 16)}};
  }

  /// rd::BlockSearch::try_candidate; `final`: decides the lines of the best candidate instead.
  /// Returns the error of what was decided last.
  __device__ __forceinline__ std::int64_t try_candidate(int pattern, int code, bool final,
                                                        int lane, Lines& lines) {
    const float inverse = __fdiv_rn(static_cast<float>(kFraction), scale_of(code));
#pragma unroll
    for (int t = 0; t < 4; ++t) targets_[t] = quantize(values_[t], inverse);
    const double scale = scale_of(code);
    const double unit = scale * scale;
    int low = -1;
    int high = final ? best_.position : kRungs;
    Cost at_low{};
    Cost at_high{};
    int position = first_position(pattern, code);
    for (bool first = true; !final; first = false) {
      const Cost cost = evaluate(pattern, position);
      const int excess = cost.total() - kTailBits;
      if (first || excess > 0) {
        const std::int64_t bound = cost.error + lambda_at(pattern, position) * excess;
        if (static_cast<double>(bound) * unit >= best_.cost) return 0;
      }
      const int step = max(1, abs(excess) / kBitsPerRung);
      if (excess > 0) {
        low = position;
        at_low = cost;
      } else {
        high = position;
        at_high = cost;
      }
      if (high - low == 1) break;
      position = min(max(position + (excess > 0 ? step : -step), low + 1), high - 1);
    }
    std::int64_t estimate = at_high.error;
    if (!final && high > 0) {
      const std::int64_t gain = (at_high.error - at_low.error) * (kTailBits - at_high.total());
      estimate -= gain / max(at_low.total() - at_high.total(), 1);
    }
    const int excess = max(at_high.bits.low, at_high.bits.high) - kHalfTailBits;
    std::int64_t error = 0;
    if (final || excess > 8) {
      error = decide(pattern, high, lane, lines);
      if (final) return error;
      estimate = max(estimate, error);
    } else if (excess > 0) {
      estimate += lambda_at(pattern, min(high, kRungs - 2)) * excess * excess * 3 / 20;
    }
    const double cost = static_cast<double>(estimate) * unit;
    if (cost < best_.cost) {
      best_ = {cost, pattern, code, high};
      log_lambda_ =
          first_log(pattern, code) + static_cast<std::int64_t>(max(high, 1) - 1) * kLogStep;
    }
    return error;
  }

  /// rd::BlockSearch::decide: the lines of `position`, balanced between the halves, and of the
  /// position below, in the order of the elements, what fits.
  __device__ __forceinline__ std::int64_t decide(int pattern, int position, int lane,
                                                 Lines& lines) const {
    Halves positions{position, position};
    Halves bits = evaluate(pattern, position).bits;
    if (max(bits.low, bits.high) > kHalfTailBits) {
      balance(pattern, bits.low > kHalfTailBits ? 0 : 1, positions, bits);
    }
    Lines finer;
    std::uint32_t more = 0;  // bits by which the finer lines exceed, a signed byte each
    unsigned changed = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const int at = positions.at(t / 2);
      lines.entry[t] = line(rung(pattern, at), targets_[t]);
      finer.entry[t] = line(rung(pattern, max(at - 1, 0)), targets_[t]);
      const int difference = bits_of(finer.entry[t]) - bits_of(lines.entry[t]);
      more |= static_cast<std::uint32_t>(difference & 255) << 8 * t;
      if (finer.entry[t] >> 8 != lines.entry[t] >> 8) changed |= 1u << t;
    }
    const unsigned taken = spend(changed & valid_, more, bits, lane);
    std::uint32_t error = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if ((taken >> t & 1u) != 0) lines.entry[t] = finer.entry[t];
      if ((valid_ >> t & 1u) != 0) error += squared_error(targets_[t], lines.entry[t]);
    }
    return long_sum(error) * unit_;
  }

  /// rd::BlockSearch::balance, where half `half` exceeds its limit: it takes a larger multiplier,
  /// the other one may spend the rest.
  __device__ __forceinline__ void balance(int pattern, int half, Halves& positions,
                                          Halves& bits) const {
    int own = bits.at(half);
    int other = bits.at(1 - half);
    int at = positions.low;
    int below = positions.low;
    while (own > kHalfTailBits) own = evaluate(pattern, ++at).bits.at(half);
    while (below > 0) {
      const int spent = evaluate(pattern, below - 1).bits.at(1 - half);
      if (spent > kTailBits - kHalfTailBits) break;
      other = spent;
      --below;
    }
    positions = half == 0 ? Halves{at, below} : Halves{below, at};
    bits = half == 0 ? Halves{own, other} : Halves{other, own};
  }

  /// rd::BlockSearch::spend: of the lane's changes (bit t: element t) those that are taken, in the
  /// order of the elements of the block.
  static __device__ __forceinline__ unsigned spend(unsigned changed, std::uint32_t more,
                                                   Halves bits, int lane) {
    std::uint32_t words[4];
#pragma unroll
    for (int t = 0; t < 4; ++t) words[t] = __ballot_sync(kFullMask, (changed >> t & 1u) != 0);
    unsigned taken = 0;
    for (int i = 0; i < 8; ++i) {  // elements 16 i + 4 t + b: bits 8 b + i of word t
      unsigned elements = 0;
#pragma unroll
      for (int t = 0; t < 4; ++t) {  // the product moves bits 0, 8, 16, 24 side by side
        elements |= ((words[t] >> i & 0x01010101u) * 0x01020408u >> 24 & 15u) << 4 * t;
      }
      for (; elements != 0; elements &= elements - 1) {
        const int element = __ffs(static_cast<int>(elements)) - 1;
        const int t = element / 4;
        const int owner = 8 * (element % 4) + i;
        const std::uint32_t word = __shfl_sync(kFullMask, more, owner);
        const int extra = static_cast<std::int8_t>(word >> 8 * t & 255u);
        const int half = bits.at(t / 2);
        const int total = bits.low + bits.high;
        if (half + extra > kHalfTailBits || total + extra > kTailBits) continue;
        bits.low += t < 2 ? extra : 0;
        bits.high += t < 2 ? 0 : extra;
        if (lane == owner) taken |= 1u << t;
      }
    }
    return taken;
  }

  /// Error of a block of zeros at the targets' scale.
  __device__ __forceinline__ std::int64_t zero_error() const {
    std::uint32_t error = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {  // padding has targets 0
      error += static_cast<std::uint32_t>(targets_[t] * targets_[t]);
    }
    return long_sum(error) * unit_;
  }

  const EncodeTables& tables_;
  float values_[4];
  int targets_[4] = {0, 0, 0, 0};
  int unit_;            ///< weight of an element
  unsigned valid_ = 0;  ///< bit t: element t is no padding
  int base_code_ = 0;
  int least_code_ = 0;
  float low_ = 0.0f;
  float high_ = 0.0f;
  std::int64_t log_lambda_ = 0;
  Choice best_{};
};

}  // namespace ecco::cuda::planar

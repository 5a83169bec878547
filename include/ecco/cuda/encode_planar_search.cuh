// SPDX-License-Identifier: MIT
// The search of one planar block by a warp: the candidates of a shortlist at effort fast, as
// ShortlistEncoder and rd::BlockSearch try them. What decides is uniform in all lanes and in the
// same integers and single rounded operations as on the CPU, so the choice is the same.
// docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/cuda/encode_planar_targets.cuh"

namespace ecco::cuda::planar {

/// What is tried: a pattern at a scale code.
struct Choice {
  double cost;
  int pattern;
  int code;
  int position;
};

template <int R>
class BlockSearch {
 public:
  /// As Targets.
  __device__ __forceinline__ BlockSearch(const EncodeTables& tables, const float (&values)[4],
                                         int count, int lane)
      : tables_(tables), targets_(tables, values, count, lane), lane_(lane) {}

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
  __device__ __forceinline__ bool search(std::int32_t (&keys)[8], double sum_of_squares,
                                         Lines& lines) {
    int picks = min(__ldg(tables_.picks), tables_.candidates);
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
        if (!next_pick(keys, pattern)) continue;
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
          if (more && relative_cost(sum_of_squares) > __ldg(tables_.large_error)) {
            more = false;
            direction = 0;
            reach = 0;
            picks = min(__ldg(tables_.picks + 1), tables_.candidates);
            continue;
          }
          final = true;
          candidate = best_.code;
        }
      }
      if (candidate < least_code_ && !final) continue;
      const std::int64_t error = try_candidate(pattern, candidate, final, lines);
      if (final) return best_.code != tables_.lowest || error < targets_.zero_error();
    }
  }

  [[nodiscard]] __device__ __forceinline__ const Choice& best() const { return best_; }
  [[nodiscard]] __device__ __forceinline__ bool valid(int t) const { return targets_.valid(t); }

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
    return best_.cost / (sum_of_squares * targets_.unit() * (kFraction * kFraction));
  }
  __device__ __forceinline__ std::int64_t lambda_at(int pattern, int position) const {
    return static_cast<std::int64_t>(__ldg(ladder(pattern) + position)) * targets_.unit();
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
  __device__ __forceinline__ bool next_pick(std::int32_t (&keys)[8], int& pattern) {
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
      if (lane_ == winner && j == index) keys[j] = kNoKey;
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

  /// rd::BlockSearch::try_candidate; `final`: decides the lines of the best candidate instead.
  /// Returns the error of what was decided last.
  __device__ __forceinline__ std::int64_t try_candidate(int pattern, int code, bool final,
                                                        Lines& lines) {
    targets_.quantize_at(code);
    const double scale = scale_of(code);
    const double unit = scale * scale;
    int low = -1;
    int high = final ? best_.position : kRungs;
    Cost at_low{};
    Cost at_high{};
    int position = first_position(pattern, code);
    for (bool first = true; !final; first = false) {
      const Cost cost = targets_.evaluate(pattern, position);
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
      error = targets_.decide(pattern, high, lines);
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

  const EncodeTables& tables_;
  Targets<R> targets_;
  int lane_;
  int base_code_ = 0;
  int least_code_ = 0;
  float low_ = 0.0f;
  float high_ = 0.0f;
  std::int64_t log_lambda_ = 0;
  Choice best_{};
};

}  // namespace ecco::cuda::planar

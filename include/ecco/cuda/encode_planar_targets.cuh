// SPDX-License-Identifier: MIT
// What a candidate of the search of a planar block costs, and the ranks that it gives the values:
// rd::BlockSearch's decisions by a warp. Lane l owns the elements 16 (l % 8) + 4 t + l / 8, t =
// 0..3, so that ballot t is word t of a plane and t / 2 the half. docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/encode_layout.hpp"
#include "ecco/cuda/intrinsics.cuh"

namespace ecco::cuda::planar {

inline constexpr int kRungs = PlanarEncodeLayout::kRungs;
inline constexpr int kFraction = 32;  ///< rd::kFraction
inline constexpr int kLadderWords = PlanarEncodeLayout::kLadder;
inline constexpr std::int32_t kNoKey = 0x7fffffff;

/// Lines of a rung, a power of two; those past the last are never reached.
template <int R>
inline constexpr int kLines = R == 3 ? 64 : 32;

/// A table prepared for encoding, in global memory.
struct EncodeTables {
  /// [pattern][rung][kLines]: of a line, centroid | rank << 8 | greatest target << 16.
  const std::uint32_t* rungs;
  /// [pattern][32]: lambdas of the rungs, least and greatest centroid's magnitude, scale offset.
  const std::int32_t* ladders;
  const std::int16_t* basis;  ///< [bin][32]: Shortlist's, as the next two
  const int4* bias;           ///< [mantissa][lambda][2][lane]: candidates 8 lane + 0..3, + 4..7
  const uint4* factors;       ///< [mantissa][lambda][pair of features][2][lane], 2 x int16 each
  const float* lambdas;       ///< [4]: multipliers over a block's mean square, times 1024
  const double* large_error;  ///< relative error from which more candidates are tried
  const int* picks;           ///< [2]: candidates tried, and tried where these leave a large error
  int candidates;             ///< patterns
  int lowest;                 ///< scale codes that the tensor may use
  int highest;
};

/// Of a DeviceCodec of R planes, to be passed to a kernel. `lowest`, `highest` = rd::scale_range
/// of the tensor's scale; the defaults are those of scale 1.
template <int R>
EncodeTables encode_tables(const DeviceCodecView& codec, int lowest = 1, int highest = 255) {
  const PlanarEncodeLayout layout(R, static_cast<std::size_t>(codec.pattern_count));
  const std::uint32_t* words = codec.encoding;
  const std::uint32_t* parameters = words + layout.parameters;
  return {words,
          reinterpret_cast<const std::int32_t*>(words + layout.ladders),
          reinterpret_cast<const std::int16_t*>(words + layout.basis),
          reinterpret_cast<const int4*>(words + layout.bias),
          reinterpret_cast<const uint4*>(words + layout.factors),
          reinterpret_cast<const float*>(parameters),
          reinterpret_cast<const double*>(parameters + 4),
          reinterpret_cast<const int*>(parameters + 6),
          codec.pattern_count,
          lowest,
          highest};
}

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

/// The ranks of a lane's elements: lines' entries, centroid | rank << 8.
struct Lines {
  std::uint32_t entry[4];
};

/// The lines of a rung, one or two per lane.
template <int R>
struct Rung {
  std::uint32_t lower;  ///< line `lane`
  std::uint32_t upper;  ///< line 32 + lane, if there are so many

  /// Entry of the line that is best for a target: the number of thresholds below it by bisection.
  /// A word is greater than a shifted target unless its threshold, in the upper half, is less.
  __device__ __forceinline__ std::uint32_t line(int target) const {
    const int shifted = target << 16;
    const bool up = R == 3 && shifted > static_cast<int>(__shfl_sync(kFullMask, lower, 31));
    int index = 0;
#pragma unroll
    for (int step = kWarpLanes / 2; step > 0; step /= 2) {
      if (shifted > static_cast<int>(word(index + step - 1, up))) index += step;
    }
    return word(index, up) & 0xffffu;
  }

 private:
  __device__ __forceinline__ std::uint32_t word(int index, bool up) const {
    const std::uint32_t low = __shfl_sync(kFullMask, lower, index);
    if constexpr (R < 3) return low;
    const std::uint32_t high = __shfl_sync(kFullMask, upper, index);
    return up ? high : low;
  }
};

/// The values of a block at one scale code.
template <int R>
class Targets {
 public:
  /// `values` = the lane's, over the tensor's scale; of `count` elements that are no padding.
  __device__ __forceinline__ Targets(const EncodeTables& tables, const float (&values)[4],
                                     int count, int lane)
      : tables_(tables), lane_(lane), unit_(count == kGroup ? 1 : 64) {
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      values_[t] = values[t];
      if (16 * (lane % 8) + 4 * t + lane / 8 < count) valid_ |= 1u << t;
    }
  }

  __device__ __forceinline__ void quantize_at(int code) {
    const float inverse = __fdiv_rn(static_cast<float>(kFraction), scale_of(code));
#pragma unroll
    for (int t = 0; t < 4; ++t) targets_[t] = quantize(values_[t], inverse);
  }

  [[nodiscard]] __device__ __forceinline__ int unit() const { return unit_; }
  [[nodiscard]] __device__ __forceinline__ bool valid(int t) const {
    return (valid_ >> t & 1u) != 0;
  }

  __device__ __forceinline__ Cost evaluate(int pattern, int position) const {
    const Rung<R> rung = load_rung(pattern, position);
    std::uint32_t error = 0;
    std::uint32_t bits = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const std::uint32_t entry = rung.line(targets_[t]);
      if (!valid(t)) continue;
      error += squared_error(targets_[t], entry);
      bits += static_cast<std::uint32_t>(bits_of(entry)) << 16 * (t / 2);
    }
    bits = __reduce_add_sync(kFullMask, bits);
    return {long_sum(error) * unit_,
            {static_cast<int>(bits & 0xffffu), static_cast<int>(bits >> 16)}};
  }

  /// rd::BlockSearch::decide: the lines of `position`, balanced between the halves, and of the
  /// position below, in the order of the elements, what fits. Returns the error.
  __device__ __forceinline__ std::int64_t decide(int pattern, int position, Lines& lines) const {
    Halves positions{position, position};
    Halves bits = evaluate(pattern, position).bits;
    if (max(bits.low, bits.high) > kHalfTailBits) {
      balance(pattern, bits.low > kHalfTailBits ? 0 : 1, positions, bits);
    }
    Lines finer;
    std::uint32_t more = 0;  // bits by which the finer lines exceed, a signed byte each
    unsigned changed = 0;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const Rung<R> rung = load_rung(pattern, positions.at(half));
      const Rung<R> below = load_rung(pattern, max(positions.at(half) - 1, 0));
#pragma unroll
      for (int t = 2 * half; t < 2 * half + 2; ++t) {
        lines.entry[t] = rung.line(targets_[t]);
        finer.entry[t] = below.line(targets_[t]);
        const int difference = bits_of(finer.entry[t]) - bits_of(lines.entry[t]);
        more |= static_cast<std::uint32_t>(difference & 255) << 8 * t;
        if (finer.entry[t] >> 8 != lines.entry[t] >> 8) changed |= 1u << t;
      }
    }
    const unsigned taken = spend(changed & valid_, more, bits);
    std::uint32_t error = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if ((taken >> t & 1u) != 0) lines.entry[t] = finer.entry[t];
      if ((valid_ >> t & 1u) != 0) error += squared_error(targets_[t], lines.entry[t]);
    }
    return long_sum(error) * unit_;
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

 private:
  __device__ __forceinline__ Rung<R> load_rung(int pattern, int position) const {
    const std::uint32_t* at =
        tables_.rungs + (pattern * kRungs + min(position, kRungs - 1)) * kLines<R> + lane_;
    return {__ldg(at), R == 3 ? __ldg(at + kWarpLanes) : 0};
  }
  static __device__ __forceinline__ int bits_of(std::uint32_t entry) {
    return min(static_cast<int>(entry >> (8 + R)), 3);
  }
  static __device__ __forceinline__ std::uint32_t squared_error(int target, std::uint32_t entry) {
    const int d = target - static_cast<std::int8_t>(entry & 255u) * kFraction;
    return static_cast<std::uint32_t>(d * d);
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
  __device__ __forceinline__ unsigned spend(unsigned changed, std::uint32_t more,
                                            Halves bits) const {
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
        if (lane_ == owner) taken |= 1u << t;
      }
    }
    return taken;
  }

  const EncodeTables& tables_;
  int lane_;
  int unit_;            ///< weight of an element
  unsigned valid_ = 0;  ///< bit t: element t is no padding
  float values_[4];
  int targets_[4] = {0, 0, 0, 0};
};

}  // namespace ecco::cuda::planar

// SPDX-License-Identifier: MIT
// Activations -> int8 digits and the factor of their group, and where B fragments have them: for
// the products of gemv.cuh. A warp takes 128 values of a vector. docs/cuda.md, "Products".
#pragma once

#include <cstdint>

#include "ecco/cuda/intrinsics.cuh"

namespace ecco::cuda {

/// Four digits as bytes, each the low byte of an int.
__device__ __forceinline__ std::uint32_t pack_digits(const int (&digits)[4]) {
  const std::uint32_t low =
      prmt(static_cast<std::uint32_t>(digits[0]), static_cast<std::uint32_t>(digits[1]), 0x0040u);
  const std::uint32_t high =
      prmt(static_cast<std::uint32_t>(digits[2]), static_cast<std::uint32_t>(digits[3]), 0x0040u);
  return prmt(low, high, 0x5410u);
}

/// A lane's four values in kDigits int8 digits, the high one first: value = sum of factors[d] *
/// digit d.
template <int kDigits>
struct QuantizedFour {
  std::uint32_t words[kDigits];  ///< four digits each
  float factors[kDigits];        ///< of the group: the same in all lanes
};

/// Quantises a group: lane l gives the values 4 l..4 l + 3, zeros past the vector's end. One
/// digit: round(127 x / largest), as Int8Activations; two: round(32639 x / largest) = 256 high +
/// low. A group without a magnitude of 2^-100 or more counts as zeros, and one with a NaN or an
/// infinity gets the factor NaN. Whole warps call it.
///
/// @code
/// const auto four = ecco::cuda::quantize_warp<1>(values);
/// words[ecco::cuda::fragment_word(lane, column, 8)] = four.words[0];
/// if (lane == 0) factors[column] = four.factors[0];
/// @endcode
template <int kDigits>
__device__ __forceinline__ QuantizedFour<kDigits> quantize_warp(const float (&values)[4]) {
  static_assert(kDigits == 1 || kDigits == 2);
  constexpr float kMost = kDigits == 2 ? 127.0f * 256.0f + 127.0f : 127.0f;
  const float largest = warp_largest(values);
  const bool zero = !(largest >= 0x1p-100f);  // or not finite
  const float inverse = zero ? 0.0f : kMost / largest;
  const float factor = largest < 0x1p-100f ? 0.0f : largest / kMost;
  int digits[2][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int q = zero ? 0 : __float2int_rn(values[i] * inverse);
    digits[0][i] = kDigits == 2 ? (q + 128) >> 8 : q;
    digits[1][i] = q - 256 * digits[0][i];
  }
  QuantizedFour<kDigits> out;
#pragma unroll
  for (int d = 0; d < kDigits; ++d) {
    out.words[d] = pack_digits(digits[d]);
    out.factors[d] = kDigits == 2 && d == 0 ? 256.0f * factor : factor;
  }
  return out;
}

/// Where the word of lane `lane` lies in the fragments of 128 values and up to 8 columns, of which
/// `stored` (2, 4 or 8) have room, in words of load_fragments' x: [2][stored][4] of 4 words. The
/// values 4 l..4 l + 3 are byte 0..3 of register l / 4 % 2 of mma l / 8 for lane l % 4.
__device__ __forceinline__ unsigned fragment_word(unsigned lane, unsigned column,
                                                  unsigned stored) {
  const unsigned fragment = lane / 16 * stored + column;
  return fragment * 16 + lane % 4 * 4 + lane / 8 % 2 * 2 + lane / 4 % 2;
}

}  // namespace ecco::cuda

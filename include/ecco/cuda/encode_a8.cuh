// SPDX-License-Identifier: MIT
// A8 blocks encoded by 16 neighbouring lanes each: lane j of a block owns its values 4 j..4 j + 3.
// Equal to a8.hpp bit for bit. docs/cuda.md, "Encoding".
#pragma once

#include <cstdint>

#include "ecco/a8.hpp"
#include "ecco/cuda/a8.cuh"

namespace ecco::cuda::a8 {

/// Greatest of 16 lanes' words.
__device__ __forceinline__ std::uint32_t greatest_of_lanes(std::uint32_t value) {
#pragma unroll
  for (int distance = 1; distance < kBlockLanes; distance *= 2) {
    value = max(value, __shfl_xor_sync(kFullMask, value, distance));
  }
  return value;
}

/// a8::detail::least_scale_code of magnitudes that are not both 0, the 16 lanes trying 16 codes at
/// a time: what fits a code fits all greater ones.
__device__ __forceinline__ std::uint32_t least_scale_code(float tensor_scale, float plain,
                                                          float carrier, int lane) {
  const int part = lane % kBlockLanes;
  const int half = lane & kBlockLanes;
  const bool last = part == kBlockLanes - 1;
  const bool coarse = ecco::a8::detail::fits(16 * part + 15, tensor_scale, plain, carrier);
  const int first = __ffs(__ballot_sync(kFullMask, coarse || last) >> half) - 1;
  // Nothing fits code 0: the quotients are infinite or NaN.
  const bool fine = ecco::a8::detail::fits(16 * first + part, tensor_scale, plain, carrier);
  const int second = __ffs(__ballot_sync(kFullMask, fine || last) >> half) - 1;
  return static_cast<std::uint32_t>(16 * first + second);
}

/// Encodes two blocks per warp and returns the lane's four bytes; whole warps call it. `values` =
/// the lane's of its block, 0 for padding. Precondition: tensor_scale positive, at most 1e34.
///
/// @code
/// float v[4];                                                 // values 4 * (lane % 16) + 0..3
/// words[16 * block + lane % 16] = ecco::cuda::a8::encode_lanes(v, lane, tensor_scale);
/// @endcode
__device__ __forceinline__ std::uint32_t encode_lanes(float (&values)[4], int lane,
                                                      float tensor_scale) {
  namespace reference = ecco::a8::detail;
  const bool carries = (lane & 1) != 0;  // its last value
  std::uint32_t plain = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[i] = reference::finite(values[i]);
    if (i < 3) plain = max(plain, float_bits(values[i]) & 0x7fffffffu);
  }
  const std::uint32_t last = float_bits(values[3]) & 0x7fffffffu;
  plain = greatest_of_lanes(carries ? plain : max(plain, last));
  const std::uint32_t carrier = greatest_of_lanes(carries ? last : 0u);
  const std::uint32_t code =
      least_scale_code(tensor_scale, bits_float(plain), bits_float(carrier), lane);
  const float factor = tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code));
  std::uint32_t bytes[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float quotient = reference::clamp_quotient(__fdiv_rn(values[i], factor));
    int q = reference::nearest_even(quotient);
    if (i == 3 && carries) {
      q = reference::nearest_odd(quotient) & ~1;
      q |= static_cast<int>(code >> (lane % kBlockLanes / 2) & 1u);
    }
    bytes[i] = static_cast<std::uint32_t>(q);
  }
  const std::uint32_t word =
      prmt(prmt(bytes[0], bytes[1], 0x0040u), prmt(bytes[2], bytes[3], 0x0040u), 0x5410u);
  return (plain | carrier) == 0 ? 0 : word;
}

}  // namespace ecco::cuda::a8

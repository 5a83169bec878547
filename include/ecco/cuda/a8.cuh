// SPDX-License-Identifier: MIT
// A8 blocks decoded by 16 neighbouring lanes each: lane j of a block owns its bytes 4 j..4 j + 3.
// Equal to a8.hpp bit for bit.
//
// @code
// const auto four = ecco::cuda::a8::decode_lanes(words[16 * block + lane % 16], lane, scale);
// float values[4];  // elements 4 (lane % 16) and on
// ecco::cuda::scale_bytes(four.bytes, four.factor, values);
// @endcode
#pragma once

#include <cstdint>

#include "ecco/cuda/intrinsics.cuh"

namespace ecco::cuda::a8 {

inline constexpr int kBlockLanes = 16;

/// One lane's four int8 values and the factor of its block.
struct LaneValues {
  std::uint32_t bytes;  ///< value + 128 each
  float factor;
};

/// Decodes two blocks per warp; whole warps call it. `word` = the lane's four bytes of its block.
__device__ __forceinline__ LaneValues decode_lanes(std::uint32_t word, int lane,
                                                   float tensor_scale) {
  // Every second lane holds a carrier, whose lowest bit is one of the scale code.
  std::uint32_t code = __ballot_sync(kFullMask, (word & 0x01000000u) != 0);
  code = code >> (lane & kBlockLanes) >> 1 & 0x5555u;
  code = (code | code >> 1) & 0x3333u;
  code = (code | code >> 2) & 0x0f0fu;
  code = (code | code >> 4) & 0x00ffu;
  if ((lane & 1) != 0) word |= 0x01000000u;
  if (code == 0) word = 0;
  return {word ^ 0x80808080u, tensor_scale * bits_float((code << 20) + (103u << 23))};
}

}  // namespace ecco::cuda::a8

// SPDX-License-Identifier: MIT
// A8, the 2x block for activations: 64 values in 64 bytes, ready for an int8 dot product. Scalar,
// host and device; THE reference. Written as docs/format.md, section 6, is.
#pragma once

#include <cstdint>

#include "ecco/types.hpp"

namespace ecco::a8 {

inline constexpr int kValues = 64;  ///< values, and bytes, of a block

/// True for the bytes 7, 15, ..., 63, whose lowest bit carries a bit of the scale code.
ECCO_HD constexpr bool is_carrier(int index) noexcept { return index % 8 == 7; }

ECCO_HD constexpr std::uint8_t scale_code(const std::uint8_t* block) noexcept {
  unsigned code = 0;
  for (int i = 7; i < kValues; i += 8) code |= (block[i] & 1u) << (i / 8);
  return static_cast<std::uint8_t>(code);
}

/// Decodes any block to its int8 values and returns their factor, tensor_scale * block_scale
/// rounded to binary32. Scale code 0: values and factor are 0.
ECCO_HD constexpr float decode_int8(const std::uint8_t* block, float tensor_scale,
                                    std::int8_t* out) noexcept {
  const std::uint8_t code = scale_code(block);
  for (int i = 0; i < kValues; ++i) {
    const unsigned byte = is_carrier(i) ? block[i] | 1u : block[i];
    out[i] = code == 0 ? std::int8_t{0} : static_cast<std::int8_t>(byte);
  }
  return code == 0 ? 0.0f : tensor_scale * e5m3_to_float(code);
}

/// Decodes any block to 64 values: factor * int8, rounded once to binary32.
ECCO_HD constexpr void decode(const std::uint8_t* block, float tensor_scale, float* out) noexcept {
  std::int8_t values[kValues] = {};
  const float factor = decode_int8(block, tensor_scale, values);
  for (int i = 0; i < kValues; ++i) out[i] = factor * static_cast<float>(values[i]);
}

/// A block is valid unless its scale code is 0 and any byte is not.
ECCO_HD constexpr bool is_valid(const std::uint8_t* block) noexcept {
  if (scale_code(block) != 0) return true;
  for (int i = 0; i < kValues; ++i) {
    if (block[i] != 0) return false;
  }
  return true;
}

}  // namespace ecco::a8

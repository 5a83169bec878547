// SPDX-License-Identifier: MIT
// A8, the 2x block for activations: 64 values in 64 bytes, ready for an int8 dot product. Scalar,
// host and device; THE reference. Written as docs/format.md, section 6, is.
#pragma once

#include <cstddef>
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

/// Decodes `count` values from ceil(count / 64) blocks; the last may be partly padding.
ECCO_HD constexpr void decode_row(const std::uint8_t* blocks, std::size_t count,
                                  float tensor_scale, float* out) noexcept {
  std::size_t at = 0;
  for (; at + kValues <= count; at += kValues) decode(blocks + at, tensor_scale, out + at);
  if (at == count) return;
  float rest[kValues] = {};
  decode(blocks + at, tensor_scale, rest);
  for (std::size_t i = 0; at + i < count; ++i) out[at + i] = rest[i];
}

namespace detail {

/// Quotients that still round to a magnitude of at most 127: below it in plain bytes, up to
/// it in carriers, which take odd numbers and the lower one at ties.
inline constexpr float kPlainLimit = 127.5f;
inline constexpr float kCarrierLimit = 128.0f;

/// What an encoder for hardware makes of a value: NaN counts as 0, infinity as the largest finite.
ECCO_HD constexpr float finite(float value) noexcept {
  const std::uint32_t magnitude = float_bits(value) & 0x7fffffffu;
  if (magnitude < 0x7f800000u) return value;
  if (magnitude > 0x7f800000u) return 0.0f;
  return value > 0.0f ? 0x1.fffffep127f : -0x1.fffffep127f;
}

/// |value|, and the greater of two values that are no NaN.
ECCO_HD constexpr float magnitude(float value) noexcept {
  return bits_float(float_bits(value) & 0x7fffffffu);
}
ECCO_HD constexpr float greater(float a, float b) noexcept { return a > b ? a : b; }

/// True when a block of these greatest magnitudes (of plain bytes, of carriers) fits the code.
ECCO_HD constexpr bool fits(int code, float tensor_scale, float plain, float carrier) noexcept {
  const float factor = tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code));
  return plain / factor < kPlainLimit && carrier / factor <= kCarrierLimit;
}

/// The least code that fits, 255 if none does, 0 if all values are 0.
ECCO_HD constexpr int least_scale_code(float tensor_scale, float plain, float carrier) noexcept {
  if (plain == 0.0f && carrier == 0.0f) return 0;
  int low = 1;
  int high = 255;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (fits(middle, tensor_scale, plain, carrier)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

/// The nearest integer to a quotient of magnitude <= 127.5, ties to even.
ECCO_HD constexpr int nearest_even(float quotient) noexcept {
  return static_cast<int>((quotient + 0x1.8p23f) - 0x1.8p23f);
}

/// Saturates what no scale fits; what fits rounds the same without its part beyond 127.
ECCO_HD constexpr float clamp_quotient(float quotient) noexcept {
  return quotient > 127.0f ? 127.0f : quotient < -127.0f ? -127.0f : quotient;
}

/// The nearest odd number to a quotient of magnitude <= 128, the lower magnitude at ties, 1 for 0.
ECCO_HD constexpr int nearest_odd(float quotient) noexcept {
  const float half = 0.5f * magnitude(quotient);
  const int floor = static_cast<int>(half);
  const int odd = static_cast<float>(floor) == half && floor > 0 ? 2 * floor - 1 : 2 * floor + 1;
  return quotient < 0.0f ? -odd : odd;
}

}  // namespace detail

/// Encodes `count` values, 1..64; the rest of the block is padding. The factor f is tensor_scale
/// times the least block scale that keeps every |q| <= 127, and |value - decoded| <= f / 2 (f in
/// carriers) plus the rounding of the quotient and the product, 2^-22 |value|. f exceeds
/// max|value| / 127.5 at most 9/8 times (code 2..255), so the error stays within 0.45 % of the
/// block's greatest magnitude (0.9 % in carriers). Beyond the greatest scale values
/// saturate at +-127 f; NaN counts as 0, infinity as the largest finite value. Precondition:
/// tensor_scale positive, at most 1e34. docs/format.md, section 6.
ECCO_HD constexpr void encode(const float* values, int count, float tensor_scale,
                              std::uint8_t* block) noexcept {
  float plain = 0.0f;
  float carrier = 0.0f;
  for (int i = 0; i < count; ++i) {
    float& greatest = is_carrier(i) ? carrier : plain;
    greatest = detail::greater(greatest, detail::magnitude(detail::finite(values[i])));
  }
  const int code = detail::least_scale_code(tensor_scale, plain, carrier);
  const float factor = tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code));
  for (int i = 0; i < kValues; ++i) {
    if (code == 0) {
      block[i] = 0;
      continue;
    }
    const float value = i < count ? detail::finite(values[i]) : 0.0f;
    const float quotient = detail::clamp_quotient(value / factor);
    const int q = is_carrier(i) ? detail::nearest_odd(quotient) : detail::nearest_even(quotient);
    const auto byte = static_cast<std::uint8_t>(q);
    block[i] = is_carrier(i) ? static_cast<std::uint8_t>(
                                   (byte & 0xfeu) | (static_cast<unsigned>(code) >> (i / 8) & 1u))
                             : byte;
  }
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

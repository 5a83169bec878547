// SPDX-License-Identifier: MIT
// Storage types of values (half, bfloat16) and of block scales (E5M3, FP8 E4M3), matrix views.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ecco/config.hpp"

namespace ecco {

/// Bits of an IEEE binary32, and back.
ECCO_HD constexpr std::uint32_t float_bits(float value) noexcept {
  return __builtin_bit_cast(std::uint32_t, value);
}
ECCO_HD constexpr float bits_float(std::uint32_t bits) noexcept {
  return __builtin_bit_cast(float, bits);
}

/// IEEE binary16, stored as its bits.
struct half {
  std::uint16_t bits = 0;
};

/// The upper 16 bits of a binary32.
struct bfloat16 {
  std::uint16_t bits = 0;
};

static_assert(sizeof(half) == 2 && sizeof(bfloat16) == 2);

/// Widens exactly; NaN payloads are kept, quiet.
ECCO_HD constexpr float to_float(half value) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity or NaN
    const std::uint32_t quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
    return bits_float(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13 | quiet);
  }
  if (magnitude >= 0x0400u) return bits_float(sign | ((magnitude << 13) + (112u << 23)));
  const float subnormal = static_cast<float>(magnitude) * 0x1p-24f;  // exact
  return bits_float(sign | float_bits(subnormal));
}
ECCO_HD constexpr float to_float(bfloat16 value) noexcept {
  return bits_float(static_cast<std::uint32_t>(value.bits) << 16);
}
ECCO_HD constexpr float to_float(float value) noexcept { return value; }

/// Rounds to nearest, ties to even; overflow gives infinity, NaN stays NaN (quiet).
ECCO_HD constexpr half to_half(float value) noexcept {
  const std::uint32_t bits = float_bits(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t result = 0;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x1ffu);
  } else if (magnitude >= 0x47800000u) {  // 2^16 and above, infinity too
    result = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal: a carry out of the mantissa is right as it is
    result = (magnitude - 0x38000000u + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;
  } else if (magnitude >= 0x33000000u) {  // subnormal: from 2^-25, which ties to zero
    const std::uint32_t shift = 126u - (magnitude >> 23);  // 14..24 dropped bits
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t kept = mantissa >> shift;
    const std::uint32_t rest = mantissa & ((1u << shift) - 1u);
    const std::uint32_t tie = 1u << (shift - 1u);
    result = kept + ((rest > tie || (rest == tie && (kept & 1u) != 0u)) ? 1u : 0u);
  }
  return half{static_cast<std::uint16_t>(sign | result)};
}
ECCO_HD constexpr bfloat16 to_bfloat16(float value) noexcept {
  const std::uint32_t bits = float_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return bfloat16{static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  }
  return bfloat16{static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// Conversion from binary32 by target type, for templates over the output dtype.
template <typename T>
ECCO_HD constexpr T from_float(float value) noexcept;
template <>
ECCO_HD constexpr float from_float<float>(float value) noexcept {
  return value;
}
template <>
ECCO_HD constexpr half from_float<half>(float value) noexcept {
  return to_half(value);
}
template <>
ECCO_HD constexpr bfloat16 from_float<bfloat16>(float value) noexcept {
  return to_bfloat16(value);
}

/// Unsigned block scale: (1 + m/8) * 2^(e - 24), code = e << 3 | m; code 0 is zero.
/// Codes 1..255 ascend from 1.125 * 2^-24 to 240. No subnormals, no infinity, no NaN.
ECCO_HD constexpr float e5m3_to_float(std::uint8_t code) noexcept {
  return code == 0 ? 0.0f : bits_float((static_cast<std::uint32_t>(code) << 20) + (103u << 23));
}

/// Signed FP8 E4M3 without NaN and infinity: bias 7, subnormals, code S.1111.111 is 480 (unlike
/// OCP E4M3FN, whose largest value is 448). The scale and the outliers of H4 blocks.
struct fp8_e4m3 {
  std::uint8_t bits = 0;
};

ECCO_HD constexpr float to_float(fp8_e4m3 value) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x80u) << 24;
  const std::uint32_t magnitude = value.bits & 0x7fu;
  if (magnitude >= 8u) return bits_float(sign | ((magnitude << 20) + (120u << 23)));
  return bits_float(sign | float_bits(static_cast<float>(magnitude) * 0x1p-9f));
}

/// Rounds to nearest, ties to even; magnitudes beyond 480 become 480. NaN gives 480 of its sign.
ECCO_HD constexpr fp8_e4m3 to_fp8_e4m3(float value) noexcept {
  const std::uint32_t bits = float_bits(value);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t code = 0;
  if (magnitude >= 0x43f00000u) {  // 480
    code = 0x7fu;
  } else if (magnitude >= 0x3c800000u) {  // 2^-6: a carry out of the mantissa is right as it is
    code = (magnitude - (120u << 23) + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20;
  } else if (magnitude >= 0x3a800000u) {  // subnormal: from 2^-10, which ties to zero
    const std::uint32_t shift = 141u - (magnitude >> 23);  // 21..24 dropped bits
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    code = (mantissa + (1u << (shift - 1u)) - 1u + ((mantissa >> shift) & 1u)) >> shift;
  }
  return fp8_e4m3{static_cast<std::uint8_t>((bits >> 24 & 0x80u) | code)};
}

/// Row-major view of rows x cols values; consecutive rows lie row_stride elements apart.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t row_stride = 0;

  ECCO_HD constexpr T* row(std::size_t index) const noexcept { return data + index * row_stride; }
  /// Where a function reads, a view that may be written will do.
  ECCO_HD constexpr operator MatrixView<const T>() const noexcept  // NOLINT: on purpose
      requires(!std::is_const_v<T>) {
    return {data, rows, cols, row_stride};
  }
};

/// View of a dense matrix: the rows follow each other without gaps.
template <typename T>
ECCO_HD constexpr MatrixView<T> dense_view(T* data, std::size_t rows, std::size_t cols) noexcept {
  return MatrixView<T>{data, rows, cols, cols};
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Bulk conversion of stored values to binary32, at memory speed on any instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "ecco/types.hpp"

namespace ecco {

/// The dtypes that can be compressed.
enum class FloatDtype : std::uint8_t { f16, bf16, f32 };

std::optional<FloatDtype> parse_float_dtype(std::string_view name) noexcept;
std::string_view float_dtype_name(FloatDtype dtype) noexcept;

constexpr std::size_t float_bytes(FloatDtype dtype) noexcept {
  return dtype == FloatDtype::f32 ? 4 : 2;
}

/// Largest finite magnitude.
constexpr float largest_value(FloatDtype dtype) noexcept {
  if (dtype == FloatDtype::f16) return 65504.0f;
  return bits_float(dtype == FloatDtype::bf16 ? 0x7f7f0000u : 0x7f7fffffu);
}

/// Widens out.size() little-endian values of any alignment. Exact; a NaN stays a NaN.
void widen(FloatDtype dtype, const std::uint8_t* stored, std::span<float> out) noexcept;

/// Index of the first NaN or infinity, or values.size().
std::size_t first_not_finite(std::span<const float> values) noexcept;

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Loops of a constant length without branches, which compilers turn into vector code.
#include "io/convert.hpp"

#include <array>
#include <bit>
#include <cstring>

namespace ecco {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kRun = 64;

/// to_float(half) as arithmetic: normal values move their exponent; subnormal ones get an
/// exponent, which a subtraction takes away again; infinity and NaN move theirs twice.
inline float widen_half(std::uint16_t half_bits) noexcept {
  constexpr std::uint32_t kExponent = 0x1fu << 23;
  const std::uint32_t shifted = (half_bits & 0x7fffu) << 13;
  const std::uint32_t exponent = shifted & (0x1fu << 23);
  const std::uint32_t normal = shifted + (112u << 23);
  const float subnormal = bits_float(normal + (1u << 23)) - 0x1p-14f;
  const std::uint32_t special = normal + (112u << 23);
  std::uint32_t bits = exponent == 0 ? float_bits(subnormal) : normal;
  bits = exponent == kExponent ? special : bits;
  return bits_float(bits | static_cast<std::uint32_t>(half_bits & 0x8000u) << 16);
}

inline float widen_bfloat16(std::uint16_t bits) noexcept {
  return bits_float(static_cast<std::uint32_t>(bits) << 16);
}

template <typename Widen>
void widen_runs(const std::uint8_t* stored, std::span<float> out, Widen widen_one) noexcept {
  std::array<std::uint16_t, kRun> run;
  std::size_t at = 0;
  for (; at + kRun <= out.size(); at += kRun) {
    std::memcpy(run.data(), stored + 2 * at, sizeof(run));
    float* target = out.data() + at;
    for (std::size_t i = 0; i < kRun; ++i) target[i] = widen_one(run[i]);
  }
  const std::size_t rest = out.size() - at;
  if (rest == 0) return;
  std::memcpy(run.data(), stored + 2 * at, 2 * rest);
  for (std::size_t i = 0; i < rest; ++i) out[at + i] = widen_one(run[i]);
}

}  // namespace

std::optional<FloatDtype> parse_float_dtype(std::string_view name) noexcept {
  for (const FloatDtype dtype : {FloatDtype::f16, FloatDtype::bf16, FloatDtype::f32}) {
    if (float_dtype_name(dtype) == name) return dtype;
  }
  return std::nullopt;
}

std::string_view float_dtype_name(FloatDtype dtype) noexcept {
  return dtype == FloatDtype::f16 ? "F16" : dtype == FloatDtype::bf16 ? "BF16" : "F32";
}

void widen(FloatDtype dtype, const std::uint8_t* stored, std::span<float> out) noexcept {
  if (out.empty()) return;
  switch (dtype) {
    case FloatDtype::f16:
      return widen_runs(stored, out, widen_half);
    case FloatDtype::bf16:
      return widen_runs(stored, out, widen_bfloat16);
    case FloatDtype::f32:
      std::memcpy(out.data(), stored, out.size_bytes());
  }
}

std::size_t first_not_finite(std::span<const float> values) noexcept {
  constexpr std::uint32_t kInfinity = 0x7f800000u;
  std::size_t at = 0;
  for (; at + kRun <= values.size(); at += kRun) {
    std::uint32_t greatest = 0;
    for (std::size_t i = 0; i < kRun; ++i) {
      const std::uint32_t magnitude = float_bits(values[at + i]) & 0x7fffffffu;
      greatest = greatest > magnitude ? greatest : magnitude;
    }
    if (greatest >= kInfinity) break;
  }
  for (; at < values.size(); ++at) {
    if ((float_bits(values[at]) & kInfinity) == kInfinity) return at;
  }
  return at;
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// Which instruction set the compiled library runs on.
#pragma once

#include <cstdint>
#include <string_view>

#include "ecco/config.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Paths of the compiled library, slowest first. Every path gives the same bits.
enum class Isa : std::uint8_t { scalar = 0, avx2 = 1 };

constexpr std::string_view isa_name(Isa isa) noexcept {
  return isa == Isa::avx2 ? "avx2" : "scalar";
}

/// True when this CPU (and operating system) can run the path. avx2 means AVX2 and
/// the FMA, BMI2, LZCNT and F16C that come with it.
ECCO_API bool isa_supported(Isa isa) noexcept;

/// The path in use: the fastest supported one, or the one that the environment variable
/// ECCO_FORCE_ISA names (scalar, avx2). Detected once. Error: unsupported, when that variable
/// names an unknown path or one that this CPU lacks; every compute function then returns the same
/// error.
ECCO_API Result<Isa> active_isa() noexcept;

}  // namespace ecco

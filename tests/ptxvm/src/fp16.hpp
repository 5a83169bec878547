// SPDX-License-Identifier: MIT
// Small floating-point formats in software: half, bfloat16, tf32, e4m3, e5m2; every result rounded
// once.
//
// The arithmetic is done in a wider format and the last step rounds to the small one. That is
// exact for
// + - * / sqrt in float (24 >= 2 * 11 + 2 bits); fma needs an intermediate rounded to odd (Boldo
// and Melquiond), which keeps the information the final rounding needs.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#ifdef __F16C__
#include <immintrin.h>
#endif

#include "ir.hpp"

namespace ptxvm {

inline float asFloat(uint32_t u) { return std::bit_cast<float>(u); }
inline uint32_t asBits(float f) { return std::bit_cast<uint32_t>(f); }
inline double asDouble(uint64_t u) { return std::bit_cast<double>(u); }
inline uint64_t asBits(double d) { return std::bit_cast<uint64_t>(d); }

// A binary format: mantissa bits, smallest normal exponent, largest exponent.
struct Format {
  int mantissa, emin, emax;
  bool hasInf;  // e4m3 has none: its top code is NaN and 448 is the largest value
  int signBit;
  uint32_t nan;  // the canonical NaN
};
inline constexpr Format kHalf{10, -14, 15, true, 15, 0x7fff};
inline constexpr Format kBfloat{7, -126, 127, true, 15, 0x7fff};
inline constexpr Format kTf32{10, -126, 127, true, 18, 0x3ffff};  // the top 19 bits of a float
inline constexpr Format kE4M3{3, -6, 8, false, 7, 0x7f};
inline constexpr Format kE5M2{2, -14, 15, true, 7, 0x7f};
inline constexpr Format kSingle{23, -126, 127, true, 31, 0x7fffffff};

// Rounds x to the format in the given direction and returns its code.
inline uint32_t roundTo(const Format& f, double x, Rnd rnd, bool satfinite = false) {
  const uint64_t bits = asBits(x);
  const bool negative = bits >> 63;
  const uint32_t sign = negative ? 1u << f.signBit : 0;
  const uint32_t infinity = static_cast<uint32_t>(f.emax - f.emin + 2) << f.mantissa;
  const uint32_t largest = f.hasInf ? infinity - 1 : 0x7e;
  if (std::isnan(x)) return f.nan;
  if (std::isinf(x)) return sign | (satfinite || !f.hasInf ? largest : infinity);
  if (x == 0) return sign;
  int exponent = static_cast<int>(bits >> 52 & 0x7ff) - 1023;
  uint64_t significand = bits & ((1ull << 52) - 1);
  if (exponent == -1023) {  // a subnormal double
    const int shift = std::countl_zero(significand) - 11;
    significand <<= shift;
    exponent = -1022 - shift;
  } else {
    significand |= 1ull << 52;
  }
  int drop = 52 - f.mantissa;  // bits to remove
  if (exponent < f.emin) drop += f.emin - exponent;
  uint64_t kept, rest, half;
  if (drop > 63) {
    kept = 0, rest = 1, half = 2;  // below half of the smallest subnormal
  } else {
    kept = significand >> drop;
    rest = significand & ((1ull << drop) - 1);
    half = 1ull << (drop - 1);
  }
  bool up = false;
  switch (rnd) {
    case Rnd::RZ:
      break;
    case Rnd::RM:
      up = negative && rest;
      break;
    case Rnd::RP:
      up = !negative && rest;
      break;
    case Rnd::RNA:
      up = rest >= half;
      break;
    default:
      up = rest > half || (rest == half && (kept & 1));
      break;
  }
  kept += up;
  // kept holds the hidden bit when normal; adding it to the exponent field carries by itself.
  const int base = exponent < f.emin ? 0 : exponent - f.emin;
  const uint64_t code = (static_cast<uint64_t>(base) << f.mantissa) + kept;
  const bool overflow = f.hasInf ? code >= infinity : code > largest;
  if (overflow) {
    const bool towardZero =
        rnd == Rnd::RZ || (rnd == Rnd::RM && !negative) || (rnd == Rnd::RP && negative);
    if (satfinite || towardZero) return sign | largest;
    return sign | (f.hasInf ? infinity : f.nan);
  }
  return sign | static_cast<uint32_t>(code);
}

inline float halfToFloat(uint16_t h) {
#ifdef __F16C__
  return _cvtsh_ss(h);
#else
  const uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 31) return asFloat(sign | 0x7f800000u | mantissa << 13);
  if (exponent == 0) {
    const float f = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -f : f;
  }
  return asFloat(sign | (exponent + 112) << 23 | mantissa << 13);
#endif
}
inline uint16_t floatToHalf(float f) {
  if (f != f) return 0x7fff;
#ifdef __F16C__
  return _cvtss_sh(f, _MM_FROUND_TO_NEAREST_INT);
#else
  return static_cast<uint16_t>(roundTo(kHalf, f, Rnd::RN));
#endif
}
inline float bfloatToFloat(uint16_t b) { return asFloat(static_cast<uint32_t>(b) << 16); }
inline uint16_t floatToBfloat(float f) {
  if (f != f) return 0x7fff;
  const uint32_t u = asBits(f);
  return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

// x rounded to float, to odd: inexact results get an odd last bit.
inline float toFloatOdd(double x, bool inexact) {
  float f = static_cast<float>(x);
  const double back = f;
  if (!std::isfinite(x)) return f;
  if (std::isinf(f)) return asFloat((asBits(f) & 0x80000000u) | 0x7f7fffffu);
  if (back != x) {
    if (!(asBits(f) & 1)) {  // go to the odd neighbour on x's side
      const bool away = std::fabs(x) > std::fabs(back);
      if (f == 0) return asFloat((std::signbit(x) ? 0x80000000u : 0u) | 1u);
      f = asFloat(asBits(f) + (away ? 1 : -1));
    }
  } else if (inexact && !(asBits(f) & 1)) {
    return asFloat(asBits(f) | 1);  // the caller handled the direction; see fmaOdd
  }
  return f;
}

// a * b + c for values of at most 24 significant bits whose product is exact in double, rounded to
// odd in float.
inline float fmaOdd(float a, float b, float c) {
  const double p = static_cast<double>(a) * b;
  const double s = p + c;
  if (!std::isfinite(s)) return static_cast<float>(s);
  const double t = s - p;  // TwoSum: the exact rounding error of s
  const double error = (p - (s - t)) + (c - t);
  double odd = s;
  if (error != 0 && !(asBits(s) & 1))
    odd = asDouble(asBits(s) + ((error > 0) == (s > 0) ? 1 : -1));
  return toFloatOdd(odd, false);
}

inline uint16_t halfFma(uint16_t a, uint16_t b, uint16_t c) {
  return floatToHalf(fmaOdd(halfToFloat(a), halfToFloat(b), halfToFloat(c)));
}
inline uint16_t bfloatFma(uint16_t a, uint16_t b, uint16_t c) {
  return floatToBfloat(fmaOdd(bfloatToFloat(a), bfloatToFloat(b), bfloatToFloat(c)));
}

inline float e4m3ToFloat(uint8_t v) {
  const int exponent = v >> 3 & 15, mantissa = v & 7;
  float f;
  if ((v & 0x7f) == 0x7f) return asFloat(0x7fffffff);
  if (exponent == 0)
    f = std::ldexp(static_cast<float>(mantissa), -9);
  else
    f = std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return v & 0x80 ? -f : f;
}
inline float e5m2ToFloat(uint8_t v) { return halfToFloat(static_cast<uint16_t>(v << 8)); }

}  // namespace ptxvm

// SPDX-License-Identifier: MIT
#include "ecco/types.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <type_traits>

namespace ecco {
namespace {

// Value of a half from its fields, straight from IEEE 754.
float half_by_definition(unsigned bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31u);
  const auto fraction = static_cast<float>(bits & 1023u);
  float magnitude =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0f + fraction, exponent - 25);
  if (exponent == 31) magnitude = fraction == 0.0f ? INFINITY : NAN;
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

TEST(Half, EveryCodeWidensToItsDefinition) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float got = to_float(half{static_cast<std::uint16_t>(bits)});
    const float want = half_by_definition(bits);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
    } else {
      EXPECT_EQ(float_bits(got), float_bits(want)) << bits;
    }
  }
}

TEST(Half, RoundTripsEveryCode) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const half value{static_cast<std::uint16_t>(bits)};
    if (std::isnan(to_float(value))) continue;
    EXPECT_EQ(to_half(to_float(value)).bits, bits);
  }
}

TEST(Half, RoundsToNearestEvenBetweenNeighbours) {
  for (unsigned bits = 0; bits < 0x7bffu; ++bits) {
    const float below = half_by_definition(bits);
    const float above = half_by_definition(bits + 1);
    const float middle = below + (above - below) / 2;  // exact in binary32
    const unsigned even = (bits & 1u) == 0 ? bits : bits + 1;
    EXPECT_EQ(to_half(middle).bits, even) << bits;
    EXPECT_EQ(to_half(std::nextafter(middle, 0.0f)).bits, bits) << bits;
    EXPECT_EQ(to_half(std::nextafter(middle, INFINITY)).bits, bits + 1) << bits;
    EXPECT_EQ(to_half(-middle).bits, even | 0x8000u) << bits;
  }
  EXPECT_EQ(to_half(65519.0f).bits, 0x7bff);
  EXPECT_EQ(to_half(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_half(INFINITY).bits, 0x7c00);
  EXPECT_TRUE(std::isnan(to_float(to_half(NAN))));
}

TEST(Bfloat16, RoundsToNearestEven) {
  for (unsigned bits = 0; bits < 0x7f7fu; ++bits) {
    const float middle = bits_float(bits << 16 | 0x8000u);
    const unsigned even = (bits & 1u) == 0 ? bits : bits + 1;
    EXPECT_EQ(to_bfloat16(middle).bits, even) << bits;
    EXPECT_EQ(to_bfloat16(bits_float(bits << 16 | 0x7fffu)).bits, bits);
    EXPECT_EQ(to_bfloat16(bits_float(bits << 16 | 0x8001u)).bits, bits + 1);
    EXPECT_EQ(float_bits(to_float(bfloat16{static_cast<std::uint16_t>(bits)})), bits << 16);
  }
  EXPECT_TRUE(std::isnan(to_float(to_bfloat16(NAN))));
}

TEST(E5m3, EveryCodeIsItsDefinitionAndTheyAscend) {
  EXPECT_EQ(float_bits(e5m3_to_float(0)), 0u);
  for (int code = 1; code < 256; ++code) {
    const float want = std::ldexp(1.0f + static_cast<float>(code & 7) / 8.0f, (code >> 3) - 24);
    EXPECT_EQ(e5m3_to_float(static_cast<std::uint8_t>(code)), want);
    EXPECT_GT(want, e5m3_to_float(static_cast<std::uint8_t>(code - 1)));
  }
  EXPECT_EQ(e5m3_to_float(255), 240.0f);
  EXPECT_EQ(e5m3_to_float(1), 1.125f * 0x1p-24f);
}

float fp8_by_definition(unsigned code) {
  const int exponent = static_cast<int>(code >> 3 & 15u);
  const auto fraction = static_cast<float>(code & 7u);
  const float magnitude =
      exponent == 0 ? std::ldexp(fraction, -9) : std::ldexp(8.0f + fraction, exponent - 10);
  return (code & 0x80u) != 0 ? -magnitude : magnitude;
}

TEST(Fp8E4m3, EveryCodeIsItsDefinitionAndRoundTrips) {
  EXPECT_EQ(fp8_by_definition(0x7f), 480.0f);
  for (unsigned code = 0; code < 256; ++code) {
    const float value = to_float(fp8_e4m3{static_cast<std::uint8_t>(code)});
    EXPECT_EQ(float_bits(value), float_bits(fp8_by_definition(code))) << code;
    EXPECT_EQ(to_fp8_e4m3(value).bits, code);
  }
}

TEST(Fp8E4m3, RoundsToNearestEvenAndSaturates) {
  for (unsigned code = 0; code < 0x7f; ++code) {
    const float middle = (fp8_by_definition(code) + fp8_by_definition(code + 1)) / 2;
    const unsigned even = (code & 1u) == 0 ? code : code + 1;
    EXPECT_EQ(to_fp8_e4m3(middle).bits, even) << code;
    EXPECT_EQ(to_fp8_e4m3(-middle).bits, even | 0x80u) << code;
    EXPECT_EQ(to_fp8_e4m3(std::nextafter(middle, 0.0f)).bits, code) << code;
    EXPECT_EQ(to_fp8_e4m3(std::nextafter(middle, 1e9f)).bits, code + 1) << code;
  }
  EXPECT_EQ(to_fp8_e4m3(1e30f).bits, 0x7f);
  EXPECT_EQ(to_fp8_e4m3(-INFINITY).bits, 0xff);
}

static_assert(to_float(half{0x3c00}) == 1.0f);
static_assert(to_half(1.0f).bits == 0x3c00);
static_assert(e5m3_to_float(192) == 1.0f);

static_assert(std::is_convertible_v<MatrixView<float>, MatrixView<const float>>);
static_assert(!std::is_convertible_v<MatrixView<const float>, MatrixView<float>>);
static_assert(!std::is_convertible_v<MatrixView<float>, MatrixView<const half>>);

TEST(MatrixView, ThatMayBeWrittenIsOneThatIsRead) {
  float values[12] = {};
  const MatrixView<const float> view = MatrixView<float>{values, 3, 2, 4};
  EXPECT_EQ(view.data, values);
  EXPECT_EQ(view.rows, 3u);
  EXPECT_EQ(view.cols, 2u);
  EXPECT_EQ(view.row_stride, 4u);
}

}  // namespace
}  // namespace ecco

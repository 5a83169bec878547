// SPDX-License-Identifier: MIT
#include "ecco/a8.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

namespace ecco::a8 {
namespace {

TEST(A8, DecodesArbitraryBytesAsSpecified) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    std::uint8_t block[64];
    for (std::uint8_t& byte : block) byte = static_cast<std::uint8_t>(random());
    if (trial % 10 == 0) {
      for (int i = 7; i < 64; i += 8) block[i] = static_cast<std::uint8_t>(block[i] & 0xfe);
    }
    int code = 0;
    for (int i = 7; i < 64; i += 8) code |= (block[i] % 2) << (i / 8);
    const float factor = code == 0 ? 0.0f : 0.5f * e5m3_to_float(static_cast<std::uint8_t>(code));
    float values[64];
    decode(block, 0.5f, values);
    std::int8_t integers[64];
    ASSERT_EQ(decode_int8(block, 0.5f, integers), factor);
    for (int i = 0; i < 64; ++i) {
      int want = block[i] >= 128 ? block[i] - 256 : block[i];
      if (i % 8 == 7 && want % 2 == 0) want += 1;
      if (code == 0) want = 0;
      ASSERT_EQ(integers[i], want);
      ASSERT_EQ(float_bits(values[i]), float_bits(factor * static_cast<float>(want)));
    }
  }
}

TEST(A8, DecodesRowsBlockByBlock) {
  std::mt19937 random(4);
  std::uint8_t blocks[3 * 64];
  for (std::uint8_t& byte : blocks) byte = static_cast<std::uint8_t>(random());
  float all[3 * 64];
  for (int b = 0; b < 3; ++b) decode(blocks + 64 * b, 2.0f, all + 64 * b);
  for (std::size_t count = 0; count <= 3 * 64; ++count) {
    float out[3 * 64 + 1];
    std::fill(std::begin(out), std::end(out), 9.0f);
    decode_row(blocks, count, 2.0f, out);
    ASSERT_TRUE(std::equal(all, all + count, out));
    ASSERT_EQ(out[count], 9.0f);
  }
}

TEST(A8, ZeroScaleIsValidOnlyInAZeroBlock) {
  std::uint8_t block[64] = {};
  EXPECT_TRUE(is_valid(block));
  block[0] = 1;
  EXPECT_FALSE(is_valid(block));
  block[7] = 1;
  EXPECT_TRUE(is_valid(block));
}

// The rules of docs/format.md, section 6, with every code tried and every integer weighed.
TEST(A8, EncodesByItsRules) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 600; ++trial) {
    float x[64];
    for (float& v : x) {
      v = std::ldexp(normal(random), trial % 50 - 30);
      if (trial % 7 == 0) v = std::round(v * 4.0f) / 4.0f;
    }
    const int count = trial % 5 == 0 ? 1 + static_cast<int>(random() % 64) : 64;
    const float tensor_scale = trial % 2 == 0 ? 1.0f : 0.77f;
    std::uint8_t block[64];
    encode(x, count, tensor_scale, block);
    ASSERT_TRUE(is_valid(block));
    // q of element i under a code, by weighing all candidates; 128 when none is allowed.
    const auto best_integer = [&](int i, float factor) {
      const double r = static_cast<double>((i < count ? x[i] : 0.0f) / factor);
      const bool carrier = i % 8 == 7;
      int best = 0;
      double least = 1e300;
      for (int q = -129; q <= 129; ++q) {
        if (carrier && q % 2 == 0) continue;
        const double off = std::fabs(r - q);
        const bool preferred = carrier ? std::abs(q) < std::abs(best) : q % 2 == 0;
        if (off < least || (off == least && (preferred || (r == 0.0 && q == 1)))) {
          least = off;
          best = q;
        }
      }
      return std::fabs(r) > 129.0 ? 129 : best;
    };
    bool all_zero = true;
    for (int i = 0; i < count; ++i) all_zero = all_zero && x[i] == 0.0f;
    if (all_zero) {
      ASSERT_EQ(scale_code(block), 0);
      continue;
    }
    int code = 1;
    for (; code < 255; ++code) {
      const float factor = tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code));
      bool fits = true;
      for (int i = 0; i < 64; ++i) fits = fits && std::abs(best_integer(i, factor)) <= 127;
      if (fits) break;
    }
    ASSERT_EQ(scale_code(block), code) << "trial " << trial;
    const float factor = tensor_scale * e5m3_to_float(static_cast<std::uint8_t>(code));
    std::int8_t q[64];
    ASSERT_EQ(decode_int8(block, tensor_scale, q), factor);
    float largest = 0.0f;
    for (int i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
    for (int i = 0; i < 64; ++i) {
      if (code < 255) {
        ASSERT_EQ(q[i], best_integer(i, factor)) << i;
      }
      if (i >= count || code == 255) continue;
      const double off = std::fabs(static_cast<double>(factor) * q[i] - static_cast<double>(x[i]));
      const double bound = static_cast<double>(factor) * (i % 8 == 7 ? 1.0 : 0.5);
      ASSERT_LE(off, bound + 0x1p-22 * std::fabs(static_cast<double>(x[i])));
      if (code > 1) {
        ASSERT_LE(off, (i % 8 == 7 ? 0.009 : 0.0045) * static_cast<double>(largest));
      }
    }
  }
}

TEST(A8, SaturatesWhatNoScaleFits) {
  float x[64] = {};
  x[0] = 1e30f;
  x[1] = -std::numeric_limits<float>::infinity();
  x[2] = std::numeric_limits<float>::quiet_NaN();
  x[7] = -1e10f;
  x[15] = 128.0f * 240.0f;
  std::uint8_t block[64];
  encode(x, 64, 1.0f, block);
  std::int8_t q[64];
  EXPECT_EQ(decode_int8(block, 1.0f, q), 240.0f);
  EXPECT_EQ(q[0], 127);
  EXPECT_EQ(q[1], -127);
  EXPECT_EQ(q[2], 0);
  EXPECT_EQ(q[7], -127);
  EXPECT_EQ(q[15], 127);
  EXPECT_EQ(q[23], 1);
}

}  // namespace
}  // namespace ecco::a8

// SPDX-License-Identifier: MIT
#include "ecco/a8.hpp"

#include <gtest/gtest.h>

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

TEST(A8, ZeroScaleIsValidOnlyInAZeroBlock) {
  std::uint8_t block[64] = {};
  EXPECT_TRUE(is_valid(block));
  block[0] = 1;
  EXPECT_FALSE(is_valid(block));
  block[7] = 1;
  EXPECT_TRUE(is_valid(block));
}

}  // namespace
}  // namespace ecco::a8

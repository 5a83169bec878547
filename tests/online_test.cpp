// SPDX-License-Identifier: MIT
#include "ecco/online.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "ecco/a8.hpp"
#include "ecco/h4_encode.hpp"
#include "support/h4_tables.hpp"

namespace ecco {
namespace {

using test::H4Table;
using test::kH4Shapes;

// Values of all kinds: smooth, heavy-tailed, equal, zeros, beyond the scale's range, not finite.
float adversarial_value(std::mt19937& random, int kind) {
  std::normal_distribution<float> normal;
  switch (kind % 8) {
    case 0:
      return std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    case 1:
      return normal(random) * 1e-40f;
    case 2:
      return random() % 50 == 0 ? 3.0f : 0.0f;
    case 3:
      return random() % 2 == 0 ? -1.5f : 1.5f;
    case 4:
      return std::exp(3.0f * normal(random)) * (random() % 2 == 0 ? -1.0f : 1.0f);
    case 5:
      return static_cast<float>(static_cast<int>(random() % 9) - 4) * 0.25f;
    default:
      return normal(random);
  }
}

TEST(KvEncoder, EqualsTheReferenceBitForBit) {
  std::mt19937 random(1);
  for (const auto& [patterns, codebooks] : kH4Shapes) {
    const H4Table table = test::random_h4_table(random, patterns, codebooks);
    const KvEncoder encoder =
        KvEncoder::create({Codec::h4, table.centroids, table.lengths}).value();
    for (int trial = 0; trial < 800; ++trial) {
      const std::size_t size = trial % 4 == 0 ? 1 + random() % 400 : 256;
      std::vector<float> row(size);
      for (float& v : row) v = adversarial_value(random, trial);
      const float scale = trial % 3 == 0 ? 0.01f : 1.0f;
      std::vector<std::uint8_t> out((size + 127) / 128 * 64);
      ASSERT_TRUE(encoder.encode_row(row, scale, out));
      for (std::size_t b = 0; b < out.size() / 64; ++b) {
        const int count = static_cast<int>(std::min<std::size_t>(128, size - 128 * b));
        std::uint8_t want[64];
        h4::encode_kv(row.data() + 128 * b, count, table.view(), scale, want);
        ASSERT_TRUE(std::equal(want, want + 64, out.data() + 64 * b)) << "trial " << trial;
        ASSERT_EQ(h4::check(want, table.view(), count), h4::Fault::none);
      }
    }
  }
}

TEST(KvEncoder, NamesWhatIsWrong) {
  std::mt19937 random(2);
  const H4Table table = test::random_h4_table(random, 16, 4);
  EXPECT_EQ(KvEncoder::create({}).error().code(), StatusCode::unsupported);
  const KvEncoder encoder = KvEncoder::create({Codec::h4, table.centroids, table.lengths}).value();
  const std::vector<float> row(129, 1.0f);
  std::vector<std::uint8_t> out(128);
  EXPECT_TRUE(encoder.encode_row(row, 1.0f, out));
  EXPECT_EQ(encoder.encode_row(row, 0.0f, out).code(), StatusCode::invalid_argument);
  EXPECT_EQ(encoder.encode_row(row, 1.0f, std::span(out).first(64)).code(),
            StatusCode::shape_mismatch);
}

TEST(EncodeA8, EqualsTheReferenceBitForBit) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 4000; ++trial) {
    const std::size_t size = trial % 4 == 0 ? 1 + random() % 200 : 128;
    std::vector<float> row(size);
    for (float& v : row) v = adversarial_value(random, trial);
    const float scales[] = {1.0f, 0.3f, 1e-45f, 1e34f, 1e-30f};
    const float scale = scales[trial % 5];
    std::vector<std::uint8_t> out((size + 63) / 64 * 64);
    ASSERT_TRUE(encode_a8(row, scale, out));
    for (std::size_t b = 0; b < out.size() / 64; ++b) {
      const int count = static_cast<int>(std::min<std::size_t>(64, size - 64 * b));
      std::uint8_t want[64];
      a8::encode(row.data() + 64 * b, count, scale, want);
      ASSERT_TRUE(std::equal(want, want + 64, out.data() + 64 * b)) << "trial " << trial;
      ASSERT_TRUE(a8::is_valid(want));
    }
  }
  std::vector<std::uint8_t> out(64);
  const std::vector<float> row(64, 1.0f);
  EXPECT_EQ(encode_a8(row, -1.0f, out).code(), StatusCode::invalid_argument);
  EXPECT_EQ(encode_a8(row, 1.0f, std::span(out).first(63)).code(), StatusCode::shape_mismatch);
}

}  // namespace
}  // namespace ecco

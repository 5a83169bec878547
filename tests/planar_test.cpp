// SPDX-License-Identifier: MIT
#include "ecco/planar.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "support/compare.hpp"
#include "support/planar_blocks.hpp"

namespace ecco::planar {
namespace {

using Bits = std::deque<int>;

// What docs/format.md, section 2, says of a block, bit by bit on lists; shares nothing with the
// library.
struct SpecBlock {
  std::vector<int> ranks;
  std::vector<int> centroids;
  std::vector<float> values;
  float factor = 0.0f;
  bool valid = true;
};

int bit_of_bytes(const std::uint8_t* bytes, int k) { return bytes[k / 8] >> (k % 8) & 1; }

// Bit of element e in the plane that begins at `plane`.
int plane_bit(const std::uint8_t* plane, int e) { return plane[e % 16] >> (e / 16) & 1; }

// Number of masks that each of the half's 64 elements is in; adds to `used`.
std::vector<int> classes_by_specification(const std::uint8_t* block, bool high, int& used) {
  Bits tail;  // bit 0 first
  for (int k = 0; k < 64; ++k) tail.push_back(bit_of_bytes(block + (high ? 8 : 2), k));
  Bits mask;
  for (int j = 0; j < 64; ++j) {
    mask.push_back(plane_bit(block + 16, 16 * (j % 8) + j / 8 + (high ? 8 : 0)));
  }
  std::vector<int> classes(mask.begin(), mask.end());
  for (int t = 2; t <= 4; ++t) {
    Bits chunk;  // lowest bit first
    for (const int member : mask) {
      if (member == 0) continue;
      ++used;
      if (high) {
        chunk.push_front(tail.back());
        tail.pop_back();
        tail.push_front(0);
      } else {
        chunk.push_back(tail.front());
        tail.pop_front();
        tail.push_back(0);
      }
    }
    for (int j = 0; j < 64; ++j) {
      if (mask[static_cast<std::size_t>(j)] == 0) continue;
      mask[static_cast<std::size_t>(j)] = chunk.front();
      chunk.pop_front();
      classes[static_cast<std::size_t>(j)] += mask[static_cast<std::size_t>(j)];
    }
  }
  return classes;
}

SpecBlock decode_by_specification(const std::uint8_t* block, int planes,
                                  const std::vector<std::int8_t>& table, float tensor_scale) {
  SpecBlock out;
  const int width = 5 * (1 << planes);
  const int patterns = static_cast<int>(table.size()) / width;
  int low_used = 0;
  int high_used = 0;
  const std::vector<int> low = classes_by_specification(block, false, low_used);
  const std::vector<int> high = classes_by_specification(block, true, high_used);
  out.ranks.resize(128);
  for (int j = 0; j < 64; ++j) {
    out.ranks[static_cast<std::size_t>(16 * (j % 8) + j / 8)] = low[static_cast<std::size_t>(j)];
    out.ranks[static_cast<std::size_t>(16 * (j % 8) + j / 8 + 8)] =
        high[static_cast<std::size_t>(j)];
  }
  for (int e = 0; e < 128; ++e) {
    int m = 0;
    for (int j = 0; j < planes; ++j) {  // M[r-1] comes first
      m += (1 << j) * plane_bit(block + 32 + 16 * (planes - 1 - j), e);
    }
    int& rank = out.ranks[static_cast<std::size_t>(e)];
    rank = rank * (1 << planes) + m;
  }

  const int code = block[1];
  const float block_scale = std::ldexp(1.0f + static_cast<float>(code % 8) / 8.0f, code / 8 - 24);
  out.factor = code == 0 ? 0.0f : tensor_scale * block_scale;
  for (int e = 0; e < 128; ++e) {
    int centroid = 0;
    if (code != 0 && block[0] < patterns) {
      centroid = table[static_cast<std::size_t>(block[0] * width +
                                                out.ranks[static_cast<std::size_t>(e)])];
    }
    out.centroids.push_back(centroid);
    out.values.push_back(code == 0 ? 0.0f : out.factor * static_cast<float>(centroid));
  }

  int dirty = 0;
  for (int k = low_used; k < 112 - high_used; ++k) dirty += bit_of_bytes(block + 2, k);
  int set = 0;
  for (int k = 0; k < 8 * (32 + 16 * planes); ++k) set += bit_of_bytes(block, k);
  out.valid = code == 0 ? set == 0
                        : low_used <= 64 && high_used <= 64 && low_used + high_used <= 112 &&
                              dirty == 0 && block[0] < patterns;
  return out;
}

template <int R>
void expect_as_specified(const std::uint8_t* block, const std::vector<std::int8_t>& table,
                         float tensor_scale) {
  const int patterns = static_cast<int>(table.size()) / (kClasses << R);
  const SpecBlock want = decode_by_specification(block, R, table, tensor_scale);
  std::uint8_t ranks[kGroup];
  std::int8_t centroids[kGroup];
  float values[kGroup];
  decode_ranks<R>(block, ranks);
  const float factor = decode_int8<R>(block, table.data(), patterns, tensor_scale, centroids);
  decode<R>(block, table.data(), patterns, tensor_scale, values);
  ASSERT_EQ(float_bits(factor), float_bits(want.factor));
  for (std::size_t e = 0; e < kGroup; ++e) {
    ASSERT_EQ(ranks[e], want.ranks[e]) << "element " << e;
    ASSERT_EQ(centroids[e], want.centroids[e]) << "element " << e;
    ASSERT_EQ(float_bits(values[e]), float_bits(want.values[e])) << "element " << e;
  }
  ASSERT_EQ(check<R>(block, patterns) == Fault::none, want.valid)
      << fault_name(check<R>(block, patterns));
}

template <typename Planes>
class PlanarCodec : public testing::Test {
 protected:
  static constexpr int kPlanes = Planes::value;
  static constexpr std::size_t kBytes = 32 + 16 * kPlanes;
  static constexpr Codec kCodec = static_cast<Codec>(2 + kPlanes);
  std::mt19937 random{17 + kPlanes};
};
using AllPlanes = testing::Types<Planes<0>, Planes<1>, Planes<2>, Planes<3>>;
TYPED_TEST_SUITE(PlanarCodec, AllPlanes);

TYPED_TEST(PlanarCodec, ArbitraryBytesDecodeAsSpecified) {
  const auto table = test::random_table(this->random, this->kCodec, 200);
  std::vector<std::uint8_t> block(this->kBytes);
  for (int trial = 0; trial < 4000; ++trial) {
    test::fill_arbitrary(this->random, block);
    const float scale = trial % 3 == 0 ? 1.0f : std::ldexp(1.7f, trial % 251 - 140);
    expect_as_specified<TestFixture::kPlanes>(block.data(), table, scale);
    if (this->HasFatalFailure()) FAIL() << "trial " << trial;
  }
}

TYPED_TEST(PlanarCodec, ValidBlocksDecodeAsSpecified) {
  const auto table = test::random_table(this->random, this->kCodec, 200);
  std::vector<std::uint8_t> block(this->kBytes);
  for (int trial = 0; trial < 1000; ++trial) {
    test::fill_valid(this->random, this->kCodec, 200, block);
    ASSERT_EQ(check<TestFixture::kPlanes>(block.data(), 200), Fault::none);
    expect_as_specified<TestFixture::kPlanes>(block.data(), table, 1.0f);
    if (this->HasFatalFailure()) FAIL() << "trial " << trial;
  }
}

TYPED_TEST(PlanarCodec, EveryByteOfTheHeaderDecodesAsSpecified) {
  const auto table = test::random_table(this->random, this->kCodec, 256);
  std::vector<std::uint8_t> block(this->kBytes);
  for (unsigned value = 0; value < 256; ++value) {
    test::fill_valid(this->random, this->kCodec, 256, block);
    block[0] = static_cast<std::uint8_t>(value);
    expect_as_specified<TestFixture::kPlanes>(block.data(), table, 3.0f);
    block[1] = static_cast<std::uint8_t>(value);
    expect_as_specified<TestFixture::kPlanes>(block.data(), table, 3.0f);
    if (this->HasFatalFailure()) FAIL() << "byte " << value;
  }
}

TYPED_TEST(PlanarCodec, PackedRanksComeBack) {
  constexpr int R = TestFixture::kPlanes;
  int refused = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    const auto ranks = test::random_ranks(this->random, R);
    // Tail bits by definition: 0 for class 0, 1 + (class - 1) more up to class 3, 3 for class 4.
    int need[2] = {0, 0};
    for (std::size_t e = 0; e < kGroup; ++e) {
      const int level = ranks[e] >> R;
      need[e % 16 / 8] += level == 4 ? 3 : level;
    }
    const bool fits = need[0] <= 64 && need[1] <= 64 && need[0] + need[1] <= 112;
    std::array<std::uint8_t, TestFixture::kBytes> block;
    block.fill(0xcc);
    ASSERT_EQ(pack<R>(ranks.data(), 9, 77, block.data()), fits);
    if (!fits) {
      ++refused;
      for (const std::uint8_t byte : block) ASSERT_EQ(byte, 0xcc) << "a refusal wrote";
      continue;
    }
    EXPECT_EQ(block[0], 9);
    EXPECT_EQ(block[1], 77);
    std::uint8_t back[kGroup];
    decode_ranks<R>(block.data(), back);
    for (std::size_t e = 0; e < kGroup; ++e) ASSERT_EQ(back[e], ranks[e]);
    ASSERT_EQ(check<R>(block.data(), 10), Fault::none);
    ASSERT_EQ(check<R>(block.data(), 9), Fault::unknown_pattern);
  }
  EXPECT_GT(refused, 100);  // both sides of the limit were seen
  EXPECT_LT(refused, 2900);
}

// Ranks of class `level` for the first elements of each half, class 0 for the others.
template <int R>
std::array<std::uint8_t, kGroup> first_elements(int low, int high, int level) {
  std::array<std::uint8_t, kGroup> ranks{};
  for (int j = 0; j < 64; ++j) {
    const int e = 16 * (j % 8) + j / 8;
    if (j < low) ranks[static_cast<std::size_t>(e)] = static_cast<std::uint8_t>(level << R);
    if (j < high) ranks[static_cast<std::size_t>(e + 8)] = static_cast<std::uint8_t>(level << R);
  }
  return ranks;
}

TYPED_TEST(PlanarCodec, PackMeetsTheLimitsExactly) {
  constexpr int R = TestFixture::kPlanes;
  std::array<std::uint8_t, TestFixture::kBytes> block{};
  EXPECT_TRUE(pack<R>(first_elements<R>(64, 48, 1).data(), 0, 1, block.data()));
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
  EXPECT_TRUE(pack<R>(first_elements<R>(48, 64, 1).data(), 0, 1, block.data()));
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
  EXPECT_TRUE(pack<R>(first_elements<R>(21, 16, 4).data(), 0, 1, block.data()));  // 63 + 48
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
  EXPECT_FALSE(pack<R>(first_elements<R>(64, 49, 1).data(), 0, 1, block.data()));
  EXPECT_FALSE(pack<R>(first_elements<R>(22, 0, 4).data(), 0, 1, block.data()));  // 66
  EXPECT_FALSE(pack<R>(first_elements<R>(0, 33, 2).data(), 0, 1, block.data()));  // 66
}

TYPED_TEST(PlanarCodec, CheckNamesEachFault) {
  constexpr int R = TestFixture::kPlanes;
  std::array<std::uint8_t, TestFixture::kBytes> block{};
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);  // all zero
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (i == 1) continue;
    block[i] = 0x10;
    EXPECT_EQ(check<R>(block.data(), 256), Fault::dirty_zero) << i;
    block[i] = 0;
  }
  block[1] = 100;
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
  block[0] = 7;
  EXPECT_EQ(check<R>(block.data(), 8), Fault::none);
  EXPECT_EQ(check<R>(block.data(), 7), Fault::unknown_pattern);
  block[0] = 0;
  for (std::size_t bit = 0; bit < kTailBits; ++bit) {  // no element uses the tail
    block[2 + bit / 8] = static_cast<std::uint8_t>(1u << (bit % 8));
    EXPECT_EQ(check<R>(block.data(), 1), Fault::dirty_tail) << bit;
    block[2 + bit / 8] = 0;
  }
  for (const std::size_t half : {std::size_t{16}, std::size_t{24}}) {
    for (std::size_t i = 0; i < 8; ++i) block[half + i] = 0xff;
    EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
    block[half == 16 ? 2 : 15] = half == 16 ? 0x01 : 0x80;  // one class 2 more: 65 bits
    EXPECT_EQ(check<R>(block.data(), 1), Fault::half_overflow);
    block[half == 16 ? 2 : 15] = 0;
    for (std::size_t i = 0; i < 8; ++i) block[half + i] = 0;
  }
  for (std::size_t i = 16; i < 30; ++i) block[i] = 0xff;  // 64 + 48
  EXPECT_EQ(check<R>(block.data(), 1), Fault::none);
  block[30] = 0x01;
  EXPECT_EQ(check<R>(block.data(), 1), Fault::tail_overflow);
}

TEST(Fault, HasANameEach) {
  for (int i = 0; i <= static_cast<int>(Fault::dirty_zero); ++i) {
    EXPECT_NE(std::string(fault_name(static_cast<Fault>(i))), "unknown fault");
  }
}

// A P2 block written by hand: element 0 (low half, bit 0) of class 3, elements 8 and 24 (high
// half, bits 0 and 1) of classes 1 and 2, pattern 1, scale 2.
//   Low half: level 2 takes tail bit 0 = 1, level 3 tail bit 1 = 1, level 4 tail bit 2 = 0.
//   High half: level 2 takes tail bits 110 (element 8) = 0 and 111 (element 24) = 1, level 3 tail
//   bit 109 (element 24) = 0.
constexpr std::array<std::uint8_t, 32> hand_written_p2() {
  std::array<std::uint8_t, 32> block{};
  block[0] = 1;
  block[1] = 25 << 3;
  block[2] = 0b011;
  block[15] = 0x80;
  block[16] = 0b1;
  block[24] = 0b11;
  return block;
}
constexpr std::array<float, kGroup> decode_p2() {
  constexpr std::int8_t table[10] = {1, 2, 3, 4, 5, 0, 10, -20, 30, -123};
  std::array<float, kGroup> values{};
  decode<0>(hand_written_p2().data(), table, 2, 0.5f, values.data());
  return values;
}
static_assert(decode_p2()[0] == 30.0f && decode_p2()[8] == 10.0f && decode_p2()[24] == -20.0f);
static_assert(decode_p2()[1] == 0.0f && decode_p2()[16] == 0.0f && decode_p2()[127] == 0.0f);
static_assert(check<0>(hand_written_p2().data(), 2) == Fault::none);

// In P4 plane M[1] comes before M[0]: element 17 is bit 1 of byte 1.
constexpr std::uint8_t rank_of_element_17() {
  std::uint8_t block[64] = {0, 1};
  block[32 + 1] = 0b10;
  std::uint8_t ranks[kGroup] = {};
  decode_ranks<2>(block, ranks);
  return ranks[17];
}
static_assert(rank_of_element_17() == 2);

}  // namespace
}  // namespace ecco::planar

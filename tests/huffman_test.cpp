// SPDX-License-Identifier: MIT
#include "ecco/huffman.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

namespace ecco::huffman {
namespace {

using Counts = std::array<std::uint64_t, kSymbols>;

std::uint64_t cost(const Counts& counts, const Lengths& lengths) {
  std::uint64_t bits = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) bits += counts[s] * lengths[s];
  return bits;
}

// Every multiset of 16 lengths in 2..8 that fills the code space, ascending: all there is to
// choose from, since the larger count never takes the longer code.
std::vector<Lengths> all_complete_codes() {
  std::vector<Lengths> codes;
  Lengths lengths{};
  const std::function<void(std::size_t, int, int)> extend = [&](std::size_t used, int length,
                                                                int left) {
    if (used == kSymbols) {
      if (left == 0) codes.push_back(lengths);
      return;
    }
    for (int l = length; l <= kMaxLength; ++l) {
      const int space = 1 << (kMaxLength - l);
      if (space > left) continue;
      lengths[used] = static_cast<std::uint8_t>(l);
      extend(used + 1, l, left - space);
    }
  };
  extend(0, kMinLength, 1 << kMaxLength);
  return codes;
}

std::uint64_t least_cost(const Counts& counts, const std::vector<Lengths>& codes) {
  Counts sorted = counts;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  std::uint64_t least = ~std::uint64_t{0};
  for (const Lengths& lengths : codes) least = std::min(least, cost(sorted, lengths));
  return least;
}

Counts random_counts(std::mt19937& random, int kind) {
  Counts counts{};
  for (std::uint64_t& count : counts) {
    const auto r = static_cast<unsigned>(random());
    if (kind == 0) count = r % 100;
    if (kind == 1) count = r % 3;                             // many ties and zeros
    if (kind == 2) count = std::uint64_t{1} << (r % 40);      // so skewed that both limits bind
    if (kind == 3) count = r % 16 == 0 ? 1000000 : r % 2000;  // one symbol would take 1 bit
  }
  return counts;
}

TEST(LimitedLengths, MatchBruteForceOverAllCompleteCodes) {
  const std::vector<Lengths> codes = all_complete_codes();
  ASSERT_GT(codes.size(), 50u);
  std::mt19937 random(7);
  for (int trial = 0; trial < 4000; ++trial) {
    const Counts counts = random_counts(random, trial % 4);
    const Lengths lengths = limited_lengths(counts);
    ASSERT_TRUE(is_complete(lengths.data()));
    ASSERT_EQ(cost(counts, lengths), least_cost(counts, codes)) << "trial " << trial;
  }
}

TEST(LimitedLengths, StayWithinTheEntropyBoundWhereTheLimitsDoNotBind) {
  Counts counts{};
  double total = 0;
  for (std::size_t s = 0; s < kSymbols; ++s) {
    counts[s] =
        static_cast<std::uint64_t>(1e6 * std::exp(-0.5 * std::pow(double(s) - 7.5, 2) / 9));
    total += static_cast<double>(counts[s]);
  }
  double entropy = 0;
  for (const std::uint64_t count : counts) {
    const double p = static_cast<double>(count) / total;
    entropy -= p * std::log2(p);
  }
  const double mean = static_cast<double>(cost(counts, limited_lengths(counts))) / total;
  EXPECT_GE(mean, entropy);
  EXPECT_LT(mean, entropy + 0.1);
}

TEST(IsComplete, RejectsShortLongAndUnevenCodes) {
  Lengths lengths{};
  lengths.fill(4);
  EXPECT_TRUE(is_complete(lengths.data()));
  lengths[0] = 3;
  EXPECT_FALSE(is_complete(lengths.data()));  // over-full
  lengths[0] = 5;
  EXPECT_FALSE(is_complete(lengths.data()));  // a hole
  const Lengths one_bit = {1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 6, 6};
  EXPECT_FALSE(is_complete(one_bit.data()));
  const Lengths nine_bits = {2, 2, 2, 4, 4, 5, 6, 7, 8, 9, 9, 6, 7, 7, 8, 8};
  EXPECT_FALSE(is_complete(nine_bits.data()));
}

TEST(CanonicalCodes, AscendByLengthThenSymbol) {
  const Lengths lengths = {4, 3, 4, 4, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 5};
  // 2/8 + 12/16 + 2/32 = 17/16: over-full, so lengthen one pair.
  Lengths complete = lengths;
  complete[0] = complete[2] = 5;
  ASSERT_TRUE(is_complete(complete.data()));
  const Codes codes = canonical_codes(complete);
  EXPECT_EQ(codes.code[1], 0b000);
  EXPECT_EQ(codes.code[4], 0b001);
  EXPECT_EQ(codes.code[3], 0b0100);
  EXPECT_EQ(codes.code[5], 0b0101);
  EXPECT_EQ(codes.code[0], 0b11100);
  EXPECT_EQ(codes.code[15], 0b11111);
}

// Reads one code bit by bit, the way the definition of a prefix code does.
Step find_code(const Codes& codes, std::uint64_t stream) {
  unsigned value = 0;
  for (int length = 1; length <= kMaxLength; ++length, stream >>= 1) {
    value = value << 1 | static_cast<unsigned>(stream & 1);
    for (std::size_t s = 0; s < kSymbols; ++s) {
      if (codes.lengths[s] == length && codes.code[s] == value) {
        return {static_cast<std::uint8_t>(s), static_cast<std::uint8_t>(length)};
      }
    }
  }
  return {255, 255};
}

TEST(DecodeTables, EqualBitByBitReading) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 40; ++trial) {
    const Codes codes = canonical_codes(limited_lengths(random_counts(random, trial % 4)));
    const StepTable steps = step_table(codes);
    for (unsigned i = 0; i < steps.size(); ++i) {
      const Step want = find_code(codes, i);
      ASSERT_EQ(steps[i].symbol, want.symbol);
      ASSERT_EQ(steps[i].length, want.length);
      unsigned stream = i;
      int bits = 0;
      const Step serial = read_code(serial_code(codes.lengths.data()), [&] {
        ++bits;
        const unsigned bit = stream & 1u;
        stream >>= 1;
        return bit;
      });
      ASSERT_EQ(serial.symbol, want.symbol);
      ASSERT_EQ(serial.length, want.length);
      ASSERT_EQ(bits, want.length);
    }
    const MultiTable multi = multi_table(steps);
    for (unsigned i = 0; i < multi.size(); ++i) {
      int count = 0;
      int length = 0;
      for (; count < kMultiSymbols; ++count) {
        const Step want = find_code(codes, i >> length);
        if (length + want.length > kMultiBits) break;
        ASSERT_LT(count, multi[i].count());
        ASSERT_EQ(multi[i].symbols() >> (24 - 8 * count) & 255u, want.symbol);
        length += want.length;
      }
      ASSERT_EQ(multi[i].count(), count);
      ASSERT_EQ(multi[i].length(), length);
    }
  }
}

constexpr Counts kFlat = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
static_assert(limited_lengths(kFlat)[0] == 4 && limited_lengths(kFlat)[15] == 4);

}  // namespace
}  // namespace ecco::huffman

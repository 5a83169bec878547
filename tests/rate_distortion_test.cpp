// SPDX-License-Identifier: MIT
#include "ecco/rate_distortion.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "ecco/planar.hpp"

namespace ecco::rd {
namespace {

std::vector<std::int8_t> random_pattern(std::mt19937& random, int planes, int spread) {
  std::vector<std::int8_t> pattern(static_cast<std::size_t>(kClasses << planes));
  for (std::int8_t& c : pattern) {
    c = static_cast<std::int8_t>(static_cast<int>(random() % static_cast<unsigned>(spread)) -
                                 spread / 2);
  }
  return pattern;
}

std::int64_t cost_of(int target, int centroid, int bits, std::int64_t lambda) {
  const std::int64_t off = target - kFraction * centroid;
  return off * off + lambda * bits;
}

// The rule that the thresholds tabulate, by trying every rank; ties in error may go either way, so
// costs are compared, not ranks.
void expect_optimal(const std::vector<std::int8_t>& pattern, int planes, const Rung& rung,
                    int target) {
  const auto line = static_cast<std::size_t>(rung.line(target));
  const int rank = rung.rank[line];
  ASSERT_EQ(rung.centroid[line], pattern[static_cast<std::size_t>(rank)]);
  ASSERT_EQ(rung.bits[line], std::min(rank >> planes, 3));
  const std::int64_t got = cost_of(target, rung.centroid[line], rung.bits[line], rung.lambda);
  for (std::size_t u = 0; u < pattern.size(); ++u) {
    const int bits = std::min(static_cast<int>(u) >> planes, 3);
    ASSERT_LE(got, cost_of(target, pattern[u], bits, rung.lambda)) << "rank " << u;
  }
}

TEST(Ladder, DecidesAsAFullSearchDoes) {
  std::mt19937 random(1);
  for (int planes = 0; planes < 4; ++planes) {
    for (const int spread : {247, 30, 3}) {  // 3: most centroids coincide
      const std::vector<std::int8_t> pattern = random_pattern(random, planes, spread);
      Ladder ladder;
      build_ladder(planes, pattern.data(), ladder);
      for (int q = 0; q + 1 < kRungs; ++q) {
        const Rung& rung = ladder.rungs[static_cast<std::size_t>(q)];
        for (int sample = 0; sample < 200; ++sample) {
          expect_optimal(pattern, planes, rung, static_cast<int>(random() % 9000) - 4500);
        }
        for (int i = 0; i + 1 < rung.size; ++i) {  // at the thresholds and beside them
          if (std::abs(rung.limit(i)) >= kMaxTarget) continue;  // no target gets there
          for (const int step : {-1, 0, 1})
            expect_optimal(pattern, planes, rung, rung.limit(i) + step);
        }
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(Ladder, LargerMultipliersSpendFewerBitsAndTheLastOneNone) {
  std::mt19937 random(2);
  for (int planes = 0; planes < 4; ++planes) {
    const std::vector<std::int8_t> pattern = random_pattern(random, planes, 247);
    Ladder ladder;
    build_ladder(planes, pattern.data(), ladder);
    EXPECT_EQ(ladder.rungs[0].lambda, 0);
    std::int16_t targets[kGroup];
    for (std::int16_t& t : targets) {
      t = static_cast<std::int16_t>(static_cast<int>(random() % 7000) - 3500);
    }
    Cost before = scalar::evaluate(targets, ladder.rungs[0]);
    for (std::size_t q = 1; q < kRungs; ++q) {
      const Cost now = scalar::evaluate(targets, ladder.rungs[q]);
      EXPECT_LE(now.total_bits(), before.total_bits()) << q;
      EXPECT_GE(now.error, before.error) << q;
      before = now;
    }
    EXPECT_EQ(before.total_bits(), 0);
  }
}

TEST(Evaluate, SumsErrorsAndTheBitsOfEachHalf) {
  std::mt19937 random(3);
  const std::vector<std::int8_t> pattern = random_pattern(random, 2, 247);
  Ladder ladder;
  build_ladder(2, pattern.data(), ladder);
  for (const Rung& rung : ladder.rungs) {
    std::int16_t targets[kGroup];
    for (std::int16_t& t : targets) {
      t = static_cast<std::int16_t>(static_cast<int>(random() % 7000) - 3500);
    }
    std::int64_t error = 0;
    int bits[2] = {0, 0};
    for (int e = 0; e < kGroup; ++e) {
      const auto line = static_cast<std::size_t>(rung.line(targets[e]));
      error += cost_of(targets[e], rung.centroid[line], 0, 0);
      bits[planar::half_of(e)] += rung.bits[line];
    }
    const Cost cost = scalar::evaluate(targets, rung);
    EXPECT_EQ(cost.error, error);
    EXPECT_EQ(cost.bits[0], bits[0]);
    EXPECT_EQ(cost.bits[1], bits[1]);
  }
}

}  // namespace
}  // namespace ecco::rd

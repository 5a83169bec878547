// SPDX-License-Identifier: MIT
#include "ecco/standard_tables.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../tools/h4_recipe.hpp"
#include "../tools/recipe.hpp"

namespace ecco {
namespace {

template <typename Byte>
std::string xxh3(std::span<const Byte> bytes) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(XXH3_64bits(bytes.data(), bytes.size())));
  return text;
}

ParallelFor threads(std::size_t count) {
  return [count](std::size_t size, const std::function<void(std::size_t, std::size_t)>& body) {
    std::vector<std::thread> running;
    for (std::size_t t = 0; t < count; ++t) {
      running.emplace_back([&, t] { body(size * t / count, size * (t + 1) / count); });
    }
    for (std::thread& thread : running) thread.join();
  };
}

// Constants, so that the headers alone suffice.
static_assert(standard_table(Codec::p4).patterns() == 256);
static_assert(standard_table(Codec::p2).centroids.size() == 1280);
static_assert(standard_table(Codec::h4).patterns() == 64);
static_assert(standard_kv_table().patterns() == 16);
static_assert(!find_standard_table(Codec::p4, kStandardKvTableName));

TEST(StandardTables, AreValidTablesOf256Patterns) {
  for (const Codec codec : kPlanarCodecs) {
    const PatternTableView table = standard_table(codec);
    EXPECT_EQ(table.codec, codec);
    EXPECT_EQ(table.patterns(), 256);
    EXPECT_TRUE(validate(table)) << validate(table).message();
  }
}

TEST(StandardTables, OfH4AreThoseThatThePaperChose) {
  for (const PatternTableView& table : {standard_table(Codec::h4), standard_kv_table()}) {
    EXPECT_TRUE(validate(table)) << validate(table).message();
    EXPECT_EQ(table.codebooks.size(), 4u * huffman::kSymbols);
  }
  EXPECT_EQ(find_standard_table(Codec::h4, "standard-kv-1")->centroids.data(),
            standard_kv_table().centroids.data());
  EXPECT_FALSE(find_standard_table(Codec::h4, "standard-2"));
}

// Files name these tables and do not hold them: any other byte makes every such file wrong.
TEST(StandardTables, BytesArePinned) {
  EXPECT_EQ(xxh3(standard_table(Codec::p2).centroids), "90cf099745181a56");
  EXPECT_EQ(xxh3(standard_table(Codec::p3).centroids), "7e9f3e3488420a8a");
  EXPECT_EQ(xxh3(standard_table(Codec::p4).centroids), "f649956e9adc38c3");
  EXPECT_EQ(xxh3(standard_table(Codec::p5).centroids), "04c00870e10abb28");
  EXPECT_EQ(xxh3(standard_table(Codec::h4).centroids), "670e170e279498d8");
  EXPECT_EQ(xxh3(standard_table(Codec::h4).codebooks), "715147215a36b0be");
  EXPECT_EQ(xxh3(standard_kv_table().centroids), "9972a961e4624ec4");
  EXPECT_EQ(xxh3(standard_kv_table().codebooks), "0312c28bae4c2bcf");
  for (const Codec codec : kStoredCodecs) {
    EXPECT_EQ(xxh3(standard_table(codec).centroids), standard_table_xxh3(codec));
  }
}

// Patterns stand in the order of use, so all of them are worth their place: no two are the same.
TEST(StandardTables, PatternsDiffer) {
  for (const Codec codec : kPlanarCodecs) {
    const PatternTableView table = standard_table(codec);
    const auto width = static_cast<std::size_t>(centroids_per_pattern(codec));
    for (std::size_t a = 0; a < 256; ++a) {
      const auto row = table.centroids.subspan(a * width, width);
      for (std::size_t b = a + 1; b < 256; ++b) {
        const auto other = table.centroids.subspan(b * width, width);
        EXPECT_FALSE(std::equal(row.begin(), row.end(), other.begin()))
            << codec_name(codec) << " patterns " << a << " and " << b;
      }
    }
  }
}

// The first random numbers, against an independent computation of SplitMix64 (seed 1234567, from
// the reference implementation's published output).
TEST(Recipe, RandomNumbersAreThoseOfSplitMix64) {
  tools::Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317u);
  EXPECT_EQ(random.next(), 3203168211198807973u);
}

TEST(Recipe, LogarithmAndExponentialAreRight) {
  for (const double x : {1e-300, 0.001, 0.7, 1.0, 1.5, 2.0, 1e10}) {
    EXPECT_NEAR(tools::natural_log(x), std::log(x), 1e-14 * std::max(1.0, std::fabs(std::log(x))));
  }
  for (const double x : {-600.0, -1.0, -0.3, 0.0, 0.3466, 1.0, 10.0, 600.0}) {
    EXPECT_NEAR(tools::exponential(x) / std::exp(x), 1.0, 1e-12);
  }
}

TEST(Recipe, SharesAreOfAHundred) {
  int sum = 0;
  for (const tools::Share& share : tools::kMixture) sum += share.percent;
  EXPECT_EQ(sum, 100);
}

// Unit mean square where the distribution has one, and the right fourth moment: 3, 6, 9.
TEST(Recipe, SourcesHaveTheirMoments) {
  tools::Random random(1);
  constexpr int kCount = 400000;
  const auto moments = [&](auto&& draw_one) {
    double second = 0.0;
    double fourth = 0.0;
    for (int i = 0; i < kCount; ++i) {
      const double x = draw_one();
      second += x * x;
      fourth += x * x * x * x;
    }
    return std::pair(second / kCount, fourth / kCount);
  };
  const auto normal = moments([&] { return random.normal(); });
  EXPECT_NEAR(normal.first, 1.0, 0.01);
  EXPECT_NEAR(normal.second, 3.0, 0.1);
  const auto student = moments([&] { return random.student(8) * std::sqrt(6.0 / 8.0); });
  EXPECT_NEAR(student.first, 1.0, 0.02);
  EXPECT_NEAR(student.second, 4.5, 0.6);
  const auto gamma = moments([&] { return random.gamma(2.5); });  // E x^2 = k (k + 1)
  EXPECT_NEAR(gamma.first, 8.75, 0.1);
}

// The whole run takes minutes; this one is the same program on less. The pinned bytes show that
// another compiler or machine would train the same table.
TEST(Recipe, ShortRunGivesTheSameBytesEverywhere) {
  for (tools::Recipe recipe : tools::kRecipes) {
    recipe.blocks = 512;
    recipe.batch_blocks = 128;
    recipe.rounds = recipe.codec == Codec::p4 ? 6 : 2;
    const auto table = tools::train(recipe, threads(7));
    ASSERT_TRUE(table);
    EXPECT_EQ(xxh3(std::span<const std::int8_t>(table->centroids)),
              recipe.codec == Codec::p2   ? "e89aa81c1f139579"
              : recipe.codec == Codec::p3 ? "deead1bc8fcdd5ba"
              : recipe.codec == Codec::p4 ? "3ae9fe29b7a71d1b"
                                          : "cbc4ab8347ced129");
    if (recipe.codec != Codec::p4) continue;
    for (const std::size_t count : {1u, 2u}) {
      const auto same = tools::train(recipe, threads(count));
      ASSERT_TRUE(same);
      EXPECT_EQ(same->centroids, table->centroids) << count << " threads";
    }
  }
}

TEST(Recipe, ShortRunOfH4GivesTheSameBytesEverywhere) {
  const auto weights = tools::train_h4({200, 2, 1}, threads(3));
  ASSERT_TRUE(weights);
  EXPECT_EQ(xxh3(std::span<const std::int8_t>(weights->centroids)), "36c95c307f0d1cb4");
  EXPECT_EQ(xxh3(std::span<const std::uint8_t>(weights->codebooks)), "7111dc5da753d6fe");
  const auto kv = tools::train_h4_kv({200, 2, 1}, threads(3));
  ASSERT_TRUE(kv);
  EXPECT_EQ(xxh3(std::span<const std::int8_t>(kv->centroids)), "49c67ab8ca4e3c37");
  EXPECT_EQ(xxh3(std::span<const std::uint8_t>(kv->codebooks)), "e395cc6662b435cc");
}

}  // namespace
}  // namespace ecco

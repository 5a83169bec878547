// SPDX-License-Identifier: MIT
#include "ecco/h4_fit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "ecco/h4_encode.hpp"
#include "ecco/h4_rate_aware.hpp"
#include "fit/h4_kmeans.hpp"

namespace ecco {
namespace {

std::vector<float> normal_values(std::size_t blocks, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(blocks * kGroup);
  std::generate(values.begin(), values.end(), [&] { return normal(random); });
  return values;
}

/// Two threads and uneven ranges.
void two_threads(std::size_t count,
                 const std::function<void(std::size_t begin, std::size_t end)>& body) {
  const std::size_t cut = count / 3;
  std::thread other([&] { body(cut, count); });
  body(0, cut);
  other.join();
}

std::vector<float> laplace_values(std::size_t blocks, unsigned seed) {
  std::mt19937 random(seed);
  std::exponential_distribution<float> exponential;
  std::vector<float> values(blocks * kGroup);
  for (float& v : values) v = (random() % 2 == 0 ? 1.0f : -1.0f) * exponential(random);
  return values;
}

/// Squared error of mode rate-aware over energy, rooted.
double rate_aware_error(const std::vector<float>& values, const PatternTable& table) {
  const h4::RateTables tables(table.view().h4());
  h4::RateAwareEncoder encoder(tables, h4::kFastSearch);
  const float tensor_scale =
      h4::tensor_scale_of(std::max(*std::max_element(values.begin(), values.end()),
                                   -*std::min_element(values.begin(), values.end())));
  double error = 0.0;
  double energy = 0.0;
  for (std::size_t at = 0; at < values.size(); at += kGroup) {
    std::uint8_t block[64];
    float decoded[kGroup];
    encoder.encode(values.data() + at, nullptr, kGroup, table.view().h4(), tensor_scale, 3e38f,
                   block);
    h4::decode(block, table.view().h4(), tensor_scale, decoded);
    for (std::size_t e = 0; e < kGroup; ++e) {
      const double value = static_cast<double>(values[at + e]);
      const double off = value - static_cast<double>(decoded[e]);
      error += off * off;
      energy += value * value;
    }
  }
  return std::sqrt(error / energy);
}

TEST(H4Fit, GivesValidTablesOfAnyShapeWhateverTheThreads) {
  const std::vector<float> values = normal_values(60, 1);
  const int shapes[][2] = {{16, 1}, {17, 3}, {64, 4}, {256, 16}};
  for (const auto& [patterns, codebooks] : shapes) {
    for (const int rounds : {0, 2}) {
      H4FitOptions options;
      options.patterns = patterns;
      options.codebooks = codebooks;
      options.rounds = rounds;
      const PatternTable table = fit_h4_table(values, options).value();
      ASSERT_TRUE(validate(table.view()));
      ASSERT_EQ(table.view().patterns(), patterns);
      ASSERT_EQ(table.codebooks.size(), static_cast<std::size_t>(codebooks) * 16);
      const PatternTable again = fit_h4_table(values, options, two_threads).value();
      EXPECT_EQ(again.centroids, table.centroids);
      EXPECT_EQ(again.codebooks, table.codebooks);
    }
  }
}

TEST(H4Fit, RefinementLowersTheRateAwareError) {
  const std::vector<float> values = laplace_values(400, 2);
  H4FitOptions options;
  options.patterns = 16;
  options.rounds = 0;
  const PatternTable kmeans = fit_h4_table(values, options).value();
  options.rounds = 6;
  const PatternTable refined = fit_h4_table(values, options).value();
  EXPECT_LT(rate_aware_error(values, refined), 0.985 * rate_aware_error(values, kmeans));
  const std::vector<float> others = laplace_values(400, 3);
  EXPECT_LT(rate_aware_error(others, refined), 0.995 * rate_aware_error(others, kmeans));
  options.start = kmeans.view();
  EXPECT_LT(rate_aware_error(values, fit_h4_table(values, options).value()),
            1.005 * rate_aware_error(values, refined));
}

TEST(H4Fit, ImportanceDrawsCentroidsToWhatCounts) {
  std::vector<float> values = normal_values(64, 4);
  std::vector<float> importance(values.size(), 1.0f);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::fabs(values[i]) < 0.3f) importance[i] = 200.0f;
  }
  H4FitOptions options;
  options.patterns = 16;
  options.rounds = 0;
  const auto small = [](const PatternTable& table) {
    return std::count_if(table.centroids.begin(), table.centroids.end(),
                         [](std::int8_t c) { return std::abs(c) < 14; });
  };
  const auto plain = small(fit_h4_table(values, options).value());
  options.importance = importance;
  EXPECT_GT(small(fit_h4_table(values, options).value()), plain + 16);
}

TEST(H4Fit, KvTablesClipLessThanThePapersKMeans) {
  const std::vector<float> values = normal_values(600, 5);
  H4FitOptions options;
  options.patterns = 16;
  options.rounds = 6;
  const PatternTable kv = fit_h4_kv_table(values, options).value();
  ASSERT_TRUE(validate(kv.view()));
  EXPECT_EQ(fit_h4_kv_table(values, options, two_threads).value().centroids, kv.centroids);
  options.rounds = 0;
  const PatternTable kmeans = fit_h4_table(values, options).value();
  const auto share = [&](const PatternTable& table) {
    int clipped = 0;
    for (std::size_t at = 0; at < values.size(); at += kGroup) {
      std::uint8_t block[64];
      h4::encode_kv(values.data() + at, kGroup, table.view().h4(), 1.0f, block);
      clipped += kGroup - h4::parse(block, table.view().h4()).coded;
    }
    return static_cast<double>(clipped) / static_cast<double>(values.size());
  };
  EXPECT_LT(share(kv), 0.005);
  EXPECT_GT(share(kmeans), share(kv));
}

/// Tables of all three trainings for the values times 2^exponent.
std::vector<PatternTable> tables_at(std::vector<float> values, int exponent) {
  for (float& value : values) value = std::ldexp(value, exponent);
  std::vector<PatternTable> tables;
  H4FitOptions options;
  options.patterns = 16;
  for (const int rounds : {0, 2}) {
    options.rounds = rounds;
    tables.push_back(fit_h4_table(values, options).value());
  }
  tables.push_back(fit_h4_kv_table(values, options).value());
  return tables;
}

// 2^-137: all values are subnormal, and so few bits of them are used that nothing is rounded.
TEST(H4Fit, TheTableDoesNotDependOnTheMagnitude) {
  std::vector<float> values = normal_values(48, 7);
  for (float& value : values) value = std::nearbyint(value * 0x1p12f) * 0x1p-12f;
  const std::vector<PatternTable> want = tables_at(values, 0);
  for (const int exponent : {-137, -60, 60, 124}) {
    const std::vector<PatternTable> got = tables_at(values, exponent);
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_EQ(got[i].centroids, want[i].centroids) << "2^" << exponent << ", table " << i;
      EXPECT_EQ(got[i].codebooks, want[i].codebooks) << "2^" << exponent << ", table " << i;
    }
  }
}

// A few times 2^-149, and up to the largest float: values and scales are rounded or at their
// limit.
TEST(H4Fit, TheLimitsOfFloatsGiveTablesAsGood) {
  std::vector<float> values = laplace_values(48, 8);
  float largest = 0.0f;
  for (float& value : values) {
    value = std::nearbyint(value * 4.0f);
    largest = std::max(largest, std::fabs(value));
  }
  ASSERT_LT(largest, 64.0f);
  for (float& value : values)
    value = std::fabs(value) == largest ? std::copysign(0x1.fffffep5f, value) : value;
  const std::vector<PatternTable> want = tables_at(values, 0);
  for (const int exponent : {-149, 122}) {
    const std::vector<PatternTable> got = tables_at(values, exponent);
    for (std::size_t i = 0; i < want.size(); ++i) {
      EXPECT_TRUE(validate(got[i].view()));
      EXPECT_LT(rate_aware_error(values, got[i]), 1.05 * rate_aware_error(values, want[i]))
          << "2^" << exponent << ", table " << i;
    }
  }
}

TEST(H4Fit, NothingIsThrown) {
  const std::vector<float> values = normal_values(20, 6);
  EXPECT_EQ(fit_h4_table(values, {}, ParallelFor()).error().message(), "the ParallelFor is empty");
  EXPECT_EQ(fit_h4_kv_table(values, {}, ParallelFor()).error().message(),
            "the ParallelFor is empty");
}

TEST(H4Fit, NamesWhatIsWrong) {
  const std::vector<float> values(256, 1.0f);
  const auto code = [&](H4FitOptions options, std::span<const float> data) {
    const Result<PatternTable> table = fit_h4_table(data, options);
    return table ? StatusCode::ok : table.error().code();
  };
  H4FitOptions options;
  options.rounds = 1;
  EXPECT_EQ(code(options, values), StatusCode::ok);
  EXPECT_EQ(code(options, std::vector<float>(256, 0.0f)), StatusCode::invalid_argument);
  EXPECT_EQ(code(options, std::span(values).first(100)), StatusCode::invalid_argument);
  options.patterns = 15;
  EXPECT_EQ(code(options, values), StatusCode::invalid_argument);
  options.patterns = 64;
  options.codebooks = 17;
  EXPECT_EQ(code(options, values), StatusCode::invalid_argument);
  options.codebooks = 4;
  options.importance = std::span(values).first(128);
  EXPECT_EQ(code(options, values), StatusCode::invalid_argument);
  options.importance = {};
  std::vector<float> broken = values;
  broken[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(options, broken), StatusCode::not_finite);
}

// Few points: the k-means of a group must find them all.
TEST(H4KMeans, FindsFifteenPlaces) {
  fit::NormalizedGroup group;
  for (std::size_t e = 0; e < kGroup; ++e) {
    group.place[e] = static_cast<std::int16_t>(64 * static_cast<int>(e % 15) - 448);
    group.weight[e] = 64;
  }
  group.largest = 0;
  const fit::H4Pattern pattern = fit::group_pattern(group, 1);
  for (std::size_t k = 0; k < pattern.size(); ++k) {
    EXPECT_EQ(pattern[k], 64 * static_cast<int>(k) - 448);
  }
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/fit.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <thread>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "ecco/standard_tables.hpp"
#include "ecco/tensor.hpp"

namespace ecco {
namespace {

/// Laplace-like values by 64-bit integers alone, the same on every machine.
std::vector<float> random_values(std::size_t blocks, std::uint64_t seed) {
  std::vector<float> values(blocks * kGroup);
  std::uint64_t state = seed;
  for (float& value : values) {
    double sum = 0.0;
    for (int i = 0; i < 3; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<double>(state >> 40) * 0x1p-24 - 0.5;
    }
    value = static_cast<float>(sum * std::fabs(sum));
  }
  return values;
}

std::vector<float> arcsine_values(std::size_t blocks) {
  std::vector<float> values(blocks * kGroup);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(0.1 + 2.0 * std::cos(static_cast<double>(i)));
  }
  return values;
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

FitOptions small_fit(Codec codec, int patterns, int rounds) {
  FitOptions options;
  options.codec = codec;
  options.patterns = patterns;
  options.rounds = rounds;
  options.batch_blocks = 128;
  return options;
}

TEST(FitPatterns, TableCostsAtMostOnePercentOfTheBlocks) {
  for (const Codec codec : kPlanarCodecs) {
    for (const std::uint64_t blocks : {1u, 100u, 1000u, 4096u, 8000u, 100000u}) {
      const int patterns = fit_patterns(codec, blocks);
      ASSERT_GE(patterns, 1);
      ASSERT_LE(patterns, kMaxPatterns);
      if (patterns == 1) continue;
      EXPECT_LE(100 * static_cast<std::uint64_t>(patterns * centroids_per_pattern(codec)),
                blocks * block_bytes(codec));
    }
  }
  EXPECT_EQ(fit_patterns(Codec::p4, 0), 1);
  EXPECT_EQ(fit_patterns(Codec::p4, 320), 10);  // 320 * 64 bytes pay for 204 of centroids
  EXPECT_EQ(fit_patterns(Codec::p4, std::uint64_t{1} << 40), 256);
}

TEST(FitSample, TakesEveryBlockOfASmallTensor) {
  EXPECT_EQ(fit_sample_size(5), 5u);
  for (std::uint64_t i = 0; i < 5; ++i) EXPECT_EQ(fit_sample_block(i, 5, 5), i);
}

TEST(FitSample, OneBlockOfEachStratum) {
  const std::uint64_t blocks = 3 * kFitSampleBlocks + 12345;
  ASSERT_EQ(fit_sample_size(blocks), kFitSampleBlocks);
  std::uint64_t begin = 0;
  std::uint64_t odd = 0;
  for (std::uint64_t i = 0; i < kFitSampleBlocks; ++i) {
    const std::uint64_t size = i < 12345 ? 4 : 3;
    const std::uint64_t at = fit_sample_block(i, kFitSampleBlocks, blocks);
    ASSERT_GE(at, begin);
    ASSERT_LT(at, begin + size);
    begin += size;
    odd += at & 1;
  }
  EXPECT_EQ(begin, blocks);
  EXPECT_NEAR(static_cast<double>(odd) / kFitSampleBlocks, 0.5, 0.01);
}

TEST(FitTable, RefusesWhatItCannotUse) {
  const std::vector<float> values = random_values(4, 1);
  const std::span<const float> all(values);
  EXPECT_EQ(fit_table({}, {}).error().code(), StatusCode::invalid_argument);
  EXPECT_EQ(fit_table(all.first(127), {}).error().code(), StatusCode::invalid_argument);
  EXPECT_EQ(fit_table(all, small_fit(Codec::h4, 1, 1)).error().code(), StatusCode::unsupported);
  for (const int patterns : {0, 257}) {
    EXPECT_EQ(fit_table(all, small_fit(Codec::p4, patterns, 1)).error().code(),
              StatusCode::invalid_argument);
  }
  EXPECT_EQ(fit_table(all, small_fit(Codec::p4, 1, 0)).error().code(),
            StatusCode::invalid_argument);
  FitOptions options = small_fit(Codec::p4, 1, 1);
  options.start = standard_table(Codec::p3);
  EXPECT_EQ(fit_table(all, options).error().code(), StatusCode::invalid_argument);
  options.start = {Codec::p4, standard_table(Codec::p4).centroids.first(19)};
  EXPECT_EQ(fit_table(all, options).error().code(), StatusCode::corrupt);
  options.start = {};
  std::vector<float> importance(values.size(), 1.0f);
  options.importance = std::span<const float>(importance).first(128);
  EXPECT_EQ(fit_table(all, options).error().code(), StatusCode::invalid_argument);
  importance[5] = -1.0f;
  options.importance = importance;
  EXPECT_EQ(fit_table(all, options).error().code(), StatusCode::invalid_argument);
  std::vector<float> bad = values;
  bad[200] = std::numeric_limits<float>::quiet_NaN();
  const auto result = fit_table(bad, small_fit(Codec::p4, 1, 1));
  EXPECT_EQ(result.error().code(), StatusCode::not_finite);
  EXPECT_NE(result.error().message().find("200"), std::string::npos);
}

TEST(FitTable, TablesAreValidAndOfTheSizeAskedFor) {
  const std::vector<float> values = random_values(64, 2);
  for (const Codec codec : kPlanarCodecs) {
    for (const int patterns : {1, 3, 20}) {
      const auto table = fit_table(values, small_fit(codec, patterns, 3));
      ASSERT_TRUE(table);
      EXPECT_TRUE(validate(table->view()));
      EXPECT_EQ(table->view().patterns(), patterns);
      EXPECT_EQ(table->codec, codec);
    }
  }
}

TEST(FitTable, SameBytesForAnyThreads) {
  const std::vector<float> values = random_values(700, 3);
  for (const Codec codec : {Codec::p2, Codec::p4}) {
    const FitOptions options = small_fit(codec, 24, 6);
    const auto one = fit_table(values, options);
    ASSERT_TRUE(one);
    for (const std::size_t count : {2u, 7u}) {
      const auto many = fit_table(values, options, threads(count));
      ASSERT_TRUE(many);
      EXPECT_EQ(many->centroids, one->centroids) << count << " threads";
    }
  }
}

TEST(FitTable, LowersTheErrorOnFreshValues) {
  const std::vector<float> values = random_values(512, 4);
  const std::vector<float> fresh = random_values(256, 5);
  for (const Codec codec : kPlanarCodecs) {
    const auto early = fit_table(values, small_fit(codec, 16, 1));
    const auto late = fit_table(values, small_fit(codec, 16, 24));
    ASSERT_TRUE(early && late);
    const double early_error = fit_error(fresh, early->view()).value();
    EXPECT_LT(fit_error(fresh, late->view()).value(), 0.98 * early_error) << codec_name(codec);
  }
}

// Two-valued extremes are what every table of bell-shaped patterns is worst at.
TEST(FitTable, LearnsArcsineValues) {
  const std::vector<float> values = arcsine_values(256);
  FitOptions options = small_fit(Codec::p4, 8, 16);
  options.start = standard_table(Codec::p4);
  const auto table = fit_table(values, options);
  ASSERT_TRUE(table);
  const double standard = fit_error(values, standard_table(Codec::p4)).value();
  EXPECT_LT(fit_error(values, table->view()).value(), 0.75 * standard);
}

TEST(FitTable, ImportantColumnsAreServedBetter) {
  const std::vector<float> values = random_values(512, 6);
  std::vector<float> importance(values.size());
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = i % 8 == 0 ? 20.0f : 0.5f;
  FitOptions options = small_fit(Codec::p4, 16, 16);
  const auto plain = fit_table(values, options);
  options.importance = importance;
  const auto weighted = fit_table(values, options);
  ASSERT_TRUE(plain && weighted);
  EXPECT_LT(fit_error(values, weighted->view(), importance).value(),
            fit_error(values, plain->view(), importance).value());
  // The same values cost less where the search may favour the important ones.
  EXPECT_LT(fit_error(values, plain->view(), importance).value(),
            0.95 * fit_error(values, plain->view()).value());
}

// The encoder searches in its own way: what training optimises must be what encoding yields.
TEST(FitError, IsCloseToWhatTheEncoderReaches) {
  const std::vector<float> values = random_values(256, 9);
  for (const Codec codec : kPlanarCodecs) {
    CompressOptions options;
    options.codec = codec;
    options.effort = Effort::best;
    const auto tensor =
        compress(MatrixView<const float>{values.data(), 256, kGroup, kGroup}, options);
    ASSERT_TRUE(tensor);
    std::vector<float> decoded(values.size());
    ASSERT_TRUE(decode_rows(tensor->view(), 0, dense_view(decoded.data(), 256, kGroup)));
    double sum = 0.0;
    for (std::size_t at = 0; at < values.size(); at += kGroup) {
      double error = 0.0;
      double energy = 0.0;
      for (std::size_t i = at; i < at + kGroup; ++i) {
        error += (values[i] - decoded[i]) * (values[i] - decoded[i]);
        energy += values[i] * values[i];
      }
      sum += error / energy;
    }
    const double reached = std::sqrt(sum / 256);
    EXPECT_NEAR(fit_error(values, standard_table(codec)).value() / reached, 1.0, 0.02)
        << codec_name(codec);
  }
}

TEST(FitTable, PassesOverBlocksOfZerosAndOfNoImportance) {
  std::vector<float> values = random_values(8, 7);
  const auto alone = fit_table(values, small_fit(Codec::p4, 2, 4));
  std::vector<float> importance(values.size(), 1.0f);
  values.resize(16 * kGroup, 0.0f);
  const auto with_zeros = fit_table(values, small_fit(Codec::p4, 2, 4));
  ASSERT_TRUE(alone && with_zeros);
  EXPECT_EQ(with_zeros->centroids, alone->centroids);

  for (std::size_t i = 8 * kGroup; i < values.size(); ++i) values[i] = 1.0f;
  importance.resize(values.size(), 0.0f);
  FitOptions options = small_fit(Codec::p4, 2, 4);
  options.importance = importance;
  const auto with_ignored = fit_table(values, options);
  ASSERT_TRUE(with_ignored);
  EXPECT_EQ(with_ignored->centroids, alone->centroids);

  const std::vector<float> zeros(2 * kGroup, 0.0f);
  ASSERT_TRUE(fit_table(zeros, small_fit(Codec::p4, 2, 4)));
  EXPECT_EQ(fit_error(zeros, standard_table(Codec::p4)).value(), 0.0);
}

TEST(FitTable, ExtremeMagnitudesAreNoDifferent) {
  std::vector<float> values = random_values(32, 8);
  const auto table = fit_table(values, small_fit(Codec::p4, 4, 4));
  for (const float factor : {0x1p-60f, 0x1p+125f}) {
    std::vector<float> scaled = values;
    for (float& value : scaled) value *= factor;
    const auto other = fit_table(scaled, small_fit(Codec::p4, 4, 4));
    ASSERT_TRUE(table && other);
    EXPECT_EQ(other->centroids, table->centroids);
  }
}

TEST(FitTable, NothingIsThrown) {
  const std::vector<float> values(256, 0.5f);
  EXPECT_EQ(fit_table(values, {}, ParallelFor()).error().message(), "the ParallelFor is empty");
}

}  // namespace
}  // namespace ecco

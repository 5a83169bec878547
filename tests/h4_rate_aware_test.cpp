// SPDX-License-Identifier: MIT
#include "ecco/h4_rate_aware.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "ecco/encode.hpp"
#include "ecco/standard_tables.hpp"
#include "encode/h4_kernels.hpp"
#include "support/h4_tables.hpp"

namespace ecco::h4 {
namespace {

using test::H4Table;

constexpr float kLargest = std::numeric_limits<float>::max();

TableView standard() { return standard_table(Codec::h4).h4(); }

std::vector<float> normal_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  std::generate(values.begin(), values.end(), [&] { return normal(random); });
  return values;
}

// Weighted squared error of a decoded block.
double error_of(const float* x, const float* weights, int count, const std::uint8_t* block,
                const TableView& table, float scale) {
  float y[kGroup];
  decode(block, table, scale, y);
  double sum = 0.0;
  for (int e = 0; e < count; ++e) {
    const double off = static_cast<double>(x[e]) - static_cast<double>(y[e]);
    sum += (weights != nullptr ? static_cast<double>(weights[e]) : 1.0) * off * off;
  }
  return sum;
}

// sqrt(squared error / energy) of values encoded with the standard table, and that nothing clips.
double relative_rmse(const std::vector<float>& x, const SearchWidth& width,
                     const std::vector<float>& weights = {}) {
  const RateTables tables(standard());
  RateAwareEncoder encoder(tables, width);
  const float scale = tensor_scale_of(std::fabs(*std::max_element(
      x.begin(), x.end(), [](float a, float b) { return std::fabs(a) < std::fabs(b); })));
  double error = 0.0;
  double energy = 0.0;
  for (std::size_t at = 0; at < x.size(); at += kGroup) {
    const float* w = weights.empty() ? nullptr : weights.data() + at;
    std::uint8_t block[64];
    encoder.encode(x.data() + at, w, kGroup, standard(), scale, kLargest, block);
    EXPECT_EQ(check(block, standard()), Fault::none);
    EXPECT_EQ(parse(block, standard()).coded, kGroup);
    error += error_of(x.data() + at, w, kGroup, block, standard(), scale);
    for (std::size_t e = at; e < at + kGroup; ++e) {
      energy += static_cast<double>(x[e]) * static_cast<double>(x[e]) *
                (weights.empty() ? 1.0 : static_cast<double>(weights[e]));
    }
  }
  return std::sqrt(error / energy);
}

template <typename Distribution>
std::vector<float> draw(Distribution distribution, std::size_t count) {
  std::mt19937 random(11);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(distribution(random));
  return values;
}
std::vector<float> laplace_values(std::size_t count) {
  std::mt19937 random(12);
  std::exponential_distribution<float> exponential;
  std::vector<float> values(count);
  for (float& v : values) v = (random() % 2 == 0 ? 1.0f : -1.0f) * exponential(random);
  return values;
}

TEST(H4RateAware, DistortionLiesInItsWindow) {
  const auto gaussian = draw(std::normal_distribution<double>(), 128 * 150);
  const auto student = draw(std::student_t_distribution<double>(5), 128 * 150);
  const auto laplace = laplace_values(128 * 150);
  for (const auto* x : {&gaussian, &student, &laplace}) {
    const double best = relative_rmse(*x, kBestSearch);
    const double usual = relative_rmse(*x, kDefaultSearch);
    const double fast = relative_rmse(*x, kFastSearch);
    EXPECT_LE(best, 0.085);
    EXPECT_GE(best, 0.070);
    EXPECT_LE(usual, 1.04 * best);
    EXPECT_LE(fast, 1.10 * best);
    EXPECT_LE(best, usual * 1.001);
  }
}

// Every table shape, count and hostile group gives a valid block that clips nothing.
TEST(H4RateAware, EveryBlockIsValidAndUnclipped) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    H4Table table = test::random_h4_table(random, patterns, codebooks);
    if (codebooks == 1) std::fill_n(table.lengths.begin(), 16, std::uint8_t{4});
    EXPECT_EQ(RateAwareEncoder::usable(table.view()), codebooks > 1);
    EXPECT_EQ(RateTables(table.view()).always_clips(), codebooks == 1);
    if (codebooks == 1) {
      constexpr huffman::Lengths kSkewed = {2, 2, 2, 5, 5, 5, 5, 5, 5, 6, 6, 7, 7, 8, 8, 7};
      std::copy(kSkewed.begin(), kSkewed.end(), table.lengths.begin());
    }
    const RateTables tables(table.view());
    RateAwareEncoder encoder(tables, patterns > 64 ? kFastSearch : kDefaultSearch);
    for (int trial = 0; trial < 60; ++trial) {
      std::array<float, kGroup> x{};
      std::array<float, kGroup> weights{};
      for (std::size_t e = 0; e < kGroup; ++e) {
        const float v = normal(random);
        const bool spike = random() % 128 == 0;
        const float kinds[] = {v,          spike ? 1.0f : 0.0f,   -2.5f,        v * 1e37f,
                               v * 1e-42f, spike ? v * 1e20f : v, v * v * v * v};
        x[e] = kinds[trial % 7];
        weights[e] = trial % 5 == 0 ? 0.0f : v * v;
      }
      const int count = trial % 3 == 0 ? 1 + static_cast<int>(random() % kGroup) : kGroup;
      float largest = 0.0f;
      for (int e = 0; e < count; ++e)
        largest = std::max(largest, std::fabs(x[static_cast<std::size_t>(e)]));
      const float scale = tensor_scale_of(largest) * (trial % 4 == 0 ? 100.0f : 1.0f);
      std::uint8_t block[64];
      encoder.encode(x.data(), trial % 2 == 0 ? weights.data() : nullptr, count, table.view(),
                     scale, kLargest, block);
      ASSERT_EQ(check(block, table.view(), count), Fault::none);
      const Fields fields = parse(block, table.view());
      if (fields.scale.bits % 128 == 0) continue;
      ASSERT_EQ(fields.coded, kGroup);
      const std::uint8_t* lengths = table.view().codebook(fields.codebook);
      for (int e = count; e < kGroup; ++e) {
        ASSERT_EQ(fields.symbols[e], std::min_element(lengths, lengths + 16) - lengths);
      }
      float y[kGroup];
      decode(block, table.view(), scale, y);
      for (int e = 0; e < count; ++e) ASSERT_TRUE(std::isfinite(y[e]));
    }
  }
}

TEST(H4RateAware, SimpleBlocksAreNearlyExact) {
  const RateTables tables(standard());
  RateAwareEncoder encoder(tables, kBestSearch);
  const auto worst = [&](const std::array<float, kGroup>& x, float headroom) {
    float largest = 0.0f;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    const float scale = tensor_scale_of(headroom * largest);
    std::uint8_t block[64];
    encoder.encode(x.data(), nullptr, kGroup, standard(), scale, kLargest, block);
    float y[kGroup];
    decode(block, standard(), scale, y);
    double off = 0.0;
    for (std::size_t e = 0; e < kGroup; ++e) {
      off = std::max(off, std::fabs(static_cast<double>(x[e]) - static_cast<double>(y[e])));
    }
    return off / std::max(static_cast<double>(largest), 1e-300);
  };
  std::array<float, kGroup> x{};
  EXPECT_EQ(worst(x, 1.0f), 0.0);
  x[100] = -7.0f;  // one spike: an outlier; the zeros need no more than the least scale
  EXPECT_LT(worst(x, 1.0f), 1e-5);
  x.fill(1.75f);  // no code of 3 bits stands for the largest value: the scale must be larger
  EXPECT_LT(worst(x, 16.0f), 0.05);
}

// Symbols, pattern and codebook of tiny problems against all possibilities: K = 2.
TEST(H4RateAware, FindsTheBestOfTwoValues) {
  std::mt19937 random(5);
  H4Table table = test::random_h4_table(random, 16, 2);
  const RateTables tables(table.view());
  RateAwareEncoder encoder(tables, kBestSearch);
  const TableView view = table.view();
  for (int trial = 0; trial < 40; ++trial) {
    const float x[2] = {static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f,
                        static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f};
    const float scale = 0.125f;
    std::uint8_t block[64];
    encoder.encode(x, nullptr, 2, view, scale, kLargest, block);
    const double got = error_of(x, nullptr, 2, block, view, scale);
    // Two elements leave room for outliers: each value is at worst its FP8.
    double bound = 0.0;
    for (const float v : x) {
      const float y = scale * to_float(to_fp8_e4m3(v / scale));
      bound += static_cast<double>(v - y) * static_cast<double>(v - y);
    }
    EXPECT_LE(got, bound * 1.0001 + 1e-6);
  }
}

TEST(H4RateAware, ImportanceLowersTheWeightedError) {
  const std::vector<float> x = normal_values(128 * 60, 8);
  std::mt19937 random(9);
  std::vector<float> weights(x.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = random() % 8 == 0 ? 16.0f : 0.5f;
  const double blind = [&] {
    const RateTables tables(standard());
    RateAwareEncoder encoder(tables, kDefaultSearch);
    double sum = 0.0;
    double energy = 0.0;
    for (std::size_t at = 0; at < x.size(); at += kGroup) {
      std::uint8_t block[64];
      encoder.encode(x.data() + at, nullptr, kGroup, standard(), 0.01f, kLargest, block);
      sum += error_of(x.data() + at, weights.data() + at, kGroup, block, standard(), 0.01f);
      for (std::size_t e = at; e < at + kGroup; ++e) {
        energy += static_cast<double>(weights[e]) * static_cast<double>(x[e]) *
                  static_cast<double>(x[e]);
      }
    }
    return std::sqrt(sum / energy);
  }();
  EXPECT_LT(relative_rmse(x, kDefaultSearch, weights), 0.85 * blind);
}

TEST(H4RateAware, EqualImportancesCostNothing) {
  const std::vector<float> x = normal_values(128 * 40, 18);
  const std::vector<float> alike(x.size(), 3.0f);
  const double plain = relative_rmse(x, kDefaultSearch);
  EXPECT_NEAR(relative_rmse(x, kDefaultSearch, alike), plain, 0.002 * plain);
}

TEST(H4RateAware, NoValueExceedsTheLargestAllowed) {
  std::mt19937 random(6);
  const RateTables tables(standard());
  RateAwareEncoder encoder(tables, kBestSearch);
  std::vector<float> x = normal_values(128 * 20, 19);
  for (float& v : x) v = std::clamp(v * 40000.0f, -65504.0f, 65504.0f);
  for (std::size_t at = 0; at < x.size(); at += kGroup) {
    x[at + random() % kGroup] = 65504.0f;
    std::uint8_t block[64];
    const float scale = tensor_scale_of(65504.0f);
    encoder.encode(x.data() + at, nullptr, kGroup, standard(), scale, 65504.0f, block);
    float y[kGroup];
    decode(block, standard(), scale, y);
    for (const float v : y) ASSERT_TRUE(std::isfinite(to_float(to_half(v)))) << v;
  }
}

// Sums over the values at or above each bin, from random values at their places.
template <typename Sums, typename Sum>
void random_sums(std::mt19937& random, Sums& sums, Sum sum_of) {
  typename Sums::value_type sum{};
  int count = 0;
  for (std::size_t i = kBins; i-- > 0;) {
    if (random() % 20 == 0 && count < kGroup) {
      sum += sum_of(kLowestPlace + static_cast<int>(i), static_cast<int>(random() % 65));
      ++count;
    }
    sums[i] = sum;
  }
}

void expect_same(const Cost& got, const Cost& want) {
  EXPECT_EQ(got.error, want.error);
  EXPECT_EQ(got.bits, want.bits);
}

TEST(H4RateAware, EveryPathScoresPairsAlike) {
  std::mt19937 random(7);
  const H4Table odd = test::random_h4_table(random, 16, 3);
  const SearchKernels kernels = active_h4_encode_kernels().value().search;
  const auto plain = std::make_unique<PlainSums>();
  const auto weighted = std::make_unique<WeightedSums>();
  for (const TableView& table : {standard(), odd.view()}) {
    const RateTables tables(table);
    std::vector<Cost> want(static_cast<std::size_t>(tables.pairs()));
    std::vector<Cost> got = want;
    for (int trial = 0; trial < 20; ++trial) {
      random_sums(random, *plain, [](int place, int) { return std::int32_t{256 * place + 1}; });
      random_sums(random, *weighted, [](int place, int weight) {
        return WeightedSum{weight * place, 1, weight};
      });
      for (int rung = 0; rung < kRungs; rung += 5) {
        score_pairs(tables, *plain, rung, want.data());
        kernels.score(tables, *plain, rung, got.data());
        for (std::size_t i = 0; i < want.size(); ++i) {
          expect_same(got[i], want[i]);
          expect_same(kernels.evaluate(tables, *plain, static_cast<int>(i), rung), want[i]);
        }
        score_pairs(tables, *weighted, rung, want.data());
        kernels.score_weighted(tables, *weighted, rung, got.data());
        for (std::size_t i = 0; i < want.size(); ++i) expect_same(got[i], want[i]);
      }
    }
  }
}

TEST(H4RateAware, EveryPathPlacesValuesAlike) {
  const SearchKernels kernels = active_h4_encode_kernels().value().search;
  std::vector<float> x = normal_values(kGroup, 22);
  x[3] = 0.0f;
  x[4] = -kLargest;
  x[5] = 1e-40f;
  for (std::size_t i = 16; i < 64; ++i) x[i] = static_cast<float>(i) * 0x1p-11f;  // ties
  for (const float m : {1.0f, -1.0f, 0.3f, -2.7f, 1e-42f, 3e38f}) {
    for (const int count : {1, 15, 16, 44, kGroup}) {
      std::array<std::int16_t, kGroup> want{};
      std::array<std::int16_t, kGroup> got{};
      place_values(x.data(), count, m, want.data());
      kernels.place(x.data(), count, m, got.data());
      EXPECT_EQ(got, want) << m;
    }
  }
}

TEST(H4RateAware, EveryPathAssignsSymbolsAlike) {
  std::mt19937 random(8);
  const SearchKernels kernels = active_h4_encode_kernels().value().search;
  const RateTables tables(standard());
  std::array<std::int16_t, kGroup> places{};
  std::array<std::uint16_t, kGroup> weights{};
  std::array<std::uint8_t, kGroup> rungs{};
  for (int trial = 0; trial < 200; ++trial) {
    for (std::size_t e = 0; e < kGroup; ++e) {
      places[e] = static_cast<std::int16_t>(static_cast<int>(random() % 4095) - 2047);
      weights[e] = static_cast<std::uint16_t>(trial == 0 ? 8192 : random() % 200);
      rungs[e] = static_cast<std::uint8_t>(random() % kRungs);
    }
    const int pair = static_cast<int>(random()) & (tables.pairs() - 1);
    for (const int count : {44, kGroup}) {
      const Elements elements{count, places.data(), weights.data(), rungs.data()};
      std::array<std::uint8_t, kGroup> want{};
      std::array<std::uint8_t, kGroup> got{};
      const Cost cost = assign_symbols(tables, pair, elements, want.data());
      expect_same(kernels.assign(tables, pair, elements, got.data()), cost);
      EXPECT_EQ(got, want);
    }
  }
}

// The thresholds against the definition of what they stand for.
TEST(H4RateTables, ThresholdsChooseTheLeastLagrangian) {
  std::mt19937 random(4);
  const H4Table table = test::random_h4_table(random, 16, 3);
  const RateTables tables(table.view());
  for (int pair = 0; pair < tables.pairs(); ++pair) {
    const PatternSteps& pattern = tables.pattern(pair / 3);
    const CodebookSteps& codebook = tables.codebook(pair % 3);
    for (int rung = 0; rung < kRungs; rung += 3) {
      const Thresholds& bins = tables.thresholds(pair, rung);
      const auto lagrangian = [&](std::size_t s, std::int64_t t) {
        const std::int64_t c = pattern.centroid[s];
        return (t - c) * (t - c) + kLadder[static_cast<std::size_t>(rung)] * codebook.length[s];
      };
      for (int place = kLowestPlace; place < kLowestPlace + kBins; place += 7) {
        std::size_t symbol = 0;
        for (std::size_t k = 0; k < 15; ++k) symbol += bins[k] <= place - kLowestPlace ? 1 : 0;
        std::int64_t least = std::numeric_limits<std::int64_t>::max();
        for (std::size_t s = 0; s < 16; ++s) least = std::min(least, lagrangian(s, place));
        ASSERT_EQ(lagrangian(symbol, place), least) << "pair " << pair << " rung " << rung;
      }
    }
  }
}

TEST(H4Encoder, GivesTheSameBytesAsTheReferenceForAnyPartition) {
  std::vector<float> x = normal_values(7 * 300, 21);
  const MatrixView<const float> rows = dense_view<const float>(x.data(), 7, 300);
  std::vector<float> importance(300);
  for (std::size_t k = 0; k < 300; ++k) importance[k] = static_cast<float>(1 + k % 4);
  for (const H4Mode mode : {H4Mode::rate_aware, H4Mode::faithful}) {
    const Encoder encoder = Encoder::standard(Codec::h4, Effort::default_, mode).value();
    std::vector<std::uint8_t> whole(7 * 3 * 64);
    ASSERT_TRUE(encoder.encode_rows(rows, importance, 0.01f, kLargest, whole));
    const RateTables tables(standard());
    RateAwareEncoder reference(tables, kDefaultSearch);
    for (std::size_t r = 0; r < 7; ++r) {
      for (std::size_t b = 0; b < 3; ++b) {
        const float* group = rows.row(r) + 128 * b;
        const float* weights = importance.data() + 128 * b;
        const int count = b < 2 ? 128 : 44;
        std::uint8_t block[64];
        if (mode == H4Mode::rate_aware) {
          reference.encode(group, weights, count, standard(), 0.01f, kLargest, block);
        } else {
          encode_faithful(group, weights, count, standard(), 0.01f, block);
        }
        ASSERT_TRUE(std::equal(block, block + 64, whole.data() + (r * 3 + b) * 64));
      }
    }
  }
}

TEST(H4Encoder, NamesWhatIsWrong) {
  H4Table flat;
  flat.centroids.assign(16 * 15, 1);
  flat.lengths.assign(16, 4);
  const PatternTableView table{Codec::h4, flat.centroids, flat.lengths};
  EXPECT_EQ(Encoder::create(table, Effort::fast).error().code(), StatusCode::unsupported);
  EXPECT_TRUE(Encoder::create(table, Effort::fast, H4Mode::faithful));
  EXPECT_EQ(Encoder::create({Codec::a8, {}}, Effort::fast).error().code(),
            StatusCode::unsupported);
  const Encoder encoder = Encoder::standard(Codec::h4, Effort::fast).value();
  std::vector<float> x(256, 1.0f);
  std::vector<std::uint8_t> out(4 * 64);
  const auto encode = [&](std::span<const float> importance, float scale) {
    return encoder.encode_rows(dense_view<const float>(x.data(), 2, 128), importance, scale,
                               kLargest, std::span(out).first(128));
  };
  EXPECT_TRUE(encode({}, 1.0f));
  EXPECT_EQ(encode({}, 0.0f).code(), StatusCode::invalid_argument);
  EXPECT_EQ(encode(std::span(x).first(5), 1.0f).code(), StatusCode::invalid_argument);
  x[130] = std::numeric_limits<float>::infinity();
  const Status status = encode({}, 1.0f);
  EXPECT_EQ(status.code(), StatusCode::not_finite);
  EXPECT_NE(status.message().find("row 1, column 2"), std::string::npos) << status.message();
}

}  // namespace
}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
#include "fit/h4_kmeans.hpp"

#include <algorithm>
#include <limits>
#include <mutex>
#include <numeric>

#include "ecco/detail/index_of_least.hpp"

namespace ecco::fit {
namespace {

constexpr int kRoundsInGroup = 24;
constexpr int kRoundsOverGroups = 40;

std::int64_t square(std::int64_t x) { return x * x; }

/// Rounded quotient of a sum and its positive weight.
std::int16_t mean(std::int64_t sum, std::int64_t weight) {
  const std::int64_t half = weight / 2;
  return static_cast<std::int16_t>((sum >= 0 ? sum + half : sum - half) / weight);
}

/// Index drawn with probability proportional to its mass.
std::size_t draw(std::span<const std::uint64_t> masses, SplitMix& random) {
  const std::uint64_t sum = std::accumulate(masses.begin(), masses.end(), std::uint64_t{0});
  if (sum == 0) return static_cast<std::size_t>(random.below(masses.size()));
  std::uint64_t left = random.below(sum);
  std::size_t i = 0;
  for (; left >= masses[i]; ++i) left -= masses[i];
  return i;
}

/// k-means++ (Arthur, Vassilvitskii 2007): each seed is drawn by its squared distance from those
/// before. distance(i, seed) is that of item i from item seed.
template <typename Distance>
std::vector<std::size_t> choose_seeds(std::span<const std::uint64_t> weights, std::size_t count,
                                      SplitMix& random, const Distance& distance) {
  std::vector<std::size_t> seeds{draw(weights, random)};
  std::vector<std::uint64_t> nearest(weights.size(), std::numeric_limits<std::uint64_t>::max());
  std::vector<std::uint64_t> masses(weights.size());
  while (seeds.size() < count) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      nearest[i] = std::min(nearest[i], static_cast<std::uint64_t>(distance(i, seeds.back())));
      masses[i] = nearest[i] * weights[i];
    }
    seeds.push_back(draw(masses, random));
  }
  return seeds;
}

std::int64_t distance_of(const H4Pattern& a, const H4Pattern& b) {
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += square(a[k] - b[k]);
  return sum;
}

std::size_t nearest_of(const H4Pattern& pattern, std::span<const H4Pattern> shared) {
  std::size_t best = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t s = 0; s < shared.size(); ++s) {
    const std::int64_t distance = distance_of(pattern, shared[s]);
    if (distance < least) {
      least = distance;
      best = s;
    }
  }
  return best;
}

int bits_of(const Histogram& histogram, const huffman::Lengths& lengths) {
  int bits = 0;
  for (std::size_t s = 0; s < histogram.size(); ++s) bits += histogram[s] * lengths[s];
  return bits;
}

}  // namespace

H4Pattern group_pattern(const NormalizedGroup& group, std::uint64_t seed) {
  std::vector<std::pair<std::int16_t, std::uint64_t>> values;  // place, weight
  for (int e = 0; e < kGroup; ++e) {
    const auto i = static_cast<std::size_t>(e);
    if (e != group.largest) values.emplace_back(group.place[i], group.weight[i]);
  }
  std::sort(values.begin(), values.end());
  std::vector<std::uint64_t> weights;
  for (const auto& value : values) weights.push_back(value.second);
  SplitMix random(seed);
  const auto seeds = choose_seeds(weights, h4::kCentroids, random, [&](auto i, auto j) {
    return square(values[i].first - values[j].first);
  });
  H4Pattern pattern{};
  for (std::size_t k = 0; k < pattern.size(); ++k) pattern[k] = values[seeds[k]].first;
  std::sort(pattern.begin(), pattern.end());
  for (int round = 0; round < kRoundsInGroup; ++round) {
    std::array<std::int64_t, h4::kCentroids> sum{};
    std::array<std::int64_t, h4::kCentroids> weight{};
    std::size_t k = 0;
    for (const auto& [place, w] : values) {
      while (k + 1 < pattern.size() && 2 * place > pattern[k] + pattern[k + 1]) ++k;
      sum[k] += place * static_cast<std::int64_t>(w);
      weight[k] += static_cast<std::int64_t>(w);
    }
    const H4Pattern before = pattern;
    for (k = 0; k < pattern.size(); ++k) {
      if (weight[k] > 0) pattern[k] = mean(sum[k], weight[k]);
    }
    if (pattern == before) break;
  }
  std::sort(pattern.begin(), pattern.end());
  return pattern;
}

std::vector<H4Pattern> cluster_patterns(std::span<const H4Pattern> patterns, int count,
                                        std::uint64_t seed, const ParallelFor& parallel) {
  SplitMix random(seed);
  const std::vector<std::uint64_t> alike(patterns.size(), 1);
  std::vector<H4Pattern> shared;
  for (const std::size_t i :
       choose_seeds(alike, static_cast<std::size_t>(count), random,
                    [&](auto a, auto b) { return distance_of(patterns[a], patterns[b]); })) {
    shared.push_back(patterns[i]);
  }
  std::vector<std::size_t> owner(patterns.size());
  for (int round = 0; round < kRoundsOverGroups; ++round) {
    parallel(patterns.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) owner[i] = nearest_of(patterns[i], shared);
    });
    std::vector<std::array<std::int64_t, h4::kCentroids>> sum(shared.size());
    std::vector<std::int64_t> members(shared.size());
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      ++members[owner[i]];
      for (std::size_t k = 0; k < h4::kCentroids; ++k) sum[owner[i]][k] += patterns[i][k];
    }
    const std::vector<H4Pattern> before = shared;
    for (std::size_t s = 0; s < shared.size(); ++s) {
      for (std::size_t k = 0; members[s] > 0 && k < h4::kCentroids; ++k) {
        shared[s][k] = mean(sum[s][k], members[s]);
      }
    }
    if (shared == before) break;
  }
  return shared;
}

std::vector<std::uint8_t> refine_codebooks(std::span<const Histogram> histograms,
                                           std::span<const std::uint8_t> codebooks, int tight) {
  std::vector<huffman::Lengths> shared(codebooks.size() / huffman::kSymbols);
  for (std::size_t h = 0; h < shared.size(); ++h) {
    std::copy_n(codebooks.data() + h * huffman::kSymbols, huffman::kSymbols, shared[h].begin());
  }
  for (int round = 0; round < kRoundsOverGroups; ++round) {
    std::vector<std::array<std::uint64_t, huffman::kSymbols>> counts(shared.size());
    std::vector<int> members(shared.size());
    for (const Histogram& histogram : histograms) {
      const auto best = static_cast<std::size_t>(detail::index_of_least(
          static_cast<int>(shared.size()),
          [&](int h) { return bits_of(histogram, shared[static_cast<std::size_t>(h)]); }));
      ++members[best];
      const unsigned times = bits_of(histogram, shared[best]) > tight ? kTightGroups : 1;
      for (std::size_t s = 0; s < histogram.size(); ++s) counts[best][s] += histogram[s] * times;
    }
    const std::vector<huffman::Lengths> before = shared;
    for (std::size_t h = 0; h < shared.size(); ++h) {
      if (members[h] > 0) shared[h] = huffman::limited_lengths(counts[h]);
    }
    if (shared == before) break;
  }
  std::vector<std::uint8_t> rows;
  for (const huffman::Lengths& lengths : shared) {
    rows.insert(rows.end(), lengths.begin(), lengths.end());
  }
  return rows;
}

std::vector<std::uint8_t> cluster_codebooks(std::span<const Histogram> histograms, int count,
                                            std::uint64_t seed, int tight) {
  SplitMix random(seed);
  const std::vector<std::uint64_t> alike(histograms.size(), 1);
  const auto distance = [&](std::size_t a, std::size_t b) {
    std::int64_t sum = 0;
    for (std::size_t s = 0; s < huffman::kSymbols; ++s) {
      sum += square(histograms[a][s] - histograms[b][s]);
    }
    return sum;
  };
  std::vector<std::uint8_t> rows;
  for (const std::size_t i :
       choose_seeds(alike, static_cast<std::size_t>(count), random, distance)) {
    std::array<std::uint64_t, huffman::kSymbols> counts{};
    // One use of every symbol besides: a single group says little about rare ones.
    for (std::size_t s = 0; s < counts.size(); ++s) counts[s] = histograms[i][s] + 1u;
    const huffman::Lengths lengths = huffman::limited_lengths(counts);
    rows.insert(rows.end(), lengths.begin(), lengths.end());
  }
  return refine_codebooks(histograms, rows, tight);
}

}  // namespace ecco::fit

// SPDX-License-Identifier: MIT
#include "ecco/h4_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <mutex>
#include <new>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "ecco/h4_encode.hpp"
#include "ecco/h4_rate_aware.hpp"
#include "encode/h4_kernels.hpp"
#include "fit/h4_training.hpp"
#include "guarded.hpp"

namespace ecco::fit {
namespace {

constexpr std::int64_t kBlockWeight = std::int64_t{1} << 26;
constexpr int kMostPlace = 127 * h4::kPlaces;
constexpr h4::SearchWidth kTrainingWidth = {6, 3, 1, 4, 1, false, true};

std::int16_t rounded_mean(std::int64_t sum, std::int64_t weight) {
  const std::int64_t half = sum >= 0 ? weight / 2 : -weight / 2;
  const std::int64_t mean = (sum + half) / weight;
  return static_cast<std::int16_t>(std::clamp<std::int64_t>(mean, -kMostPlace, kMostPlace));
}

/// Result of one round: sums that new centroids and codebooks are made of. Integers, so the order
/// of addition does not matter.
struct Sums {
  struct Symbols {
    std::array<std::int64_t, huffman::kSymbols> places{};  // weight * place
    std::array<std::int64_t, huffman::kSymbols> weight{};
    std::int64_t blocks = 0;
    std::int64_t error = 0;
  };
  std::vector<Symbols> patterns;
  std::vector<std::array<std::uint64_t, huffman::kSymbols>> uses;  // per codebook

  Sums(std::size_t pattern_count, std::size_t codebook_count)
      : patterns(pattern_count), uses(codebook_count) {}

  void add(const Sums& other) {
    for (std::size_t p = 0; p < patterns.size(); ++p) {
      for (std::size_t k = 0; k < huffman::kSymbols; ++k) {
        patterns[p].places[k] += other.patterns[p].places[k];
        patterns[p].weight[k] += other.patterns[p].weight[k];
      }
      patterns[p].blocks += other.patterns[p].blocks;
      patterns[p].error += other.patterns[p].error;
    }
    for (std::size_t h = 0; h < uses.size(); ++h) {
      for (std::size_t k = 0; k < huffman::kSymbols; ++k) uses[h][k] += other.uses[h][k];
    }
  }
};

/// Adds an encoded block: every block counts by its error relative to its own energy.
void add_block(std::span<const float> block, std::span<const std::uint16_t> weights,
               float tensor_scale, const h4::Fields& fields, std::span<const H4Pattern> patterns,
               Sums& sums) {
  const float m = tensor_scale * to_float(fields.scale);
  std::array<std::int64_t, kGroup> place{};
  std::int64_t energy = 0;
  for (std::size_t e = 0; e < kGroup; ++e) {
    place[e] = h4::detail::place_of(block[e], m);
    energy += place[e] * place[e];
  }
  const std::int64_t block_weight = kBlockWeight / std::max<std::int64_t>(energy / kGroup, 1);
  std::array<bool, kGroup> is_outlier{};
  for (int i = 0; i < fields.outliers; ++i) is_outlier[fields.outlier[i].position] = true;
  Sums::Symbols& mine = sums.patterns[static_cast<std::size_t>(fields.pattern)];
  ++mine.blocks;
  const H4Pattern& pattern = patterns[static_cast<std::size_t>(fields.pattern)];
  for (std::size_t e = 0; e < kGroup; ++e) {
    const std::size_t symbol = fields.symbols[e];
    ++sums.uses[static_cast<std::size_t>(fields.codebook)][symbol];
    if (is_outlier[e]) continue;
    const std::int64_t weight = block_weight * weights[e] / h4::detail::kMeanWeight;
    mine.places[symbol] += weight * place[e];
    mine.weight[symbol] += weight;
    const std::int64_t centroid = symbol < h4::kCentroids ? pattern[symbol] : 1024;
    mine.error += weight * ((place[e] - centroid) * (place[e] - centroid));
  }
}

/// A table in training: centroids in places, so that they can move by less than the int8 grid.
struct Draft {
  std::vector<H4Pattern> patterns;
  std::vector<std::uint8_t> codebooks;

  [[nodiscard]] h4::RateTables tables() const {
    return {{patterns.data()->data(), patterns.size() * h4::kCentroids}, codebooks};
  }
};

/// Encodes all blocks with the draft.
Sums encode_all(const Draft& draft, std::span<const float> values,
                std::span<const std::size_t> blocks, std::span<const float> importance,
                const ParallelFor& parallel) {
  const h4::RateTables tables = draft.tables();
  const std::size_t codebooks = draft.codebooks.size() / huffman::kSymbols;
  const Result<H4EncodeKernels> kernels = active_h4_encode_kernels();
  const h4::SearchKernels search = kernels ? kernels->search : h4::SearchKernels{};
  Sums all(draft.patterns.size(), codebooks);
  std::mutex mutex;
  parallel(blocks.size(), [&](std::size_t begin, std::size_t end) {
    h4::RateAwareEncoder encoder(tables, kTrainingWidth, search);
    Sums sums(draft.patterns.size(), codebooks);
    for (std::size_t i = begin; i < end; ++i) {
      const std::span<const float> block = values.subspan(blocks[i] * kGroup, kGroup);
      const std::span<const float> weights =
          importance.empty() ? importance : importance.subspan(blocks[i] * kGroup, kGroup);
      const float scale = own_tensor_scale(block);
      const h4::Fields& fields =
          encoder.choose(block.data(), weights.empty() ? nullptr : weights.data(), kGroup, scale,
                         std::numeric_limits<float>::max());
      add_block(block, normalize(block, weights).weight, scale, fields, draft.patterns, sums);
    }
    const std::lock_guard lock(mutex);
    all.add(sums);
  });
  return all;
}

/// Moves centroids to the means of their values and codebooks to the counts of their blocks.
void update(Draft& draft, const Sums& sums) {
  for (std::size_t p = 0; p < draft.patterns.size(); ++p) {
    H4Pattern& pattern = draft.patterns[p];
    for (std::size_t k = 0; k < pattern.size(); ++k) {
      const std::int64_t weight = sums.patterns[p].weight[k];
      if (weight > 0) pattern[k] = rounded_mean(sums.patterns[p].places[k], weight);
    }
    std::sort(pattern.begin(), pattern.end());
  }
  for (std::size_t h = 0; h < sums.uses.size(); ++h) {
    const auto& uses = sums.uses[h];
    if (std::all_of(uses.begin(), uses.end(), [](std::uint64_t n) { return n == 0; })) continue;
    const huffman::Lengths lengths = huffman::limited_lengths(uses);
    if (*std::min_element(lengths.begin(), lengths.end()) == 4) continue;  // flat: never fits
    std::copy(lengths.begin(), lengths.end(),
              draft.codebooks.begin() + static_cast<std::ptrdiff_t>(h * huffman::kSymbols));
  }
}

/// Replaces the patterns that serve the fewest blocks, at most `moves` of them, by neighbours of
/// those with the greatest error: the way out of poor optima.
void move_idle_patterns(Draft& draft, const Sums& sums, std::size_t moves, SplitMix& random) {
  std::vector<std::size_t> by_use(draft.patterns.size());
  std::iota(by_use.begin(), by_use.end(), std::size_t{0});
  std::vector<std::size_t> by_error = by_use;
  std::stable_sort(by_use.begin(), by_use.end(), [&](std::size_t a, std::size_t b) {
    return sums.patterns[a].blocks < sums.patterns[b].blocks;
  });
  std::stable_sort(by_error.begin(), by_error.end(), [&](std::size_t a, std::size_t b) {
    return sums.patterns[a].error > sums.patterns[b].error;
  });
  for (std::size_t i = 0; i < std::min(moves, by_use.size() / 2); ++i) {
    H4Pattern& idle = draft.patterns[by_use[i]];
    idle = draft.patterns[by_error[i]];
    for (std::int16_t& centroid : idle) {
      const int scaled = centroid * (240 + static_cast<int>(random.below(33))) / 256;
      centroid = static_cast<std::int16_t>(std::clamp(scaled, -kMostPlace, kMostPlace));
    }
    std::sort(idle.begin(), idle.end());
  }
}

void snap_to_grid(Draft& draft) {
  const std::vector<std::int8_t> table = to_table(draft.patterns);
  for (std::size_t i = 0; i < table.size(); ++i) {
    draft.patterns[i / h4::kCentroids][i % h4::kCentroids] =
        static_cast<std::int16_t>(h4::kPlaces * table[i]);
  }
}

/// The paper's training: two k-means, then codebooks for the least-error patterns.
Draft kmeans_table(std::span<const float> values, std::span<const std::size_t> blocks,
                   const H4FitOptions& options, const ParallelFor& parallel) {
  std::vector<H4Pattern> patterns(blocks.size());
  parallel(blocks.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t at = blocks[i] * kGroup;
      const NormalizedGroup group =
          normalize(values.subspan(at, kGroup), options.importance.empty()
                                                    ? options.importance
                                                    : options.importance.subspan(at, kGroup));
      patterns[i] = group_pattern(group, options.seed + i);
    }
  });
  Draft draft{cluster_patterns(patterns, options.patterns, options.seed, parallel), {}};
  const std::vector<std::int8_t> centroids = to_table(draft.patterns);
  constexpr std::array<std::uint8_t, huffman::kSymbols> kFlat = {4, 4, 4, 4, 4, 4, 4, 4,
                                                                 4, 4, 4, 4, 4, 4, 4, 4};
  const h4::TableView table{centroids.data(), options.patterns, kFlat.data(), 1};
  std::vector<Histogram> histograms(blocks.size());
  parallel(blocks.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::size_t at = blocks[i] * kGroup;
      const float* importance =
          options.importance.empty() ? nullptr : options.importance.data() + at;
      const h4::Fields fields = h4::choose_faithful(values.data() + at, importance, kGroup, table,
                                                    own_tensor_scale(values.subspan(at, kGroup)));
      for (const std::uint8_t symbol : fields.symbols) ++histograms[i][symbol];
    }
  });
  draft.codebooks = cluster_codebooks(histograms, options.codebooks, options.seed);
  return draft;
}

Draft started(const H4FitOptions& options) {
  Draft draft;
  draft.codebooks.assign(options.start.codebooks.begin(), options.start.codebooks.end());
  draft.patterns.resize(static_cast<std::size_t>(options.patterns));
  for (std::size_t i = 0; i < options.start.centroids.size(); ++i) {
    draft.patterns[i / h4::kCentroids][i % h4::kCentroids] =
        static_cast<std::int16_t>(h4::kPlaces * options.start.centroids[i]);
  }
  return draft;
}

/// Gives the refinement what it cannot start without: a codebook that is not flat.
void ensure_usable(Draft& draft) {
  if (!draft.tables().always_clips()) return;
  constexpr huffman::Lengths kBell = {5, 5, 5, 4, 4, 4, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5};
  static_assert(huffman::is_complete(kBell.data()));
  std::copy(kBell.begin(), kBell.end(), draft.codebooks.begin());
}

PatternTable train(std::span<const float> values, const H4FitOptions& options,
                   const ParallelFor& parallel) {
  const std::vector<std::size_t> blocks = live_blocks(values);
  Draft draft = options.start.centroids.empty() ? kmeans_table(values, blocks, options, parallel)
                                                : started(options);
  if (options.rounds > 0) ensure_usable(draft);
  SplitMix random(options.seed);
  for (int round = 0; round < options.rounds; ++round) {
    const Sums sums = encode_all(draft, values, blocks, options.importance, parallel);
    update(draft, sums);
    const int moving = options.rounds / 2;  // rounds that move patterns, ever fewer
    if (round < moving) {
      const auto moves = draft.patterns.size() * static_cast<std::size_t>(moving - round) /
                         static_cast<std::size_t>(8 * moving);
      move_idle_patterns(draft, sums, moves, random);
    }
    if (round >= options.rounds - 3) snap_to_grid(draft);
  }
  return {Codec::h4, {}, to_table(draft.patterns), draft.codebooks};
}

}  // namespace

Status check_h4_fit(std::span<const float> values, const H4FitOptions& options) {
  if (options.patterns < h4::kMinPatterns || options.patterns > kMaxPatterns) {
    return {StatusCode::invalid_argument,
            std::to_string(options.patterns) + " patterns asked for, not 16..256"};
  }
  if (options.codebooks < 1 || options.codebooks > h4::kMaxCodebooks) {
    return {StatusCode::invalid_argument,
            std::to_string(options.codebooks) + " codebooks asked for, not 1..16"};
  }
  if (options.rounds < 0) return {StatusCode::invalid_argument, "rounds must not be negative"};
  if (values.empty() || values.size() % kGroup != 0) {
    return {StatusCode::invalid_argument,
            std::to_string(values.size()) + " values are not one or more whole blocks of 128"};
  }
  if (!options.importance.empty() && options.importance.size() != values.size()) {
    return {StatusCode::invalid_argument, std::to_string(options.importance.size()) +
                                              " importances given for " +
                                              std::to_string(values.size()) + " values"};
  }
  bool all_zero = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return {StatusCode::not_finite, "value " + std::to_string(i) + " is not finite"};
    }
    all_zero = all_zero && values[i] == 0.0f;
  }
  if (all_zero) return {StatusCode::invalid_argument, "all values are zero"};
  for (std::size_t i = 0; i < options.importance.size(); ++i) {
    if (!std::isfinite(options.importance[i]) || options.importance[i] < 0.0f) {
      return {StatusCode::invalid_argument,
              "importance " + std::to_string(i) + " is negative or not finite"};
    }
  }
  if (options.start.centroids.empty()) return {};
  if (options.start.codec != Codec::h4 || options.start.patterns() != options.patterns ||
      options.start.codebooks.size() !=
          static_cast<std::size_t>(options.codebooks) * huffman::kSymbols) {
    return {StatusCode::invalid_argument,
            "the table to start from is not an h4 table of as many patterns and codebooks"};
  }
  return validate(options.start);
}

std::vector<std::size_t> live_blocks(std::span<const float> values) {
  std::vector<std::size_t> live;
  for (std::size_t b = 0; b < values.size() / kGroup; ++b) {
    const std::span<const float> block = values.subspan(b * kGroup, kGroup);
    if (std::any_of(block.begin(), block.end(), [](float v) { return v != 0.0f; })) {
      live.push_back(b);
    }
  }
  return live;
}

float own_tensor_scale(std::span<const float> block) {
  const int largest = h4::index_of_largest(block.data(), static_cast<int>(block.size()));
  const int exponent = std::ilogb(block[static_cast<std::size_t>(largest)]) - 7;
  // 2^-149 is the least float; from 2^120 on a scale rounded to 256 would make infinity.
  return std::ldexp(1.0f, std::clamp(exponent, -149, 119));
}

NormalizedGroup normalize(std::span<const float> block, std::span<const float> importance) {
  NormalizedGroup group;
  group.largest = h4::index_of_largest(block.data(), kGroup);
  const float largest = block[static_cast<std::size_t>(group.largest)];
  for (std::size_t e = 0; e < kGroup; ++e) {
    group.place[e] = h4::detail::place_of(block[e], largest);
  }
  group.weight =
      h4::detail::integer_weights(importance.empty() ? nullptr : importance.data(), kGroup);
  return group;
}

std::vector<std::int8_t> to_table(std::span<const H4Pattern> patterns) {
  std::vector<std::int8_t> table;
  for (const H4Pattern& pattern : patterns) {
    for (const std::int16_t place : pattern) {
      const int half = place >= 0 ? h4::kPlaces / 2 : -h4::kPlaces / 2;
      table.push_back(
          static_cast<std::int8_t>(std::clamp((place + half) / h4::kPlaces, -127, 127)));
    }
  }
  return table;
}

}  // namespace ecco::fit

namespace ecco {

Result<PatternTable> fit_h4_table(std::span<const float> values, const H4FitOptions& options,
                                  const ParallelFor& parallel) {
  return guarded([&]() -> Result<PatternTable> {
    Status status = fit::check_h4_fit(values, options);
    if (!status) return fail(std::move(status));
    return fit::train(values, options, parallel);
  });
}

}  // namespace ecco

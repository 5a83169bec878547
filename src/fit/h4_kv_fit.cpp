// SPDX-License-Identifier: MIT
// Tables for KV mode. The mode looks neither at errors nor at bits when it chooses a pattern or a
// symbol, so the table has to strike the balance: centroids minimise squared error + lambda * bits
// over the groups whose extremes lead to the pattern, with symbols by distance alone; each pattern
// has the lambda at which its groups, clipped where they overflow, have the least error.
#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "ecco/h4_encode.hpp"
#include "ecco/h4_fit.hpp"
#include "ecco/h4_rate_aware.hpp"
#include "fit/h4_training.hpp"
#include "guarded.hpp"

namespace ecco::fit {
namespace {

using Row = std::array<std::int8_t, h4::kCentroids>;

constexpr int kPlaceRange = 1200;  // quotients up to 1.17: the scale's rounding
constexpr int kPlaceBins = 2 * kPlaceRange + 1;
constexpr std::int64_t kUnitEnergy = std::int64_t{1} << 20;
/// Lambdas to try, in sixteenths of the mean squared error of a value; 22 = 16 * 2 ln 2 is what
/// the distortion-rate function says, but how near its groups are to clipping decides.
constexpr std::array<int, 9> kLambdas = {0, 3, 6, 10, 14, 18, 22, 27, 33};
constexpr int kRoundsPerStart = 3;
constexpr int kNearlyFull = 8;  // bits left in a group that is about to clip

struct Group {
  std::array<std::int16_t, kGroup> place;  // but the largest value's, which is last
  int least = 0;
  int greatest = 0;
  std::int64_t weight = 1;  // so that every group's energy is alike
};

Group load(std::span<const float> block) {
  const int largest = h4::index_of_largest(block.data(), kGroup);
  const float scale = own_tensor_scale(block);
  const float m = scale * to_float(to_fp8_e4m3(block[static_cast<std::size_t>(largest)] / scale));
  Group group{};
  std::size_t at = 0;
  std::int64_t energy = 0;
  for (int e = 0; e < kGroup; ++e) {
    const int t = std::clamp<int>(h4::detail::place_of(block[static_cast<std::size_t>(e)], m),
                                  -kPlaceRange, kPlaceRange);
    energy += t * t;
    if (e != largest) group.place[at++] = static_cast<std::int16_t>(t);
  }
  const auto [low, high] = std::minmax_element(group.place.begin(), group.place.end() - 1);
  group.least = *low;
  group.greatest = *high;
  group.weight = std::max<std::int64_t>(kUnitEnergy * kGroup / energy, 1);
  return group;
}

/// Running sums over the places of a pattern's groups, from the lowest place on.
struct RangeSums {
  std::int64_t count = 0;
  std::int64_t weight = 0;
  std::int64_t places = 0;   // weighted
  std::int64_t squares = 0;  // weighted
};
class Distribution {
 public:
  explicit Distribution() : below_(kPlaceBins + 1) {}
  void add(const Group& group) {
    for (std::size_t i = 0; i + 1 < kGroup; ++i) {
      const std::int64_t t = group.place[i];
      RangeSums& sums = below_[static_cast<std::size_t>(t + kPlaceRange + 1)];
      sums.count += 1;
      sums.weight += group.weight;
      sums.places += group.weight * t;
      sums.squares += group.weight * t * t;
    }
  }
  void accumulate() {
    for (std::size_t i = 1; i < below_.size(); ++i) {
      below_[i].count += below_[i - 1].count;
      below_[i].weight += below_[i - 1].weight;
      below_[i].places += below_[i - 1].places;
      below_[i].squares += below_[i - 1].squares;
    }
  }
  /// RangeSums over the places up to `place`.
  [[nodiscard]] const RangeSums& up_to(int place) const {
    return below_[static_cast<std::size_t>(std::clamp(place + kPlaceRange + 1, 0, kPlaceBins))];
  }
  [[nodiscard]] const RangeSums& all() const { return below_.back(); }

 private:
  std::vector<RangeSums> below_;
};

/// Squared error of the values between two boundaries around a centroid.
std::int64_t error_between(const RangeSums& low, const RangeSums& high, std::int64_t centroid) {
  return high.squares - low.squares - 2 * centroid * (high.places - low.places) +
         centroid * centroid * (high.weight - low.weight);
}

struct Split {
  std::int64_t error = 0;
  std::array<std::uint64_t, huffman::kSymbols> counts{};
};
Split split(const Distribution& values, const Row& row) {
  Split out;
  const RangeSums* low = &values.up_to(-kPlaceRange - 1);
  for (std::size_t k = 0; k < row.size(); ++k) {
    const RangeSums& high =
        k + 1 < row.size() ? values.up_to((row[k] + row[k + 1]) * h4::kPlaces / 2) : values.all();
    out.error += error_between(*low, high, h4::kPlaces * row[k]);
    out.counts[k] = static_cast<std::uint64_t>(high.count - low->count);
    low = &high;
  }
  out.counts[h4::kMaxSymbol] = static_cast<std::uint64_t>(values.all().count / (kGroup - 1));
  return out;
}

std::int64_t cost_of(const Split& s, const huffman::Lengths& lengths, std::int64_t lambda) {
  std::int64_t bits = 0;
  for (std::size_t k = 0; k < lengths.size(); ++k) {
    bits += static_cast<std::int64_t>(s.counts[k]) * lengths[k];
  }
  return s.error + lambda * bits;
}

/// Moves single centroids, by less and less, while that lowers error + lambda * bits.
Row descend(const Distribution& values, Row row, int sixteenths) {
  if (values.all().count == 0) return row;
  for (int sweep = 0; sweep < 60; ++sweep) {
    const Split start = split(values, row);
    const huffman::Lengths lengths = huffman::limited_lengths(start.counts);
    const std::int64_t lambda = start.error * sixteenths / (16 * values.all().count);
    std::int64_t least = cost_of(start, lengths, lambda);
    bool moved = false;
    for (std::size_t k = 0; k < row.size(); ++k) {
      for (const int step : {-4, 4, -1, 1}) {
        Row trial = row;
        const int low = k > 0 ? row[k - 1] : -127;
        const int high = k + 1 < row.size() ? row[k + 1] : 127;
        trial[k] = static_cast<std::int8_t>(std::clamp(row[k] + step, low, high));
        const std::int64_t cost = cost_of(split(values, trial), lengths, lambda);
        if (cost >= least) continue;
        least = cost;
        row = trial;
        moved = true;
      }
    }
    if (!moved) break;
  }
  return row;
}

std::size_t nearest_row(std::span<const Row> rows, const Group& group) {
  std::size_t best = 0;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (std::size_t p = 0; p < rows.size(); ++p) {
    const std::int64_t low = h4::kPlaces * rows[p].front() - group.least;
    const std::int64_t high = h4::kPlaces * rows[p].back() - group.greatest;
    if (low * low + high * high < least) {
      least = low * low + high * high;
      best = p;
    }
  }
  return best;
}

/// Evenly spaced patterns between the extremes of k-means clusters.
std::vector<Row> first_rows(std::span<const Group> groups, int count, std::uint64_t seed,
                            const ParallelFor& parallel) {
  std::vector<H4Pattern> extremes;  // only two of the fifteen places are used
  for (const Group& group : groups) {
    H4Pattern p{};
    p.front() = static_cast<std::int16_t>(group.least);
    p.back() = static_cast<std::int16_t>(group.greatest);
    extremes.push_back(p);
  }
  std::vector<Row> rows;
  for (const H4Pattern& p : cluster_patterns(extremes, count, seed, parallel)) {
    Row row{};
    for (int k = 0; k < h4::kCentroids; ++k) {
      // Centres of fifteen equal steps.
      const int place = p.front() + (p.back() - p.front()) * (2 * k + 1) / 30;
      row[static_cast<std::size_t>(k)] =
          static_cast<std::int8_t>(std::clamp(place / h4::kPlaces, -127, 127));
    }
    rows.push_back(row);
  }
  return rows;
}

PatternTable to_pattern_table(std::span<const Row> rows, std::vector<std::uint8_t> codebooks) {
  PatternTable table{Codec::h4, {}, {}, std::move(codebooks)};
  for (const Row& row : rows) {
    table.centroids.insert(table.centroids.end(), row.begin(), row.end());
  }
  return table;
}

std::size_t symbol_of(int place, const Row& row) {
  std::size_t k = 0;
  while (k + 1 < row.size() && 2 * place > h4::kPlaces * (row[k] + row[k + 1])) ++k;
  return k;
}

Histogram histogram_of(const Group& group, const Row& row) {
  Histogram histogram{};
  for (std::size_t i = 0; i + 1 < kGroup; ++i) ++histogram[symbol_of(group.place[i], row)];
  histogram[h4::kMaxSymbol] = 1;
  return histogram;
}

/// Squared error of a group under a pattern, its last values clipped if no codebook fits `room`.
std::int64_t clipped_error(const Group& group, const Row& row,
                           std::span<const std::uint8_t> codebooks, int room) {
  std::array<std::uint8_t, kGroup> symbols{};
  for (std::size_t i = 0; i + 1 < kGroup; ++i) {
    symbols[i] = static_cast<std::uint8_t>(symbol_of(group.place[i], row));
  }
  symbols[kGroup - 1] = h4::kMaxSymbol;
  const std::uint8_t* cheapest = codebooks.data();
  for (std::size_t at = 0; at < codebooks.size(); at += huffman::kSymbols) {
    if (h4::code_bits(symbols.data(), codebooks.data() + at) <
        h4::code_bits(symbols.data(), cheapest)) {
      cheapest = codebooks.data() + at;
    }
  }
  std::int64_t error = 0;
  int bits = cheapest[h4::kMaxSymbol];
  for (std::size_t i = 0; i + 1 < kGroup; ++i) {
    bits += cheapest[symbols[i]];
    const std::int64_t decoded = bits <= room ? h4::kPlaces * row[symbols[i]] : 0;
    error += (group.place[i] - decoded) * (group.place[i] - decoded);
  }
  return error * group.weight;
}

/// Sum over the blocks of squared error / energy, in units of 2^-30, clipping and padding
/// included.
std::int64_t true_error(const h4::TableView& table, std::span<const float> values,
                        std::span<const std::size_t> blocks, const ParallelFor& parallel) {
  std::vector<std::int64_t> errors(blocks.size());
  parallel(blocks.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::span<const float> block = values.subspan(blocks[i] * kGroup, kGroup);
      const float scale = own_tensor_scale(block);
      std::array<std::uint8_t, 64> bytes{};
      std::array<float, kGroup> decoded{};
      h4::encode_kv(block.data(), kGroup, table, scale, bytes.data());
      h4::decode(bytes.data(), table, scale, decoded.data());
      const float unit =
          block[static_cast<std::size_t>(h4::index_of_largest(block.data(), kGroup))];
      std::int64_t error = 0;
      std::int64_t energy = 0;
      for (std::size_t e = 0; e < kGroup; ++e) {
        const std::int64_t off = h4::detail::place_of(block[e] - decoded[e], unit);
        const std::int64_t t = h4::detail::place_of(block[e], unit);
        error += off * off;
        energy += t * t;
      }
      errors[i] = (error << 30) / energy;
    }
  });
  std::int64_t sum = 0;
  for (const std::int64_t error : errors) sum += error;
  return sum;
}

/// A table in training, with its groups by pattern.
struct KvDraft {
  std::vector<Row> rows;
  std::vector<std::uint8_t> codebooks;
  std::vector<std::vector<const Group*>> members;

  void assign(std::span<const Group> groups) {
    members.assign(rows.size(), {});
    for (const Group& group : groups) members[nearest_row(rows, group)].push_back(&group);
  }

  [[nodiscard]] std::vector<Histogram> histograms() const {
    std::vector<Histogram> all;
    for (std::size_t p = 0; p < rows.size(); ++p) {
      for (const Group* group : members[p]) all.push_back(histogram_of(*group, rows[p]));
    }
    return all;
  }

  /// The best row for the members of a pattern over all lambdas.
  [[nodiscard]] Row refit(std::size_t p, int room) const {
    Distribution distribution;
    for (const Group* group : members[p]) distribution.add(*group);
    distribution.accumulate();
    Row best = rows[p];
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const int sixteenths : kLambdas) {
      const Row row = descend(distribution, rows[p], sixteenths);
      std::int64_t error = 0;
      for (const Group* group : members[p]) error += clipped_error(*group, row, codebooks, room);
      if (error >= least) continue;
      least = error;
      best = row;
    }
    return best;
  }
};

PatternTable train_kv(std::span<const float> values, const H4FitOptions& options,
                      const ParallelFor& parallel) {
  const std::vector<std::size_t> blocks = live_blocks(values);
  std::vector<Group> groups(blocks.size());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    groups[i] = load(values.subspan(blocks[i] * kGroup, kGroup));
  }
  const int room =
      h4::kBlockBits - 8 - h4::index_bits(options.patterns) - h4::index_bits(options.codebooks);
  KvDraft draft{first_rows(groups, options.patterns, options.seed, parallel), {}, {}};
  draft.assign(groups);
  draft.codebooks = cluster_codebooks(draft.histograms(), options.codebooks, options.seed);
  PatternTable best;
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (int round = 0; round < std::max(options.rounds, 1); ++round) {
    std::vector<Row> rows(draft.rows.size());
    parallel(rows.size(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t p = begin; p < end; ++p) rows[p] = draft.refit(p, room);
    });
    draft.rows = rows;
    draft.assign(groups);
    // Codebooks start afresh now and then: their clusters have poor optima.
    draft.codebooks =
        round % kRoundsPerStart == 0
            ? cluster_codebooks(draft.histograms(), options.codebooks,
                                options.seed + static_cast<std::uint64_t>(round),
                                room - kNearlyFull)
            : refine_codebooks(draft.histograms(), draft.codebooks, room - kNearlyFull);
    PatternTable table = to_pattern_table(draft.rows, draft.codebooks);
    const std::int64_t error = true_error(table.view().h4(), values, blocks, parallel);
    if (error >= least) continue;
    least = error;
    best = std::move(table);
  }
  return best;
}

}  // namespace
}  // namespace ecco::fit

namespace ecco {

Result<PatternTable> fit_h4_kv_table(std::span<const float> values, const H4FitOptions& options,
                                     const ParallelFor& parallel) {
  return guarded([&]() -> Result<PatternTable> {
    Status status = fit::check_h4_fit(values, options);
    if (!status) return fail(std::move(status));
    return fit::train_kv(values, options, parallel);
  });
}

}  // namespace ecco

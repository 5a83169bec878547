// SPDX-License-Identifier: MIT
#include "fit/search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ecco/planar.hpp"

namespace ecco::fit {
namespace {

constexpr int kCountBits = 9;               // 128 values use at most 3 * 128 tail bits
constexpr std::uint32_t kMostCost = 65535;  // 128 of them fit the other 23 bits
constexpr int kScales = 80;                 // scale codes of a block that the search may visit ...
constexpr int kBelow = 64;  // ... and how many of them lie below its root mean square
constexpr std::size_t kBatch = 128;

/// Width of a bin, and the unit of the tabulated squared errors, for centroids within 123.
struct Resolution {
  double bin;
  double error;
};
constexpr Resolution resolution(Codec codec) {
  switch (codec) {
    case Codec::p2:
      return {1.0, 2.0};
    case Codec::p3:
      return {0.5, 1.0};
    case Codec::p5:
      return {0.375, 0.0625};
    default:
      return {0.5, 0.125};
  }
}

int tail_bits(Codec codec, int rank) { return std::min(rank >> mantissa_planes(codec), 3); }

/// Upper envelope of the lines 2 c t - (c c + lambda bits): which rank is best at t.
Envelope make_envelope(Codec codec, std::span<const double> centroids, double lambda) {
  const int count = static_cast<int>(centroids.size());
  std::array<int, kMaxCentroids> order{};
  for (int u = 0; u < count; ++u) order[static_cast<std::size_t>(u)] = u;
  const auto centroid = [&](int u) { return centroids[static_cast<std::size_t>(u)]; };
  std::stable_sort(order.begin(), order.begin() + count,
                   [&](int a, int b) { return centroid(a) < centroid(b); });
  const auto offset = [&](int u) {
    return centroid(u) * centroid(u) + lambda * tail_bits(codec, u);
  };
  std::array<int, kMaxCentroids> stack{};
  std::array<double, kMaxCentroids> limit{};  // limit[i]: between stack[i] and stack[i + 1]
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) {
    const int u = order[static_cast<std::size_t>(i)];
    bool dominated = false;
    while (size > 0) {
      const int top = stack[size - 1];
      const double distance = 2.0 * (centroid(u) - centroid(top));
      if (distance <= 0.0) {  // equal centroids: the cheaper one stays
        dominated = offset(u) >= offset(top);
        if (dominated) break;
        --size;
        continue;
      }
      const double cross = (offset(u) - offset(top)) / distance;
      if (size > 1 && cross <= limit[size - 2]) {
        --size;
        continue;
      }
      limit[size - 1] = cross;
      break;
    }
    if (!dominated) stack[size++] = u;
  }
  Envelope out;
  out.size = static_cast<int>(size);
  for (std::size_t i = 0; i < size; ++i) {
    out.rank[i] = static_cast<std::uint8_t>(stack[i]);
    out.limit[i] = i + 1 < size ? static_cast<float>(limit[i]) : std::numeric_limits<float>::max();
  }
  return out;
}

/// Median distance of neighbouring centroids: the yardstick of the ladder.
double median_gap(std::span<const double> centroids) {
  std::vector<double> sorted(centroids.begin(), centroids.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> gaps;
  for (std::size_t i = 1; i < sorted.size(); ++i) gaps.push_back(sorted[i] - sorted[i - 1]);
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2),
                   gaps.end());
  return std::max(gaps[gaps.size() / 2], 0.5);
}

/// Scale code nearest below or at `value` > 0.
int scale_code(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // [0.5, 1)
  return (exponent - 1) * 8 + static_cast<int>((2.0 * mantissa - 1.0) * 8.0);
}

/// A block on its way through the patterns.
struct Block {
  std::array<float, kGroup> values;
  std::array<std::int8_t, kGroup> rung_shift;  // only with importance
  std::array<std::uint16_t, kGroup> weight;    // only with importance; 256 = mean
  double energy = 0.0;                         // weighted sum of squares
  int base_scale = 0;                          // code of the root mean square
  int extreme_scale = 0;                       // code of the greatest magnitude
  int rung = 12;                               // where the last candidate ended: a good start
  double best = std::numeric_limits<double>::max();  // estimated squared error
  int pattern = -1;
  int scale = 0;
  int best_rung = 12;
  std::array<bool, kScales> binned{};
  std::array<std::array<std::uint16_t, kGroup>, kScales> bins;
};

struct Cost {
  double error;  // in units of resolution().error
  int bits;
};

template <bool kWeighted>
class Searcher {
 public:
  Searcher(Codec codec, std::span<const PreparedPattern> patterns)
      : codec_(codec), patterns_(patterns), resolution_(resolution(codec)) {}

  void run(std::span<const float> values, std::span<const float> importance,
           std::span<Choice> choices) {
    blocks_.resize(choices.size());
    for (std::size_t i = 0; i < choices.size(); ++i) {
      load(blocks_[i], values.subspan(i * kGroup, kGroup),
           kWeighted ? importance.subspan(i * kGroup, kGroup) : importance);
    }
    for (int p = 0; p < static_cast<int>(patterns_.size()); ++p) {
      for (std::size_t i = 0; i < choices.size(); ++i) try_pattern(blocks_[i], p);
    }
    for (std::size_t i = 0; i < choices.size(); ++i) finish(blocks_[i], choices[i]);
  }

 private:
  static int rung_of(const Block& block, int rung, std::size_t e) {
    if constexpr (!kWeighted) return rung;
    if (rung == 0 || rung == kRungs - 1) return rung;
    return std::clamp(rung + block.rung_shift[e], 1, kRungs - 2);
  }

  void load(Block& block, std::span<const float> values, std::span<const float> importance) {
    block.binned.fill(false);
    block.best = std::numeric_limits<double>::max();
    block.pattern = -1;
    block.rung = 12;
    std::copy(values.begin(), values.end(), block.values.begin());
    double squares = 0.0;
    for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
    block.energy = squares;
    if constexpr (kWeighted) load_importance(block, importance);
    if (squares <= 0.0) return;
    float extreme = 0.0f;
    for (const float v : values) extreme = std::max(extreme, std::fabs(v));
    block.base_scale = scale_code(std::sqrt(squares / kGroup));
    block.extreme_scale = scale_code(static_cast<double>(extreme));
  }

  void load_importance(Block& block, std::span<const float> importance) {
    double sum = 0.0;
    for (const float w : importance) sum += static_cast<double>(w);
    block.energy = 0.0;
    for (std::size_t e = 0; e < kGroup; ++e) {
      const double relative = sum > 0.0 ? static_cast<double>(importance[e]) * kGroup / sum : 1.0;
      block.weight[e] = static_cast<std::uint16_t>(std::min(relative * 256.0 + 0.5, 32768.0));
      const double weight = static_cast<double>(block.weight[e]) / 256.0;
      int shift = 0;  // rungs are 1.25 apart: the element's multiplier is lambda / weight
      for (double w = weight; w > 1.118 && shift > -12; w *= 0.8) --shift;
      for (double w = weight; w < 0.894 && shift < 12; w *= 1.25) ++shift;
      block.rung_shift[e] = static_cast<std::int8_t>(shift);
      const auto v = static_cast<double>(block.values[e]);
      block.energy += weight * v * v;
    }
  }

  const std::array<std::uint16_t, kGroup>& bins(Block& block, int scale) {
    const auto slot = static_cast<std::size_t>(scale - block.base_scale + kBelow);
    if (!block.binned[slot]) {
      const double factor = 1.0 / (scale_value(scale) * resolution_.bin);
      for (std::size_t e = 0; e < kGroup; ++e) {
        const double place = static_cast<double>(block.values[e]) * factor + kBins / 2;
        block.bins[slot][e] =
            static_cast<std::uint16_t>(std::clamp(place, 0.0, static_cast<double>(kBins - 1)));
      }
      block.binned[slot] = true;
    }
    return block.bins[slot];
  }

  Cost cost(const Block& block, const PreparedPattern& pattern, int rung,
            const std::array<std::uint16_t, kGroup>& places) const {
    if constexpr (kWeighted) {
      std::uint64_t error = 0;
      std::uint32_t count = 0;
      for (std::size_t e = 0; e < kGroup; ++e) {
        const std::uint32_t entry = pattern.costs(rung_of(block, rung, e))[places[e]];
        error += static_cast<std::uint64_t>(entry >> kCountBits) * block.weight[e];
        count += entry & ((1u << kCountBits) - 1);
      }
      return {static_cast<double>(error) / 256.0, static_cast<int>(count)};
    } else {
      const std::uint32_t* costs = pattern.costs(rung);
      std::uint32_t sums[4] = {};
      for (std::size_t e = 0; e < kGroup; e += 4) {
        for (std::size_t k = 0; k < 4; ++k) sums[k] += costs[places[e + k]];
      }
      const std::uint32_t sum = sums[0] + sums[1] + sums[2] + sums[3];
      return {static_cast<double>(sum >> kCountBits),
              static_cast<int>(sum & ((1u << kCountBits) - 1))};
    }
  }

  void try_pattern(Block& block, int p) {
    if (block.energy <= 0.0) return;
    const PreparedPattern& pattern = patterns_[static_cast<std::size_t>(p)];
    const int scale = block.base_scale + pattern.scale_offset();
    // Values far outside the pattern want a larger scale: up to the one that reaches them all.
    const int reach = std::min(block.extreme_scale - pattern.reach(), block.base_scale + 15);
    const double before = block.best;
    const double bound = try_scale(block, p, scale);
    if (reach <= scale + 1 && bound > 1.3 * before) return;  // so are the neighbouring scales
    try_scale(block, p, scale - 1);
    for (int at = scale + 1; at <= std::max(scale + 1, reach); ++at) try_scale(block, p, at);
    for (int step = -1; step <= 1; step += 2) {
      int at = block.scale + step;
      while (block.pattern == p && block.scale == at - step && at > block.base_scale - kBelow &&
             at < block.base_scale + kScales - kBelow) {
        try_scale(block, p, at);
        at += step;
      }
    }
  }

  /// Estimates the error at exactly kTailBits and keeps it if it is the best; returns a lower
  /// bound of it.
  double try_scale(Block& block, int p, int scale) {
    const PreparedPattern& pattern = patterns_[static_cast<std::size_t>(p)];
    const auto& places = bins(block, scale);
    const double unit = scale_value(scale) * scale_value(scale);
    const double to_error = unit * resolution_.error;
    int low = -1;           // greatest rung known not to fit
    int high = kRungs - 1;  // least rung known to fit: class 0 alone always does
    Cost at_low{};
    Cost at_high{};
    bool high_known = false;
    int rung = block.rung;
    double bound = 0.0;
    while (high - low > 1 || !high_known) {
      const Cost now = cost(block, pattern, rung, places);
      bound = std::max(
          bound, now.error * to_error + unit * pattern.lambda(rung) * (now.bits - kTailBits));
      if (bound >= block.best) return bound;
      const int step = std::max(1, std::abs(now.bits - kTailBits) / 6);
      if (now.bits <= kTailBits) {
        high = rung;
        at_high = now;
        high_known = true;
        rung = std::max(rung - step, low + 1);
        if (rung == high) break;
      } else {
        low = rung;
        at_low = now;
        rung = std::min(rung + step, high_known ? high - 1 : high);
        if (rung == low) break;
      }
    }
    double estimate = at_high.error;
    if (low >= 0) {
      const double part =
          static_cast<double>(kTailBits - at_high.bits) / (at_low.bits - at_high.bits);
      estimate += part * (at_low.error - at_high.error);
    }
    block.rung = high;
    if (estimate * to_error < block.best) {
      block.best = estimate * to_error;
      block.pattern = p;
      block.scale = scale;
      block.best_rung = high;
    }
    return bound;
  }

  /// The ranks of the chosen candidate: those of the least rung that fits, then those of the rung
  /// below as far as they fit too.
  void finish(const Block& block, Choice& choice) {
    choice.pattern = block.pattern;
    choice.error = 0.0;
    if (block.pattern < 0) return;
    choice.scale = block.scale;
    const PreparedPattern& pattern = patterns_[static_cast<std::size_t>(block.pattern)];
    const double factor = 1.0 / scale_value(block.scale);
    for (std::size_t e = 0; e < kGroup; ++e) {
      targets_[e] = static_cast<double>(block.values[e]) * factor;
    }
    int rung = block.best_rung;
    int use[2] = {};
    for (; rung < kRungs; ++rung) {
      use[0] = use[1] = 0;
      for (std::size_t e = 0; e < kGroup; ++e) {
        choice.ranks[e] = decide(pattern, rung_of(block, rung, e), targets_[e]);
        use[planar::half_of(static_cast<int>(e))] += tail_bits(codec_, choice.ranks[e]);
      }
      if (use[0] <= kHalfTailBits && use[1] <= kHalfTailBits && use[0] + use[1] <= kTailBits) {
        break;
      }
    }
    double error = 0.0;
    for (std::size_t e = 0; e < kGroup; ++e) {
      if (rung > 0) spend(pattern, rung_of(block, rung - 1, e), e, use, choice);
      const double d = targets_[e] - pattern.centroid(choice.ranks[e]);
      error += kWeighted ? d * d * static_cast<double>(block.weight[e]) / 256.0 : d * d;
    }
    choice.error = error / (factor * factor) / block.energy;
  }

  void spend(const PreparedPattern& pattern, int rung, std::size_t e, int (&use)[2],
             Choice& choice) const {
    const std::uint8_t rank = decide(pattern, rung, targets_[e]);
    if (rank == choice.ranks[e]) return;
    int& half = use[planar::half_of(static_cast<int>(e))];
    const int more = tail_bits(codec_, rank) - tail_bits(codec_, choice.ranks[e]);
    if (half + more > kHalfTailBits || use[0] + use[1] + more > kTailBits) return;
    half += more;
    choice.ranks[e] = rank;
  }

  static std::uint8_t decide(const PreparedPattern& pattern, int rung, double target) {
    const Envelope& envelope = pattern.envelope(rung);
    const float* end = envelope.limit.data() + envelope.size - 1;
    const float* at = std::lower_bound(envelope.limit.data(), end, static_cast<float>(target));
    return envelope.rank[static_cast<std::size_t>(at - envelope.limit.data())];
  }

  Codec codec_;
  std::span<const PreparedPattern> patterns_;
  Resolution resolution_;
  std::vector<Block> blocks_;
  std::array<double, kGroup> targets_{};
};

}  // namespace

double scale_value(int scale) { return std::ldexp(1.0 + (scale & 7) * 0.125, scale >> 3); }

PreparedPattern::PreparedPattern(Codec codec, std::span<const std::int8_t> centroids)
    : costs_(static_cast<std::size_t>(kRungs) * kBins) {
  std::copy(centroids.begin(), centroids.end(), centroids_.begin());
  const std::span<const double> used(centroids_.data(), centroids.size());
  const double gap = median_gap(used);
  const Resolution unit = resolution(codec);
  double lambda = 0.01 * gap * gap;
  for (int rung = 0; rung < kRungs; ++rung) {
    const auto r = static_cast<std::size_t>(rung);
    if (rung > 1) lambda *= 1.25;
    lambdas_[r] = rung == 0 ? 0.0 : rung < kRungs - 1 ? lambda : 1e9;
    envelopes_[r] = make_envelope(codec, used, lambdas_[r]);
    std::size_t at = 0;
    for (int bin = 0; bin < kBins; ++bin) {
      const double t = (bin - kBins / 2 + 0.5) * unit.bin;
      while (static_cast<double>(envelopes_[r].limit[at]) < t) ++at;
      const int rank = envelopes_[r].rank[at];
      const double d = t - centroid(rank);
      const auto cost = static_cast<std::uint32_t>(
          std::min(d * d / unit.error + 0.5, static_cast<double>(kMostCost)));
      costs_[r * kBins + static_cast<std::size_t>(bin)] =
          cost << kCountBits | static_cast<std::uint32_t>(tail_bits(codec, rank));
    }
  }
  // The code lengths are those of a distribution: its second moment is the pattern's own.
  double moment = 0.0;
  const int planes = mantissa_planes(codec);
  for (int u = 0; u < static_cast<int>(used.size()); ++u) {
    const int length = std::min((u >> planes) + 1, kClasses - 1) + planes;
    moment += centroid(u) * centroid(u) / static_cast<double>(1 << length);
  }
  double greatest = 1.0;
  for (const double c : used) greatest = std::max(greatest, std::fabs(c));
  reach_ = scale_code(greatest);
  scale_offset_ = moment >= 1.0 ? -scale_code(std::sqrt(moment)) : 0;
}

void search(Codec codec, std::span<const PreparedPattern> patterns, std::span<const float> values,
            std::span<const float> importance, std::span<Choice> choices,
            const ParallelFor& parallel) {
  const std::size_t batches = (choices.size() + kBatch - 1) / kBatch;
  const auto run = [&](auto searcher, std::size_t begin, std::size_t end) {
    for (std::size_t at = begin * kBatch; at < std::min(end * kBatch, choices.size());
         at += kBatch) {
      const std::size_t size = std::min(kBatch, choices.size() - at);
      searcher.run(
          values.subspan(at * kGroup, size * kGroup),
          importance.empty() ? importance : importance.subspan(at * kGroup, size * kGroup),
          choices.subspan(at, size));
    }
  };
  parallel(batches, [&](std::size_t begin, std::size_t end) {
    if (importance.empty()) {
      run(Searcher<false>(codec, patterns), begin, end);
    } else {
      run(Searcher<true>(codec, patterns), begin, end);
    }
  });
}

}  // namespace ecco::fit

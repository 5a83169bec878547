// SPDX-License-Identifier: MIT
#include "fit/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ecco::fit {
namespace {

double round_half_up(double x) { return std::floor(x + 0.5); }

/// Stretches a pattern to a greatest magnitude of 109..123, to the one of 40 factors at which
/// rounding its centroids to integers costs least: the scale makes up for the factor.
void stretch(Pattern& pattern, std::size_t width) {
  double greatest = 0.0;
  for (std::size_t u = 0; u < width; ++u) {
    greatest = std::max(greatest, std::fabs(pattern.centroid[u]));
  }
  if (greatest <= 0.0) return;
  double best_factor = kMaxCentroid / greatest;
  double best_cost = -1.0;
  for (int i = 0; i < 40; ++i) {
    const double factor = (kMaxCentroid - 0.35 * i) / greatest;
    double cost = 0.0;
    for (std::size_t u = 0; u < width; ++u) {
      const double exact = pattern.centroid[u] * factor;
      const double d = (exact - round_half_up(exact)) / factor;
      cost += d * d * pattern.weight[u];
    }
    if (best_cost < 0.0 || cost < best_cost) {
      best_cost = cost;
      best_factor = factor;
    }
  }
  for (std::size_t u = 0; u < width; ++u) {
    pattern.centroid[u] *= best_factor;
    pattern.sum[u] *= best_factor;
  }
}

}  // namespace

std::uint64_t Random::next() {
  std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

double Random::bell() {
  double sum = -2.0;
  for (int i = 0; i < 4; ++i) sum += static_cast<double>(next() >> 11) * 0x1p-53;
  return sum * 1.7320508075688772;
}

Trainer::Trainer(Codec codec, int patterns, std::uint64_t seed)
    : codec_(codec),
      width_(static_cast<std::size_t>(centroids_per_pattern(codec))),
      random_(seed),
      patterns_(static_cast<std::size_t>(patterns)) {
  for (std::size_t p = 0; p < patterns_.size(); ++p) {
    // Four phases of the grid, eight widths of its outer steps; ranks by distance from zero.
    const double phase = static_cast<double>(p % 4) * 0.25;
    const double bend = static_cast<double>(p / 4 % 8) * 0.15 - 0.2;
    std::vector<double> grid;
    const int half = static_cast<int>(width_);
    for (int k = -half; k <= half; ++k) grid.push_back(k + phase);
    std::stable_sort(grid.begin(), grid.end(),
                     [](double a, double b) { return std::fabs(a) < std::fabs(b); });
    const double sign = (random_.next() >> 63) != 0 ? -1.0 : 1.0;
    for (std::size_t u = 0; u < width_; ++u) {
      const double x = grid[u] / (0.5 * half);
      patterns_[p].centroid[u] =
          sign * x * (1.0 + bend * std::fabs(x)) * (1.0 + 0.03 * random_.bell());
      patterns_[p].weight[u] = 1.0;
    }
    stretch(patterns_[p], width_);
    patterns_[p].weight.fill(0.0);
  }
}

Trainer::Trainer(Codec codec, std::span<const std::int8_t> table, std::uint64_t seed)
    : codec_(codec),
      width_(static_cast<std::size_t>(centroids_per_pattern(codec))),
      random_(seed),
      patterns_(table.size() / width_) {
  for (std::size_t p = 0; p < patterns_.size(); ++p) {
    const auto row = table.subspan(p * width_, width_);
    std::copy(row.begin(), row.end(), patterns_[p].centroid.begin());
  }
}

void Trainer::add_probes() {
  const double step = 2.0 * kMaxCentroid / static_cast<double>(width_ - 1);
  Pattern up;    // most probable at the lower end
  Pattern down;  // ... at the upper end
  Pattern ends;  // ... at both: each class covers its share of the arcsine distribution
  const double cuts[] = {1.0, 0.7071, 0.3827, 0.1951, 0.0975, 0.0};
  const auto per_class = width_ / kClasses;
  for (std::size_t u = 0; u < width_; ++u) {
    up.centroid[u] = step * static_cast<double>(u) - kMaxCentroid;
    down.centroid[u] = -up.centroid[u];
    const std::size_t level = u / per_class;
    const double depth = (static_cast<double>(u % per_class / 2) + 0.5) * 2.0 /
                         static_cast<double>(std::max<std::size_t>(per_class, 2));
    const double x = cuts[level] + depth * (cuts[level + 1] - cuts[level]);
    ends.centroid[u] = u % 2 == 0 ? kMaxCentroid * x : -kMaxCentroid * x;
  }
  patterns_.insert(patterns_.end(), {up, down, ends});
}

double Trainer::step(std::span<const float> values, std::span<const float> importance,
                     const Round& round, const ParallelFor& parallel) {
  const std::vector<PreparedPattern> prepared = prepare(codec_, table(), parallel);
  std::vector<Choice> choices(values.size() / kGroup);
  search(codec_, prepared, values, importance, choices, parallel);
  decay(round.memory);
  const double error = accumulate(values, importance, choices);
  if (round.replaced > 0.0) replace(round.replaced);
  for (Pattern& pattern : patterns_) renew(pattern);
  return error;
}

void Trainer::decay(double memory) {
  for (Pattern& pattern : patterns_) {
    for (std::size_t u = 0; u < width_; ++u) {
      pattern.sum[u] *= memory;
      pattern.weight[u] *= memory;
      pattern.count[u] *= memory;
    }
    pattern.use *= memory;
    pattern.error *= memory;
  }
}

double Trainer::accumulate(std::span<const float> values, std::span<const float> importance,
                           std::span<const Choice> choices) {
  double total_error = 0.0;
  double total_share = 0.0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Choice& choice = choices[i];
    if (choice.pattern < 0) continue;
    const float* x = values.data() + i * kGroup;
    const float* w = importance.empty() ? nullptr : importance.data() + i * kGroup;
    double energy = 0.0;
    double share = w == nullptr ? kGroup : 0.0;  // of the block in the whole
    for (std::size_t e = 0; e < kGroup; ++e) {
      const double v = static_cast<double>(x[e]);
      const double importance_e = w == nullptr ? 1.0 : static_cast<double>(w[e]);
      energy += importance_e * v * v;
      if (w != nullptr) share += importance_e;
    }
    if (energy <= 0.0 || share <= 0.0) continue;
    share /= kGroup;
    const double scale = scale_value(choice.scale);
    const double block_weight = share * kGroup * scale * scale / energy;
    Pattern& pattern = patterns_[static_cast<std::size_t>(choice.pattern)];
    for (std::size_t e = 0; e < kGroup; ++e) {
      const std::size_t rank = choice.ranks[e];
      const double weight = w == nullptr ? block_weight : block_weight * static_cast<double>(w[e]);
      pattern.sum[rank] += weight * (static_cast<double>(x[e]) / scale);
      pattern.weight[rank] += weight;
      pattern.count[rank] += share;
    }
    pattern.use += share;
    pattern.error += share * choice.error;
    total_error += share * choice.error;
    total_share += share;
  }
  return total_share > 0.0 ? total_error / total_share : 0.0;
}

void Trainer::replace(double share) {
  std::vector<std::size_t> order(patterns_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return patterns_[a].error < patterns_[b].error;
  });
  const auto most = static_cast<std::size_t>(share * static_cast<double>(order.size()));
  for (std::size_t i = 0; i < std::min(most, order.size() / 2); ++i) {
    Pattern& poor = patterns_[order[i]];
    Pattern& rich = patterns_[order[order.size() - 1 - i]];
    if (poor.error < 0.5 * rich.error) split(rich, poor);
  }
}

void Trainer::split(Pattern& from, Pattern& to) {
  from.use *= 0.5;
  from.error *= 0.5;
  to = from;
  for (std::size_t u = 0; u < width_; ++u) {
    const double mean = from.weight[u] > 0.0 ? from.sum[u] / from.weight[u] : from.centroid[u];
    const double moved = mean * (1.0 + 0.03 * random_.bell()) + 0.3 * random_.bell();
    to.count[u] *= 0.1;  // soon forgotten: the half is to find its own way
    to.weight[u] *= 0.1;
    to.sum[u] = moved * to.weight[u];
    to.centroid[u] = moved;
  }
}

void Trainer::renew(Pattern& pattern) const {
  if (pattern.use <= 0.0) return;
  std::array<std::size_t, kMaxCentroids> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(
      order.begin(), order.begin() + static_cast<std::ptrdiff_t>(width_),
      [&](std::size_t a, std::size_t b) { return pattern.count[a] > pattern.count[b]; });
  const Pattern before = pattern;
  for (std::size_t u = 0; u < width_; ++u) {
    const std::size_t from = order[u];
    pattern.sum[u] = before.sum[from];
    pattern.weight[u] = before.weight[from];
    pattern.count[u] = before.count[from];
    pattern.centroid[u] =
        before.weight[from] > 0.0 ? before.sum[from] / before.weight[from] : before.centroid[from];
  }
  stretch(pattern, width_);
}

void Trainer::keep(int patterns) {
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.use > b.use; });
  if (static_cast<std::size_t>(patterns) < patterns_.size()) {
    patterns_.resize(static_cast<std::size_t>(patterns));
  }
}

std::vector<std::int8_t> Trainer::table() const {
  std::vector<std::int8_t> out;
  out.reserve(patterns_.size() * width_);
  for (const Pattern& pattern : patterns_) {
    for (std::size_t u = 0; u < width_; ++u) {
      out.push_back(static_cast<std::int8_t>(std::clamp(round_half_up(pattern.centroid[u]),
                                                        -1.0 * kMaxCentroid, 1.0 * kMaxCentroid)));
    }
  }
  return out;
}

std::vector<PreparedPattern> prepare(Codec codec, std::span<const std::int8_t> table,
                                     const ParallelFor& parallel) {
  const auto width = static_cast<std::size_t>(centroids_per_pattern(codec));
  std::vector<PreparedPattern> out(table.size() / width);
  parallel(out.size(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t p = begin; p < end; ++p) {
      out[p] = PreparedPattern(codec, table.subspan(p * width, width));
    }
  });
  return out;
}

}  // namespace ecco::fit

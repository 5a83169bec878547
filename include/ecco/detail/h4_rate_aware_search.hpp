// SPDX-License-Identifier: MIT
// The search of RateAwareEncoder. A placement (outliers, scale) fixes where the values lie; for it
// every pair of a pattern and a codebook is scored at one lambda, which bounds from below what the
// pair can reach (Lagrangian duality); the pairs of the lowest bounds get the least lambda that
// fits the budget; the best candidates of all placements get symbols, one by one.
#pragma once

#include "ecco/h4_rate_aware.hpp"

namespace ecco::h4 {

inline const Fields& RateAwareEncoder::choose(const float* values, const float* importance,
                                              int count, float tensor_scale, float largest_value) {
  tensor_scale_ = tensor_scale;
  fields_ = Fields{};
  highest_code_ = detail::highest_code(tensor_scale, largest_value);
  load(values, importance, count);
  if (values[group_.by_magnitude[0]] == 0.0f) return fields_;
  best_.fill(detail::Candidate{});
  best_lambda_ = 0.0;
  const int most = std::min(width_.most_outliers, count - 1);
  int failures = 0;
  for (int outliers = 0; outliers <= most && failures < 2; ++outliers) {
    const double before = best_[0].error;
    climb_scales(outliers);
    failures = best_[0].error < before ? 0 : failures + 1;
  }
  if (best_[0].error > kPoor * energy()) widen_scales();
  double least = std::numeric_limits<double>::max();
  Fields trial;
  for (int i = 0; i < width_.finished; ++i) {
    const detail::Candidate& candidate = best_[static_cast<std::size_t>(i)];
    if (candidate.error == std::numeric_limits<double>::max()) break;
    const double error = finish(candidate, trial);
    if (error < least) {
      least = error;
      fields_ = trial;
    }
  }
  return fields_;
}

inline void RateAwareEncoder::load(const float* values, const float* importance, int count) {
  group_.values = values;
  group_.count = count;
  for (int e = 0; e < count; ++e) {
    group_.ascending[static_cast<std::size_t>(e)] = static_cast<std::uint8_t>(e);
  }
  const auto end = group_.ascending.begin() + count;
  std::sort(group_.ascending.begin(), end, [&](int a, int b) {
    return values[a] < values[b] || (values[a] == values[b] && a < b);
  });
  // Magnitudes descend from both ends of the sorted values.
  for (int i = 0, low = 0, high = count - 1; i < count; ++i) {
    const int a = group_.ascending[static_cast<std::size_t>(low)];
    const int b = group_.ascending[static_cast<std::size_t>(high)];
    const bool take_low = magnitude(values[a]) > magnitude(values[b]);
    group_.by_magnitude[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(take_low ? a : b);
    take_low ? ++low : --high;
  }
  group_.weighted = importance != nullptr &&
                    std::any_of(importance, importance + count, [](float w) { return w > 0.0f; });
  group_.weight.fill(1);
  if (group_.weighted) load_weights(importance);
}

/// Integer weights, and how many rungs (ratio 5/4) each element's lambda lies off the block's.
inline void RateAwareEncoder::load_weights(const float* importance) {
  group_.weight = detail::integer_weights(importance, group_.count);
  for (std::size_t e = 0; e < static_cast<std::size_t>(group_.count); ++e) {
    const std::int64_t target = std::int64_t{group_.weight[e]} << 16;
    std::int64_t weight = std::int64_t{detail::kMeanWeight} << 16;
    int shift = 0;
    for (; weight * 9 < target * 8 && shift > -24; weight += weight / 4) --shift;
    for (; weight * 8 > target * 9 && shift < 24; weight -= weight / 5) ++shift;
    group_.rung_shift[e] = static_cast<std::int8_t>(shift);
  }
}

/// Tries the scales about that of the largest magnitude which is no outlier.
inline void RateAwareEncoder::climb_scales(int outliers) {
  const float extreme = group_.values[group_.by_magnitude[static_cast<std::size_t>(outliers)]];
  const int nearest = to_fp8_e4m3(magnitude(extreme) / tensor_scale_).bits & 0x7f;
  const int base = std::clamp(nearest, 1, highest_code_);
  for (int sign = 0; sign < (width_.both_signs ? 2 : 1); ++sign) {
    const bool negative = (extreme < 0.0f) != (sign == 1);
    double last = try_placement(outliers, base, negative);
    const double at_base = last;
    for (int down = 1; down <= width_.scales_below; ++down) {
      const double error = try_placement(outliers, base - down, negative);
      if (width_.climb && error >= last) break;
      last = error;
    }
    last = at_base;
    for (int up = 1; up <= width_.scales_above; ++up) {
      const double error = try_placement(outliers, base + up, negative);
      if (width_.climb && error >= last) break;
      last = error;
    }
  }
}

/// Weighted sum of squares of the group.
inline double RateAwareEncoder::energy() const {
  double sum = 0.0;
  for (int e = 0; e < group_.count; ++e) {
    const auto value = static_cast<double>(group_.values[e]);
    sum = std::fma(group_.weight[static_cast<std::size_t>(e)] * value, value, sum);
  }
  return sum;
}

/// For groups unlike those that patterns are made for, such as constant ones: much larger scales
/// move the values to where the codes are short.
inline void RateAwareEncoder::widen_scales() {
  const float extreme = group_.values[group_.by_magnitude[0]];
  const int base = to_fp8_e4m3(magnitude(extreme) / tensor_scale_).bits & 0x7f;
  for (int up = 1; up <= kWidestScale; ++up) {
    try_placement(0, base + up, false);
    try_placement(0, base + up, true);
  }
}

/// Scores one placement; returns the error of the best candidate it gave, or the largest double.
inline double RateAwareEncoder::try_placement(int outliers, int code, bool negative) {
  constexpr double kNothing = std::numeric_limits<double>::max();
  if (code < 1 || code > highest_code_) return kNothing;
  const fp8_e4m3 scale{static_cast<std::uint8_t>(negative ? code | 0x80 : code)};
  if (!place(outliers, scale)) return kNothing;
  measure_rooms();
  const int rung = start_rung();
  if (group_.weighted) {
    fill(*weighted_, [](int place, int weight) { return WeightedSum{weight * place, 1, weight}; });
    kernels_.score_weighted(tables_, *weighted_, rung, costs_.data());
  } else {
    fill(*plain_, [](int place, int) { return std::int32_t{256 * place + 1}; });
    kernels_.score(tables_, *plain_, rung, costs_.data());
  }
  const int listed = shortlist(rung);
  double error = kNothing;
  for (int i = 0; i < listed; ++i) {
    const int pair = lowest_[static_cast<std::size_t>(i)].second;
    error = std::min(error, fit_pair(pair, costs_[static_cast<std::size_t>(pair)], rung));
  }
  if (width_.fitted > 0 || listed < kMostFitted) return error;  // none left that may win
  for (int pair = 0; pair < tables_.pairs(); ++pair) {
    const std::int64_t bound = bound_of(costs_[static_cast<std::size_t>(pair)], pair, rung);
    if (bound < lowest_[static_cast<std::size_t>(listed - 1)].first) continue;  // done above
    error = std::min(error, fit_pair(pair, costs_[static_cast<std::size_t>(pair)], rung));
  }
  return error;
}

/// A bound from which on a pair cannot be kept any more, and beyond by a rounding.
inline std::int64_t RateAwareEncoder::limit() const {
  const double worst = best_[static_cast<std::size_t>(width_.finished - 1)].error;
  const double squares = worst / placement_.squared_place;
  return squares < 0x1p50 ? static_cast<std::int64_t>(squares) + 4
                          : std::numeric_limits<std::int64_t>::max();
}

/// Puts the pairs of the lowest bounds that may win into lowest_, in order, equal ones by index.
/// Returns how many.
inline int RateAwareEncoder::shortlist(int rung) {
  const int wanted = width_.fitted > 0 ? std::min(width_.fitted, kMostFitted) : kMostFitted;
  const int codebooks = tables_.codebooks();
  const std::int64_t lambda = lambda_of(rung);
  int size = 0;
  std::int64_t worst = limit();
  for (int pair = 0, h = 0; pair < tables_.pairs(); ++pair, h = h + 1 < codebooks ? h + 1 : 0) {
    const Cost& cost = costs_[static_cast<std::size_t>(pair)];
    const std::int64_t bound = placement_.fixed_error + cost.error +
                               lambda * (cost.bits - rooms_[static_cast<std::size_t>(h)]);
    if (bound >= worst) continue;
    int at = size;
    for (; at > 0 && bound < lowest_[static_cast<std::size_t>(at - 1)].first; --at) {
      lowest_[static_cast<std::size_t>(at)] = lowest_[static_cast<std::size_t>(at - 1)];
    }
    lowest_[static_cast<std::size_t>(at)] = {bound, pair};
    size = std::min(size + 1, wanted);
    if (size == wanted) worst = lowest_[static_cast<std::size_t>(size - 1)].first;
  }
  return size;
}

/// Computes the places of the values under a scale; false when it is out of range.
inline bool RateAwareEncoder::place(int outliers, fp8_e4m3 scale) {
  placement_.outliers = outliers;
  placement_.scale = scale;
  placement_.m = tensor_scale_ * to_float(scale);
  const float m = placement_.m;
  if (m == 0.0f) return false;
  placement_.squared_place = static_cast<double>(m) * static_cast<double>(m);
  kernels_.place(group_.values, group_.count, m, placement_.place.data());
  std::int64_t squares = 0;
  for (std::size_t e = 0; e < static_cast<std::size_t>(group_.count); ++e) {
    const std::int32_t t = placement_.place[e];
    squares += std::int64_t{group_.weight[e]} * (t * t);
  }
  placement_.weight = group_.weight;
  placement_.first = 0;
  for (int i = 0; i < outliers; ++i) {
    const std::size_t e = group_.by_magnitude[static_cast<std::size_t>(i)];
    const std::int64_t t = placement_.place[e];
    const std::int64_t off = outlier_error(static_cast<int>(e));
    squares += group_.weight[e] * (off * off - t * t);
    placement_.weight[e] = 0;
    if (group_.ascending[static_cast<std::size_t>(placement_.first)] == e) ++placement_.first;
  }
  placement_.end = group_.count - (outliers - placement_.first);
  placement_.fixed_error = squares;
  return true;
}

inline fp8_e4m3 RateAwareEncoder::outlier_code(int e) const {
  fp8_e4m3 code = to_fp8_e4m3(group_.values[e] / tensor_scale_);
  if ((code.bits & 0x7f) > highest_code_) {
    code.bits = static_cast<std::uint8_t>((code.bits & 0x80) | highest_code_);
  }
  return code;
}

/// Error that an element has as an outlier, in places.
inline std::int64_t RateAwareEncoder::outlier_error(int e) const {
  const float decoded = tensor_scale_ * to_float(outlier_code(e));
  return detail::place_of(group_.values[e] - decoded, placement_.m);
}

/// Sums over the values at or above each bin, without outliers and padding; in steps that may
/// overrun what the next value's step then overwrites.
template <typename Sums, typename Sum>
void RateAwareEncoder::fill(Sums& sums, Sum sum_of) const {
  constexpr int kStep = kSumsOverrun * 4 / static_cast<int>(sizeof(typename Sums::value_type));
  const bool negative = placement_.m < 0.0f;
  const int step = negative ? -1 : 1;
  const int first = negative ? placement_.end - 1 : placement_.first;
  const int count = placement_.end - placement_.first;
  const auto element = [&](int i) {
    return std::size_t{group_.ascending[static_cast<std::size_t>(first + i * step)]};
  };
  typename Sums::value_type sum{};
  for (int i = 0; i < count; ++i) {
    const std::size_t e = element(i);
    sum += sum_of(placement_.place[e], placement_.weight[e]);
  }
  auto* at = sums.data();            // the first bin above the values before
  for (int i = 0; i < count; ++i) {  // by ascending place
    const std::size_t e = element(i);
    auto* const end = sums.data() + detail::bin_of(placement_.place[e]) + 1;
    std::fill_n(at, kStep, sum);
    if (end - at > kStep) std::fill(at + kStep, end, sum);
    at = end;
    sum -= sum_of(placement_.place[e], placement_.weight[e]);
  }
  std::fill(at, sums.data() + kBins + 1, typename Sums::value_type{});
}

/// The rung of the best candidate so far, carried over to this placement's unit.
inline int RateAwareEncoder::start_rung() const {
  if (best_lambda_ == 0.0) return 22;
  const double lambda = best_lambda_ / placement_.squared_place;
  int rung = 1;
  while (rung < kRungs - 2 &&
         static_cast<double>(kLadder[static_cast<std::size_t>(rung)]) < lambda) {
    ++rung;
  }
  return rung;
}

/// Bits that the codes of values may take, outliers and padding aside.
inline void RateAwareEncoder::measure_rooms() {
  const int others = kGroup - group_.count + placement_.outliers;
  const int left = kBlockBits - tables_.header_bits() - kOutlierBits * placement_.outliers;
  for (int h = 0; h < tables_.codebooks(); ++h) {
    const CodebookSteps& codebook = tables_.codebook(h);
    rooms_[static_cast<std::size_t>(h)] = left - others * codebook.length[codebook.shortest];
  }
}

inline std::int64_t RateAwareEncoder::room(int pair) const {
  return rooms_[static_cast<std::size_t>(pair % tables_.codebooks())];
}

inline std::int64_t RateAwareEncoder::lambda_of(int rung) const {
  const std::int64_t lambda = kLadder[static_cast<std::size_t>(rung)];
  return group_.weighted ? lambda * detail::kMeanWeight : lambda;
}

/// No symbols of this pair that fit have a smaller error.
inline std::int64_t RateAwareEncoder::bound_of(const Cost& cost, int pair, int rung) const {
  return placement_.fixed_error + cost.error + lambda_of(rung) * (cost.bits - room(pair));
}

inline Cost RateAwareEncoder::cost_of(int pair, int rung) const {
  detail::Symbols symbols;
  if (group_.weighted) return assign(pair, rung, symbols);
  return kernels_.evaluate(tables_, *plain_, pair, rung);
}

/// Walks to the least rung that fits and keeps the result, with the error expected once the bits
/// still free are used up; gives up where the bound says so. Returns that error.
inline double RateAwareEncoder::fit_pair(int pair, Cost cost, int rung) {
  constexpr double kNothing = std::numeric_limits<double>::max();
  const std::int64_t budget = room(pair);
  const double worst = best_[static_cast<std::size_t>(width_.finished - 1)].error;
  const auto hopeless = [&](const Cost& at, int r) {
    return static_cast<double>(bound_of(at, pair, r)) * placement_.squared_place >= worst;
  };
  if (hopeless(cost, rung)) return kNothing;
  if (group_.weighted) cost = cost_of(pair, rung);
  Cost above{0, 0};  // at the rung below: the least cost that does not fit
  if (cost.bits > budget) {
    while (cost.bits > budget) {
      if (rung == kRungs - 1 || hopeless(cost, rung)) return kNothing;
      above = cost;
      cost = cost_of(pair, ++rung);
    }
  } else {
    while (rung > 0) {
      above = cost_of(pair, rung - 1);
      if (above.bits > budget) break;
      cost = above;
      above = Cost{0, 0};
      if (hopeless(cost, --rung)) return kNothing;
    }
  }
  std::int64_t error = cost.error;
  if (above.bits > cost.bits) {
    error -= (cost.error - above.error) * (budget - cost.bits) / (above.bits - cost.bits);
  }
  const double squares = static_cast<double>(placement_.fixed_error + error);
  detail::Candidate candidate{squares * placement_.squared_place, pair, rung, placement_.outliers,
                              placement_.scale};
  keep(candidate);
  return candidate.error;
}

inline void RateAwareEncoder::keep(const detail::Candidate& candidate) {
  const auto size = static_cast<std::size_t>(width_.finished);
  if (candidate.error >= best_[size - 1].error) return;
  std::size_t at = size - 1;
  for (; at > 0 && candidate.error < best_[at - 1].error; --at) best_[at] = best_[at - 1];
  best_[at] = candidate;
  if (at == 0) {
    best_lambda_ = static_cast<double>(kLadder[static_cast<std::size_t>(candidate.rung)]) *
                   placement_.squared_place;
  }
}

/// Symbols of a rung, each at its own by its weight, and the cost of those that are no outliers.
inline Cost RateAwareEncoder::assign(int pair, int rung, detail::Symbols& symbols) const {
  std::array<std::uint8_t, kGroup> rungs{};
  rungs.fill(static_cast<std::uint8_t>(rung));
  for (std::size_t e = 0; group_.weighted && rung < kRungs - 1 && e < rungs.size(); ++e) {
    const int shifted = rung > 0 ? std::clamp(rung + group_.rung_shift[e], 1, kRungs - 2) : 0;
    rungs[e] = static_cast<std::uint8_t>(group_.weight[e] == 0 ? kRungs - 1 : shifted);
  }
  const CodebookSteps& codebook = tables_.codebook(pair % tables_.codebooks());
  symbols.fill(codebook.shortest);
  const Elements elements{group_.count, placement_.place.data(), placement_.weight.data(),
                          rungs.data()};
  Cost cost = kernels_.assign(tables_, pair, elements, symbols.data());
  for (int i = 0; i < placement_.outliers; ++i) {
    std::uint8_t& symbol = symbols[group_.by_magnitude[static_cast<std::size_t>(i)]];
    cost.bits -= codebook.length[symbol];
    symbol = codebook.shortest;
  }
  return cost;
}

/// Carries a candidate through to symbols and outliers. Returns its squared error.
inline double RateAwareEncoder::finish(const detail::Candidate& candidate, Fields& out) {
  place(candidate.outliers, candidate.scale);
  measure_rooms();
  const int pair = candidate.pair;
  out = Fields{};
  out.pattern = pair / tables_.codebooks();
  out.codebook = pair % tables_.codebooks();
  out.scale = candidate.scale;
  out.coded = kGroup;
  const CodebookSteps& codebook = tables_.codebook(out.codebook);
  detail::Symbols symbols;
  std::int64_t free = room(pair) - assign(pair, candidate.rung, symbols).bits;
  detail::Symbols finer = symbols;
  if (candidate.rung > 0) assign(pair, candidate.rung - 1, finer);
  for (std::size_t e = 0; e < kGroup; ++e) {
    const int more = codebook.length[finer[e]] - codebook.length[symbols[e]];
    if (more > free) finer[e] = symbols[e];
    free -= more > free ? 0 : more;
  }
  std::copy(finer.begin(), finer.end(), out.symbols);
  return static_cast<double>(fill_slots(out)) * placement_.squared_place;
}

/// Gives the outlier slots to the elements that gain most; returns the block's squared error in
/// squared places. When no element gains, the one that loses least fills the slots.
inline std::int64_t RateAwareEncoder::fill_slots(Fields& fields) const {
  const PatternSteps& pattern = tables_.pattern(fields.pattern);
  const CodebookSteps& codebook = tables_.codebook(fields.codebook);
  int used = tables_.header_bits();
  for (const std::uint8_t symbol : fields.symbols) used += codebook.length[symbol];
  const int slots = outlier_slots(used);
  std::array<std::int64_t, kGroup> gain{};  // at most this much, until it is known
  std::array<bool, kGroup> known{};
  std::int64_t error = 0;
  for (std::size_t e = 0; e < static_cast<std::size_t>(group_.count); ++e) {
    const std::int32_t off = placement_.place[e] - pattern.centroid[fields.symbols[e]];
    gain[e] = std::int64_t{group_.weight[e]} * (off * off);
    error += gain[e];
  }
  fields.outliers = 0;
  while (fields.outliers < slots) {
    const auto best = static_cast<std::size_t>(
        std::max_element(gain.begin(), gain.begin() + group_.count) - gain.begin());
    if (fields.outliers > 0 && gain[best] <= 0) break;
    const int e = static_cast<int>(best);
    if (!known[best]) {
      const std::int64_t left = outlier_error(e);
      gain[best] -= group_.weight[best] * (left * left);
      known[best] = true;
      continue;
    }
    fields.outlier[fields.outliers++] = Outlier{static_cast<std::uint8_t>(best), outlier_code(e)};
    error -= gain[best];
    gain[best] = 0;
  }
  while (fields.outliers < slots) fields.outlier[fields.outliers++] = fields.outlier[0];
  fields.end = used + kOutlierBits * slots;
  return error;
}

}  // namespace ecco::h4

// SPDX-License-Identifier: MIT
// The rate-aware H4 encoder: pattern, codebook, scale, symbols and number of outliers chosen
// together under the 512 bits; nothing is clipped. Scalar reference; the compiled library lends it
// a faster way to score pairs, with the same results.
//
// Why a block that clips nothing always exists: a complete code of 16 symbols is either flat (4
// bits each, refused by RateAwareEncoder::usable) or has a code of at most 3 bits, and 128 of
// those take 384 bits beside a header of at most 20. The last rung of the ladder chooses exactly
// the shortest codes.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "ecco/detail/h4_search_kernels.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/h4_rate_tables.hpp"

namespace ecco::h4 {

/// How wide the search is.
struct SearchWidth {
  int most_outliers;  ///< that the search plans for (free slots are filled besides)
  int scales_below;   ///< FP8 codes below that of the largest value left ...
  int scales_above;   ///< ... and above it
  int fitted;         ///< pairs whose lambda is fitted, per placement; 0 = all that may win
  int finished;       ///< candidates that are carried through to symbols
  bool both_signs;    ///< try the scale with the opposite sign too
  bool climb;         ///< stop widening where it stops helping
};

// The efforts fast, default and best.
inline constexpr SearchWidth kFastSearch = {3, 2, 0, 2, 1, false, true};
inline constexpr SearchWidth kDefaultSearch = {6, 4, 1, 6, 2, false, true};
inline constexpr SearchWidth kBestSearch = {8, 5, 1, 0, 6, true, false};

namespace detail {

inline constexpr int kMeanWeight = 64;  ///< of integer importances within a block

/// Greatest FP8 code whose value, times tensor_scale, is finite and within `largest_value` up to
/// the rounding of tensor_scale; at least 1.
inline int highest_code(float tensor_scale, float largest_value) noexcept {
  int code = 127;
  for (; code > 1; --code) {
    const float value = tensor_scale * to_float(fp8_e4m3{static_cast<std::uint8_t>(code)});
    if (value <= 0x1.fffffep127f && value <= largest_value * 0x1.000004p0f) break;
  }
  return code;
}

/// Importances as integers of mean 64 (to rounding); 64 each where `importance` is null or all 0.
inline std::array<std::uint16_t, kGroup> integer_weights(const float* importance,
                                                         int count) noexcept {
  std::array<std::uint16_t, kGroup> weights{};
  float heaviest = 0.0f;
  for (int e = 0; importance != nullptr && e < count; ++e) {
    heaviest = std::max(heaviest, importance[e]);
  }
  std::array<std::int64_t, kGroup> fine{};
  std::int64_t sum = 0;
  for (int e = 0; e < count; ++e) {
    const auto i = static_cast<std::size_t>(e);
    fine[i] = heaviest > 0.0f ? static_cast<std::int64_t>(importance[e] / heaviest * 0x1p24f) : 1;
    sum += fine[i];
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    weights[i] = static_cast<std::uint16_t>((fine[i] * kMeanWeight * count + sum / 2) / sum);
  }
  return weights;
}

/// A block with what does not depend on the choices.
struct Group {
  const float* values = nullptr;
  int count = 0;
  bool weighted = false;
  std::array<std::uint16_t, kGroup> weight{};       // mean 64; all 1 when not weighted
  std::array<std::int8_t, kGroup> rung_shift{};     // element's lambda is lambda / weight
  std::array<std::uint8_t, kGroup> ascending{};     // elements by value
  std::array<std::uint8_t, kGroup> by_magnitude{};  // largest first: from both ends of ascending
};

/// Outliers, scale and sign: what fixes the places of the values.
struct Placement {
  int outliers = 0;  // planned: the largest magnitudes
  fp8_e4m3 scale{};
  float m = 0.0f;
  double squared_place = 0.0;    // m^2, proportional to a squared place
  std::int64_t fixed_error = 0;  // sum of weight * place^2, and the outliers' errors
  int first = 0;                 // of group.ascending: the outliers lie before and
  int end = 0;                   // from here on
  std::array<std::int16_t, kGroup> place{};
  std::array<std::uint16_t, kGroup> weight{};  // 0 for outliers
};

/// A symbol for each element.
using Symbols = std::array<std::uint8_t, kGroup>;

/// A choice, with the squared error that it is expected to have in units of the values.
struct Candidate {
  double error = std::numeric_limits<double>::max();
  int pair = 0;
  int rung = kRungs - 1;  // the least that fits
  int outliers = 0;
  fp8_e4m3 scale{};
};

}  // namespace detail

/// Encodes blocks rate-aware with one table. Holds scratch memory: one object per thread; the
/// tables are shared.
class RateAwareEncoder {
 public:
  /// False for tables whose codebooks are all flat: 128 codes of 4 bits never fit.
  static bool usable(const TableView& table) noexcept {
    const std::size_t size = static_cast<std::size_t>(table.codebooks) * huffman::kSymbols;
    return std::any_of(table.lengths, table.lengths + size,
                       [](std::uint8_t length) { return length < 4; });
  }

  /// Precondition: !tables.always_clips(). Keeps a reference to `tables`. Throws std::bad_alloc.
  RateAwareEncoder(const RateTables& tables, const SearchWidth& width,
                   const SearchKernels& kernels = {})
      : tables_(tables),
        width_(width),
        kernels_(kernels),
        costs_(static_cast<std::size_t>(tables.pairs())),
        rooms_(static_cast<std::size_t>(tables.codebooks())),
        plain_(std::make_unique<PlainSums>()),
        weighted_(std::make_unique<WeightedSums>()) {}

  /// Chooses for a group of 1..128 finite values; elements past `count` are padding. `importance`
  /// = weights of the squared errors, finite and >= 0, or null: all alike. No decoded value
  /// exceeds the largest value's magnitude by more than the scale's rounding, nor
  /// `largest_value` where the scale has a choice. The result has scale 0 for a group without
  /// values above the least scale's reach; then the block is 64 zero bytes. Precondition:
  /// tensor_scale positive.
  const Fields& choose(const float* values, const float* importance, int count, float tensor_scale,
                       float largest_value);

  /// choose(), then pack() into the 64 bytes of `block`.
  void encode(const float* values, const float* importance, int count, const TableView& table,
              float tensor_scale, float largest_value, std::uint8_t* block) {
    pack_choice(choose(values, importance, count, tensor_scale, largest_value), table, block);
  }

 private:
  static constexpr int kMostFitted = 16;
  static constexpr double kPoor = 0.02;    // squared error over energy; ordinary groups: 0.007
  static constexpr int kWidestScale = 32;  // FP8 codes: four octaves

  void load(const float* values, const float* importance, int count);
  void load_weights(const float* importance);
  void climb_scales(int outliers);
  double energy() const;
  void widen_scales();
  double try_placement(int outliers, int code, bool negative);
  bool place(int outliers, fp8_e4m3 scale);
  fp8_e4m3 outlier_code(int e) const;
  std::int64_t outlier_error(int e) const;
  template <typename Sums, typename Sum>
  void fill(Sums& sums, Sum sum_of) const;
  void measure_rooms();
  int start_rung() const;
  std::int64_t limit() const;
  int shortlist(int rung);
  std::int64_t room(int pair) const;
  std::int64_t lambda_of(int rung) const;
  std::int64_t bound_of(const Cost& cost, int pair, int rung) const;
  Cost cost_of(int pair, int rung) const;
  double fit_pair(int pair, Cost cost, int rung);
  void keep(const detail::Candidate& candidate);
  Cost assign(int pair, int rung, detail::Symbols& symbols) const;
  double finish(const detail::Candidate& candidate, Fields& out);
  std::int64_t fill_slots(Fields& fields) const;

  const RateTables& tables_;
  SearchWidth width_;
  SearchKernels kernels_;
  std::vector<Cost> costs_;
  std::vector<std::int64_t> rooms_;  // per codebook, bits that the codes of values may take
  std::array<std::pair<std::int64_t, int>, kMostFitted + 1> lowest_{};  // bounds and their pairs
  std::unique_ptr<PlainSums> plain_;
  std::unique_ptr<WeightedSums> weighted_;
  detail::Group group_;
  detail::Placement placement_;
  std::array<detail::Candidate, 8> best_{};  // the width_.finished best ones, best first
  double best_lambda_ = 0.0;                 // of best_[0], in units of the values
  float tensor_scale_ = 1.0f;
  int highest_code_ = 127;
  Fields fields_;
};

}  // namespace ecco::h4

#include "ecco/detail/h4_rate_aware_search.hpp"

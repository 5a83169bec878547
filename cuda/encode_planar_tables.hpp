// SPDX-License-Identifier: MIT
// Planar tables in the form that the encoder reads: the compiled encoder's own ladders and
// shortlist, laid out for a warp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "ecco/detail/block_search.hpp"
#include "ecco/pattern_table.hpp"
#include "encode/shortlist.hpp"
#include "encode/shortlist_encoder.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {

/// Lines that a rung has room for: planar::kLines.
constexpr std::size_t rung_lines(Codec codec) { return codec == Codec::p5 ? 64 : 32; }

/// Places of the parts of a table in words, all multiples of 4.
struct PlanarEncodeLayout {
  static constexpr std::size_t kLists = 8 * kScoreLambdas;  ///< mantissas and multipliers

  std::size_t ladders;
  std::size_t basis;
  std::size_t bias;
  std::size_t factors;
  std::size_t lambdas;
  std::size_t size;

  PlanarEncodeLayout(Codec codec, std::size_t patterns)
      : ladders(patterns * rd::kRungs * rung_lines(codec)),
        basis(ladders + 32 * patterns),
        bias(basis + kScoreBins * kScoreRank / 2),
        factors(bias + kLists * kMaxPatterns),
        lambdas(factors + kLists * (kScoreRank / 2) * kMaxPatterns),
        size(lambdas + 4) {}
};

inline std::uint32_t pair_of(std::int16_t low, std::int16_t high) {
  return static_cast<std::uint16_t>(low) |
         static_cast<std::uint32_t>(static_cast<std::uint16_t>(high)) << 16;
}

inline void fill_ladder(const rd::Ladder& ladder, std::size_t lines, std::uint32_t* rungs,
                        std::uint32_t* row) {
  for (std::size_t q = 0; q < rd::kRungs; ++q, rungs += lines) {
    const rd::Rung& rung = ladder.rungs[q];
    const auto size = static_cast<std::size_t>(rung.size);
    for (std::size_t i = 0; i < lines; ++i) {
      const std::int16_t limit = i + 1 < size ? rung.limit(static_cast<int>(i)) : 32767;
      const int entry = i < size ? (rung.centroid[i] & 255) | rung.rank[i] << 8 : 0;
      rungs[i] = pair_of(static_cast<std::int16_t>(entry), limit);
    }
    row[q] = static_cast<std::uint32_t>(rung.lambda);
  }
  row[rd::kRungs] = static_cast<std::uint32_t>(ladder.reach_low);
  row[rd::kRungs + 1] = static_cast<std::uint32_t>(ladder.reach_high);
  row[rd::kRungs + 2] = static_cast<std::uint32_t>(ladder.scale_offset);
}

/// Candidate c of a list goes to lane c / 8, four candidates side by side.
constexpr std::size_t place_of_candidate(std::size_t c) {
  return c % 8 / 4 * 128 + c / 8 * 4 + c % 4;
}

inline void fill_scores(const Shortlist& shortlist, const PlanarEncodeLayout& layout,
                        std::uint32_t* words) {
  for (std::size_t i = 0; i < kScoreBins * kScoreRank; i += 2) {
    words[layout.basis + i / 2] = pair_of(shortlist.basis()[i], shortlist.basis()[i + 1]);
  }
  const auto padded = static_cast<std::size_t>(shortlist.padded_candidates());
  for (std::size_t list = 0; list < PlanarEncodeLayout::kLists; ++list) {
    const auto mantissa = static_cast<int>(list / kScoreLambdas);
    std::uint32_t* bias = words + layout.bias + list * kMaxPatterns;
    std::uint32_t* factors = words + layout.factors + list * (kScoreRank / 2) * kMaxPatterns;
    for (std::size_t c = 0; c < kMaxPatterns; ++c) {
      const std::size_t at = place_of_candidate(c);
      if (c >= padded) {  // never taken
        bias[at] = std::numeric_limits<std::int32_t>::max();
        continue;
      }
      const std::size_t row = c / 8 * kScoreLambdas + list % kScoreLambdas;
      bias[at] = static_cast<std::uint32_t>(shortlist.bias(mantissa)[row * 8 + c % 8]);
      for (std::size_t p = 0; p < kScoreRank / 2; ++p) {
        const std::int16_t* pair =
            shortlist.factors(mantissa) + (row * kScoreRank / 2 + p) * 16 + c % 8 * 2;
        factors[p * kMaxPatterns + at] = pair_of(pair[0], pair[1]);
      }
    }
  }
  for (int l = 0; l < kScoreLambdas; ++l) {
    words[layout.lambdas + static_cast<std::size_t>(l)] =
        float_bits(static_cast<float>(shortlist.lambda(l) * 1024.0));
  }
}

/// Complexity: that of Encoder::create at effort fast, some tenths of a second.
inline std::vector<std::uint32_t> planar_encode_tables(const PatternTableView& view) {
  const rd::PreparedTable table = rd::prepare_table(view, rd::scalar_kernels(view.codec));
  const PlanarEncodeLayout layout(view.codec, table.ladders.size());
  const std::size_t lines = rung_lines(view.codec);
  std::vector<std::uint32_t> words(layout.size, 0);
  for (std::size_t p = 0; p < table.ladders.size(); ++p) {
    fill_ladder(table.ladders[p], lines, words.data() + p * rd::kRungs * lines,
                words.data() + layout.ladders + 32 * p);
  }
  fill_scores(Shortlist(table, kFastEffort.neighbours), layout, words.data());
  return words;
}

/// The tables in device memory, for rows of a tensor scale.
inline PlanarEncodeTables planar_encode_tables(Codec codec, const std::uint32_t* words,
                                               int patterns, float tensor_scale) {
  const PlanarEncodeLayout layout(codec, static_cast<std::size_t>(patterns));
  const rd::ScaleRange range = rd::scale_range(tensor_scale, std::numeric_limits<float>::max());
  return {words,
          reinterpret_cast<const std::int32_t*>(words + layout.ladders),
          reinterpret_cast<const std::int16_t*>(words + layout.basis),
          words + layout.bias,
          words + layout.factors,
          reinterpret_cast<const float*>(words + layout.lambdas),
          large_error(codec),
          patterns,
          kFastEffort.candidates,
          kFastEffort.more_candidates,
          range.lowest,
          range.highest};
}

}  // namespace ecco::cuda::detail

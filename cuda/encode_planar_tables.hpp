// SPDX-License-Identifier: MIT
// Planar tables in the form that the encoder reads: the compiled encoder's own ladders and
// shortlist, laid out for a warp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "ecco/cuda/encode_layout.hpp"
#include "ecco/detail/block_search.hpp"
#include "ecco/pattern_table.hpp"
#include "encode/shortlist.hpp"
#include "encode/shortlist_encoder.hpp"

namespace ecco::cuda::detail {

static_assert(PlanarEncodeLayout::kRungs == rd::kRungs);
static_assert(PlanarEncodeLayout::kFeatures == kScoreRank);
static_assert(PlanarEncodeLayout::kBins == kScoreBins);
static_assert(PlanarEncodeLayout::kLists == 8 * kScoreLambdas);

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
}

/// Multipliers, and how much of the shortlist is tried.
inline void fill_parameters(const Shortlist& shortlist, Codec codec, std::uint32_t* words) {
  for (int l = 0; l < kScoreLambdas; ++l) {
    words[l] = float_bits(static_cast<float>(shortlist.lambda(l) * 1024.0));
  }
  const double error = large_error(codec);
  std::memcpy(words + 4, &error, sizeof(error));
  words[6] = static_cast<std::uint32_t>(kFastEffort.candidates);
  words[7] = static_cast<std::uint32_t>(kFastEffort.more_candidates);
}

/// Complexity: that of Encoder::create at effort fast, some tenths of a second.
inline std::vector<std::uint32_t> planar_encode_tables(const PatternTableView& view) {
  const rd::PreparedTable table = rd::prepare_table(view, rd::scalar_kernels(view.codec));
  const PlanarEncodeLayout layout(mantissa_planes(view.codec), table.ladders.size());
  std::vector<std::uint32_t> words(layout.size, 0);
  for (std::size_t p = 0; p < table.ladders.size(); ++p) {
    fill_ladder(table.ladders[p], layout.lines, words.data() + p * rd::kRungs * layout.lines,
                words.data() + layout.ladders + PlanarEncodeLayout::kLadder * p);
  }
  const Shortlist shortlist(table, kFastEffort.neighbours);
  fill_scores(shortlist, layout, words.data());
  fill_parameters(shortlist, view.codec, words.data() + layout.parameters);
  return words;
}

}  // namespace ecco::cuda::detail

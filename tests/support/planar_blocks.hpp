// SPDX-License-Identifier: MIT
// Tables and blocks for tests of the planar codecs: valid ones, and bytes that provoke decoders.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "ecco/planar.hpp"

namespace ecco::test {

/// Any int8 that a table may hold. At -123..123 of either sign each centroid of a pattern differs
/// from its neighbours with near certainty, so a wrong rank shows.
inline std::vector<std::int8_t> random_table(std::mt19937& random, Codec codec, int patterns) {
  const int count = patterns * centroids_per_pattern(codec);
  std::vector<std::int8_t> table(static_cast<std::size_t>(count));
  for (std::int8_t& c : table) {
    c = static_cast<std::int8_t>(static_cast<int>(random() % 247) - kMaxCentroid);
  }
  return table;
}

/// A byte whose bits are set with probability eighths / 8.
inline std::uint8_t dense_byte(std::mt19937& random, unsigned eighths) {
  unsigned byte = 0;
  for (int bit = 0; bit < 8; ++bit) byte = byte << 1 | (random() % 8 < eighths ? 1u : 0u);
  return static_cast<std::uint8_t>(byte);
}

/// Arbitrary bytes: the header any, tail and planes of random density from none to all ones, each
/// half of plane U on its own, so that registers run empty, overflow and stay unused.
inline void fill_arbitrary(std::mt19937& random, std::span<std::uint8_t> block) {
  for (std::uint8_t& byte : block.first(2)) byte = static_cast<std::uint8_t>(random());
  if (random() % 16 == 0) block[1] = 0;
  const auto fill = [&](std::size_t begin, std::size_t end) {
    const auto eighths = static_cast<unsigned>(random() % 9);
    for (std::size_t i = begin; i < end; ++i) block[i] = dense_byte(random, eighths);
  };
  fill(2, 16);
  fill(16, 24);
  fill(24, 32);
  fill(32, block.size());
}

/// Ranks that a block holds with some thousandth to spare or not at all: class s with probability
/// about 2^-s.
inline std::array<std::uint8_t, kGroup> random_ranks(std::mt19937& random, int planes) {
  std::array<std::uint8_t, kGroup> ranks;
  for (std::uint8_t& rank : ranks) {
    unsigned level = 0;
    while (level < kClasses - 1 && random() % 2 == 0) ++level;
    rank = static_cast<std::uint8_t>(level << planes | random() % (1u << planes));
  }
  return ranks;
}

/// A valid block of random ranks under a scale of 2^-12 to 2^3.
inline void fill_valid(std::mt19937& random, Codec codec, int patterns,
                       std::span<std::uint8_t> block) {
  planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    const auto pattern = static_cast<std::uint8_t>(random() % static_cast<unsigned>(patterns));
    const auto scale = static_cast<std::uint8_t>(96 + random() % 120);
    while (!planar::pack<kPlanes>(random_ranks(random, kPlanes).data(), pattern, scale,
                                  block.data())) {
    }
  });
}

}  // namespace ecco::test

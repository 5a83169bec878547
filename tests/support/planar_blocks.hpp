// SPDX-License-Identifier: MIT
// Tables and blocks for tests of the planar codecs: valid ones, and bytes that provoke decoders.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "ecco/planar.hpp"
#include "ecco/tensor.hpp"

namespace ecco::test {

/// Rows and columns that meet every edge of blocks, groups of eight blocks and tiles of rows.
inline constexpr std::pair<std::size_t, std::size_t> kShapes[] = {
    {0, 128}, {5, 0}, {1, 1}, {3, 127}, {2, 128}, {13, 129}, {4, 1025}, {25, 300}, {2, 2880}};

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

/// A matrix with the memory that its view refers to, none of it longer than it must be.
struct Matrix {
  std::vector<std::int8_t> table;
  std::vector<std::uint8_t> blocks;
  TensorView view;
};

enum class Content { valid, arbitrary };

/// A matrix under a table of 200 patterns, so that indices past the table occur.
inline Matrix random_matrix(unsigned seed, Codec codec, std::size_t rows, std::size_t cols,
                            Content content, float tensor_scale = 1.5f) {
  constexpr int kPatterns = 200;
  std::mt19937 random(seed);
  std::vector<std::int8_t> table = random_table(random, codec, kPatterns);
  std::vector<std::uint8_t> blocks(rows * blocks_per_row(cols) * block_bytes(codec));
  for (std::size_t at = 0; at < blocks.size(); at += block_bytes(codec)) {
    const std::span block = std::span(blocks).subspan(at, block_bytes(codec));
    if (content == Content::valid) {
      fill_valid(random, codec, kPatterns, block);
    } else {
      fill_arbitrary(random, block);
    }
  }
  const PatternTableView table_view{codec, table};
  TensorView view = TensorView::parse(codec, rows, cols, tensor_scale, table_view, blocks).value();
  return {std::move(table), std::move(blocks), view};
}

}  // namespace ecco::test

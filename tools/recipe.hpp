// SPDX-License-Identifier: MIT
// The recipe of the standard tables: what their training data are made of, and how long and with
// which seeds they are trained. tools/README.md gives the command; changing anything here changes
// the tables, whose bytes are pinned for ever.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/fit.hpp"
#include "ecco/parallel.hpp"
#include "mixture.hpp"

namespace ecco::tools {

/// Blocks of each source in every hundred.
struct Share {
  Source source;
  int percent;
};
inline constexpr std::array<Share, 9> kMixture = {{
    {Source::gaussian, 56},
    {Source::student8, 8},
    {Source::student5, 8},
    {Source::student4, 5},
    {Source::student3, 5},
    {Source::laplace, 8},
    {Source::power, 3},
    {Source::outliers, 3},
    {Source::columns, 4},
}};

struct Recipe {
  Codec codec;
  std::size_t blocks;        ///< training data, drawn once
  std::size_t batch_blocks;  ///< of one round
  int rounds;
  std::uint64_t seed;
};
inline constexpr std::array<Recipe, 4> kRecipes = {{
    {Codec::p2, 262144, 2048, 160, 1},
    {Codec::p3, 262144, 2048, 200, 1},
    {Codec::p4, 262144, 2048, 320, 1},
    {Codec::p5, 262144, 2048, 240, 1},
}};

/// The source of block `index`: the shares of a hundred, in an order that the block's random
/// stream decides.
inline Source choose_source(Random& random) {
  int left = static_cast<int>(random.next() % 100);
  for (const Share& share : kMixture) {
    left -= share.percent;
    if (left < 0) return share.source;
  }
  return Source::gaussian;
}

/// Training data of a recipe: each block has a random stream of its own.
inline std::vector<float> make_data(const Recipe& recipe, const ParallelFor& parallel) {
  std::vector<float> data(recipe.blocks * kGroup);
  parallel(recipe.blocks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Random random(recipe.seed << 32 | i);
      const Source source = choose_source(random);
      draw(source, random, std::span<float, kGroup>(data.data() + i * kGroup, kGroup));
    }
  });
  return data;
}

/// Trains the table of a recipe.
inline Result<PatternTable> train(const Recipe& recipe, const ParallelFor& parallel,
                                  std::function<void(int, double)> progress = {}) {
  const std::vector<float> data = make_data(recipe, parallel);
  FitOptions options;
  options.codec = recipe.codec;
  options.rounds = recipe.rounds;
  options.batch_blocks = recipe.batch_blocks;
  options.seed = recipe.seed;
  options.progress = std::move(progress);
  return fit_table(data, options, parallel);
}

}  // namespace ecco::tools

// SPDX-License-Identifier: MIT
// The recipe of the standard H4 tables: "standard-1" for weights, from the mixture of the planar
// tables, and "standard-kv-1" for keys and values. Changing anything here, in mixture.hpp or in
// the trainings changes the tables, whose bytes are pinned for ever.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ecco/h4_fit.hpp"
#include "ecco/parallel.hpp"
#include "mixture.hpp"
#include "recipe.hpp"

namespace ecco::tools {

struct H4Recipe {
  std::size_t blocks;
  int rounds;
  std::uint64_t seed;
};

inline constexpr H4Recipe kH4Recipe = {16384, 48, 1};
inline constexpr H4Recipe kKvRecipe = {16384, 24, 1};

/// One token's keys: channels of log-normal spread, some of them far off zero.
inline void draw_keys(Random& random, std::span<float, 128> block) {
  const double spread = 0.2 + 0.5 * random.uniform();
  const double share = 0.2 * random.uniform();  // of the channels with an offset
  for (float& v : block) {
    const double scale = exponential(spread * random.normal());
    const double offset = random.uniform() < share ? random.sign() * (1.0 + 3.5 * random.uniform())
                                                   : 0.3 * random.normal();
    v = static_cast<float>(scale * (offset + random.normal()));
  }
}

/// Training data of KV mode: in every hundred blocks 35 of keys, the rest of the sources of
/// mixture.hpp that values resemble.
inline std::vector<float> make_kv_data(std::size_t blocks, const ParallelFor& parallel) {
  std::vector<float> data(blocks * kGroup);
  parallel(blocks, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      Random random(std::uint64_t{17} << 32 | i);
      const std::span<float, kGroup> block(data.data() + i * kGroup, kGroup);
      const auto kind = random.next() % 100;
      if (kind < 35) {
        draw_keys(random, block);
      } else if (kind < 65) {
        draw(Source::gaussian, random, block);
      } else if (kind < 80) {
        draw(Source::student8, random, block);
      } else if (kind < 90) {
        draw(Source::columns, random, block);
      } else {
        draw(kind < 95 ? Source::student5 : Source::laplace, random, block);
      }
    }
  });
  return data;
}

inline Result<PatternTable> train_h4(const H4Recipe& recipe, const ParallelFor& parallel) {
  const std::vector<float> data =
      make_data({Codec::h4, recipe.blocks, 0, 0, recipe.seed}, parallel);
  H4FitOptions options;
  options.rounds = recipe.rounds;
  options.seed = recipe.seed;
  return fit_h4_table(data, options, parallel);
}

inline Result<PatternTable> train_h4_kv(const H4Recipe& recipe, const ParallelFor& parallel) {
  const std::vector<float> data = make_kv_data(recipe.blocks, parallel);
  H4FitOptions options;
  options.patterns = 16;
  options.rounds = recipe.rounds;
  options.seed = recipe.seed;
  return fit_h4_kv_table(data, options, parallel);
}

}  // namespace ecco::tools

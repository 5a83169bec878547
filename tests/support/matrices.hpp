// SPDX-License-Identifier: MIT
// Matrices of random blocks in any codec.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "ecco/tensor.hpp"
#include "support/h4_tables.hpp"
#include "support/planar_blocks.hpp"

namespace ecco::test {

/// Rows and columns that meet every edge of blocks, groups of eight blocks and tiles of rows.
inline constexpr std::pair<std::size_t, std::size_t> kShapes[] = {
    {0, 128}, {5, 0}, {1, 1}, {3, 127}, {2, 128}, {13, 129}, {4, 1025}, {25, 300}, {2, 2880}};

/// A matrix with the memory that its view refers to, none of it longer than it must be.
struct Matrix {
  std::vector<std::int8_t> centroids;
  std::vector<std::uint8_t> codebooks;
  std::vector<std::uint8_t> blocks;
  TensorView view;
};

enum class Content { valid, arbitrary };

/// One block of an h4 matrix: packed fields (clipped ones among them), or arbitrary bytes.
inline void fill_h4(std::mt19937& random, const H4Table& table, Content content,
                    std::uint8_t* block) {
  if (content == Content::arbitrary) {
    fill_adversarial(random, static_cast<int>(random() % 1000), block);
  } else {
    const h4::Fields fields = random_h4_fields(random, table.view(), random() % 2 == 0 ? 16 : 5);
    h4::pack(fields, table.view(), block);
  }
}

/// A matrix under a table of 200 patterns (h4: and 5 codebooks), so that indices past it occur.
inline Matrix random_matrix(unsigned seed, Codec codec, std::size_t rows, std::size_t cols,
                            Content content, float tensor_scale = 1.5f) {
  constexpr int kPatterns = 200;
  std::mt19937 random(seed);
  H4Table table;
  if (codec == Codec::h4) {
    table = random_h4_table(random, kPatterns, 5);
  } else {
    table.centroids = random_table(random, codec, kPatterns);
  }
  std::vector<std::uint8_t> blocks(rows * blocks_per_row(cols) * block_bytes(codec));
  for (std::size_t at = 0; at < blocks.size(); at += block_bytes(codec)) {
    const std::span block = std::span(blocks).subspan(at, block_bytes(codec));
    if (codec == Codec::h4) {
      fill_h4(random, table, content, block.data());
    } else if (content == Content::valid) {
      fill_valid(random, codec, kPatterns, block);
    } else {
      fill_arbitrary(random, block);
    }
  }
  const PatternTableView view{codec, table.centroids, table.lengths};
  TensorView tensor = TensorView::parse(codec, rows, cols, tensor_scale, view, blocks).value();
  return {std::move(table.centroids), std::move(table.lengths), std::move(blocks), tensor};
}

}  // namespace ecco::test

// SPDX-License-Identifier: MIT
// What all tiles of planar codecs share on the host: their shape, and one row as ranks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/planar.hpp"

namespace ecco::cuda {

inline constexpr int kTileRows = 16;

/// Row tiles of so many rows, the last one perhaps not full.
constexpr std::size_t row_tiles_of(std::size_t rows) noexcept {
  return (rows + kTileRows - 1) / kTileRows;
}

/// Element that lane t (0..3) of a row holds in byte b of register half h of the q-th mma.
constexpr int tile_element(int t, int q, int h, int b) noexcept {
  return 32 * q + 16 * h + 4 * t + b;
}

/// One row of a tile: a valid planar block, decoded to ranks.
struct TileRow {
  std::uint8_t pattern = 0;
  std::uint8_t scale = 0;
  std::uint8_t ranks[kGroup] = {};
};

/// Precondition: the block is valid.
template <int R>
TileRow parse_row(const std::uint8_t* block) noexcept {
  TileRow row;
  row.pattern = block[0];
  row.scale = block[1];
  ecco::planar::decode_ranks<R>(block, row.ranks);
  return row;
}

/// Inverse of parse_row. False if the ranks make no valid block.
template <int R>
bool write_row(const TileRow& row, std::uint8_t* block) noexcept {
  if (row.scale != 0) return ecco::planar::pack<R>(row.ranks, row.pattern, row.scale, block);
  std::fill(block, block + sizeof(PlanarBlock<R>), std::uint8_t{0});
  return true;
}

}  // namespace ecco::cuda

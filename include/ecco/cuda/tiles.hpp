// SPDX-License-Identifier: MIT
// Device tiles of planar codecs on the host: 16 rows x 128 columns rearranged, without loss, into
// the order in which tensor cores take them. Fast tiles (tiles_fast.hpp) have nothing to decode
// but selectors; those of P4 only, paired (tiles_paired.hpp) and dense (tiles_dense.hpp), are
// smaller. Pictures and reasons: docs/cuda.md, "Tiles".
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/cuda/layout.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "ecco/cuda/tiles_dense.hpp"
#include "ecco/cuda/tiles_fast.hpp"
#include "ecco/cuda/tiles_paired.hpp"
#include "ecco/planar.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"

namespace ecco::cuda {

/// A kind of tile of a planar codec.
template <int R, typename T>
struct TileKind {
  static constexpr int kPlanes = R;  ///< mantissa planes of the codec
  using Tile = T;
};

/// Whether a layout is one of tiles that the planar codec has.
constexpr bool has_tiles(Codec codec, Layout layout) noexcept {
  if (layout == Layout::dense || layout == Layout::paired) return codec == Codec::p4;
  return layout == Layout::fast && is_planar(codec);
}

/// function(TileKind<...>) of a codec's tiles. Precondition: has_tiles.
template <typename Function>
constexpr auto dispatch_tile(Codec codec, Layout layout, Function&& function) {
  if (layout == Layout::dense) return function(TileKind<2, DenseTile>{});
  if (layout == Layout::paired) return function(TileKind<2, PairedTile>{});
  return planar::dispatch(codec, [&](auto planes) {
    constexpr int kPlanes = decltype(planes)::value;
    return function(TileKind<kPlanes, FastTile<kPlanes>>{});
  });
}

/// Bytes of a tile of a planar codec. Precondition: has_tiles.
constexpr std::size_t tile_bytes(Codec codec, Layout layout) noexcept {
  return dispatch_tile(codec, layout,
                       [](auto kind) { return sizeof(typename decltype(kind)::Tile); });
}

namespace detail {

inline tl::unexpected<Status> no_tiles(Codec codec, Layout layout) {
  return fail(StatusCode::unsupported,
              std::string(layout_name(layout)) + " tiles of " + std::string(codec_name(codec)));
}

inline std::string block_name(std::size_t row, std::size_t block) {
  return "row " + std::to_string(row) + ", block " + std::to_string(block);
}

template <int R, typename Tile>
Result<std::vector<std::uint8_t>> pack_tiles(const TensorView& tensor) {
  const std::size_t row_tiles = row_tiles_of(tensor.rows());
  const std::size_t column_tiles = tensor.blocks_per_row();
  std::vector<std::uint8_t> out(row_tiles * column_tiles * sizeof(Tile));
  for (std::size_t i = 0; i < row_tiles * column_tiles; ++i) {
    TileRow rows[kTileRows] = {};
    for (std::size_t r = 0; r < kTileRows; ++r) {
      const std::size_t row = i / column_tiles * kTileRows + r;
      if (row >= tensor.rows()) break;
      const std::uint8_t* block = tensor.row(row) + i % column_tiles * sizeof(PlanarBlock<R>);
      const planar::Fault fault = planar::check<R>(block, tensor.table().patterns());
      if (fault != planar::Fault::none) {
        return fail(StatusCode::corrupt,
                    block_name(row, i % column_tiles) + ": " + planar::fault_name(fault));
      }
      rows[r] = parse_row<R>(block);
    }
    Tile tile;
    if (!pack_tile(rows, tile)) {
      return fail(StatusCode::unsupported,
                  "tile " + std::to_string(i) + " has more class codes than a dense tile holds");
    }
    std::memcpy(out.data() + i * sizeof(Tile), &tile, sizeof(Tile));
  }
  return out;
}

template <int R, typename Tile>
Result<std::vector<std::uint8_t>> unpack_tiles(std::span<const std::uint8_t> tiles,
                                               std::size_t rows, std::size_t cols) {
  const std::size_t column_tiles = blocks_per_row(cols);
  const std::size_t row_tiles = row_tiles_of(rows);
  if (tiles.size() != row_tiles * column_tiles * sizeof(Tile)) {
    return fail(StatusCode::shape_mismatch,
                std::to_string(tiles.size()) + " bytes of tiles, but " + std::to_string(rows) +
                    " x " + std::to_string(cols) + " values take " +
                    std::to_string(row_tiles * column_tiles * sizeof(Tile)));
  }
  std::vector<std::uint8_t> blocks(rows * column_tiles * sizeof(PlanarBlock<R>));
  for (std::size_t b = 0; b < rows * column_tiles; ++b) {
    const std::size_t row = b / column_tiles;
    Tile tile;
    std::memcpy(&tile,
                tiles.data() + (row / kTileRows * column_tiles + b % column_tiles) * sizeof(Tile),
                sizeof(Tile));
    TileRow parsed;
    if (!unpack_row(tile, static_cast<int>(row % kTileRows), parsed)) {
      return fail(StatusCode::corrupt,
                  block_name(row, b % column_tiles) + " has a code that stands for no value");
    }
    if (!write_row<R>(parsed, blocks.data() + b * sizeof(PlanarBlock<R>))) {
      return fail(StatusCode::corrupt,
                  block_name(row, b % column_tiles) + " has more tail bits than a block holds");
    }
  }
  return blocks;
}

}  // namespace detail

/// Tiles of a tensor, [row tile][column tile]; rows past the end are zeros. Errors: corrupt (a
/// block that is not valid, named), unsupported (no tiles of this codec and layout; dense: codes
/// that do not fit a tile). Throws std::bad_alloc only.
inline Result<std::vector<std::uint8_t>> pack_tiles(const TensorView& tensor, Layout layout) {
  if (!has_tiles(tensor.codec(), layout)) return detail::no_tiles(tensor.codec(), layout);
  return dispatch_tile(tensor.codec(), layout, [&](auto kind) {
    using Kind = decltype(kind);
    return detail::pack_tiles<Kind::kPlanes, typename Kind::Tile>(tensor);
  });
}

/// Inverse of pack_tiles: the blocks, byte for byte. Errors: unsupported, shape_mismatch, corrupt.
inline Result<std::vector<std::uint8_t>> unpack_tiles(std::span<const std::uint8_t> tiles,
                                                      Codec codec, Layout layout, std::size_t rows,
                                                      std::size_t cols) {
  if (!has_tiles(codec, layout)) return detail::no_tiles(codec, layout);
  return dispatch_tile(codec, layout, [&](auto kind) {
    using Kind = decltype(kind);
    return detail::unpack_tiles<Kind::kPlanes, typename Kind::Tile>(tiles, rows, cols);
  });
}

}  // namespace ecco::cuda

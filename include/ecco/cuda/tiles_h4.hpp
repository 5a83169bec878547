// SPDX-License-Identifier: MIT
// Nibble tiles of H4 on the host: P3's tile, in which a nibble names one of the sixteen values of
// its row's pattern, and beside them, row by row, the values that no nibble names: outliers and
// clipped elements. They keep the values of a tensor, not its bytes. docs/cuda.md, "Tiles".
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ecco/cuda/tile_row.hpp"
#include "ecco/cuda/tiles_fast.hpp"
#include "ecco/cuda/tiles_gated.hpp"
#include "ecco/h4.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"

namespace ecco::cuda {

using NibbleTile = FastTile<1>;

/// Nibble of a symbol: neighbours in the order of values share a column of the two tables.
constexpr unsigned nibble_of_symbol(unsigned symbol) noexcept {
  return symbol / 2 | symbol % 2 << 3;
}
constexpr unsigned symbol_of_nibble(unsigned nibble) noexcept {
  return 2 * (nibble % 8) | nibble >> 3;
}

/// The sixteen int8 of a pattern (h4::int8_of_symbols) by nibble.
struct NibbleValues {
  std::int8_t values[huffman::kSymbols] = {};
  unsigned null = 0;  ///< nibble of a value next to 0: of elements whose value stands apart

  /// False if 127 shares its column with a negative value, beside which 126 is the largest that a
  /// byte holds. Sorted neighbours do so only if no other value is 0 or more: a pattern with an
  /// odd number of centroids -127 and all others positive.
  [[nodiscard]] constexpr bool fits() const noexcept {
    for (int column = 0; column < kTableColumns; ++column) {
      if (values[column] == 127 && values[column + 8] < 0) return false;
    }
    return true;
  }
};

constexpr NibbleValues nibble_values(const std::int8_t* pattern) noexcept {
  std::int8_t by_symbol[huffman::kSymbols] = {};
  ecco::h4::int8_of_symbols(pattern, by_symbol);
  const auto magnitude = [](int value) { return value < 0 ? -value : value; };
  NibbleValues out;
  unsigned null = 0;
  for (unsigned symbol = 0; symbol < huffman::kSymbols; ++symbol) {
    out.values[nibble_of_symbol(symbol)] = by_symbol[symbol];
    if (magnitude(by_symbol[symbol]) < magnitude(by_symbol[null])) null = symbol;
  }
  out.null = nibble_of_symbol(null);
  return out;
}

/// A value, without the tensor's scale, that stands in place of what the nibble at its column
/// says.
struct SparseValue {
  std::uint32_t column;
  float value;
};

struct NibbleTiles {
  std::vector<std::uint8_t> tiles;        ///< [row tile][column tile]; rows past the end are 0
  std::vector<std::uint32_t> row_begins;  ///< of `sparse`, and its end: rows + 1
  std::vector<SparseValue> sparse;        ///< row by row, columns ascending
};

namespace detail {

/// Puts a valid block into row r of a tile and appends its sparse corrections, those at columns
/// below `cols`. `first_column` = that of element 0.
inline void pack_nibbles(const std::uint8_t* block, const ecco::h4::TableView& table, int r,
                         std::size_t first_column, std::size_t cols, NibbleTile& tile,
                         std::vector<SparseValue>& sparse) {
  const ecco::h4::Fields fields = ecco::h4::parse(block, table);
  if ((fields.scale.bits & 0x7fu) == 0) return;
  const unsigned null = nibble_values(table.pattern(fields.pattern)).null;
  bool apart[kGroup] = {};
  float values[kGroup] = {};
  for (int e = fields.coded; e < kGroup; ++e) apart[e] = true;
  for (int i = 0; i < fields.outliers; ++i) {
    const ecco::h4::Outlier& outlier = fields.outlier[i];
    apart[outlier.position] = true;
    values[outlier.position] = to_float(outlier.value);
  }
  for (int t = 0; t < 4; ++t) {
    FastRow<1> row;
    for (int i = 0; i < 32; ++i) {
      const int e = tile_element(t, i / 8, i / 4 % 2, i % 4);
      row.put(i / 8, i % 8, apart[e] ? null : nibble_of_symbol(fields.symbols[e]));
    }
    for (int q = 0; q < 4; ++q) {
      tile.words[NibbleTile::nibbles_at(r / 8, 4 * (r % 8) + t, q)] = row.nibbles[q];
    }
  }
  tile.words[NibbleTile::kHeadersAt + r % 8] |=
      (static_cast<unsigned>(fields.pattern) | static_cast<unsigned>(fields.scale.bits) << 8)
      << (16 * (r / 8));
  for (std::size_t e = 0; e < kGroup && first_column + e < cols; ++e) {
    if (apart[e]) sparse.push_back({static_cast<std::uint32_t>(first_column + e), values[e]});
  }
}

}  // namespace detail

/// Tiles of an H4 tensor. Errors: corrupt (a block that is not valid, named), unsupported (a
/// pattern that does not fit, NibbleValues::fits). Throws std::bad_alloc only. Precondition: fewer
/// than 2^32 columns.
inline Result<NibbleTiles> pack_nibble_tiles(const TensorView& tensor) {
  const ecco::h4::TableView table = tensor.table().h4();
  for (int p = 0; p < table.patterns; ++p) {
    if (!nibble_values(table.pattern(p)).fits()) {
      return fail(StatusCode::unsupported,
                  "pattern " + std::to_string(p) + " does not fit nibble tiles");
    }
  }
  const std::size_t column_tiles = tensor.blocks_per_row();
  const std::size_t row_tiles = row_tiles_of(tensor.rows());
  NibbleTiles out;
  out.tiles.resize(row_tiles * column_tiles * sizeof(NibbleTile));
  out.row_begins.push_back(0);
  std::vector<NibbleTile> tiles(column_tiles);
  for (std::size_t row = 0; row < tensor.rows(); ++row) {
    const std::size_t r = row % kTileRows;
    if (r == 0) tiles.assign(column_tiles, NibbleTile{});
    for (std::size_t b = 0; b < column_tiles; ++b) {
      const std::uint8_t* block = tensor.row(row) + b * block_bytes(Codec::h4);
      const std::size_t first = b * kGroup;
      const auto values = static_cast<int>(std::min<std::size_t>(kGroup, tensor.cols() - first));
      const ecco::h4::Fault fault = ecco::h4::check(block, table, values);
      if (fault != ecco::h4::Fault::none) {
        return fail(StatusCode::corrupt, "row " + std::to_string(row) + ", block " +
                                             std::to_string(b) + ": " +
                                             ecco::h4::fault_name(fault));
      }
      detail::pack_nibbles(block, table, static_cast<int>(r), first, tensor.cols(), tiles[b],
                           out.sparse);
    }
    if (out.sparse.size() > 0xffffffffu) {
      return fail(StatusCode::unsupported, "2^32 outliers and clipped elements or more");
    }
    out.row_begins.push_back(static_cast<std::uint32_t>(out.sparse.size()));
    if (column_tiles > 0 && (r + 1 == kTileRows || row + 1 == tensor.rows())) {
      std::memcpy(out.tiles.data() + row / kTileRows * column_tiles * sizeof(NibbleTile),
                  tiles.data(), column_tiles * sizeof(NibbleTile));
    }
  }
  return out;
}

/// One row of such tiles decoded, `cols` values to `out`: what decode_rows gives of the blocks,
/// bit for bit.
inline void decode_nibble_row(const NibbleTiles& tiles, const ecco::h4::TableView& table,
                              float tensor_scale, std::size_t row, std::size_t cols, float* out) {
  const std::size_t column_tiles = blocks_per_row(cols);
  const int r = static_cast<int>(row % kTileRows);
  for (std::size_t k = 0; k < cols; ++k) {
    NibbleTile tile;
    std::memcpy(
        &tile,
        tiles.tiles.data() + (row / kTileRows * column_tiles + k / kGroup) * sizeof(NibbleTile),
        sizeof(NibbleTile));
    const int e = static_cast<int>(k % kGroup);
    const unsigned header = tile.words[NibbleTile::kHeadersAt + r % 8] >> (16 * (r / 8));
    const fp8_e4m3 scale{static_cast<std::uint8_t>(header >> 8)};
    const int lane = 4 * (r % 8) + e / 4 % 4;
    const unsigned nibble =
        tile.words[NibbleTile::nibbles_at(r / 8, lane, e / 32)] >> (4 * (e / 16 % 2 * 4 + e % 4)) &
        15u;
    const int numerator =
        ecco::h4::symbol_numerator(table.pattern(static_cast<int>(header & 255u)),
                                   static_cast<int>(symbol_of_nibble(nibble)));
    const float m = tensor_scale * to_float(scale);
    out[k] = (scale.bits & 0x7fu) == 0 ? 0.0f : m * (static_cast<float>(numerator) * 0x1p-7f);
  }
  for (std::uint32_t i = tiles.row_begins[row]; i < tiles.row_begins[row + 1]; ++i) {
    out[tiles.sparse[i].column] = tensor_scale * tiles.sparse[i].value;
  }
}

}  // namespace ecco::cuda

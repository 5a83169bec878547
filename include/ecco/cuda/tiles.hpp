// SPDX-License-Identifier: MIT
// Device tiles of P4 on the host: 16 rows x 128 columns rearranged, without loss, into the order
// in which tensor cores take them. Dense tiles: 4.25 bits per value, classes in a prefix code;
// fast tiles: 5.125 bits, nothing of variable length. Pictures and reasons: docs/cuda.md, "Tiles".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/planar.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"

namespace ecco::cuda {

inline constexpr int kTileRows = 16;
inline constexpr std::size_t kDenseTileBytes = 1088;
inline constexpr std::size_t kFastTileBytes = 1312;

/// Element that lane t (0..3) of a row holds in byte b of register half h of the q-th mma.
constexpr int tile_element(int t, int q, int h, int b) noexcept {
  return 32 * q + 16 * h + 4 * t + b;
}

/// One row of a tile: a valid P4 block, decoded to ranks.
struct TileRow {
  std::uint8_t pattern = 0;
  std::uint8_t scale = 0;
  std::uint8_t ranks[kGroup] = {};
};

/// Precondition: the block is valid.
inline TileRow parse_row(const std::uint8_t* block) noexcept {
  TileRow row;
  row.pattern = block[0];
  row.scale = block[1];
  planar::decode_ranks<2>(block, row.ranks);
  return row;
}

/// Inverse of parse_row. False if the ranks make no valid block.
inline bool write_row(const TileRow& row, std::uint8_t* block) noexcept {
  if (row.scale != 0) return planar::pack<2>(row.ranks, row.pattern, row.scale, block);
  std::fill(block, block + sizeof(PlanarBlock<2>), std::uint8_t{0});
  return true;
}

/// A pattern in the form of the gated look-up: in class s, the centroids in descending order m';
/// the bytes at place m' + 4 (s % 2) of table s / 2, corrected so that the value read is the sum
/// of all tables, of which those that are off give the sign of their byte.
struct GatedPattern {
  std::int8_t tables[3][8] = {};        ///< classes 0 1 | 2 3 | 4
  std::uint8_t place_of_rank[20] = {};  ///< m' of each rank
  std::uint8_t rank_of_place[20] = {};  ///< inverse: rank of 4 s + m'
};

namespace detail {

/// Stores the bytes of one column, whose tables have the values values[0..count - 1]: exactly N of
/// them negative, N the largest n such that n of the values are <= -n.
constexpr void correct_column(const int* values, int count, std::int8_t* const* bytes) noexcept {
  const auto at_most = [&](int limit) {
    int found = 0;
    for (int k = 0; k < count; ++k) found += values[k] <= limit ? 1 : 0;
    return found;
  };
  int negatives = count;
  while (negatives > 0 && at_most(-negatives) < negatives) --negatives;
  int left = negatives - at_most(-negatives - 1);  // ties that become negative
  for (int k = 0; k < count; ++k) {
    bool negative = values[k] < -negatives;
    if (!negative && values[k] == -negatives && left > 0) {
      negative = true;
      --left;
    }
    *bytes[k] = static_cast<std::int8_t>(values[k] + negatives - (negative ? 1 : 0));
  }
}

}  // namespace detail

/// `centroids` = 20 in rank order, each in -123..123.
constexpr GatedPattern gate_pattern(const std::int8_t* centroids) noexcept {
  GatedPattern out;
  for (int s = 0; s < kClasses; ++s) {
    int order[4] = {0, 1, 2, 3};
    for (int i = 1; i < 4; ++i) {  // stable, descending
      for (int k = i; k > 0 && centroids[4 * s + order[k]] > centroids[4 * s + order[k - 1]];
           --k) {
        const int swapped = order[k];
        order[k] = order[k - 1];
        order[k - 1] = swapped;
      }
    }
    for (int m = 0; m < 4; ++m) {
      out.rank_of_place[4 * s + m] = static_cast<std::uint8_t>(4 * s + order[m]);
      out.place_of_rank[4 * s + order[m]] = static_cast<std::uint8_t>(m);
    }
  }
  for (int column = 0; column < 8; ++column) {
    const int count = column < 4 ? 3 : 2;
    int values[3] = {};
    std::int8_t* bytes[3] = {};
    for (int table = 0; table < count; ++table) {
      const int s = 2 * table + column / 4;
      values[table] = centroids[out.rank_of_place[4 * s + column % 4]];
      bytes[table] = &out.tables[table][column];
    }
    detail::correct_column(values, count, bytes);
  }
  return out;
}

/// The prefix code of the classes of four neighbours, symbol s0 + 5 s1 + 25 s2 + 125 s3: length 4
/// + T, T = their tail bits, with three exceptions that make the code complete at 12 bits. Codes
/// are canonical by (length, symbol), their first bit least significant.
struct ClassCode {
  static constexpr int kSymbols = 625;
  static constexpr int kMaxLength = 12;
  std::array<std::uint8_t, kSymbols> lengths{};
  std::array<std::uint16_t, kSymbols> codes{};
  std::array<std::uint16_t, 1 << kMaxLength> symbols{};  ///< by the next 12 bits

  ClassCode() noexcept {
    bool exception = false;
    for (std::size_t k = 0; k < lengths.size(); ++k) {
      int tail = 0;
      for (std::size_t v = 0, rest = k; v < 4; ++v, rest /= 5) {
        tail += std::min(static_cast<int>(rest % 5), 3);
      }
      int length = tail == 0 ? 5 : std::min(4 + tail, kMaxLength);
      if (tail == 7 && !exception) {
        length = kMaxLength;
        exception = true;
      }
      lengths[k] = static_cast<std::uint8_t>(length);
    }
    unsigned next = 0;
    for (int length = 1; length <= kMaxLength; ++length, next <<= 1) {
      for (std::size_t k = 0; k < lengths.size(); ++k) {
        if (lengths[k] != length) continue;
        unsigned reversed = 0;
        for (int i = 0; i < length; ++i) {
          reversed |= (next >> i & 1u) << (length - 1 - i);
        }
        ++next;
        codes[k] = static_cast<std::uint16_t>(reversed);
        for (unsigned i = reversed; i < symbols.size(); i += 1u << length) {
          symbols[i] = static_cast<std::uint16_t>(k);
        }
      }
    }
  }

  /// Entry of the kernels' table for the next 12 bits: nibble b has, of value b, bit 1 = "table y
  /// is off", bit 2 = s % 2, bit 3 = s >= 2; bits 27..31 are the length.
  [[nodiscard]] std::uint32_t device_entry(std::size_t bits) const noexcept {
    const std::size_t symbol = symbols[bits];
    std::uint32_t entry = static_cast<std::uint32_t>(lengths[symbol]) << 27;
    for (unsigned b = 0, rest = static_cast<unsigned>(symbol); b < 4; ++b, rest /= 5) {
      const unsigned s = rest % 5;
      const unsigned nibble = (s / 2 != 1 ? 2u : 0u) | (s & 1u) << 2 | (s >= 2 ? 8u : 0u);
      entry |= nibble << (4 * b);
    }
    return entry;
  }
};

inline const ClassCode& class_code() noexcept {
  static const ClassCode code;
  return code;
}

/// A fast tile as words; see docs/cuda.md.
struct FastTile {
  std::uint32_t nibbles[2][32][4];  ///< [row / 8][4 (row % 8) + t][q]
  std::uint32_t off_y[32][2];       ///< [4 (row % 8) + t][row / 8]
  std::uint32_t headers[8];         ///< pattern | scale << 8, of row + 8 in the upper half
};
static_assert(sizeof(FastTile) == kFastTileBytes);  // 5.125 bits per value

/// A dense tile as words.
struct DenseTile {
  std::uint32_t streams[2][32][4];  ///< codes (2 words), m' (2 words)
  std::uint32_t headers[8][2];      ///< pattern | scale << 8 | middle bytes of the pools << 16
};
static_assert(sizeof(DenseTile) == kDenseTileBytes);  // 4.25 bits per value

/// `patterns` = gate_pattern of every row of the table.
inline void pack_tile(const TileRow (&rows)[kTileRows], const GatedPattern* patterns,
                      FastTile& tile) noexcept {
  tile = FastTile{};
  for (int r = 0; r < kTileRows; ++r) {
    const TileRow& row = rows[r];
    const GatedPattern& pattern = patterns[row.pattern];
    tile.headers[r % 8] |= (row.pattern | static_cast<unsigned>(row.scale) << 8) << (16 * (r / 8));
    for (int e = 0; e < kGroup; ++e) {
      const unsigned rank = row.ranks[e];
      const unsigned s = rank / 4;
      const int lane = 4 * (r % 8) + e / 4 % 4;
      const int i = e / 16 % 2 * 4 + e % 4;  // nibble
      const unsigned nibble = pattern.place_of_rank[rank] | (s & 1u) << 2 | (s >= 2 ? 8u : 0u);
      tile.nibbles[r / 8][lane][e / 32] |= nibble << (4 * i);
      if (s / 2 != 1) tile.off_y[lane][r / 8] |= 1u << (4 * i + 3 - e / 32);
    }
  }
}

inline TileRow unpack_row(const FastTile& tile, int r, const GatedPattern* patterns) noexcept {
  TileRow row;
  const unsigned header = tile.headers[r % 8] >> (16 * (r / 8));
  row.pattern = static_cast<std::uint8_t>(header);
  row.scale = static_cast<std::uint8_t>(header >> 8);
  for (int e = 0; e < kGroup; ++e) {
    const int lane = 4 * (r % 8) + e / 4 % 4;
    const int i = e / 16 % 2 * 4 + e % 4;
    const unsigned nibble = tile.nibbles[r / 8][lane][e / 32] >> (4 * i) & 15u;
    const bool off_y = (tile.off_y[lane][r / 8] >> (4 * i + 3 - e / 32) & 1u) != 0;
    const unsigned s = (nibble >> 2 & 1u) + (nibble < 8 ? 0u : off_y ? 4u : 2u);
    row.ranks[e] = patterns[row.pattern].rank_of_place[4 * s + nibble % 4];
  }
  return row;
}

namespace detail {

inline constexpr int kPoolBits = 136;  ///< codes of two lanes, one from each end

/// A bit of the pool of lanes 2 i and 2 i + 1 of a row, counted from the end of lane `t`.
struct PoolBit {
  std::uint32_t* word;
  unsigned bit;
};
inline PoolBit pool_bit(DenseTile& tile, int r, int t, int at) noexcept {
  const int place = t % 2 == 0 ? at : kPoolBits - 1 - at;
  if (place >= 64 && place < 72) {
    return {&tile.headers[r % 8][r / 8], static_cast<unsigned>(16 + 8 * (t / 2) + place - 64)};
  }
  const int lane = 4 * (r % 8) + t - t % 2 + (place >= 72 ? 1 : 0);
  const int own = place >= 72 ? kPoolBits - 1 - place : place;
  return {&tile.streams[r / 8][lane][own / 32], static_cast<unsigned>(own % 32)};
}

/// Bit offset of group 2 q + h in its word of m'.
constexpr unsigned place_shift(int group) noexcept {
  constexpr unsigned kShifts[4] = {0, 2, 16, 18};
  return kShifts[group % 4];
}

}  // namespace detail

/// Returns false, and leaves the tile unusable, when the codes of a half of a row do not fit their
/// 136 bits.
inline bool pack_tile(const TileRow (&rows)[kTileRows], const GatedPattern* patterns,
                      DenseTile& tile) noexcept {
  const ClassCode& code = class_code();
  tile = DenseTile{};
  for (int r = 0; r < kTileRows; ++r) {
    const TileRow& row = rows[r];
    const GatedPattern& pattern = patterns[row.pattern];
    tile.headers[r % 8][r / 8] |= row.pattern | static_cast<unsigned>(row.scale) << 8;
    int used[4] = {};
    for (int t = 0; t < 4; ++t) {
      for (int group = 0; group < 8; ++group) {
        unsigned symbol = 0;
        for (int b = 3; b >= 0; --b) {
          const unsigned rank = row.ranks[tile_element(t, group / 2, group % 2, b)];
          symbol = 5 * symbol + rank / 4;
          tile.streams[r / 8][4 * (r % 8) + t][2 + group / 4] |=
              static_cast<unsigned>(pattern.place_of_rank[rank])
              << (4 * static_cast<unsigned>(b) + detail::place_shift(group));
        }
        if (used[t] + code.lengths[symbol] > detail::kPoolBits) return false;
        for (int i = 0; i < code.lengths[symbol]; ++i) {
          const detail::PoolBit to = detail::pool_bit(tile, r, t, used[t]++);
          *to.word |= (code.codes[symbol] >> i & 1u) << to.bit;
        }
      }
    }
    if (used[0] + used[1] > detail::kPoolBits || used[2] + used[3] > detail::kPoolBits) {
      return false;
    }
  }
  return true;
}

inline TileRow unpack_row(const DenseTile& packed, int r, const GatedPattern* patterns) noexcept {
  const ClassCode& code = class_code();
  DenseTile tile = packed;  // pool_bit serves writers, too
  TileRow row;
  const unsigned header = tile.headers[r % 8][r / 8];
  row.pattern = static_cast<std::uint8_t>(header);
  row.scale = static_cast<std::uint8_t>(header >> 8);
  for (int t = 0; t < 4; ++t) {
    int at = 0;
    for (int group = 0; group < 8; ++group) {
      unsigned bits = 0;
      for (int i = 0; i < ClassCode::kMaxLength && at + i < detail::kPoolBits; ++i) {
        const detail::PoolBit from = detail::pool_bit(tile, r, t, at + i);
        bits |= (*from.word >> from.bit & 1u) << i;
      }
      unsigned symbol = code.symbols[bits];
      at += code.lengths[symbol];
      const unsigned places = tile.streams[r / 8][4 * (r % 8) + t][2 + group / 4];
      for (int b = 0; b < 4; ++b, symbol /= 5) {
        const unsigned place =
            places >> (4 * static_cast<unsigned>(b) + detail::place_shift(group)) & 3u;
        row.ranks[tile_element(t, group / 2, group % 2, b)] =
            patterns[row.pattern].rank_of_place[4 * (symbol % 5) + place];
      }
    }
  }
  return row;
}

namespace detail {

template <typename Tile>
Result<std::vector<std::uint8_t>> pack_tiles(const TensorView& tensor) {
  const std::size_t row_tiles = (tensor.rows() + kTileRows - 1) / kTileRows;
  const std::size_t column_tiles = tensor.blocks_per_row();
  std::vector<GatedPattern> patterns;
  for (int p = 0; p < tensor.table().patterns(); ++p) {
    patterns.push_back(gate_pattern(tensor.table().pattern(p)));
  }
  std::vector<std::uint8_t> out(row_tiles * column_tiles * sizeof(Tile));
  for (std::size_t i = 0; i < row_tiles * column_tiles; ++i) {
    TileRow rows[kTileRows] = {};
    for (std::size_t r = 0; r < kTileRows; ++r) {
      const std::size_t row = i / column_tiles * kTileRows + r;
      if (row >= tensor.rows()) break;
      const std::uint8_t* block = tensor.row(row) + i % column_tiles * sizeof(PlanarBlock<2>);
      const planar::Fault fault = planar::check<2>(block, tensor.table().patterns());
      if (fault != planar::Fault::none) {
        return fail(StatusCode::corrupt, "row " + std::to_string(row) + ", block " +
                                             std::to_string(i % column_tiles) + ": " +
                                             planar::fault_name(fault));
      }
      rows[r] = parse_row(block);
    }
    Tile tile;
    if constexpr (std::is_same_v<Tile, DenseTile>) {
      if (!pack_tile(rows, patterns.data(), tile)) {
        return fail(StatusCode::unsupported,
                    "tile " + std::to_string(i) + " has more class codes than a dense tile holds");
      }
    } else {
      pack_tile(rows, patterns.data(), tile);
    }
    std::memcpy(out.data() + i * sizeof(Tile), &tile, sizeof(Tile));
  }
  return out;
}

template <typename Tile>
Result<std::vector<std::uint8_t>> unpack_tiles(std::span<const std::uint8_t> tiles,
                                               std::size_t rows, std::size_t cols,
                                               const PatternTableView& table) {
  const std::size_t column_tiles = blocks_per_row(cols);
  const std::size_t row_tiles = (rows + kTileRows - 1) / kTileRows;
  if (tiles.size() != row_tiles * column_tiles * sizeof(Tile)) {
    return fail(StatusCode::shape_mismatch,
                std::to_string(tiles.size()) + " bytes of tiles, but " + std::to_string(rows) +
                    " x " + std::to_string(cols) + " values take " +
                    std::to_string(row_tiles * column_tiles * sizeof(Tile)));
  }
  std::vector<GatedPattern> patterns(kMaxPatterns);
  for (int p = 0; p < table.patterns(); ++p) {
    patterns[static_cast<std::size_t>(p)] = gate_pattern(table.pattern(p));
  }
  std::vector<std::uint8_t> blocks(rows * column_tiles * sizeof(PlanarBlock<2>));
  for (std::size_t b = 0; b < rows * column_tiles; ++b) {
    const std::size_t row = b / column_tiles;
    Tile tile;
    std::memcpy(&tile,
                tiles.data() + (row / kTileRows * column_tiles + b % column_tiles) * sizeof(Tile),
                sizeof(Tile));
    const TileRow parsed = unpack_row(tile, static_cast<int>(row % kTileRows), patterns.data());
    if (!write_row(parsed, blocks.data() + b * sizeof(PlanarBlock<2>))) {
      return fail(StatusCode::corrupt, "row " + std::to_string(row) + ", block " +
                                           std::to_string(b % column_tiles) +
                                           " has more tail bits than a block holds");
    }
  }
  return blocks;
}

}  // namespace detail

/// Tiles of a P4 tensor, [row tile][column tile]; rows past the end are zeros. Errors: corrupt (a
/// block that is not valid, named), unsupported (dense: codes that do not fit a tile). Throws
/// std::bad_alloc only.
inline Result<std::vector<std::uint8_t>> pack_tiles(const TensorView& tensor, bool dense) {
  return dense ? detail::pack_tiles<DenseTile>(tensor) : detail::pack_tiles<FastTile>(tensor);
}

/// Inverse of pack_tiles: the blocks, byte for byte. Errors: shape_mismatch, corrupt.
inline Result<std::vector<std::uint8_t>> unpack_tiles(std::span<const std::uint8_t> tiles,
                                                      bool dense, std::size_t rows,
                                                      std::size_t cols,
                                                      const PatternTableView& table) {
  return dense ? detail::unpack_tiles<DenseTile>(tiles, rows, cols, table)
               : detail::unpack_tiles<FastTile>(tiles, rows, cols, table);
}

}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
// Fast tiles of P2..P5: 16 rows x 128 columns in the order of tensor core fragments, nothing of
// variable length; 3.125, 4.125, 5.125 and 6.125 bits per value. docs/cuda.md, "Tiles".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ecco/cuda/tile_row.hpp"

namespace ecco::cuda {

/// A fast tile as words: nibbles (P2: three bits) of the values, then gates, then headers. A value
/// is number `i` = 4 h + b of the 8 that a lane of a row holds for the q-th mma.
template <int R>
struct FastTile {
  static constexpr int kRowWords = R == 0 ? 3 : 4;  ///< nibbles, per lane and row
  static constexpr int kGates = R < 2 ? 0 : R - 1;  ///< words of gates, per lane and row
  static constexpr int kGatesAt = 64 * kRowWords;   ///< first word of gates
  static constexpr int kHeadersAt = kGatesAt + 64 * kGates;

  std::uint32_t words[kHeadersAt + 8];

  /// Word q of nibbles of row g (half 0) or g + 8 of lane 4 g + t. P2: three words of row g and
  /// one of row g + 8 are a lane's 16 bytes, the other two follow all of these.
  static constexpr int nibbles_at(int half, int lane, int q) noexcept {
    if (R > 0) return 128 * half + 4 * lane + q;
    const int word = 3 * half + q;
    return word < 4 ? 4 * lane + word : 128 + 2 * lane + word - 4;
  }
  static constexpr int gates_at(int half, int lane, int gate) noexcept {
    return kGatesAt + kGates * (2 * lane + half) + gate;
  }
};
template <int R>
inline constexpr std::size_t kFastTileBytes = sizeof(FastTile<R>);
static_assert(kFastTileBytes<0> == 800 && kFastTileBytes<1> == 1056);
static_assert(kFastTileBytes<2> == 1312 && kFastTileBytes<3> == 1568);

/// What a fast tile stores of a rank: bits 0..3 its nibble, from bit 4 on its gates. Rank k is in
/// column k % 8 (bits 0..2) of table k / 8 (GatedPattern). P3: bit 3 is the table. P4: bit 3 is
/// "table 0 is off", the gate "table 1 is off". P5: bit 3 is "table 0 is off"; with the gates of
/// this choice four LOP3 more make the other selectors (gemv_fast.cuh).
template <int R>
constexpr unsigned fast_code(int rank) noexcept {
  const unsigned column = static_cast<unsigned>(rank) % 8;
  const int table = rank / 8;
  if (R < 2) return static_cast<unsigned>(rank);
  if (R == 2) return column | (table != 0 ? 8u : 0u) | (table != 1 ? 16u : 0u);
  constexpr unsigned kTables = 0b101'001'111'011'100;  // of tables 4 to 0: gates 1 and 0, bit 3
  return column | (kTables >> (3 * table) & 7u) << 3;
}

/// Inverse of fast_code; 255 where there is no such rank.
template <int R>
constexpr std::array<std::uint8_t, 64> fast_ranks() noexcept {
  std::array<std::uint8_t, 64> ranks{};
  for (std::uint8_t& rank : ranks) rank = 255;
  for (int rank = 0; rank < kClasses << R; ++rank) {
    ranks[fast_code<R>(rank)] = static_cast<std::uint8_t>(rank);
  }
  return ranks;
}

/// What a lane holds of one row of a tile: codes of eight values for each of four mma, value
/// `i` = 4 h + b. P2 has three words of nibbles: the codes of the last mma are bit 3 of the
/// others.
template <int R>
struct FastRow {
  std::uint32_t nibbles[FastTile<R>::kRowWords] = {};
  std::uint32_t gates[FastTile<R>::kGates > 0 ? FastTile<R>::kGates : 1] = {};

  /// Precondition: nothing is put in the place yet.
  ECCO_HD constexpr void put(int q, int i, unsigned code) noexcept {
    if (R == 0 && q == 3) {
      for (int bit = 0; bit < 3; ++bit) nibbles[bit] |= (code >> bit & 1u) << (4 * i + 3);
    } else {
      nibbles[q] |= (code & 15u) << (4 * i);
    }
    for (int gate = 0; gate < FastTile<R>::kGates; ++gate) {
      gates[gate] |= (code >> (4 + gate) & 1u) << (4 * i + 3 - q);
    }
  }
  [[nodiscard]] constexpr unsigned get(int q, int i) const noexcept {
    unsigned code = 0;
    if (R == 0 && q == 3) {
      for (int bit = 0; bit < 3; ++bit) code |= (nibbles[bit] >> (4 * i + 3) & 1u) << bit;
    } else {
      code = nibbles[q] >> (4 * i) & (R == 0 ? 7u : 15u);
    }
    for (int gate = 0; gate < FastTile<R>::kGates; ++gate) {
      code |= (gates[gate] >> (4 * i + 3 - q) & 1u) << (4 + gate);
    }
    return code;
  }
};

/// True: every row fits.
template <int R>
bool pack_tile(const TileRow (&rows)[kTileRows], FastTile<R>& tile) noexcept {
  using Tile = FastTile<R>;
  tile = Tile{};
  for (int r = 0; r < kTileRows; ++r) {
    tile.words[Tile::kHeadersAt + r % 8] |=
        (rows[r].pattern | static_cast<unsigned>(rows[r].scale) << 8) << (16 * (r / 8));
    for (int t = 0; t < 4; ++t) {
      FastRow<R> row;
      for (int i = 0; i < 32; ++i) {
        const std::uint8_t rank = rows[r].ranks[tile_element(t, i / 8, i / 4 % 2, i % 4)];
        row.put(i / 8, i % 8, fast_code<R>(rank));
      }
      const int lane = 4 * (r % 8) + t;
      for (int q = 0; q < Tile::kRowWords; ++q) {
        tile.words[Tile::nibbles_at(r / 8, lane, q)] = row.nibbles[q];
      }
      for (int gate = 0; gate < Tile::kGates; ++gate) {
        tile.words[Tile::gates_at(r / 8, lane, gate)] = row.gates[gate];
      }
    }
  }
  return true;
}

/// Inverse of pack_tile, one row. False where the tile has a code of no rank.
template <int R>
bool unpack_row(const FastTile<R>& tile, int r, TileRow& row) noexcept {
  using Tile = FastTile<R>;
  constexpr std::array<std::uint8_t, 64> kRanks = fast_ranks<R>();
  const unsigned header = tile.words[Tile::kHeadersAt + r % 8] >> (16 * (r / 8));
  row.pattern = static_cast<std::uint8_t>(header);
  row.scale = static_cast<std::uint8_t>(header >> 8);
  for (int t = 0; t < 4; ++t) {
    const int lane = 4 * (r % 8) + t;
    FastRow<R> own;
    for (int q = 0; q < Tile::kRowWords; ++q) {
      own.nibbles[q] = tile.words[Tile::nibbles_at(r / 8, lane, q)];
    }
    for (int gate = 0; gate < Tile::kGates; ++gate) {
      own.gates[gate] = tile.words[Tile::gates_at(r / 8, lane, gate)];
    }
    for (int i = 0; i < 32; ++i) {
      const std::uint8_t rank = kRanks[own.get(i / 8, i % 8)];
      if (rank == 255) return false;
      row.ranks[tile_element(t, i / 8, i / 4 % 2, i % 4)] = rank;
    }
  }
  return true;
}

}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
// Paired tiles of P4: 1184 bytes for 16 rows x 128 columns, 4.625 bits per value, the classes of
// two values in five bits that a few LOP3 of whole words decode. docs/cuda.md, "Tiles".
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/cuda/tile_row.hpp"
#include "ecco/cuda/tiles_gated.hpp"

namespace ecco::cuda {

/// A paired tile as words. Values `i` = 4 h + b of the mma 2 p and 2 p + 1 of a lane and row are a
/// pair.
struct PairedTile {
  std::uint32_t nibbles[2][32][4];  ///< [row g or g + 8][lane 4 g + t][q]: value i in nibble i
  std::uint32_t gates[32];          ///< bit 4 i + 3 - 2 half - p: of pair p, i of row g + 8 half
  std::uint32_t headers[8];         ///< pattern | scale << 8; of row g + 8 in the upper half
};
inline constexpr std::size_t kPairedTileBytes = sizeof(PairedTile);
static_assert(kPairedTileBytes == 1184);
/// Values of a pattern's gated tables: 20, and those of class 4 again.
inline constexpr int kPairedValues = 24;
/// Words from the gated tables of fast and dense tiles of P4 to those of paired ones.
inline constexpr std::size_t kPairedTablesAt = gated_words(20) * kMaxPatterns;

/// What a pair of ranks is in a paired tile: bits 0 and 1 of a nibble are m; the classes 0, 1 are
/// the columns 0..3 and 4..7 of table 0, 2 and 3 those of table 1, so bit 2 is s % 2 and bit 3
/// "not table 0". Class 4 is table 2, the same in both halves of its columns, and only the gate
/// tells:
///
///     bits 3 of a, b and the gate   a          b
///     any, 0                        as they say
///     0, 0, 1                       class 4    class 4
///     1, 0, 1                       class 4    as it says
///     0, 1, 1                       as it says class 4
///     1, 1, 1                       class 4 where bits 2 are equal, b as it says; else b class 4
///
/// The 25 pairs take 32 codes: the seven left over are class 4 with either value of bit 2.
struct PairCode {
  unsigned a;     ///< nibble
  unsigned b;     ///< nibble
  unsigned gate;  ///< 0 or 1
};

ECCO_HD constexpr PairCode pair_code(unsigned rank_a, unsigned rank_b) noexcept {
  const bool last_a = rank_a >= 16;
  const bool last_b = rank_b >= 16;
  const unsigned a = rank_a & 15u;
  const unsigned b = rank_b & 15u;
  if (!last_a && !last_b) return {a, b, 0};
  if (last_a && last_b) return {a, b, 1};
  if (last_a) return {b < 8 ? a | 8u : a | 8u | (b & 4u), b, 1};
  return {a, a < 8 ? b | 8u : b | 8u | (~a & 4u), 1};
}

/// Inverse of pair_code.
constexpr void pair_ranks(const PairCode& code, unsigned& rank_a, unsigned& rank_b) noexcept {
  const bool a = code.a >= 8;
  const bool b = code.b >= 8;
  const bool equal = ((code.a ^ code.b) & 4u) == 0;
  const bool last_a = code.gate != 0 && (b ? a && equal : true);
  const bool last_b = code.gate != 0 && (a ? b && !equal : true);
  rank_a = last_a ? 16 | (code.a & 3u) : code.a;
  rank_b = last_b ? 16 | (code.b & 3u) : code.b;
}

/// Bit of the gate of pair p, i of row g + 8 half.
ECCO_HD constexpr int pair_gate_bit(int half, int p, int i) noexcept {
  return 4 * i + 3 - 2 * half - p;
}

/// True: every row fits.
inline bool pack_tile(const TileRow (&rows)[kTileRows], PairedTile& tile) noexcept {
  tile = PairedTile{};
  for (int r = 0; r < kTileRows; ++r) {
    const int half = r / 8;
    tile.headers[r % 8] |= (rows[r].pattern | static_cast<unsigned>(rows[r].scale) << 8)
                           << (16 * half);
    for (int t = 0; t < 4; ++t) {
      const int lane = 4 * (r % 8) + t;
      for (int p = 0; p < 2; ++p) {
        for (int i = 0; i < 8; ++i) {
          const PairCode code = pair_code(rows[r].ranks[tile_element(t, 2 * p, i / 4, i % 4)],
                                          rows[r].ranks[tile_element(t, 2 * p + 1, i / 4, i % 4)]);
          tile.nibbles[half][lane][2 * p] |= code.a << (4 * i);
          tile.nibbles[half][lane][2 * p + 1] |= code.b << (4 * i);
          tile.gates[lane] |= code.gate << pair_gate_bit(half, p, i);
        }
      }
    }
  }
  return true;
}

/// Inverse of pack_tile, one row. True: all bytes make ranks.
inline bool unpack_row(const PairedTile& tile, int r, TileRow& row) noexcept {
  const int half = r / 8;
  const unsigned header = tile.headers[r % 8] >> (16 * half);
  row.pattern = static_cast<std::uint8_t>(header);
  row.scale = static_cast<std::uint8_t>(header >> 8);
  for (int t = 0; t < 4; ++t) {
    const int lane = 4 * (r % 8) + t;
    for (int p = 0; p < 2; ++p) {
      for (int i = 0; i < 8; ++i) {
        const PairCode code{tile.nibbles[half][lane][2 * p] >> (4 * i) & 15u,
                            tile.nibbles[half][lane][2 * p + 1] >> (4 * i) & 15u,
                            tile.gates[lane] >> pair_gate_bit(half, p, i) & 1u};
        unsigned a = 0;
        unsigned b = 0;
        pair_ranks(code, a, b);
        row.ranks[tile_element(t, 2 * p, i / 4, i % 4)] = static_cast<std::uint8_t>(a);
        row.ranks[tile_element(t, 2 * p + 1, i / 4, i % 4)] = static_cast<std::uint8_t>(b);
      }
    }
  }
  return true;
}

}  // namespace ecco::cuda

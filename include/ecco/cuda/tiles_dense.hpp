// SPDX-License-Identifier: MIT
// Dense tiles of P4: 1088 bytes for 16 rows x 128 columns, 4.25 bits per value, classes in a
// prefix code. docs/cuda.md, "Tiles".
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "ecco/cuda/tile_row.hpp"

namespace ecco::cuda {

inline constexpr std::size_t kDenseTileBytes = 1088;

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

/// A dense tile as words.
struct DenseTile {
  std::uint32_t streams[2][32][4];  ///< codes (2 words), m (2 words)
  std::uint32_t headers[8][2];      ///< pattern | scale << 8 | middle bytes of the pools << 16
};
static_assert(sizeof(DenseTile) == kDenseTileBytes);  // 4.25 bits per value

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

/// Bit offset of group 2 q + h in its word of m.
ECCO_HD constexpr unsigned mantissa_shift(int group) noexcept {
  constexpr unsigned kShifts[4] = {0, 2, 16, 18};
  return kShifts[group % 4];
}

}  // namespace detail

/// Returns false, and leaves the tile unusable, when the codes of a half of a row do not fit their
/// 136 bits.
inline bool pack_tile(const TileRow (&rows)[kTileRows], DenseTile& tile) noexcept {
  const ClassCode& code = class_code();
  tile = DenseTile{};
  for (int r = 0; r < kTileRows; ++r) {
    const TileRow& row = rows[r];
    tile.headers[r % 8][r / 8] |= row.pattern | static_cast<unsigned>(row.scale) << 8;
    int used[4] = {};
    for (int t = 0; t < 4; ++t) {
      for (int group = 0; group < 8; ++group) {
        unsigned symbol = 0;
        for (int b = 3; b >= 0; --b) {
          const unsigned rank = row.ranks[tile_element(t, group / 2, group % 2, b)];
          symbol = 5 * symbol + rank / 4;
          tile.streams[r / 8][4 * (r % 8) + t][2 + group / 4] |=
              rank % 4 << (4 * static_cast<unsigned>(b) + detail::mantissa_shift(group));
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

/// Inverse of pack_tile, one row. True: all bytes make ranks.
inline bool unpack_row(const DenseTile& packed, int r, TileRow& row) noexcept {
  const ClassCode& code = class_code();
  DenseTile tile = packed;  // pool_bit serves writers, too
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
      const unsigned mantissas = tile.streams[r / 8][4 * (r % 8) + t][2 + group / 4];
      for (int b = 0; b < 4; ++b, symbol /= 5) {
        const auto m =
            mantissas >> (4 * static_cast<unsigned>(b) + detail::mantissa_shift(group)) & 3u;
        row.ranks[tile_element(t, group / 2, group % 2, b)] =
            static_cast<std::uint8_t>(4 * (symbol % 5) + m);
      }
    }
  }
  return true;
}

}  // namespace ecco::cuda

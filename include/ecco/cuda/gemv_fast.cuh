// SPDX-License-Identifier: MIT
// Fast tiles in a product: a lane's share, and its decoder into fragments.
#pragma once

#include <cstdint>

#include "ecco/cuda/gemv.cuh"
#include "ecco/cuda/tiles_fast.hpp"

namespace ecco::cuda {

/// A lane's share of a fast tile of R mantissa planes, whose patterns have kValues values.
template <int R, int kValues = kClasses << R>
struct FastLane : TileLane<FastLane<R, kValues>> {
  using Tile = FastTile<R>;
  static constexpr int kTableWords = gated_words(kValues);
  static constexpr int kParts = gated_tables(kValues);
  static constexpr int kCodes = 0;
  static constexpr bool kSparse = false;
  static constexpr int kWords = sizeof(Tile) / 16;  ///< uint4 of a tile

  std::uint32_t nibbles[2][Tile::kRowWords];  ///< of rows g and g + 8
  std::uint32_t gates[2][Tile::kGates > 0 ? Tile::kGates : 1];
  std::uint32_t header;

  __device__ __forceinline__ void load(const uint4* tile, unsigned lane) {
    const auto* words = reinterpret_cast<const std::uint32_t*>(tile);
    const uint4 first = __ldcs(tile + lane);
    nibbles[0][0] = first.x, nibbles[0][1] = first.y, nibbles[0][2] = first.z;
    if constexpr (R == 0) {
      const uint2 second = __ldcs(reinterpret_cast<const uint2*>(words + 128) + lane);
      nibbles[1][0] = first.w, nibbles[1][1] = second.x, nibbles[1][2] = second.y;
    } else {
      const uint4 second = __ldcs(tile + 32 + lane);
      nibbles[0][3] = first.w;
      nibbles[1][0] = second.x, nibbles[1][1] = second.y;
      nibbles[1][2] = second.z, nibbles[1][3] = second.w;
    }
    if constexpr (R == 2) {
      const uint2 bits = __ldcs(reinterpret_cast<const uint2*>(words + Tile::kGatesAt) + lane);
      gates[0][0] = bits.x, gates[1][0] = bits.y;
    } else if constexpr (R == 3) {
      const uint4 bits = __ldcs(reinterpret_cast<const uint4*>(words + Tile::kGatesAt) + lane);
      gates[0][0] = bits.x, gates[0][1] = bits.y, gates[1][0] = bits.z, gates[1][1] = bits.w;
    }
    header = __ldcs(words + Tile::kHeadersAt + lane / 4);
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const {
    return half == 0 ? header : header >> 16;
  }

  /// Selectors of the eight weights of a row for the q-th mma: in each nibble the column of the
  /// value, and in bit 3 whether a table is off.
  __device__ __forceinline__ void selectors(int q, int half,
                                            std::uint32_t (&select)[kParts]) const {
    const std::uint32_t(&words)[Tile::kRowWords] = nibbles[half];
    if constexpr (R == 0) {
      if (q < 3) {
        select[0] = words[q] & ~kGateBits;
      } else {  // bit 3 of the three words
        const std::uint32_t low = select_bits(words[0] >> 3, words[1] >> 2, 0x11111111u);
        select[0] = select_bits(low, words[2] >> 1, 0x33333333u) & ~kGateBits;
      }
    } else {
      select[0] = words[q];
    }
    if constexpr (R == 1) select[1] = select[0] ^ kGateBits;
    if constexpr (R == 2) {
      select[1] = select_bits(gates[half][0] << q, select[0], kGateBits);
      select[2] = gate_last(select[0], select[1]);
    }
    if constexpr (R == 3) {
      // Off, in this order: bit 3; not (1 0), (1 1), (0 0) in both gates; and "0 in the first
      // gate, bit 3, and table 3 is off" tells table 4 from the others.
      const std::uint32_t first = select_bits(gates[half][0] << q, select[0], kGateBits);
      const std::uint32_t second = gates[half][1] << q;
      select[1] = lop3<0xDA>(first, second, kGateBits);
      select[2] = lop3<0x7A>(first, second, kGateBits);
      select[3] = lop3<0xF8>(first, second, kGateBits);
      select[4] = lop3<0xD2>(select[0], first, select[3]);
    }
  }

  /// Decodes the weights of the q-th mma, q ascending.
  struct Decoder {
    const FastLane& lane;
    __device__ __forceinline__ Decoder(const FastLane& lane_, const std::uint32_t*,
                                       typename TileLane<FastLane>::Place)
        : lane(lane_) {}
    __device__ __forceinline__ void decode(int q, const Gated<kTableWords> (&tables)[2],
                                           std::uint32_t (&parts)[kParts][4]) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t select[kParts];
        lane.selectors(q, half, select);
        look_up(tables[half], select, parts, half);
#pragma unroll
        for (std::uint32_t& nibbles : select) nibbles >>= 16;
        look_up(tables[half], select, parts, half + 2);
      }
    }
  };
};

}  // namespace ecco::cuda

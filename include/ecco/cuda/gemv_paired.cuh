// SPDX-License-Identifier: MIT
// Paired tiles of P4 in a product: a lane's share, and its decoder into fragments.
#pragma once

#include <cstdint>

#include "ecco/cuda/gemv.cuh"
#include "ecco/cuda/tiles_paired.hpp"

namespace ecco::cuda {

/// A lane's share of a paired tile.
struct PairedLane : TileLane<PairedLane> {
  static constexpr int kTableWords = gated_words(kPairedValues);
  static constexpr int kParts = gated_tables(kPairedValues);
  static constexpr int kCodes = 0;
  static constexpr bool kSparse = false;
  static constexpr int kWords = sizeof(PairedTile) / 16;
  uint4 low, high;  ///< nibbles of rows g and g + 8
  std::uint32_t gates;
  std::uint32_t header;

  __device__ __forceinline__ void load(const uint4* tile, unsigned lane) {
    low = __ldcs(tile + lane);
    high = __ldcs(tile + 32 + lane);
    gates = __ldcs(reinterpret_cast<const std::uint32_t*>(tile + 64) + lane);
    header = __ldcs(reinterpret_cast<const std::uint32_t*>(tile + 72) + lane / 4);
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const {
    return half == 0 ? header : header >> 16;
  }

  /// Decodes the weights of the q-th mma, q ascending: those of an odd q with the ones before.
  struct Decoder {
    const PairedLane& lane;
    std::uint32_t later[2][kParts];  ///< selectors of the second words of the pairs

    __device__ __forceinline__ Decoder(const PairedLane& lane_, const std::uint32_t*, Place)
        : lane(lane_) {}

    /// Selectors of the words `a`, `b` of pairs: in each nibble the column of the value, and in
    /// bit 3 whether a table is off.
    __device__ __forceinline__ void select_pair(int p, int half, std::uint32_t (&first)[kParts],
                                                std::uint32_t (&second)[kParts]) const {
      const uint4& words = half == 0 ? lane.low : lane.high;
      const std::uint32_t a = p == 0 ? words.x : words.z;
      const std::uint32_t b = p == 0 ? words.y : words.w;
      const std::uint32_t gate = (lane.gates << (2 * half + p)) & kGateBits;
      const std::uint32_t unequal = (a ^ b) << 1;  // bits 2, as bits 3
      first[0] = lop3<0xF2>(a, b, gate);           // a | (gate & ~b)
      second[0] = lop3<0xF2>(b, a, gate);
      const std::uint32_t last_a = lop3<0x2A>(b, unequal, gate);  // gate & ~(b & unequal)
      const std::uint32_t last_b = lop3<0x8A>(a, unequal, gate);  // gate & ~(a & ~unequal)
      first[1] = lop3<0xDA>(a, last_a, kGateBits);                // bits 3: ~a | last_a
      second[1] = lop3<0xDA>(b, last_b, kGateBits);
      first[2] = gate_last(first[0], first[1]);
      second[2] = gate_last(second[0], second[1]);
    }
    __device__ __forceinline__ void decode(int q, const Gated<kTableWords> (&tables)[2],
                                           std::uint32_t (&parts)[kParts][4]) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t select[kParts];
        if (q % 2 == 0) {
          select_pair(q / 2, half, select, later[half]);
        } else {
#pragma unroll
          for (int k = 0; k < kParts; ++k) select[k] = later[half][k];
        }
        look_up(tables[half], select, parts, half);
#pragma unroll
        for (std::uint32_t& nibbles : select) nibbles >>= 16;
        look_up(tables[half], select, parts, half + 2);
      }
    }
  };
};

}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
// Dense tiles of P4 in a product: a lane's share, and its decoder into fragments.
#pragma once

#include <cstdint>

#include "ecco/cuda/gemv.cuh"
#include "ecco/cuda/tiles_dense.hpp"

namespace ecco::cuda {

/// A lane's share of a dense tile.
struct DenseLane : TileLane<DenseLane> {
  static constexpr int kTableWords = gated_words(20);
  static constexpr int kParts = gated_tables(20);
  static constexpr int kCodes = 1 << ClassCode::kMaxLength;
  static constexpr bool kSparse = false;
  static constexpr int kWords = sizeof(DenseTile) / 16;
  uint4 low, high;  ///< of rows g and g + 8: two words of codes, two of m
  uint2 headers;

  __device__ __forceinline__ void load(const uint4* tile, int lane) {
    low = __ldcs(tile + lane);
    high = __ldcs(tile + 32 + lane);
    headers = __ldcs(reinterpret_cast<const uint2*>(tile + 64) + lane / 4);
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const {
    return half == 0 ? headers.x : headers.y;
  }

  struct Place {
    /// The selector of PRMT for the third word of the lane's streams: their byte 0 is the lane's
    /// middle byte, byte 2 or 3 of the header for t = 0 and 2, byte 1 or 0 of its mirror image for
    /// t = 1 and 3.
    int order;

    __device__ __forceinline__ bool mirrored() const { return order < 0x2106; }
  };
  /// Whole warps call it.
  static __device__ __forceinline__ Place place(int lane) {
    return {pinned(0x2100 | (0x4756 >> (4 * (lane % 4)) & 15))};  // else made for every tile
  }

  struct Decoder {
    const DenseLane& lane;
    std::uint32_t codes;         ///< shared address of the code table
    std::uint32_t stream[2][3];  ///< bits of codes not yet read: own 64, then 8 + 32 of the pool

    /// A lane's codes run on into the middle byte of the header and into its neighbour's words,
    /// read from their far end.
    __device__ __forceinline__ Decoder(const DenseLane& lane_, const std::uint32_t* codes_,
                                       Place place)
        : lane(lane_), codes(static_cast<std::uint32_t>(__cvta_generic_to_shared(codes_))) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4& words = half == 0 ? lane.low : lane.high;
        const std::uint32_t header = lane.header_of(half);
        const std::uint32_t other = __brev(__shfl_xor_sync(kFullMask, words.y, 1));
        stream[half][0] = words.x;
        stream[half][1] = words.y;
        stream[half][2] = prmt(other, place.mirrored() ? __brev(header) : header,
                               static_cast<std::uint32_t>(place.order));
      }
    }
    /// Entry of the next 12 bits. As inline PTX because the compiler computes the address on the
    /// ALU pipe, which is the scarce one.
    __device__ __forceinline__ std::uint32_t entry(std::uint32_t bits) const {
      std::uint32_t offset;
      std::uint32_t result;
      asm("and.b32 %0, %1, 0x3ffc;" : "=r"(offset) : "r"(bits * 4));
      asm("ld.shared.u32 %0, [%1];" : "=r"(result) : "r"(codes + offset));
      return result;
    }
    __device__ __forceinline__ void decode(int q, const Gated<kTableWords> (&tables)[2],
                                           std::uint32_t (&parts)[kParts][4]) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        std::uint32_t(&bits)[3] = stream[half];
        const std::uint32_t first = entry(bits[0]);
        const std::uint32_t second = entry(bits[0] >> (first >> 27));
        const std::uint32_t used = (first >> 27) + (second >> 27);
        if (q < 3) bits[0] = __funnelshift_r(bits[0], bits[1], used);
        if (q < 2) bits[1] = __funnelshift_r(bits[1], bits[2], used);
        if (q < 1) bits[2] >>= used;
        const uint4& words = half == 0 ? lane.low : lane.high;
        const std::uint32_t mantissas = q < 2 ? words.z : words.w;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const std::uint32_t code = h == 0 ? first : second;
          const std::uint32_t select_x =
              select_bits(mantissas >> (16 * (q % 2) + 2 * h), code, 0x33333333u);
          const std::uint32_t select_y = select_bits(code << 2, select_x, 0x88888888u);
          const std::uint32_t select[kParts] = {select_x, select_y, gate_last(select_x, select_y)};
          look_up(tables[half], select, parts, half + 2 * h);
        }
      }
    }
  };
};

}  // namespace ecco::cuda

// SPDX-License-Identifier: MIT
// Raw planar blocks in a product: a quad decodes the blocks of rows g and g + 8 into fragments.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/cuda/gemv.cuh"
#include "ecco/cuda/planar.cuh"
#include "ecco/cuda/tile_row.hpp"

namespace ecco::cuda {

/// A lane's share of a column of blocks of 16 rows; R mantissa planes.
template <int R>
struct RawLane {
  static constexpr int kTableWords = planar::kPatternWords<R>;
  static constexpr int kParts = 1;
  static constexpr int kCodes = sizeof(planar::SharedTables<R>::deposit) / 4;
  static constexpr int kWords = sizeof(PlanarBlock<R>) / 16;  ///< uint4 of a block

  planar::LaneWords<R> rows[2];

  /// Where the lane's blocks of the rows g and g + 8 of a row tile lie; rows past the end repeat
  /// the last one.
  struct Cursor {
    const uint4* row[2];
    int t;

    __device__ __forceinline__ Cursor(const uint4* blocks, unsigned row_count,
                                      unsigned column_tiles, unsigned row_tile, unsigned column,
                                      int lane)
        : t(lane % 4) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const unsigned wanted = row_tile * kTileRows + static_cast<unsigned>(lane / 4 + 8 * half);
        const std::size_t at = wanted < row_count ? wanted : row_count - 1;
        row[half] = blocks + (at * column_tiles + column) * kWords;
      }
    }
    __device__ __forceinline__ void load(RawLane& share, int columns) const {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4* block = row[half] + columns * kWords;
        share.rows[half] = planar::load_words<R>(reinterpret_cast<const std::uint8_t*>(block), t);
      }
    }
    __device__ __forceinline__ void advance(int columns) {
      row[0] += columns * kWords;
      row[1] += columns * kWords;
    }
  };

  /// From planar rows of bytes + 128 to signed bytes in the order of load_gated.
  template <std::size_t N>
  static __device__ __forceinline__ void load_values(std::uint32_t (&values)[N],
                                                     const std::uint32_t* patterns) {
    for (unsigned i = threadIdx.x; i < N; i += blockDim.x) {
      values[gated_word_at(i % kTableWords, i / kTableWords, kTableWords)] =
          patterns[i] ^ 0x80808080u;
    }
  }
  template <std::size_t N>
  static __device__ __forceinline__ void load_codes(std::uint32_t (&codes)[N],
                                                    const std::uint32_t*) {
    static_assert(sizeof(codes) == sizeof(planar::SharedTables<R>::deposit));
    planar::load_deposit(reinterpret_cast<std::uint8_t(&)[256]>(codes));
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const { return rows[half].head.x; }
  static __device__ __forceinline__ float factor(std::uint8_t code, float tensor_scale) {
    return code == 0 ? 0.0f : tensor_scale * e5m3_to_float(code);
  }
  static constexpr bool kSparse = false;
  struct Place {
    int t;  ///< lane % 4
  };
  static __device__ __forceinline__ Place place(int lane) { return {lane % 4}; }

  struct Decoder {
    const RawLane& lane;
    planar::ClassMasks classes[2];
    std::uint32_t fragments[2][8];  ///< the bytes of words 2 q + h

    __device__ __forceinline__ Decoder(const RawLane& lane_, const std::uint32_t* codes,
                                       Place place)
        : lane(lane_) {
      const auto* deposit = reinterpret_cast<const std::uint8_t*>(codes);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        classes[half] =
            planar::decode_classes(lane.rows[half].head, lane.rows[half].upper, place.t, deposit);
      }
    }
    /// All words at the first call: two of them come at a time, in another order.
    __device__ __forceinline__ void decode(int q, const Gated<kTableWords> (&tables)[2],
                                           std::uint32_t (&parts)[kParts][4]) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (q != 0) break;
          const planar::CentroidPair pair =
              planar::centroid_pair<R>(tables[half].words, lane.rows[half], classes[half], i);
          fragments[half][i] = pair.low;
          fragments[half][i + 4] = pair.high;
        }
        parts[0][half] = fragments[half][2 * q];
        parts[0][half + 2] = fragments[half][2 * q + 1];
      }
    }
  };
};

}  // namespace ecco::cuda

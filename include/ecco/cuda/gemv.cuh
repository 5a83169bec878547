// SPDX-License-Identifier: MIT
// Products of device tiles with int8 activations on tensor cores: the warp-scope pieces of
// cuda/gemv_tiles.cuh, for kernels of an engine. A warp multiplies a tile of 16 rows x 128 columns
// with up to 8 NT columns of activations; lane 4 g + t holds the rows g and g + 8. The tiles' own
// parts are "lanes": gemv_fast.cuh, gemv_dense.cuh. docs/cuda.md, "Products".
#pragma once

#include <cstdint>

#include "ecco/codec.hpp"
#include "ecco/cuda/intrinsics.cuh"
#include "ecco/cuda/tiles_gated.hpp"

namespace ecco::cuda {

inline constexpr std::uint32_t kGateBits = 0x88888888u;  ///< bit 3 of every nibble

/// d = A B + c for m16n8k32, A and B int8.
__device__ __forceinline__ void mma_s8(int (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                       std::uint32_t b1, const int (&c)[4]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%11,%12,%13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]),
        "r"(c[2]), "r"(c[3]));
}

/// Tables in shared memory, 16-byte aligned.
template <typename Lane>
struct GemvTables {
  std::uint32_t values[Lane::kTableWords * kMaxPatterns];  ///< gated_word_at
  float factors[256];                                      ///< tensor_scale * block scale, by code
  std::uint32_t codes[Lane::kCodes > 0 ? Lane::kCodes : 1];
};

/// The gated tables of one row's pattern: eight bytes each, the last one may have fewer.
template <int kWords>
struct Gated {
  std::uint32_t words[kWords];
};

template <typename Lane>
__device__ __forceinline__ Gated<Lane::kTableWords> load_gated(const GemvTables<Lane>& tables,
                                                               std::uint32_t pattern) {
  constexpr int kQuads = Lane::kTableWords / 4;
  Gated<Lane::kTableWords> out;
#pragma unroll
  for (int i = 0; i < kQuads; ++i) {
    const uint4 quad = reinterpret_cast<const uint4*>(tables.values)[i * kMaxPatterns + pattern];
    out.words[4 * i] = quad.x, out.words[4 * i + 1] = quad.y;
    out.words[4 * i + 2] = quad.z, out.words[4 * i + 3] = quad.w;
  }
#pragma unroll
  for (int i = 4 * kQuads; i < Lane::kTableWords; ++i) {
    out.words[i] = tables.values[i * kMaxPatterns + pattern];
  }
  return out;
}

/// Copies a table to shared memory; all threads of the (one-dimensional) block call it, then
/// __syncthreads().
template <std::size_t N>
__device__ __forceinline__ void copy_words(std::uint32_t (&to)[N], const std::uint32_t* from) {
  for (unsigned i = threadIdx.x; i < N; i += blockDim.x) to[i] = from[i];
}

/// What the lanes of tiles share. Lane::kWords = uint4 of a tile.
template <typename Lane>
struct TileLane {
  /// Place of a warp in a row of tiles.
  struct Cursor {
    const uint4* tile;
    unsigned lane;

    __device__ __forceinline__ Cursor(const uint4* tiles, unsigned /*rows*/, unsigned column_tiles,
                                      unsigned row_tile, unsigned column, int lane_)
        : tile(tiles +
               (static_cast<std::size_t>(row_tile) * column_tiles + column) * Lane::kWords),
          lane(static_cast<unsigned>(lane_)) {}
    /// Loads the lane's share of the tile so many columns further.
    __device__ __forceinline__ void load(Lane& share, int columns) const {
      share.load(tile + columns * Lane::kWords, lane);
    }
    __device__ __forceinline__ void advance(int columns) { tile += columns * Lane::kWords; }
  };

  /// What a Decoder needs to know of its lane, the same for all tiles: nothing, for most kinds.
  struct Place {};
  static __device__ __forceinline__ Place place(int /*lane*/) { return {}; }

  /// Of a row, by its scale's code: of planar codecs.
  static __device__ __forceinline__ float factor(std::uint8_t code, float tensor_scale) {
    return code == 0 ? 0.0f : tensor_scale * e5m3_to_float(code);
  }

  /// Values of four bytes + 128 under `factor`, as decode_rows rounds them.
  static __device__ __forceinline__ void scale(std::uint32_t bytes, float factor,
                                               float (&values)[4]) {
    scale_bytes(bytes, factor, values);
  }

  /// Fill GemvTables: `gated` = the tables of DeviceTensorView.
  template <std::size_t N>
  static __device__ __forceinline__ void load_values(std::uint32_t (&values)[N],
                                                     const std::uint32_t* gated) {
    copy_words(values, gated);
  }
  template <std::size_t N>
  static __device__ __forceinline__ void load_codes(std::uint32_t (&codes)[N],
                                                    const std::uint32_t* from) {
    copy_words(codes, from);
  }
};

/// Fills the tables of a block of threads with those of DeviceTensorView; `codes` is not read by
/// lanes without kCodes. All threads of the block call it; waits by __syncthreads().
template <typename Lane>
__device__ __forceinline__ void load_tables(GemvTables<Lane>& tables, const std::uint32_t* gated,
                                            const std::uint32_t* codes, float tensor_scale) {
  Lane::load_values(tables.values, gated);
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) {
    tables.factors[i] = Lane::factor(static_cast<std::uint8_t>(i), tensor_scale);
  }
  if constexpr (Lane::kCodes > 0) Lane::load_codes(tables.codes, codes);
  __syncthreads();
}

/// Selectors of four weights, one for each table -> A registers `at` of the parts, whose sum the
/// tensor core makes.
template <int kWords, int kParts>
__device__ __forceinline__ void look_up(const Gated<kWords>& table,
                                        const std::uint32_t (&select)[kParts],
                                        std::uint32_t (&parts)[kParts][4], int at) {
#pragma unroll
  for (int k = 0; k < kParts; ++k) {
    const std::uint32_t high = 2 * k + 1 < kWords ? table.words[2 * k + 1] : 0u;
    parts[k][at] = prmt(table.words[2 * k], high, select[k]);
  }
}

/// Bit 3 of each nibble = not both off, the other bits those of `first`: the last table is on when
/// the two are off. Both have the same bits 0..2.
__device__ __forceinline__ std::uint32_t gate_last(std::uint32_t first, std::uint32_t second) {
  return lop3<0x7A>(first, second, kGateBits);
}

/// Sums of one row pair: columns 2 t and 2 t + 1 of row g, then of row g + 8, per n-tile.
template <int NT>
using Accumulators = float[NT][4];

/// Activations of a block of 128 columns, as B fragments.
template <int NT>
struct Fragments {
  uint4 words[NT][2];
  float2 factors[NT];  ///< of the columns 2 t and 2 t + 1
};

/// `x` = the lane's first words of the block's activations in fragment order, NB of 8 columns
/// stored; `factors` = theirs at column 2 t. With eight columns these are plain loads, which a
/// barrier keeps in their place; with sixteen, loads that ptxas may put off to spare registers.
template <int NB, int NT>
__device__ __forceinline__ Fragments<NT> load_fragments(const uint4* x, const float* factors) {
  const auto load = [](const auto* from) { return NT == 1 ? *from : __ldg(from); };
  Fragments<NT> out;
#pragma unroll
  for (int n = 0; n < NT; ++n) {
    out.words[n][0] = load(x + n * 8 * NB);
    out.words[n][1] = load(x + n * 8 * NB + 4 * NB);
    out.factors[n] = load(reinterpret_cast<const float2*>(factors + 8 * n));
  }
  return out;
}

/// acc += 16 rows x activations: with d = the exact integer product of a block, weight factor w
/// and activation factor f, acc = fma(round(w f), d, acc). Whole warps call it. decode(q, parts)
/// gives the A registers of mma q, q ascending; the tensor core adds the parts. `row_factor` = w
/// of the rows g and g + 8.
template <int kParts, int NT, typename Decode>
__device__ __forceinline__ void multiply_rows(Decode&& decode, const float (&row_factor)[2],
                                              const Fragments<NT>& x, Accumulators<NT>& acc) {
  constexpr int kZero[4] = {};
  int d[NT][4];
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    std::uint32_t parts[kParts][4];
    decode(q, parts);
#pragma unroll
    for (int n = 0; n < NT; ++n) {
      const uint4& words = x.words[n][q / 2];
      const std::uint32_t b0 = q % 2 == 0 ? words.x : words.z;
      const std::uint32_t b1 = q % 2 == 0 ? words.y : words.w;
#pragma unroll
      for (int k = 0; k < kParts; ++k) {
        if (q == 0 && k == 0) {
          mma_s8(d[n], parts[k], b0, b1, kZero);
        } else {
          mma_s8(d[n], parts[k], b0, b1, d[n]);
        }
      }
    }
  }
#pragma unroll
  for (int n = 0; n < NT; ++n) {
    const float2& column = x.factors[n];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float product = static_cast<float>(d[n][i]);  // exact: |d| <= 2^21
      const float factor = __fmul_rn(row_factor[i / 2], i % 2 == 0 ? column.x : column.y);
      acc[n][i] = __fmaf_rn(factor, product, acc[n][i]);
    }
  }
}

/// multiply_rows of a tile. Whole warps call it. `place` = Lane::place(lane), made once.
///
/// @code
/// ecco::cuda::FastLane<2> share;  // P4, gemv_fast.cuh
/// const auto place = share.place(lane);  // before the loop over tiles
/// share.load(tile, lane);
/// ecco::cuda::multiply_tile(share, place, activations, tables, acc);
/// @endcode
/// tests/cuda/example_gemv.cu is the whole kernel.
template <typename Lane, int NT>
__device__ __forceinline__ void multiply_tile(const Lane& lane, typename Lane::Place place,
                                              const Fragments<NT>& x,
                                              const GemvTables<Lane>& tables,
                                              Accumulators<NT>& acc) {
  Gated<Lane::kTableWords> gated[2];
  float row_factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint32_t header = lane.header_of(half);
    gated[half] = load_gated(tables, header & 255u);
    row_factor[half] = tables.factors[header >> 8 & 255u];
  }
  typename Lane::Decoder decoder(lane, tables.codes, place);
  multiply_rows<Lane::kParts>(
      [&](int q, std::uint32_t(&parts)[Lane::kParts][4]) { decoder.decode(q, gated, parts); },
      row_factor, x, acc);
}

}  // namespace ecco::cuda

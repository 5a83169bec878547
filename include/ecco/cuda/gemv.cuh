// SPDX-License-Identifier: MIT
// Products of device tiles with int8 activations on tensor cores: the warp-scope pieces of
// cuda/gemv.cu, for kernels of an engine. A warp multiplies a tile of 16 rows x 128 columns with
// up to 8 NT columns of activations; lane 4 g + t holds the rows g and g + 8. docs/cuda.md,
// "Products".
#pragma once

#include <cstdint>

#include "ecco/cuda/intrinsics.cuh"
#include "ecco/cuda/tiles.hpp"

namespace ecco::cuda {

/// d = A B + c for m16n8k32, A and B int8.
__device__ __forceinline__ void mma_s8(int (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                       std::uint32_t b1, const int (&c)[4]) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%10,%11,%12,%13};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]),
        "r"(c[2]), "r"(c[3]));
}

/// Tables in shared memory. One row of the gated table spans two arrays: strides of 16 and 4 bytes
/// spread random patterns over all banks.
template <bool kDense>
struct GemvTables {
  uint4 xy[kMaxPatterns];         ///< tables 0 and 1 of GatedPattern, 8 bytes each
  std::uint32_t z[kMaxPatterns];  ///< table 2
  float factors[256];             ///< tensor_scale * e5m3, by scale code
  std::uint32_t codes[kDense ? 1 << ClassCode::kMaxLength : 1];
};

/// The gated tables of one row's pattern.
struct Gated {
  std::uint32_t x0, x1, y0, y1, z;
};

template <bool kDense>
__device__ __forceinline__ Gated load_gated(const GemvTables<kDense>& tables,
                                            std::uint32_t pattern) {
  const uint4 xy = tables.xy[pattern];
  return {xy.x, xy.y, xy.z, xy.w, tables.z[pattern]};
}

/// Fills GemvTables::codes; all threads of the (one-dimensional) block call it, then
/// __syncthreads(). `from` = ClassCode::device_entry of 0..4095.
template <std::size_t N>
__device__ __forceinline__ void load_codes(std::uint32_t (&codes)[N], const std::uint32_t* from) {
  for (unsigned i = threadIdx.x; i < N; i += blockDim.x) codes[i] = from[i];
}

/// Selectors of four weights -> their three A registers, whose sum the tensor core makes.
struct Parts {
  std::uint32_t x, y, z;
};
__device__ __forceinline__ Parts look_up(const Gated& table, std::uint32_t select_x,
                                         std::uint32_t select_y, std::uint32_t select_z) {
  return {prmt(table.x0, table.x1, select_x), prmt(table.y0, table.y1, select_y),
          prmt(table.z, 0u, select_z)};
}

/// Bit 3 of each nibble = not both off, the other bits those of select_x: table z is on when x and
/// y are off. The middle bits must not be set by y's selector in another way than by x's.
__device__ __forceinline__ std::uint32_t gate_z(std::uint32_t select_x, std::uint32_t select_y) {
  std::uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0x7A;"
      : "=r"(result)
      : "r"(select_x), "r"(select_y), "r"(0x88888888u));
  return result;
}

/// A lane's share of a fast tile.
struct FastLane {
  static constexpr bool kDense = false;
  static constexpr int kWords = sizeof(FastTile) / 16;  ///< uint4 of a tile
  uint4 low, high;                                      ///< nibbles of rows g and g + 8, word q
  uint2 off_y;
  std::uint32_t header;

  __device__ __forceinline__ void load(const uint4* tile, int lane) {
    low = __ldcs(tile + lane);
    high = __ldcs(tile + 32 + lane);
    off_y = __ldcs(reinterpret_cast<const uint2*>(tile + 64) + lane);
    header = __ldcs(reinterpret_cast<const std::uint32_t*>(tile + 80) + lane / 4);
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const {
    return half == 0 ? header : header >> 16;
  }

  /// Decodes the weights of the q-th mma, q ascending.
  struct Decoder {
    const FastLane& lane;
    __device__ __forceinline__ Decoder(const FastLane& lane_, const std::uint32_t*, int)
        : lane(lane_) {}
    __device__ __forceinline__ void decode(int q, const Gated (&tables)[2], std::uint32_t (&x)[4],
                                           std::uint32_t (&y)[4], std::uint32_t (&z)[4]) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4& words = half == 0 ? lane.low : lane.high;
        const std::uint32_t select_x = q == 0   ? words.x
                                       : q == 1 ? words.y
                                       : q == 2 ? words.z
                                                : words.w;
        const std::uint32_t off_y = half == 0 ? lane.off_y.x : lane.off_y.y;
        const std::uint32_t select_y = select_bits(off_y << q, select_x, 0x88888888u);
        const std::uint32_t select_z = gate_z(select_x, select_y);
        const Parts first = look_up(tables[half], select_x, select_y, select_z);
        const Parts second = look_up(tables[half], select_x >> 16, select_y >> 16, select_z >> 16);
        x[half] = first.x, y[half] = first.y, z[half] = first.z;
        x[half + 2] = second.x, y[half + 2] = second.y, z[half + 2] = second.z;
      }
    }
  };
};

/// A lane's share of a dense tile.
struct DenseLane {
  static constexpr bool kDense = true;
  static constexpr int kWords = sizeof(DenseTile) / 16;
  uint4 low, high;  ///< of rows g and g + 8: two words of codes, two of places
  uint2 headers;

  __device__ __forceinline__ void load(const uint4* tile, int lane) {
    low = __ldcs(tile + lane);
    high = __ldcs(tile + 32 + lane);
    headers = __ldcs(reinterpret_cast<const uint2*>(tile + 64) + lane / 4);
  }
  __device__ __forceinline__ std::uint32_t header_of(int half) const {
    return half == 0 ? headers.x : headers.y;
  }

  struct Decoder {
    const DenseLane& lane;
    std::uint32_t codes;         ///< shared address of the code table
    std::uint32_t stream[2][3];  ///< bits of codes not yet read: own 64, then 8 + 32 of the pool

    /// A lane's codes run on into the middle byte of the header and into its neighbour's words,
    /// read from their far end.
    __device__ __forceinline__ Decoder(const DenseLane& lane_, const std::uint32_t* codes_, int t)
        : lane(lane_), codes(static_cast<std::uint32_t>(__cvta_generic_to_shared(codes_))) {
      // Byte 0 of the third word is lane t's middle byte: 2, 1 (mirrored), 3, 0 of the header.
      const std::uint32_t order = 0x2100u | (0x4756u >> (4 * t) & 15u);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const uint4& words = half == 0 ? lane.low : lane.high;
        const std::uint32_t header = lane.header_of(half);
        const std::uint32_t other = __brev(__shfl_xor_sync(kFullMask, words.y, 1));
        stream[half][0] = words.x;
        stream[half][1] = words.y;
        stream[half][2] = prmt(other, (t & 1) != 0 ? __brev(header) : header, order);
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
    __device__ __forceinline__ void decode(int q, const Gated (&tables)[2], std::uint32_t (&x)[4],
                                           std::uint32_t (&y)[4], std::uint32_t (&z)[4]) {
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
        const std::uint32_t places = q < 2 ? words.z : words.w;
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const std::uint32_t code = h == 0 ? first : second;
          const std::uint32_t select_x =
              select_bits(places >> (16 * (q % 2) + 2 * h), code, 0x33333333u);
          const std::uint32_t select_y = select_bits(code << 2, select_x, 0x88888888u);
          const Parts parts =
              look_up(tables[half], select_x, select_y, gate_z(select_x, select_y));
          x[half + 2 * h] = parts.x, y[half + 2 * h] = parts.y, z[half + 2 * h] = parts.z;
        }
      }
    }
  };
};

/// Sums of one row pair: columns 2 t and 2 t + 1 of row g, then of row g + 8, per n-tile.
template <int NT>
using Accumulators = float[NT][4];

/// acc += tile x activations: with d = the exact integer product of a block, weight factor w and
/// activation factor f, acc = fma(round(w f), d, acc). Whole warps call it. `x` = the lane's first
/// words of the block's activations in fragment order, `factors` = theirs at column 2 t.
template <typename Lane, int NB, int NT>
__device__ __forceinline__ void multiply_tile(const Lane& lane, int t, const uint4* x,
                                              const float* factors,
                                              const GemvTables<Lane::kDense>& tables,
                                              Accumulators<NT>& acc) {
  Gated gated[2];
  float row_factor[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint32_t header = lane.header_of(half);
    gated[half] = load_gated(tables, header & 255u);
    row_factor[half] = tables.factors[header >> 8 & 255u];
  }
  uint4 b[NT][2];
#pragma unroll
  for (int n = 0; n < NT; ++n) {
    b[n][0] = __ldg(x + n * 8 * NB);
    b[n][1] = __ldg(x + n * 8 * NB + 4 * NB);
  }
  typename Lane::Decoder decoder(lane, tables.codes, t);
  // 0x4B400000 is 1.5 * 2^23: an accumulator that starts there is a float's bits at the end, since
  // |d| <= 128 * 127 * 128 < 2^22.
  constexpr int kStart[4] = {0x4B400000, 0x4B400000, 0x4B400000, 0x4B400000};
  int d[NT][4];
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    std::uint32_t ax[4];
    std::uint32_t ay[4];
    std::uint32_t az[4];
    decoder.decode(q, gated, ax, ay, az);
#pragma unroll
    for (int n = 0; n < NT; ++n) {
      const uint4& words = b[n][q / 2];
      const std::uint32_t b0 = q % 2 == 0 ? words.x : words.z;
      const std::uint32_t b1 = q % 2 == 0 ? words.y : words.w;
      if (q == 0) {
        mma_s8(d[n], ax, b0, b1, kStart);
      } else {
        mma_s8(d[n], ax, b0, b1, d[n]);
      }
      mma_s8(d[n], ay, b0, b1, d[n]);
      mma_s8(d[n], az, b0, b1, d[n]);
    }
  }
#pragma unroll
  for (int n = 0; n < NT; ++n) {
    const float2 column = __ldg(reinterpret_cast<const float2*>(factors + 8 * n));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float product = bits_float(static_cast<std::uint32_t>(d[n][i])) - 12582912.0f;
      const float factor = __fmul_rn(row_factor[i / 2], i % 2 == 0 ? column.x : column.y);
      acc[n][i] = __fmaf_rn(factor, product, acc[n][i]);
    }
  }
}

}  // namespace ecco::cuda

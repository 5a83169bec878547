// SPDX-License-Identifier: MIT
// A lane's share of ranks -> its words of a tile. For repack.cu.
#pragma once

#include "ecco/cuda/tiles_dense.hpp"
#include "ecco/cuda/tiles_fast.hpp"
#include "ecco/cuda/tiles_paired.hpp"
#include "repack_rows.cuh"

namespace ecco::cuda::detail {
namespace {

/// Writers of tiles: their tables in shared memory, and how a lane stores its share of row g + 8
/// half. `write` returns false when the codes do not fit; the row then counts as zeros.
template <int R>
struct FastWriter {
  using Tile = FastTile<R>;

  __device__ __forceinline__ void load(const RepackJob&) {}
  __device__ __forceinline__ bool write(const LaneRow& row, int half, int lane, Tile* tile) const {
    FastRow<R> out;
#pragma unroll
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t rank = row.ranks[i / 4] >> (8 * (i % 4)) & 255u;
      out.put(i / 8, i % 8, fast_code<R>(static_cast<int>(rank)));
    }
    if constexpr (R == 0) {
#pragma unroll
      for (int q = 0; q < 3; ++q) tile->words[Tile::nibbles_at(half, lane, q)] = out.nibbles[q];
    } else {
      *reinterpret_cast<uint4*>(tile->words + Tile::nibbles_at(half, lane, 0)) =
          make_uint4(out.nibbles[0], out.nibbles[1], out.nibbles[2], out.nibbles[3]);
    }
#pragma unroll
    for (int gate = 0; gate < Tile::kGates; ++gate) {
      tile->words[Tile::gates_at(half, lane, gate)] = out.gates[gate];
    }
    if (lane % 4 == 0) {
      reinterpret_cast<std::uint16_t*>(tile->words + Tile::kHeadersAt)[lane / 4 * 2 + half] =
          static_cast<std::uint16_t>(row.header);
    }
    return true;
  }
};

struct DenseWriter {
  using Tile = DenseTile;
  std::uint16_t codes[ClassCode::kSymbols];  ///< code | length << 12

  /// An entry of job.codes whose index has no bit past its length belongs to the code itself.
  __device__ __forceinline__ void load(const RepackJob& job) {
    for (unsigned i = threadIdx.x; i < 1u << ClassCode::kMaxLength; i += kThreads) {
      const std::uint32_t entry = job.codes[i];
      if (i >> (entry >> 27) != 0) continue;
      unsigned symbol = 0;
      for (int b = 3; b >= 0; --b) {
        const std::uint32_t nibble = entry >> (4 * b);
        const unsigned pair = (nibble & 8u) == 0 ? 0 : (nibble & 2u) == 0 ? 2 : 4;
        symbol = 5 * symbol + pair + (nibble >> 2 & 1u);
      }
      codes[symbol] = static_cast<std::uint16_t>(i | entry >> 27 << 12);
    }
  }
  /// Lanes 2 i and 2 i + 1 share a pool of 136 bits: what is past a lane's 64 goes to the middle
  /// byte, then to the neighbour's words from their far end.
  __device__ __forceinline__ bool write(const LaneRow& row, int half, int lane, Tile* tile) const {
    std::uint32_t m[2] = {};
    std::uint32_t bits[3] = {};
    std::uint32_t used = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const std::uint32_t classes = row.ranks[i] >> 2 & 0x07070707u;
      const std::uint32_t entry = codes[__dp4a(classes, 0x7D190501u, 0u)];  // 1, 5, 25, 125
      const std::uint64_t code = shift_left(entry & 0xfffu, used % 32);
      bits[0] |= used < 32 ? static_cast<std::uint32_t>(code) : 0u;
      bits[1] |= used < 32   ? static_cast<std::uint32_t>(code >> 32)
                 : used < 64 ? static_cast<std::uint32_t>(code)
                             : 0u;
      bits[2] |= used < 32   ? 0u
                 : used < 64 ? static_cast<std::uint32_t>(code >> 32)
                             : static_cast<std::uint32_t>(code);
      used += entry >> 12;
#pragma unroll
      for (int b = 0; b < 4; ++b) {
        m[i / 4] |= (row.ranks[i] >> (8 * b) & 3u) << (4 * b + mantissa_shift(i));
      }
    }
    const bool fits = !quad_any(used + __shfl_xor_sync(kFullMask, used, 1) > kPoolBits, lane);
    bits[1] |= __brev(__shfl_xor_sync(kFullMask, bits[2], 1) >> 8);
    std::uint32_t middle = (lane & 1) != 0 ? __brev(bits[2]) >> 24 : bits[2] & 255u;
    middle |= __shfl_xor_sync(kFullMask, middle, 1);
    middle |= __shfl_xor_sync(kFullMask, middle, 2) << 8;
    *reinterpret_cast<uint4*>(tile->streams[half][lane]) =
        make_uint4(bits[0], bits[1], m[0], m[1]);
    if (lane % 4 == 0) {
      tile->headers[lane / 4][half] = (fits ? row.header : 0u) | middle << 16;
    }
    return fits;
  }
};

struct PairedWriter {
  using Tile = PairedTile;

  __device__ __forceinline__ void load(const RepackJob&) {}
  /// Half 0 first: the halves share words of gates.
  __device__ __forceinline__ bool write(const LaneRow& row, int half, int lane, Tile* tile) const {
    std::uint32_t nibbles[4] = {};
    std::uint32_t gates = half == 0 ? 0 : tile->gates[lane];
#pragma unroll
    for (int p = 0; p < 2; ++p) {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int shift = 8 * (i % 4);
        const PairCode code = pair_code(row.ranks[4 * p + i / 4] >> shift & 255u,
                                        row.ranks[4 * p + 2 + i / 4] >> shift & 255u);
        nibbles[2 * p] |= code.a << (4 * i);
        nibbles[2 * p + 1] |= code.b << (4 * i);
        gates |= code.gate << pair_gate_bit(half, p, i);
      }
    }
    *reinterpret_cast<uint4*>(tile->nibbles[half][lane]) =
        make_uint4(nibbles[0], nibbles[1], nibbles[2], nibbles[3]);
    tile->gates[lane] = gates;
    if (lane % 4 == 0) {
      reinterpret_cast<std::uint16_t*>(tile->headers)[lane / 4 * 2 + half] =
          static_cast<std::uint16_t>(row.header);
    }
    return true;
  }
};

}  // namespace
}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// H4 blocks decoded one per lane: the fast decoder. A warp stages 32 blocks in shared memory; each
// lane walks the codes of its own, four per 32-bit window; then the warp turns the symbols of all
// 32 into values together, so that stores are coalesced. docs/cuda.md, "H4".
#pragma once

#include <cstdint>

#include "ecco/cuda/h4.cuh"

namespace ecco::cuda::h4 {

inline constexpr int kRowWords = 17;  ///< odd, so that lanes at the same word differ in bank

/// Where the values of a block go and how many of its 128 the row has.
template <typename T>
struct alignas(16) Destination {
  T* values;
  int count;
};

/// Shared memory of one warp.
template <typename T>
struct LaneScratch {
  static constexpr int kPlanes = static_cast<int>(sizeof(T));
  /// 16 words and a 0 each. A walk past the end of a clipped block reads its neighbours, the last
  /// one's the zeros.
  std::uint32_t blocks[kWarpLanes * kRowWords + kWarpLanes];
  std::uint16_t symbols[kWarpLanes * 2 * kRowWords];  ///< four symbols each
  uint4 values[kWarpLanes * kPlanes];  ///< of the 16 symbols: their first bytes, second bytes, ...
  Destination<T> destinations[kWarpLanes];
};

/// What a lane knows of its block after walking it.
struct LaneBlock {
  int coded;     ///< whole codes, at most 128
  int outliers;  ///< how many, and where the first one begins
  int end;
};

/// Copies the blocks first..first + 31 of `count` to scratch.blocks. Blocks past the end repeat
/// the last one.
template <typename T>
__device__ __forceinline__ void stage_blocks(LaneScratch<T>& scratch, const std::uint8_t* blocks,
                                             std::uint32_t first, std::uint32_t count) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {  // four lanes per block
    const unsigned row = 8 * i + lane / 4;
    const std::uint32_t block = min(first + row, count - 1);
    const uint4 part = __ldg(reinterpret_cast<const uint4*>(blocks) +
                             static_cast<std::size_t>(block) * 4 + lane % 4);
    std::uint32_t* to = scratch.blocks + row * kRowWords + 4 * (lane % 4);
    to[0] = part.x;
    to[1] = part.y;
    to[2] = part.z;
    to[3] = part.w;
  }
  scratch.blocks[lane * kRowWords + 16] = 0;
  scratch.blocks[kWarpLanes * kRowWords + lane] = 0;
}

/// Whole codes of a clipped block, counted one by one: rare.
__device__ __forceinline__ int count_codes(const std::uint32_t* block, int at,
                                           const std::uint32_t* codes) {
  for (int count = 0;; ++count) {
    const std::uint32_t window = __funnelshift_r(block[at / 32], block[at / 32 + 1], at);
    at += static_cast<int>(codes[window & 255u] & 0xffffu);
    if (at > kBlockBits) return count;
  }
}

/// Walks the codes of this lane's block, four per step, into scratch.symbols. `codes` = the codes
/// of all codebooks, in shared memory.
template <typename T>
__device__ __forceinline__ LaneBlock walk_block(LaneScratch<T>& scratch, int header_bits,
                                                int codebook, const std::uint32_t* codes) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  std::uint16_t* symbols = scratch.symbols + lane * 2 * kRowWords;
  const std::uint32_t first_code = static_cast<std::uint32_t>(codebook * kCodeEntries);
  // Bits are counted from the start of the staged blocks. Entries are added whole: their symbols
  // stay in the upper half, which the addresses mask away.
  const std::uint32_t first_word = lane * kRowWords;
  const std::uint32_t start = 32 * first_word + static_cast<std::uint32_t>(header_bits);
  std::uint32_t at = start;
#pragma unroll 4
  for (int step = 0; step < kGroup / 4; ++step) {
    const std::uint32_t word = at >> 5 & 0x7ffu;
    std::uint32_t window = __funnelshift_r(scratch.blocks[word], scratch.blocks[word + 1], at);
    std::uint32_t entry[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      entry[i] = codes[(window & 255u) | first_code];
      window = __funnelshift_r(window, 0u, entry[i]);
    }
    // The lengths (below 16) stay below the symbols, so one sum packs the four symbols.
    const std::uint32_t packed = entry[0] + 16 * entry[1] + 256 * entry[2] + 4096 * entry[3];
    symbols[step] = static_cast<std::uint16_t>(packed >> 16);
    at += entry[0] + entry[1] + entry[2] + entry[3];
  }
  const int end = static_cast<int>((at & 0xffffu) - 32 * first_word);
  if (end <= kBlockBits) return {kGroup, outlier_count(end), end};
  return {count_codes(scratch.blocks + first_word, header_bits, codes + first_code), 0, end};
}

/// Writes the values that the 16 symbols of a pattern stand for, rounded to T, byte plane by byte
/// plane.
template <typename T>
__device__ __forceinline__ void tabulate_values(LaneScratch<T>& scratch, const uint4& pattern,
                                                float m) {
  constexpr int kPlanes = LaneScratch<T>::kPlanes;
  const std::uint32_t bytes[4] = {pattern.x, pattern.y, pattern.z, pattern.w};
  std::uint32_t planes[kPlanes][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    float v[4];
#pragma unroll
    for (unsigned b = 0; b < 4; ++b) v[b] = symbol_value(bytes[i], b, m);
    if constexpr (kPlanes == 2) {
      const std::uint32_t low = round_pair<T>(v[0], v[1]);
      const std::uint32_t high = round_pair<T>(v[2], v[3]);
      planes[0][i] = prmt(low, high, 0x6420u);
      planes[1][i] = prmt(low, high, 0x7531u);
    } else {
#pragma unroll
      for (unsigned p = 0; p < 4; ++p) {
        const std::uint32_t pick = 0x0040u + 0x0011u * p;
        const std::uint32_t low = prmt(float_bits(v[0]), float_bits(v[1]), pick);
        const std::uint32_t high = prmt(float_bits(v[2]), float_bits(v[3]), pick);
        planes[p][i] = prmt(low, high, 0x5410u);
      }
    }
  }
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (int p = 0; p < kPlanes; ++p) {
    scratch.values[lane * kPlanes + p] =
        make_uint4(planes[p][0], planes[p][1], planes[p][2], planes[p][3]);
  }
}

/// Four values of T by four symbols: kPlanes words.
template <typename T>
__device__ __forceinline__ void values_of(const uint4* table, std::uint32_t symbols,
                                          std::uint32_t (&out)[sizeof(T)]) {
  const std::uint32_t first = look_up(table[0], symbols);
  const std::uint32_t second = look_up(table[1], symbols);
  if constexpr (sizeof(T) == 2) {
    out[0] = prmt(first, second, 0x5140u);
    out[1] = prmt(first, second, 0x7362u);
  } else {
    const std::uint32_t third = look_up(table[2], symbols);
    const std::uint32_t fourth = look_up(table[3], symbols);
#pragma unroll
    for (unsigned i = 0; i < 2; ++i) {  // bytes 0 and 1 (2 and 3) of each plane
      const std::uint32_t low = prmt(first, second, i == 0 ? 0x5140u : 0x7362u);
      const std::uint32_t high = prmt(third, fourth, i == 0 ? 0x5140u : 0x7362u);
      out[2 * i] = prmt(low, high, 0x5410u);
      out[2 * i + 1] = prmt(low, high, 0x7632u);
    }
  }
}

}  // namespace ecco::cuda::h4

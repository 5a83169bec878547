// SPDX-License-Identifier: MIT
// H4 blocks decoded one per lane: the fast decoder. A warp stages 32 blocks in shared memory; each
// lane walks the codes of its own, four per window; then the warp turns the symbols of all 32 into
// values together, so that stores are coalesced. docs/cuda.md, "Decoding".
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

/// N blocks in shared memory, one in a row of kRowWords.
template <int N>
struct StagedBlocks {
  /// 16 words and a 0 each. A walk past the end of a clipped block reads its neighbours, the last
  /// one's the zeros.
  std::uint32_t blocks[N * kRowWords + kWarpLanes];
  /// Word 4 i + k of a row: the symbols of the elements 32 i + 4 k + 0..3, and 16 further on.
  std::uint32_t symbols[N * kRowWords];
};

/// Shared memory of one warp.
template <typename T>
struct LaneScratch : StagedBlocks<kWarpLanes> {
  static constexpr int kPlanes = static_cast<int>(sizeof(T));
  uint4 values[kWarpLanes * kPlanes];  ///< of the 16 symbols: their first bytes, second bytes, ...
  Destination<T> destinations[kWarpLanes];
};

/// What a lane knows of its block after walking it.
struct LaneBlock {
  int coded;  ///< whole codes, at most 128
  int end;    ///< where the first outlier begins; the end of the block where codes are cut
};

/// Clears the words between and behind the blocks, once per kernel.
template <int N>
__device__ __forceinline__ void clear_gaps(StagedBlocks<N>& staged) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  if (lane < N) staged.blocks[lane * kRowWords + 16] = 0;
  staged.blocks[N * kRowWords + lane] = 0;
}

/// Copies `count` blocks (32 at most) to scratch.blocks. Places of blocks past the end get bytes
/// of the last one.
template <typename T>
__device__ __forceinline__ void stage_blocks(LaneScratch<T>& scratch, const uint4* blocks,
                                             unsigned count) {
  const unsigned lane = threadIdx.x % kWarpLanes;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {  // four lanes per block
    const uint4 part = __ldg(blocks + min(lane + kWarpLanes * i, 4 * count - 1));
    std::uint32_t* to = scratch.blocks + (8 * i + lane / 4) * kRowWords + 4 * (lane % 4);
    to[0] = part.x;
    to[1] = part.y;
    to[2] = part.z;
    to[3] = part.w;
  }
}

/// Copies the blocks of 32 rows, `stride` bytes apart, of which `count` exist (the others repeat
/// the last one), and clears the gaps. Scratch has `blocks` as StagedBlocks<32>.
template <typename Scratch>
__device__ __forceinline__ void stage_rows(Scratch& scratch, const std::uint8_t* blocks,
                                           std::size_t stride, int count) {
  const int lane = lane_index();
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // four lanes per block
    const int row = 8 * i + lane / 4;
    const std::uint8_t* from = blocks + static_cast<std::size_t>(min(row, count - 1)) * stride;
    const uint4 part = __ldg(reinterpret_cast<const uint4*>(from) + lane % 4);
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

/// Codes are looked up this many bits up in a window, where an address has its index.
inline constexpr std::uint32_t kIndexShift = 2;
inline constexpr unsigned kBookBytes = kCodeEntries << kIndexShift;

/// Entry of the code that begins at bit kIndexShift of `window`. `book` = the shared address of
/// the codebook, aligned to its size: an OR where an addition would cost an instruction. As inline
/// PTX because the compiler has no pointers of shared memory to OR.
__device__ __forceinline__ std::uint32_t load_code(std::uint32_t book, std::uint32_t window) {
  std::uint32_t entry;
  asm("ld.shared.u32 %0, [%1];"
      : "=r"(entry)
      : "r"((window & ((kCodeEntries - 1u) << kIndexShift)) | book));
  return entry;
}

/// Reads the four codes from bit `at` on and moves it behind them: their symbols in bits 16..31.
__device__ __forceinline__ std::uint32_t walk_four(const std::uint32_t* blocks, std::uint32_t book,
                                                   std::uint32_t& at) {
  // Entries are added whole: their symbols stay in the upper half, which the address masks away.
  const std::uint32_t word = at >> 5 & 0x7ffu;
  const std::uint32_t codes = __funnelshift_r(blocks[word], blocks[word + 1], at);
  std::uint32_t window = codes << kIndexShift;
  std::uint32_t entry[4];
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    entry[i] = load_code(book, window);
    window = __funnelshift_r(window, 0u, entry[i]);
  }
  // The fourth code may be the last bits of `codes`, which the shifted window lost.
  const std::uint32_t three = entry[0] + entry[1] + entry[2];
  entry[3] = load_code(book, __funnelshift_r(codes, 0u, three) << kIndexShift);
  at += three + entry[3];
  // The lengths (below 16) stay below the symbols, so one sum packs the four symbols.
  return entry[0] + 16 * entry[1] + 256 * entry[2] + 4096 * entry[3];
}

/// Walks the codes of the block in row `lane` into staged.symbols. `codes` = the codes of all
/// codebooks, in shared memory, aligned to kBookBytes.
template <int N>
__device__ __forceinline__ LaneBlock walk_block(StagedBlocks<N>& staged, unsigned lane,
                                                int header_bits, int codebook,
                                                const std::uint32_t* codes) {
  std::uint32_t* symbols = staged.symbols + lane * kRowWords;
  const std::uint32_t* book = codes + codebook * kCodeEntries;
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(book));
  // Bits are counted from the start of the staged blocks.
  const std::uint32_t first_word = lane * kRowWords;
  std::uint32_t at = 32 * first_word + static_cast<std::uint32_t>(header_bits);
#pragma unroll 1
  for (int i = 0; i < kGroup / 32; ++i) {
    std::uint32_t packed[8];
#pragma unroll
    for (int k = 0; k < 8; ++k) packed[k] = walk_four(staged.blocks, address, at);
#pragma unroll
    for (int k = 0; k < 4; ++k) symbols[4 * i + k] = prmt(packed[k], packed[k + 4], 0x7632u);
  }
  const int end = static_cast<int>((at & 0xffffu) - 32 * first_word);
  if (end <= kBlockBits) return {kGroup, end};
  return {count_codes(staged.blocks + first_word, header_bits, book), kBlockBits};
}

/// Eight symbols as PRMT takes them: an index into each half of a table, and which half it is.
struct Selectors {
  std::uint32_t index;  ///< those of four symbols in each 16 bits
  std::uint32_t half;

  /// The symbols 4 i..4 i + 3 in the low 16 bits.
  __device__ __forceinline__ Selectors part(int i) const {
    return {index >> 16 * i, half >> 16 * i};
  }
};
/// Inline PTX keeps the masks of all eight together; the compiler masks each four again.
__device__ __forceinline__ Selectors selectors_of(std::uint32_t symbols) {
  std::uint32_t index;
  asm("and.b32 %0, %1, 0x77777777;" : "=r"(index) : "r"(symbols));
  std::uint32_t upper;
  asm("and.b32 %0, %1, 0x88888888;" : "=r"(upper) : "r"(symbols));
  return {index, (upper >> 1) + 0x32103210u};
}

/// Four bytes of a 16-byte table.
__device__ __forceinline__ std::uint32_t look_up(const uint4& table, const Selectors& four) {
  const std::uint32_t low = prmt(table.x, table.y, four.index);
  const std::uint32_t high = prmt(table.z, table.w, four.index);
  return prmt(low, high, four.half);
}

/// Writes the values that the 16 symbols of a pattern stand for, rounded to T, byte plane by byte
/// plane.
template <typename T>
__device__ __forceinline__ void tabulate_values(LaneScratch<T>& scratch, const float4* pattern,
                                                float m) {
  constexpr int kPlanes = LaneScratch<T>::kPlanes;
  std::uint32_t planes[kPlanes][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float4 part = __ldg(pattern + i);
    const float v[4] = {m * part.x, m * part.y, m * part.z, m * part.w};
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
__device__ __forceinline__ void values_of(const uint4* table, const Selectors& symbols,
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

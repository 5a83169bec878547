// SPDX-License-Identifier: MIT
// The parallel Huffman decoder of the ISCA 2025 paper on a warp: lane l holds the chunks 2 l and
// 2 l + 1 of the 64, tries all 8 start offsets of each, and the 6-stage merge runs one stage
// inside the lanes and five over shuffles. The same steps as h4_parallel.hpp, eight cases packed
// into the bytes of two words. A faithful demonstration; h4_lane.cuh decodes faster.
#pragma once

#include <cstdint>

#include "ecco/cuda/h4.cuh"
#include "ecco/h4_parallel.hpp"

namespace ecco::cuda::h4 {

using ecco::h4::parallel::kChunkBits;
using ecco::h4::parallel::kChunks;
using ecco::h4::parallel::kOffsets;

/// h4::parallel::Run: byte o of the words is the case of start offset o.
struct PackedRun {
  std::uint32_t codes[2];
  std::uint32_t ends[2];

  __device__ __forceinline__ std::uint32_t codes_of(std::uint32_t offset) const {
    return prmt(codes[0], codes[1], offset) & 255u;
  }
  __device__ __forceinline__ std::uint32_t end_of(std::uint32_t offset) const {
    return prmt(ends[0], ends[1], offset) & 255u;
  }
};

/// Four bytes of values 0..7 as the four low nibbles of a PRMT selector.
__device__ __forceinline__ std::uint32_t byte_selector(std::uint32_t bytes) {
  return prmt(bytes | bytes >> 4, 0u, 0x4420u);
}

/// h4::parallel::merge: the end of the left run selects the right run's case.
__device__ __forceinline__ PackedRun merge(const PackedRun& left, const PackedRun& right) {
  PackedRun both;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const std::uint32_t selector = byte_selector(left.ends[i]);
    both.codes[i] = left.codes[i] + prmt(right.codes[0], right.codes[1], selector);
    both.ends[i] = prmt(right.ends[0], right.ends[1], selector);
  }
  return both;
}

/// h4::parallel::Chunk: the 16 bits of case o are half o % 2 of word o / 2.
struct PackedChunk {
  PackedRun run;
  std::uint32_t symbols[4];

  __device__ __forceinline__ std::uint32_t symbols_of(std::uint32_t offset) const {
    const std::uint32_t low = offset & 2u ? symbols[1] : symbols[0];
    const std::uint32_t high = offset & 2u ? symbols[3] : symbols[2];
    return (offset & 4u ? high : low) >> 16 * (offset & 1u) & 0xffffu;
  }
};

/// The codes of a chunk from one offset on: how many, their symbols, where the next one starts.
struct Walk {
  std::uint32_t codes;
  std::uint32_t symbols;
  int at;  ///< bit of the chunk's window
};

/// Walks over at most `most` codes that begin before bit 8 of the window. `limit`: codes that end
/// after it do not count (the end of the block).
__device__ __forceinline__ Walk walk(std::uint32_t window, int at, int limit, std::uint32_t most,
                                     const std::uint32_t* codes) {
  Walk out{0, 0, at};
  while (out.at < kChunkBits && out.codes < most) {
    const std::uint32_t entry = codes[window >> out.at & 255u];
    out.at += static_cast<int>(entry & 0xffffu);
    if (out.at > limit) break;
    out.symbols |= (entry >> 16) << 4 * out.codes;
    ++out.codes;
  }
  return out;
}

/// Offset of the first code of chunk `index` in the case `offset`; 8 if the header covers it.
__device__ __forceinline__ int first_bit(int index, int offset, int header_bits) {
  const int first = header_bits - index * kChunkBits;
  return first > 0 ? (first < kChunkBits ? first : kChunkBits) : offset;
}

/// Last bit, in the window of chunk `index`, where a code may end.
__device__ __forceinline__ int last_bit(int index) {
  return index == kChunks - 1 ? kChunkBits : 2 * kChunkBits;
}

/// h4::parallel::decode_chunk. `window` = the chunk's 8 bits and the 7 after them.
__device__ __forceinline__ PackedChunk decode_chunk(std::uint32_t window, int index,
                                                    int header_bits, const std::uint32_t* codes) {
  PackedChunk chunk{};
#pragma unroll
  for (int o = 0; o < kOffsets; ++o) {
    const Walk path = walk(window, first_bit(index, o, header_bits), last_bit(index), 4, codes);
    const int end = path.at > kChunkBits ? path.at - kChunkBits : 0;
    chunk.run.codes[o / 4] |= path.codes << 8 * (o % 4);
    chunk.run.ends[o / 4] |= static_cast<std::uint32_t>(end) << 8 * (o % 4);
    chunk.symbols[o / 2] |= path.symbols << 16 * (o % 2);
  }
  return chunk;
}

/// h4::parallel::merge_all over the warp: returns the run from the block's start to the end of
/// this lane's chunks.
__device__ __forceinline__ PackedRun merge_all(PackedRun run, int lane) {
#pragma unroll
  for (int distance = 1; distance < kWarpLanes; distance *= 2) {
    PackedRun left;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      left.codes[i] = __shfl_up_sync(kFullMask, run.codes[i], distance);
      left.ends[i] = __shfl_up_sync(kFullMask, run.ends[i], distance);
    }
    if (lane >= distance) run = merge(left, run);
  }
  return run;
}

/// Scratch of one warp, in shared memory.
struct WarpScratch {
  std::uint32_t block[17];  ///< the block's 16 words and 0
  std::uint8_t symbols[kGroup];
};

/// Symbols of a block, into scratch.symbols; returns the number of whole codes (at most 128) and
/// the first bit after the last of them. Whole warps call it; scratch.block is filled already.
struct Coded {
  int count;
  int end;
};
__device__ __forceinline__ Coded decode_symbols(WarpScratch& scratch, int lane, int header_bits,
                                                const std::uint32_t* codes) {
  const std::uint32_t bits =
      __funnelshift_r(scratch.block[lane / 2], scratch.block[lane / 2 + 1], 16 * (lane % 2));
  const PackedChunk first = decode_chunk(bits, 2 * lane, header_bits, codes);
  const PackedChunk second = decode_chunk(bits >> 8, 2 * lane + 1, header_bits, codes);
  const PackedRun whole = merge_all(merge(first.run, second.run), lane);
  const std::uint32_t total = __shfl_sync(kFullMask, whole.codes[0], kWarpLanes - 1) & 255u;
  std::uint32_t element = __shfl_up_sync(kFullMask, whole.codes[0], 1) & 255u;
  std::uint32_t offset = __shfl_up_sync(kFullMask, whole.ends[0], 1) & 255u;
  if (lane == 0) element = offset = 0;
  int end = 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const PackedChunk& chunk = i == 0 ? first : second;
    const int index = 2 * lane + i;
    const std::uint32_t count = chunk.run.codes_of(offset);
    const std::uint32_t symbols = chunk.symbols_of(offset);
    for (std::uint32_t c = 0; c < count && element + c < kGroup; ++c) {
      scratch.symbols[element + c] = static_cast<std::uint8_t>(symbols >> 4 * c & 15u);
    }
    if (element < kGroup && element + count >= kGroup) {  // holds element 127
      const int start = first_bit(index, static_cast<int>(offset), header_bits);
      const Walk path = walk(bits >> 8 * i, start, last_bit(index), kGroup - element, codes);
      end = index * kChunkBits + path.at;
    }
    element += count;
    offset = chunk.run.end_of(offset);
  }
  __syncwarp();
  return {static_cast<int>(total < kGroup ? total : kGroup),
          static_cast<int>(__reduce_max_sync(kFullMask, static_cast<unsigned>(end)))};
}

/// Decodes one block with a warp: lane l gets the elements 4 l..4 l + 3. Whole warps call it.
/// `block` is aligned to 4 bytes; `codes` = the codes of all codebooks, in shared memory. Equal to
/// h4::decode on any bytes.
///
/// @code
/// __shared__ ecco::cuda::h4::WarpScratch scratch[kWarps];
/// float v[4];  // elements 4 * lane + 0..3
/// ecco::cuda::h4::decode_warp(block, tables, codes, tensor_scale, scratch[warp], v);
/// @endcode
__device__ __forceinline__ void decode_warp(const std::uint8_t* block, const Tables& tables,
                                            const std::uint32_t* codes, float tensor_scale,
                                            WarpScratch& scratch, float (&values)[4]) {
  const int lane = lane_index();
  __syncwarp();  // the scratch may still be read
  if (lane <= 16) {
    const auto* words = reinterpret_cast<const std::uint32_t*>(block);
    scratch.block[lane] = lane < 16 ? __ldg(words + lane) : 0u;
  }
  __syncwarp();
  const Header header = parse_header(scratch.block[0], tables);
  const Coded coded =
      decode_symbols(scratch, lane, tables.header_bits(), codes + header.codebook * kCodeEntries);
  const auto* pattern =
      reinterpret_cast<const float*>(tables.patterns) + huffman::kSymbols * header.pattern;
  const float m = tensor_scale * fp8_value(header.scale);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const bool known = 4 * lane + i < coded.count;
    const std::uint32_t symbol = known ? scratch.symbols[4 * lane + i] : 0u;
    values[i] = known ? m * __ldg(pattern + symbol) : 0.0f;
  }
  if (header.is_zero() || coded.count < kGroup) return;
  const int outliers = outlier_count(coded.end);
  const int at = coded.end + kOutlierBits * lane;
  std::uint32_t bits = 0;
  if (lane < outliers) {
    bits = __funnelshift_r(scratch.block[at / 32], scratch.block[at / 32 + 1], at % 32);
  }
  const float own = tensor_scale * fp8_value(bits >> 7 & 255u);
  for (int k = 0; k < outliers; ++k) {  // in order: a later one overwrites
    const std::uint32_t place = __shfl_sync(kFullMask, bits, k) & 127u;
    const float value = __shfl_sync(kFullMask, own, k);
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if (place == 4u * static_cast<unsigned>(lane) + i) values[i] = value;
    }
  }
}

}  // namespace ecco::cuda::h4

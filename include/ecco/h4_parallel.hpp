// SPDX-License-Identifier: MIT
// The paper's parallel Huffman decoder in software, with its structure: 64 decoders of 8 bits each
// that look 7 bits ahead, 8 sub-decoders (one per start offset), and a merge of neighbours in 6
// stages (ISCA 2025, arXiv 2505.06901, "Parallel Huffman decoder"). Host and device: a GPU warp
// runs for_each_chunk over its lanes. Equal to h4::parse on any bytes.
#pragma once

#include <cstdint>

#include "ecco/h4.hpp"
#include "ecco/huffman.hpp"

namespace ecco::h4::parallel {

inline constexpr int kChunks = 64;
inline constexpr int kChunkBits = 8;
inline constexpr int kOffsets = 8;      ///< start offsets, one sub-decoder each
inline constexpr int kMergeStages = 6;  ///< 2^6 = 64 chunks

/// What a run of neighbouring chunks does when its first code starts at offset o of its first
/// chunk: how many codes start in it, and at which offset of the next chunk the code after them
/// starts.
struct Run {
  std::uint16_t codes[kOffsets];
  std::uint8_t end[kOffsets];
};

/// The paper's merge: the end offset of the left run selects the right run's case.
ECCO_HD constexpr Run merge(const Run& left, const Run& right) noexcept {
  Run both{};
  for (int o = 0; o < kOffsets; ++o) {
    both.codes[o] = static_cast<std::uint16_t>(left.codes[o] + right.codes[left.end[o]]);
    both.end[o] = right.end[left.end[o]];
  }
  return both;
}

/// One of the 64 decoders: the symbols (4 bits each, first one lowest) that each sub-decoder
/// yields.
struct Chunk {
  Run run;
  std::uint16_t symbols[kOffsets];
};

/// The 15 bits that decoder `index` sees; bits past the block are 0.
ECCO_HD constexpr unsigned chunk_window(const std::uint8_t* block, int index) noexcept {
  const unsigned next = index + 1 < kChunks ? block[index + 1] : 0u;
  return (block[index] | next << 8) & 0x7fffu;
}

/// Decodes chunk `index` from all 8 offsets. Chunks that lie in the header pass offset 0 on; in
/// the chunk where the header ends every case starts at that bit. A code that is cut off by the
/// end of the block does not count.
ECCO_HD constexpr Chunk decode_chunk(const std::uint8_t* block, int index, int header_bits,
                                     const huffman::StepTable& steps) noexcept {
  Chunk chunk{};
  const int first = header_bits - index * kChunkBits;  // offset of the first code, if positive
  if (first >= kChunkBits) return chunk;
  const unsigned window = chunk_window(block, index);
  for (int o = 0; o < kOffsets; ++o) {
    int at = first > 0 ? first : o;
    unsigned symbols = 0;
    int codes = 0;
    while (at < kChunkBits) {
      const huffman::Step step = steps[window >> at & 255u];
      at += step.length;
      if (index == kChunks - 1 && at > kChunkBits) break;
      symbols |= static_cast<unsigned>(step.symbol) << (4 * codes);
      ++codes;
    }
    chunk.run.codes[o] = static_cast<std::uint16_t>(codes);
    chunk.run.end[o] = static_cast<std::uint8_t>(at - kChunkBits > 0 ? at - kChunkBits : 0);
    chunk.symbols[o] = static_cast<std::uint16_t>(symbols);
  }
  return chunk;
}

/// Merges in 6 stages so that runs[i] becomes the run of the chunks 0..i. In each stage every run
/// takes in the equally long one on its left (if any), all at the same time.
ECCO_HD constexpr void merge_all(Run* runs) noexcept {
  for (int stage = 0; stage < kMergeStages; ++stage) {
    const int distance = 1 << stage;
    for (int i = kChunks - 1; i >= distance; --i) runs[i] = merge(runs[i - distance], runs[i]);
  }
}

/// Where a chunk's first code starts and which element it is.
struct Place {
  int offset;
  int element;
};

/// Place of chunk `index` after merge_all; the block starts in case 0.
ECCO_HD constexpr Place place_of(const Run* runs, int index) noexcept {
  return index == 0 ? Place{0, 0} : Place{runs[index - 1].end[0], runs[index - 1].codes[0]};
}

/// First bit after element 127, found in the chunk that holds it: walks at most 4 codes.
/// Precondition: place.element <= 127 and the chunk yields element 127.
ECCO_HD constexpr int end_of_codes(const std::uint8_t* block, int index, Place place,
                                   int header_bits, const huffman::StepTable& steps) noexcept {
  const unsigned window = chunk_window(block, index);
  const int first = header_bits - index * kChunkBits;
  int at = first > 0 ? first : place.offset;
  for (int e = place.element; e < kGroup; ++e) at += steps[window >> at & 255u].length;
  return index * kChunkBits + at;
}

/// Parses any 64 bytes to the same Fields as h4::parse. `steps` = one StepTable per codebook.
/// Depth: at most 4 code look-ups, 6 merges, 1 placement; the serial decoder has 128 look-ups.
ECCO_HD constexpr Fields parse(const std::uint8_t* block, const TableView& table,
                               const huffman::StepTable* steps) noexcept {
  Fields out = parse_header(block, table);
  const huffman::StepTable& code = steps[out.codebook < table.codebooks ? out.codebook : 0];
  const int header_bits = table.header_bits();
  Chunk chunks[kChunks]{};
  Run runs[kChunks]{};
  for (int i = 0; i < kChunks; ++i) {
    chunks[i] = decode_chunk(block, i, header_bits, code);
    runs[i] = chunks[i].run;
  }
  merge_all(runs);
  const int codes = runs[kChunks - 1].codes[0];
  out.coded = codes < kGroup ? codes : kGroup;
  for (int i = 0; i < kChunks; ++i) {
    const Place place = place_of(runs, i);
    const int count = chunks[i].run.codes[place.offset];
    for (int c = 0; c < count && place.element + c < kGroup; ++c) {
      out.symbols[place.element + c] =
          static_cast<std::uint8_t>(chunks[i].symbols[place.offset] >> (4 * c) & 15u);
    }
    const bool holds_last = place.element < kGroup && place.element + count >= kGroup;
    if (holds_last) out.end = end_of_codes(block, i, place, header_bits, code);
  }
  if (out.coded == kGroup) {
    parse_outliers(block, out);
  } else {
    out.end = header_bits + code_bits(out.symbols, table.codebook(out.codebook), out.coded);
  }
  return out;
}

}  // namespace ecco::h4::parallel

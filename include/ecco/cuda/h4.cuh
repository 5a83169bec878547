// SPDX-License-Identifier: MIT
// What both device decoders of H4 blocks share: tables, headers, outliers.
#pragma once

#include <cstdint>

#include "ecco/cuda/intrinsics.cuh"
#include "ecco/h4.hpp"

namespace ecco::cuda::h4 {

using ecco::h4::kBlockBits;
using ecco::h4::kOutlierBits;

/// Entries of one codebook: what the next 8 bits of the stream begin with, symbol << 16 | length.
inline constexpr int kCodeEntries = 1 << huffman::kMaxLength;

/// Tables of a tensor, in global memory.
struct Tables {
  const float4* patterns;      ///< values of the symbols 0..15, scale 1; then a row of zeros
  const std::uint32_t* codes;  ///< codebooks x kCodeEntries
  int pattern_count;
  int codebook_count;
  int pattern_bits;
  int codebook_bits;

  ECCO_HD constexpr int header_bits() const noexcept { return codebook_bits + pattern_bits + 8; }
};

/// Value of FP8 code `bits`, 0..255: fp8_e4m3 has the layout of binary32, so it is one with its
/// bits in place and the exponent corrected, subnormals included.
__device__ __forceinline__ float fp8_value(std::uint32_t bits) {
  return bits_float((bits & 128u) << 24 | (bits & 127u) << 20) * 0x1p120f;
}

/// The fixed-width fields of a block, indices inside the tables.
struct Header {
  int codebook;
  int pattern;          ///< a row of zeros for the scales +0 and -0
  std::uint32_t scale;  ///< FP8 code; 0 for -0, too

  /// True when all values are +0.
  __device__ __forceinline__ bool is_zero() const { return scale == 0; }
};

/// `word` = bytes 0..3 of the block.
__device__ __forceinline__ Header parse_header(std::uint32_t word, const Tables& tables) {
  const int codebook = static_cast<int>(word & ((1u << tables.codebook_bits) - 1u));
  word >>= tables.codebook_bits;
  const int pattern = static_cast<int>(word & ((1u << tables.pattern_bits) - 1u));
  const std::uint32_t scale = word >> tables.pattern_bits & 255u;
  const bool zero = (scale & 127u) == 0;
  return {codebook < tables.codebook_count ? codebook : 0,
          zero                             ? tables.pattern_count
          : pattern < tables.pattern_count ? pattern
                                           : 0,
          zero ? 0u : scale};
}

/// Outliers in a block whose codes are all whole and end before bit `end`.
__device__ __forceinline__ int outlier_count(int end) { return (kBlockBits - end) / kOutlierBits; }

}  // namespace ecco::cuda::h4

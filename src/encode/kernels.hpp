// SPDX-License-Identifier: MIT
// Encode kernels behind the dispatch table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ecco/detail/block_search.hpp"

namespace ecco {

inline constexpr int kScoreRank = 32;        ///< features of a block
inline constexpr int kScoreBins = 512;       ///< of a value over the block's root mean square
inline constexpr int kScoreLambdas = 4;      ///< multipliers; their index fits two bits
inline constexpr int kScoreBatch = 4;        ///< blocks scored side by side
inline constexpr int kScoreGroup = 64;       ///< candidates per group minimum
inline constexpr int kMaxCandidates = 1280;  ///< 256 patterns at 5 scales

using Features = std::array<std::int16_t, kScoreRank>;

struct EncodeKernels {
  /// Kernels of the block search, by mantissa planes.
  std::array<rd::Kernels, 4> search;

  /// Sums the rows of `basis` (kScoreBins x kScoreRank) that 128 bins name, element after element,
  /// each sum saturating at 16 bits. Bins count from the middle and are clamped.
  void (*features)(const std::int16_t* bins, const std::int16_t* basis,
                   Features& out) noexcept = nullptr;

  /// Scores of `candidates` (a multiple of 64) for kScoreBatch blocks: keys[b * candidates + c] =
  /// the greatest over lambda l of (bias + sum of factor * feature, modulo 2^32) & ~3 | l.
  /// `bias` is [candidates / 8][lambda][8], `factors` [candidates / 8][lambda][rank / 2][8][2].
  void (*scores)(const Features* features, const std::int32_t* bias, const std::int16_t* factors,
                 int candidates, std::int32_t* keys) noexcept = nullptr;

  /// Indices of the `count` smallest keys in ascending order (ties: lower index first), `count` at
  /// most `candidates`, a multiple of 64 up to kMaxCandidates. Overwrites the keys it took.
  void (*select)(std::int32_t* keys, int candidates, int count, std::int16_t* indices,
                 std::int32_t* selected_keys) noexcept = nullptr;
};

EncodeKernels scalar_encode_kernels() noexcept;
EncodeKernels avx2_encode_kernels() noexcept;

}  // namespace ecco

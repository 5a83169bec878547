// SPDX-License-Identifier: MIT
// The paper's training of H4 tables (ISCA 2025): k-means of every group's values, k-means of the
// groups' patterns, clusters of index histograms. Integers only: the same on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/h4.hpp"
#include "ecco/huffman.hpp"
#include "ecco/parallel.hpp"

namespace ecco::fit {

/// SplitMix64 (Steele, Lea, Flood 2014).
class SplitMix {
 public:
  explicit SplitMix(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in 0 .. bound - 1 (to within bound / 2^64). Precondition: bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept { return next() % bound; }

 private:
  std::uint64_t state_;
};

/// A group divided by its value of largest magnitude, in places (1/1024), which stands at
/// `largest` and counts in no pattern.
struct NormalizedGroup {
  std::array<std::int16_t, kGroup> place{};
  std::array<std::uint16_t, kGroup> weight{};  ///< of the squared errors; mean 64
  int largest = 0;
};

/// 15 ascending centroids in places.
using H4Pattern = std::array<std::int16_t, h4::kCentroids>;

/// Stage 1: weighted k-means of the 127 values, from k-means++ seeds.
H4Pattern group_pattern(const NormalizedGroup& group, std::uint64_t seed);

/// Stage 2: k-means of patterns, each alike, from k-means++ seeds.
std::vector<H4Pattern> cluster_patterns(std::span<const H4Pattern> patterns, int count,
                                        std::uint64_t seed, const ParallelFor& parallel);

/// How often a group uses each symbol.
using Histogram = std::array<std::uint16_t, huffman::kSymbols>;

inline constexpr int kNeverTight = kGroup * huffman::kMaxLength;
inline constexpr int kTightGroups = 32;

/// Stage 3: groups are clustered by the codebook in which they take the fewest bits, which
/// package-merge then fits to its groups. Starts from `codebooks` (rows of 16 lengths). Groups
/// that take more than `tight` bits count kTightGroups times: there the bits are needed.
std::vector<std::uint8_t> refine_codebooks(std::span<const Histogram> histograms,
                                           std::span<const std::uint8_t> codebooks,
                                           int tight = kNeverTight);

/// The same from k-means++ seeds: `count` codebooks.
std::vector<std::uint8_t> cluster_codebooks(std::span<const Histogram> histograms, int count,
                                            std::uint64_t seed, int tight = kNeverTight);

}  // namespace ecco::fit

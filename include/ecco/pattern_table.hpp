// SPDX-License-Identifier: MIT
// Pattern tables: the shared k-means patterns ("pre-defined shared patterns" of the ISCA 2025
// paper).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Non-owning table: `patterns` rows of centroids_per_pattern(codec) int8 centroids, in rank order
/// (rank 0 = most probable), each in -123..123.
struct PatternTableView {
  Codec codec = Codec::p4;
  std::span<const std::int8_t> centroids;

  [[nodiscard]] int patterns() const noexcept {
    return static_cast<int>(centroids.size()) / centroids_per_pattern(codec);
  }
  [[nodiscard]] const std::int8_t* pattern(int index) const noexcept {
    return centroids.data() + index * centroids_per_pattern(codec);
  }
};

/// Checks what makes a table corrupt: number of patterns 1..256, whole rows, centroids in range.
inline Status validate(const PatternTableView& table) {
  if (!is_planar(table.codec)) {
    return {StatusCode::unsupported, "tables of this codec are not implemented"};
  }
  const auto width = static_cast<std::size_t>(centroids_per_pattern(table.codec));
  const std::size_t size = table.centroids.size();
  if (size == 0 || size % width != 0 || size / width > kMaxPatterns) {
    return {StatusCode::corrupt, "a " + std::string(codec_name(table.codec)) + " table of " +
                                     std::to_string(size) + " centroids is not 1.." +
                                     std::to_string(kMaxPatterns) + " patterns of " +
                                     std::to_string(width)};
  }
  for (std::size_t i = 0; i < size; ++i) {
    const int centroid = table.centroids[i];
    if (centroid < -kMaxCentroid || centroid > kMaxCentroid) {
      return {StatusCode::corrupt, "centroid " + std::to_string(i % width) + " of pattern " +
                                       std::to_string(i / width) + " is " +
                                       std::to_string(centroid) + ", outside -123..123"};
    }
  }
  return {};
}

/// Owning table with its name: "standard-1", or the name of the tensor that holds it in a file.
struct PatternTable {
  Codec codec = Codec::p4;
  std::string name;
  std::vector<std::int8_t> centroids;

  [[nodiscard]] PatternTableView view() const noexcept { return {codec, centroids}; }
};

}  // namespace ecco

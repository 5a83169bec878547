// SPDX-License-Identifier: MIT
// Pattern tables: the shared k-means patterns ("pre-defined shared patterns" of the ISCA 2025
// paper) and, for h4, its Huffman codebooks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ecco/codec.hpp"
#include "ecco/h4.hpp"
#include "ecco/h4_codes.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Non-owning table: `patterns` rows of centroids_per_pattern(codec) int8 centroids. Planar
/// codecs: in rank order (rank 0 = most probable), each in -123..123. h4: 15 ascending ones in
/// -127..127, and codebooks of 16 code lengths.
struct PatternTableView {
  Codec codec = Codec::p4;
  std::span<const std::int8_t> centroids;
  std::span<const std::uint8_t> codebooks = {};  ///< h4: rows of 16 lengths; else empty
  /// h4: decode tables of the codebooks; without them the compiled decoders build them per call,
  /// those of the standard tables once per process.
  const h4::CodeTables* codes = nullptr;

  [[nodiscard]] constexpr int patterns() const noexcept {
    return static_cast<int>(centroids.size()) / centroids_per_pattern(codec);
  }
  [[nodiscard]] constexpr const std::int8_t* pattern(int index) const noexcept {
    return centroids.data() + index * centroids_per_pattern(codec);
  }
  /// The form that the functions of h4.hpp take. Precondition: codec is h4.
  [[nodiscard]] h4::TableView h4() const noexcept {
    return {centroids.data(), patterns(), codebooks.data(),
            static_cast<int>(codebooks.size()) / huffman::kSymbols};
  }
};

namespace detail {

/// Number of patterns, whole rows, centroids in range.
inline Status validate_centroids(const PatternTableView& table, std::size_t least_patterns,
                                 int largest) {
  const auto width = static_cast<std::size_t>(centroids_per_pattern(table.codec));
  const std::size_t size = table.centroids.size();
  if (size % width != 0 || size / width < least_patterns || size / width > kMaxPatterns) {
    return {StatusCode::corrupt,
            "a " + std::string(codec_name(table.codec)) + " table of " + std::to_string(size) +
                " centroids is not " + std::to_string(least_patterns) + ".." +
                std::to_string(kMaxPatterns) + " patterns of " + std::to_string(width)};
  }
  for (std::size_t i = 0; i < size; ++i) {
    const int centroid = table.centroids[i];
    if (centroid < -largest || centroid > largest) {
      return {StatusCode::corrupt, "centroid " + std::to_string(i % width) + " of pattern " +
                                       std::to_string(i / width) + " is " +
                                       std::to_string(centroid) + ", outside -" +
                                       std::to_string(largest) + ".." + std::to_string(largest)};
    }
  }
  return {};
}

/// Ascending patterns, number of codebooks, complete codes.
inline Status validate_h4(const PatternTableView& table) {
  for (std::size_t i = 1; i < table.centroids.size(); ++i) {
    if (i % h4::kCentroids != 0 && table.centroids[i] < table.centroids[i - 1]) {
      return {StatusCode::corrupt, "the centroids of pattern " +
                                       std::to_string(i / h4::kCentroids) + " descend at place " +
                                       std::to_string(i % h4::kCentroids)};
    }
  }
  const std::size_t size = table.codebooks.size();
  if (size % huffman::kSymbols != 0 || size == 0 ||
      size / huffman::kSymbols > static_cast<std::size_t>(h4::kMaxCodebooks)) {
    return {StatusCode::corrupt,
            std::to_string(size) + " code lengths are not 1..16 codebooks of 16"};
  }
  for (std::size_t at = 0; at < size; at += huffman::kSymbols) {
    if (!huffman::is_complete(table.codebooks.data() + at)) {
      return {StatusCode::corrupt, "codebook " + std::to_string(at / huffman::kSymbols) +
                                       ": its lengths are not 2..8 or do not fill the code "
                                       "space"};
    }
  }
  return {};
}

}  // namespace detail

/// Checks what makes a table corrupt (docs/format.md, section 7). Error: corrupt, with the place.
inline Status validate(const PatternTableView& table) {
  if (is_planar(table.codec)) {
    if (!table.codebooks.empty()) {
      return {StatusCode::corrupt, "a planar table has no codebooks"};
    }
    return detail::validate_centroids(table, 1, kMaxCentroid);
  }
  if (table.codec != Codec::h4) return {StatusCode::unsupported, "a8 has no tables"};
  Status status = detail::validate_centroids(table, h4::kMinPatterns, 127);
  return status ? detail::validate_h4(table) : status;
}

/// Owning table with its name: "standard-1", or the name of the tensor that holds it in a file.
struct PatternTable {
  Codec codec = Codec::p4;
  std::string name;
  std::vector<std::int8_t> centroids;
  std::vector<std::uint8_t> codebooks = {};  ///< h4 only
  std::shared_ptr<const h4::CodeTables> codes = nullptr;

  [[nodiscard]] PatternTableView view() const noexcept {
    return {codec, centroids, codebooks, codes.get()};
  }
  /// Builds the decode tables of an h4 table, once it is valid. Throws std::bad_alloc only.
  void prepare() {
    if (codec == Codec::h4) codes = std::make_shared<const h4::CodeTables>(codebooks);
  }
};

}  // namespace ecco

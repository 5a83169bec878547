// SPDX-License-Identifier: MIT
// The built-in tables as constexpr arrays: one per codec of weights, and one for keys and values.
// tools/README.md tells how they were trained.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ecco/codec.hpp"
#include "ecco/detail/standard_h4_tables_data.hpp"
#include "ecco/detail/standard_tables_data.hpp"
#include "ecco/pattern_table.hpp"

namespace ecco {

/// Name under which files refer to the standard table of their codec; it never changes its bytes.
inline constexpr std::string_view kStandardTableName = "standard-1";
/// Name of the standard table of H4's KV mode; it never changes its bytes either.
inline constexpr std::string_view kStandardKvTableName = "standard-kv-1";

/// The built-in table of a codec of weights: 256 patterns in planar codecs, in h4 the 64 patterns
/// and 4 codebooks that the paper chose.
constexpr PatternTableView standard_table(Codec codec) noexcept {
  switch (codec) {
    case Codec::h4:
      return {codec, detail::kStandardH4Centroids, detail::kStandardH4Codebooks};
    case Codec::p2:
      return {codec, detail::kStandardP2};
    case Codec::p3:
      return {codec, detail::kStandardP3};
    case Codec::p5:
      return {codec, detail::kStandardP5};
    default:
      return {Codec::p4, detail::kStandardP4};
  }
}

/// The built-in table of H4's KV mode: 16 patterns, 4 codebooks.
constexpr PatternTableView standard_kv_table() noexcept {
  return {Codec::h4, detail::kStandardKvCentroids, detail::kStandardKvCodebooks};
}

/// The built-in table that files of `codec` may name so, or nothing.
constexpr std::optional<PatternTableView> find_standard_table(Codec codec,
                                                              std::string_view name) noexcept {
  if (name == kStandardTableName) return standard_table(codec);
  if (codec == Codec::h4 && name == kStandardKvTableName) return standard_kv_table();
  return std::nullopt;
}

/// XXH3 (64 bits, seed 0) of the centroids of standard_table, row-major, as files write it: 16
/// lower-case hex digits. Pinned: a build whose table differs is broken (a test compares them).
constexpr std::string_view standard_table_xxh3(Codec codec) noexcept {
  switch (codec) {
    case Codec::h4:
      return "670e170e279498d8";
    case Codec::p2:
      return "90cf099745181a56";
    case Codec::p3:
      return "7e9f3e3488420a8a";
    case Codec::p5:
      return "04c00870e10abb28";
    default:
      return "f649956e9adc38c3";
  }
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// The built-in tables, one per planar codec, as constexpr arrays. tools/README.md tells how they
// were trained.
#pragma once

#include <cstdint>
#include <string_view>

#include "ecco/codec.hpp"
#include "ecco/detail/standard_tables_data.hpp"
#include "ecco/pattern_table.hpp"

namespace ecco {

/// Name under which files refer to the standard table of their codec; it never changes its bytes.
inline constexpr std::string_view kStandardTableName = "standard-1";

/// The built-in table of a planar codec: 256 patterns.
constexpr PatternTableView standard_table(Codec codec) noexcept {
  switch (codec) {
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

/// XXH3 (64 bits, seed 0) of the bytes of that table, row-major, as files write it: 16 lower-case
/// hex digits. Pinned: a build whose table differs is broken (a test compares them).
constexpr std::string_view standard_table_xxh3(Codec codec) noexcept {
  switch (codec) {
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

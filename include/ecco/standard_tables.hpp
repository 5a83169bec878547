// SPDX-License-Identifier: MIT
// The built-in tables, one per planar codec, as constexpr arrays.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "ecco/codec.hpp"
#include "ecco/detail/standard_tables_data.hpp"
#include "ecco/pattern_table.hpp"

namespace ecco {

/// Name under which files refer to the standard table of their codec; it never changes its bytes.
inline constexpr std::string_view kStandardTableName = "standard-1";

/// The built-in table of a planar codec: 256 patterns.
inline PatternTableView standard_table(Codec codec) noexcept {
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

}  // namespace ecco

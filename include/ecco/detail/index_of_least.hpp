// SPDX-License-Identifier: MIT
// The one search for the index of a least value.
#pragma once

#include "ecco/types.hpp"

namespace ecco::detail {

/// Index of the least of at(0)..at(count - 1), the first of ties; count >= 1.
/// The least value is kept, never read again through its index: where an index into bytes is the
/// result of a comparison, GCC 12, 13 and 14 can vectorise the read with the comparison's mask as
/// the index, 255 for 1. An unrolled `if (a[i] < a[best]) best = i` begins with such a read.
template <typename At>
ECCO_HD constexpr int index_of_least(int count, At at) noexcept {
  int index = 0;
  auto least = at(0);
  for (int i = 1; i < count; ++i) {
    const auto value = at(i);
    const bool less = value < least;
    least = less ? value : least;
    index = less ? i : index;
  }
  return index;
}

}  // namespace ecco::detail

// SPDX-License-Identifier: MIT
// Runs a kernel over the rows of a tensor on the caller's threads; turns exceptions into errors.
#pragma once

#include <cstddef>
#include <functional>

#include "ecco/parallel.hpp"
#include "ecco/status.hpp"
#include "guarded.hpp"

namespace ecco {

/// Calls body(begin, end) over 0..count by `parallel`. Allocates nothing itself. Errors:
/// invalid_argument (an empty or throwing ParallelFor), out_of_memory.
template <typename Body>
Status run_rows(const ParallelFor& parallel, std::size_t count, const Body& body) noexcept {
  if (count == 0) return {};
  return guarded([&]() -> Status {
    parallel(count, std::cref(body));  // a reference fits std::function without an allocation
    return {};
  });
}

}  // namespace ecco

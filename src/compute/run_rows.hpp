// SPDX-License-Identifier: MIT
// Runs a kernel over the rows of a tensor on the caller's threads; turns exceptions into errors.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <new>

#include "ecco/parallel.hpp"
#include "ecco/status.hpp"

namespace ecco {

/// Calls body(begin, end) over 0..count by `parallel`. Allocates nothing itself. Errors:
/// invalid_argument (an empty or throwing ParallelFor), out_of_memory.
template <typename Body>
Status run_rows(const ParallelFor& parallel, std::size_t count, const Body& body) noexcept {
  if (count == 0) return {};
  if (!parallel) return {StatusCode::invalid_argument, "the ParallelFor is empty"};
  try {
    parallel(count, std::cref(body));  // a reference fits std::function without an allocation
  } catch (const std::bad_alloc&) {
    return {StatusCode::out_of_memory, "no memory for the product's scratch or the ParallelFor"};
  } catch (const std::exception& error) {
    return {StatusCode::invalid_argument, error.what()};
  } catch (...) {
    return {StatusCode::invalid_argument, "the ParallelFor threw"};
  }
  return {};
}

}  // namespace ecco

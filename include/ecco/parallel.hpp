// SPDX-License-Identifier: MIT
// How the caller lends threads: the library starts none of its own.
#pragma once

#include <cstddef>
#include <functional>

namespace ecco {

/// Runs body(begin, end) over disjoint ranges that cover 0..count, in any order, on any threads,
/// and returns when all are done. Results never depend on the partition. An adapter for oneTBB is
/// in parallel_tbb.hpp; one for any thread pool takes three lines.
using ParallelFor = std::function<void(
    std::size_t count, const std::function<void(std::size_t begin, std::size_t end)>& body)>;

/// The calling thread alone.
inline void serial(std::size_t count,
                   const std::function<void(std::size_t begin, std::size_t end)>& body) {
  if (count > 0) body(0, count);
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// ParallelFor over oneTBB. Header-only; the including target links TBB itself.
#pragma once

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <cstddef>
#include <functional>
#include <memory>

#include "ecco/parallel.hpp"

namespace ecco {

/// ParallelFor with at most `threads` threads (the caller's among them); 0 = as many as the
/// process may run on.
inline ParallelFor tbb_parallel(int threads) {
  constexpr int kAutomatic = tbb::task_arena::automatic;  // declared in a class, defined nowhere
  auto arena = std::make_shared<tbb::task_arena>(threads > 0 ? threads : kAutomatic);
  return [arena](std::size_t count,
                 const std::function<void(std::size_t begin, std::size_t end)>& body) {
    arena->execute([&] {
      tbb::parallel_for(
          tbb::blocked_range<std::size_t>(0, count),
          [&](const tbb::blocked_range<std::size_t>& range) { body(range.begin(), range.end()); });
    });
  };
}

}  // namespace ecco

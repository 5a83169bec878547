// SPDX-License-Identifier: MIT
#include "cli/threads.hpp"

#include <tbb/global_control.h>
#include <tbb/info.h>

#include "ecco/parallel_tbb.hpp"

namespace ecco::cli {

/// The arena alone bounds from above; this also lets oneTBB start more threads than processors.
struct Threads::Limit {
  tbb::global_control control;
};

Threads::Threads(int threads)
    : count_(threads > 0 ? threads : tbb::info::default_concurrency()),
      limit_(new Limit{tbb::global_control(tbb::global_control::max_allowed_parallelism,
                                           static_cast<std::size_t>(count_))}),
      parallel_(count_ == 1 ? ParallelFor(serial) : tbb_parallel(count_)) {}

Threads::~Threads() = default;

}  // namespace ecco::cli

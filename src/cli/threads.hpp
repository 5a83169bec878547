// SPDX-License-Identifier: MIT
// The threads of --threads.
#pragma once

#include <memory>

#include "ecco/parallel.hpp"

namespace ecco::cli {

/// A ParallelFor of exactly that many threads (the caller's among them) while the object lives.
class Threads {
 public:
  /// 0 = as many as the process may run on.
  explicit Threads(int threads);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  [[nodiscard]] int count() const noexcept { return count_; }
  [[nodiscard]] const ParallelFor& parallel() const noexcept { return parallel_; }

 private:
  struct Limit;
  int count_;
  std::unique_ptr<Limit> limit_;
  ParallelFor parallel_;
};

}  // namespace ecco::cli

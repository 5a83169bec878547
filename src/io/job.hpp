// SPDX-License-Identifier: MIT
// One run over the data of a model: threads, progress, cancellation, the first error.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "ecco/model.hpp"
#include "ecco/parallel.hpp"
#include "ecco/status.hpp"
#include "io/chunks.hpp"

namespace ecco {

class Job {
 public:
  Job(const ParallelFor& parallel, const Progress& progress, std::uint64_t total_bytes) noexcept
      : parallel_(parallel), progress_(progress), total_bytes_(total_bytes) {}

  /// Runs body(index) for 0..count - 1 on the caller's threads. Of several errors the one with the
  /// least index is returned, so that it does not depend on the threads. Error: cancelled.
  Status run(std::uint64_t count, const std::function<Status(std::uint64_t)>& body);

  /// Runs body(index) over all chunks, window by window, and after(begin, end) behind each window
  /// on the calling thread.
  Status run_windows(const Chunks& chunks, const std::function<Status(std::uint64_t)>& body,
                     const std::function<Status(std::uint64_t, std::uint64_t)>& after);

  /// Reports so many more bytes as done. From any thread; the progress function sees one call at a
  /// time. Error: cancelled, also later on once the function has returned false.
  Status advance(std::uint64_t bytes, std::string_view tensor);

  /// The caller's threads for long work that knows of no job, such as training: asks the progress
  /// function every few indices, and once that has returned false leaves the rest out and throws;
  /// then advance() tells why. Valid while the job lives.
  [[nodiscard]] ParallelFor stoppable(std::string tensor);

 private:
  [[nodiscard]] Status cancelled() const;

  const ParallelFor& parallel_;
  const Progress& progress_;
  std::uint64_t total_bytes_;
  std::uint64_t done_bytes_ = 0;  // guarded by mutex_
  std::mutex mutex_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace ecco

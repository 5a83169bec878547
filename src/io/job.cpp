// SPDX-License-Identifier: MIT
#include "io/job.hpp"
#include "guarded.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "io/text.hpp"

namespace ecco {

Status Job::run(std::uint64_t count, const std::function<Status(std::uint64_t)>& body) {
  if (!parallel_) return {StatusCode::invalid_argument, "the ParallelFor is empty"};
  std::mutex mutex;
  Status first_error;
  std::atomic<std::uint64_t> error_index{count};
  parallel_(count, [&](std::size_t begin, std::size_t end) {
    for (std::uint64_t index = begin; index < end; ++index) {
      if (cancelled_ || index > error_index) return;
      Status status = guarded([&] { return body(index); });
      if (status) continue;
      const std::scoped_lock lock(mutex);
      if (index < error_index) {
        error_index = index;
        first_error = std::move(status);
      }
    }
  });
  return cancelled_ ? cancelled() : first_error;
}

Status Job::run_windows(const Chunks& chunks, const std::function<Status(std::uint64_t)>& body,
                        const std::function<Status(std::uint64_t, std::uint64_t)>& after) {
  for (std::uint64_t begin = 0; begin < chunks.size(); begin += Chunks::kWindow) {
    const std::uint64_t end = std::min(begin + Chunks::kWindow, chunks.size());
    Status status = run(end - begin, [&](std::uint64_t index) { return body(begin + index); });
    if (status) status = after(begin, end);
    if (!status) return status;
  }
  return {};
}

Status Job::advance(std::uint64_t bytes, std::string_view tensor) {
  const std::scoped_lock lock(mutex_);
  done_bytes_ += bytes;
  if (cancelled_) return cancelled();
  if (progress_ && !progress_(done_bytes_, total_bytes_, tensor)) {
    cancelled_ = true;
    return cancelled();
  }
  return {};
}

ParallelFor Job::stoppable(std::string tensor) {
  constexpr std::size_t kStep = 64;  // blocks: some milliseconds
  return [this, tensor = std::move(tensor)](std::size_t count, const auto& body) {
    parallel_(count, [&](std::size_t begin, std::size_t end) {
      for (std::size_t at = begin; at < end; at += kStep) {
        if (!advance(0, tensor)) return;
        body(at, std::min(at + kStep, end));
      }
    });
    if (cancelled_) throw std::runtime_error(cancelled().message());
  };
}

Status Job::cancelled() const { return {StatusCode::cancelled, "cancelled"}; }

}  // namespace ecco

// SPDX-License-Identifier: MIT
// A progress bar on a terminal, and signals that end a run between two steps of work.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "ecco/model.hpp"
#include "ecco/status.hpp"

namespace ecco::cli {

/// One line on standard error while it is a terminal (and TERM is not "dumb"); nothing otherwise.
/// While it lives SIGINT, SIGTERM and SIGHUP make the callback return false; a second one of the
/// same kind ends the process as usual.
class ProgressBar {
 public:
  explicit ProgressBar(std::string_view verb);  ///< "compressing"
  ~ProgressBar();                               ///< clears the line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  /// For the library; valid while the bar lives.
  [[nodiscard]] Progress callback();
  [[nodiscard]] double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::uint64_t done, std::uint64_t total, std::string_view tensor);

  std::string verb_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_draw_{};
};

/// A cancelled status in words for the user; any other as it is.
Status explain_interrupt(Status status, std::string_view unwritten);

}  // namespace ecco::cli

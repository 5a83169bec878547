// SPDX-License-Identifier: MIT
#include "cli/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>

#include "cli/text.hpp"

namespace ecco::cli {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};
constexpr std::size_t kBarColumns = 24;
constexpr std::chrono::milliseconds kRedraw{100};

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);  // safe in a signal handler

void on_signal(int) { interrupted = true; }

/// Signals that the parent had ignored (nohup, background jobs) stay ignored.
void catch_signals() {
  for (const int signal : kSignals) {
    struct sigaction old {};
    sigaction(signal, nullptr, &old);
    if (old.sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
    sigaction(signal, &action, nullptr);
  }
}

void release_signals() {
  for (const int signal : kSignals) {
    struct sigaction now {};
    sigaction(signal, nullptr, &now);
    if (now.sa_handler == on_signal) std::signal(signal, SIG_DFL);
  }
}

bool on_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (term == nullptr || std::string_view(term) != "dumb");
}

std::size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// At most `width` columns.
std::string progress_line(std::string_view verb, std::uint64_t done, std::uint64_t total,
                          double seconds, std::string_view tensor, std::size_t width) {
  const double part =
      total == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(kBarColumns));
  std::string line = fmt::format("{} [{}{}] {:3.0f} %", verb, std::string(filled, '='),
                                 std::string(kBarColumns - filled, ' '), 100.0 * part);
  if (seconds > 0.0 && done > 0) {
    const double rate = static_cast<double>(done) / seconds;
    line +=
        fmt::format("  {}/s  {} left", format_bytes(static_cast<std::uint64_t>(rate)),
                    format_duration(static_cast<double>(total - std::min(done, total)) / rate));
  }
  if (!tensor.empty()) line += "  " + printable(tensor);
  if (line.size() > width) line.resize(width);
  while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0x80u) != 0) line.pop_back();
  return line;
}

}  // namespace

ProgressBar::ProgressBar(std::string_view verb) : verb_(verb), terminal_(on_terminal()) {
  catch_signals();
}

ProgressBar::~ProgressBar() {
  if (drawn_) write_error("\r\x1b[K");
  release_signals();
}

Progress ProgressBar::callback() {
  return [this](std::uint64_t done, std::uint64_t total, std::string_view tensor) {
    if (terminal_) draw(done, total, tensor);
    return !interrupted;
  };
}

double ProgressBar::seconds() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void ProgressBar::draw(std::uint64_t done, std::uint64_t total, std::string_view tensor) {
  const Clock::time_point now = Clock::now();
  if (drawn_ && now - last_draw_ < kRedraw) return;
  drawn_ = true;
  last_draw_ = now;
  // One column stays free: some terminals wrap after the last one.
  write_error(fmt::format(
      "\r{}\x1b[K", progress_line(verb_, done, total, seconds(), tensor, terminal_columns() - 1)));
}

Status explain_interrupt(Status status, std::string_view unwritten) {
  if (status.code() != StatusCode::cancelled) return status;
  return {StatusCode::cancelled, fmt::format("interrupted; {}", unwritten)};
}

}  // namespace ecco::cli

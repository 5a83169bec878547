// SPDX-License-Identifier: MIT
// Signals, threads and the progress bar.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "cli/program.hpp"

namespace ecco::test {
namespace {

/// Seconds of work in many small tensors, so that there are many places to stop.
Bytes long_work() {
  std::vector<RawTensor> tensors;
  for (unsigned i = 0; i < 64; ++i) {
    tensors.push_back(gaussian_tensor(numbered(i), "F16", {256, 512}, i));
  }
  return safetensors(tensors);
}

/// Threads of a running process.
std::size_t threads_of(pid_t process) {
  std::error_code ignored;
  const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(process) + "/task",
                                                  ignored);
  return static_cast<std::size_t>(std::distance(tasks, {}));
}

/// Waits until the condition holds, a minute at most.
template <typename Condition>
bool eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST(Interrupt, LeavesNoTraceOfTheOutput) {
  for (const auto& [signal, threads] : {std::pair(SIGINT, 1u), std::pair(SIGTERM, 3u)}) {
    SCOPED_TRACE(threads);
    const TemporaryFolder in;
    const TemporaryFolder out;
    write_file(in.path("model"), long_work());
    const pid_t process = start_ecco({"compress", in.path("model"), "-o", out.path("model"),
                                      "--effort", "best", "--threads", std::to_string(threads)});
    EXPECT_TRUE(eventually([&] { return out.names().size() == 1; }));  // the temporary file
    EXPECT_FALSE(std::filesystem::exists(out.path("model")));
    EXPECT_TRUE(eventually([&, least = threads] { return threads_of(process) >= least; }));
    EXPECT_EQ(threads_of(process), threads);
    kill(process, signal);
    EXPECT_EQ(wait_for(process), 1);
    EXPECT_EQ(out.names().size(), 0u);
  }
}

TEST(ProgressBar, IsShownOnATerminalAndCleared) {
  const TemporaryFolder scratch;
  const Outcome outcome = run_ecco_on_terminal(
      {"compress", kModelFile, "-o", scratch.path("out"), "--effort", "fast"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_NE(outcome.out.find("times smaller"), std::string::npos);
  EXPECT_NE(outcome.err.find("compressing ["), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("B/s"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find(" left"), std::string::npos) << outcome.err;
  EXPECT_TRUE(outcome.err.ends_with("\r\x1b[K")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), std::string::npos) << outcome.err;
}

TEST(ProgressBar, ErrorsOnATerminalStandAlone) {
  const Outcome outcome = run_ecco_on_terminal({"info", "/nonexistent"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(outcome.err.starts_with("ecco: /nonexistent: ")) << outcome.err;
}

}  // namespace
}  // namespace ecco::test

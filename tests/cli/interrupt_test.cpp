// SPDX-License-Identifier: MIT
// Signals, threads and the progress bar.
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

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

TEST(Interrupt, LeavesNoTraceOfTheOutput) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const TemporaryFolder in;
    const TemporaryFolder out;
    write_file(in.path("model"), long_work());
    const pid_t process = start_ecco({"compress", in.path("model"), "-o", out.path("model"),
                                      "--effort", "best", "--threads", "1"});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (out.names().size() == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(out.names().size(), 1u);  // the temporary file: work has begun
    EXPECT_FALSE(std::filesystem::exists(out.path("model")));
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

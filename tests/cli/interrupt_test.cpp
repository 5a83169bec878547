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
std::string long_work() {
  std::vector<BuiltTensor> tensors;
  for (unsigned i = 0; i < 64; ++i) {
    tensors.push_back(gaussian_tensor(numbered(i), "F16", {256, 512}, i));
  }
  return build_safetensors(tensors);
}

TEST(Interrupt, LeavesNoTraceOfTheOutput) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const ScratchDirectory in;
    const ScratchDirectory out;
    write_file(in / "model", long_work());
    const pid_t process = start_ecco(
        {"compress", in / "model", "-o", out / "model", "--effort", "best", "--threads", "1"});
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (out.entries() == 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(out.entries(), 1u);  // the temporary file: work has begun
    EXPECT_FALSE(std::filesystem::exists(out / "model"));
    kill(process, signal);
    EXPECT_EQ(wait_for(process), 1);
    EXPECT_EQ(out.entries(), 0u);
  }
}

TEST(ProgressBar, IsShownOnATerminalAndCleared) {
  const ScratchDirectory scratch;
  const Outcome outcome =
      run_ecco_on_terminal({"compress", kModelFile, "-o", scratch / "out", "--effort", "fast"});
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

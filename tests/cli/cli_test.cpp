// SPDX-License-Identifier: MIT
// The command line itself, --help, --version, standard output.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cli/program.hpp"
#include "ecco/isa.hpp"
#include "ecco/version.hpp"

namespace ecco::test {
namespace {

const std::vector<std::string> kCommands = {"compress", "decompress", "info",
                                            "verify",   "table",      "bench"};

TEST(CommandLine, BadOnesExitWithTwo) {
  struct Case {
    std::vector<std::string> arguments;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {{}, "no sub-command; see ecco --help"},
      {{"frobnicate"}, "frobnicate"},
      {{"--frobnicate"}, "--frobnicate"},
      {{"compress"}, "see ecco compress --help"},
      {{"compress", "in"}, "-o OUT is required"},
      {{"compress", "in", "-o", "out", "more"}, "more"},
      {{"compress", "in", "-o", "out", "--codec", "p9"}, "'p9' is not one of h4, p2, p3, p4, p5"},
      {{"compress", "in", "-o", "out", "--codec", "P4"}, "'P4' is not one of"},
      {{"compress", "in", "-o", "out", "--effort", "worst"}, "fast, default, best"},
      {{"compress", "in", "-o", "out", "--table", "none"}, "standard, tensor, file"},
      {{"compress", "in", "-o", "out", "--threads", "0"}, "--threads"},
      {{"compress", "in", "-o", "out", "--threads", "-1"}, "--threads"},
      {{"compress", "in", "-o", "out", "--threads", "2x"}, "--threads"},
      {{"compress", "in", "-o", "out", "--include", "["}, "--include: '[' is no ECMAScript"},
      {{"compress", "in", "-o", "out", "--exclude", "a{2,1}"}, "--exclude"},
      {{"compress", "in", "-o", "out", "--include", std::string(5000, '(')}, "5000 bytes"},
      {{"compress", "in", "-o", "out", "--mode", "exact", "--codec", "h4"},
       "'exact' is not one of rate-aware, faithful"},
      {{"compress", "in", "-o", "out", "--mode", "faithful"},
       "--mode: it is an option of --codec h4"},
      {{"compress", "in", "-o", "out", "--patterns", "32"},
       "--patterns: it is an option of --codec h4"},
      {{"compress", "in", "-o", "out", "--codec", "h4", "--patterns", "15"}, "--patterns"},
      {{"compress", "in", "-o", "out", "--codec", "h4", "--patterns", "257"}, "--patterns"},
      {{"compress", "in", "-o", "out", "--codec", "h4", "--codebooks", "0"}, "--codebooks"},
      {{"compress", "in", "-o", "out", "--codec", "h4", "--codebooks", "2", "--table", "standard"},
       "--codebooks: the standard table has its own; use --table file or tensor"},
      {{"decompress", "in"}, "--output is required"},
      {{"decompress", "in", "-o", "out", "--dtype", "f64"}, "f32, f16, bf16"},
      {{"info"}, "FILE is required"},
      {{"verify"}, "FILE is required"},
      {{"table"}, "CODEC is required"},
      {{"table", "p6"}, "'p6' is not one of h4, p2, p3, p4, p5"},
      {{"table", "p4", "--kv"}, "--kv: it is an option of codec h4"},
      {{"bench", "--codec", "a8"}, "'a8' is not one of"},
      {{"bench", "a\nb\x1b[31m"}, "a\\x0Ab\\x1B[31m"},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.reason);
    expect_error(run_ecco(bad.arguments), 2, bad.reason);
  }
}

TEST(CommandLine, HelpHasExamplesAndExitCodes) {
  const Outcome program = run_ecco({"--help"});
  expect_success(program);
  for (const std::string& command : kCommands) {
    SCOPED_TRACE(command);
    EXPECT_NE(program.out.find("\n  " + command), std::string::npos);
    const Outcome help = run_ecco({command, "--help"});
    expect_success(help);
    EXPECT_NE(help.out.find("Examples:\n  ecco " + command), std::string::npos) << help.out;
    EXPECT_NE(help.out.find("Exit codes:"), std::string::npos) << help.out;
  }
}

TEST(CommandLine, HelpFitsInAHundredColumns) {
  for (const std::string& command : kCommands) {
    const std::string help = run_ecco({command, "--help"}).out;
    for (std::size_t at = 0, end = 0; at < help.size(); at = end + 1) {
      end = help.find('\n', at);
      EXPECT_LE(end - at, 100u) << help.substr(at, end - at);
    }
  }
}

TEST(CommandLine, VersionNamesTheInstructionSet) {
  const std::string prefix = std::string("ecco ") + ECCO_VERSION_STRING;
  const std::string fastest(isa_name(isa_supported(Isa::avx2) ? Isa::avx2 : Isa::scalar));
  const Outcome outcome = run_ecco({"--version"}, {"ECCO_FORCE_ISA="});
  expect_success(outcome);
  EXPECT_EQ(outcome.out, prefix + " (" + fastest + ")\n");
  EXPECT_EQ(run_ecco({"--version"}, {"ECCO_FORCE_ISA=scalar"}).out, prefix + " (scalar)\n");
}

TEST(CommandLine, UnknownInstructionSetIsAnErrorEverywhere) {
  const std::vector<std::string> bogus = {"ECCO_FORCE_ISA=bogus"};
  expect_error(run_ecco({"--version"}, bogus), 1, "ECCO_FORCE_ISA=bogus");
  expect_error(run_ecco({"info", kModelFile}, bogus), 1, "ECCO_FORCE_ISA=bogus");
  expect_error(run_ecco({"table", "p4"}, bogus), 1, "ECCO_FORCE_ISA=bogus");
  expect_success(run_ecco({"--help"}, bogus));
}

TEST(CommandLine, OutputThatCannotBeWrittenIsAnError) {
  const TemporaryFolder scratch;
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--version"},
                                             {"--help"},
                                             {"info", kModelFile},
                                             {"table", "p4", "--json"},
                                             {"compress", kModelFile, "--dry-run"}}) {
    expect_error(run_ecco(arguments, {}, Output::full), 1, "standard output");
    expect_error(run_ecco(arguments, {}, Output::closed), 1, "standard output");
  }
}

TEST(CommandLine, ErrorsThatCannotBeWrittenKeepTheExitCode) {
  EXPECT_EQ(run_ecco({"info", "/nonexistent"}, {}, Output::errors_closed).exit_code, 1);
  EXPECT_EQ(run_ecco({"frobnicate"}, {}, Output::errors_closed).exit_code, 2);
}

TEST(CommandLine, TheLimitOfFileSizesIsAnError) {
  const TemporaryFolder scratch;
  write_file(scratch.path("in"), small_model());
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{1000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);  // for this process, too: it writes nothing here
  const Outcome outcome =
      run_ecco({"compress", scratch.path("in"), "-o", scratch.path("out"), "--effort", "best"});
  setrlimit(RLIMIT_FSIZE, &limit);
  expect_error(outcome, 1, scratch.path("out") + ": cannot write: File too large");
  EXPECT_EQ(scratch.names(), std::vector<std::string>{"in"});
}

TEST(CommandLine, ClosedStandardOutputDoesNotReachTheFile) {
  const TemporaryFolder scratch;
  write_file(scratch.path("in"), small_model());
  expect_success(
      run_ecco({"compress", scratch.path("in"), "-o", scratch.path("good"), "--effort", "best"}));
  run_ecco({"compress", scratch.path("in"), "-o", scratch.path("out"), "--effort", "best"}, {},
           Output::closed);
  EXPECT_EQ(read_file(scratch.path("out")), read_file(scratch.path("good")));
}

}  // namespace
}  // namespace ecco::test

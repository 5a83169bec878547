// SPDX-License-Identifier: MIT
// The program ecco-llama from outside: output, errors, exit codes.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/llama_models.hpp"

namespace {

using ecco::test::TemporaryDirectory;
using ecco::test::tiny_config;
using ecco::test::write_model;
using ecco::test::write_text;
using nlohmann::json;

const std::string kModel = ECCO_TEST_DATA "/model";
const std::string kTokens = " --tokens " ECCO_TEST_DATA "/model/eval_tokens.u16";

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

std::string read_all(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// `environment` is put before the command: "NAME=value ".
Outcome run(const std::string& arguments, const std::string& environment = "") {
  const TemporaryDirectory directory;
  const std::string command = environment + ECCO_LLAMA_PROGRAM " " + arguments + " >" +
                              (directory / "out") + " 2>" + (directory / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_all(directory / "out"),
          read_all(directory / "err")};
}

/// One line on standard error that begins with the program's name and contains `reason`.
void expect_error(const std::string& arguments, int exit_code, const std::string& reason) {
  SCOPED_TRACE(arguments);
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err.rfind("ecco-llama: ", 0), 0u) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n'), outcome.err.size() - 1) << outcome.err;
  EXPECT_NE(outcome.err.find(reason), std::string::npos) << outcome.err;
}

TEST(LlamaCli, EvalPrintsTheKeys) {
  const Outcome outcome = run("eval " + kModel + kTokens + " --windows 2 --json --threads 2");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const json report = json::parse(outcome.out);
  EXPECT_EQ(report.size(), 11u);
  EXPECT_EQ(report["predictions"], 510);
  // head -c 1024 eval_tokens.u16 > two.u16; python3 eval.py . 0 two.u16
  EXPECT_NEAR(report["perplexity"].get<double>(), 51.641677, 1e-4);
  EXPECT_TRUE(report["kl_divergence"].is_null());
  EXPECT_EQ(report["bits_per_weight"], 16.0);
  EXPECT_GT(report["weight_bytes"], 11'500'000);
  EXPECT_LT(report["weight_bytes"], 11'600'000);
  EXPECT_EQ(report["activations"], "f32");
  EXPECT_EQ(report["kv_cache"], "f32");
  EXPECT_EQ(report["kv_cache_bytes"], 2 * 6 * 256 * 128 * 4);
  EXPECT_TRUE(report["kv_statistics"].is_null());
  EXPECT_GT(report["peak_rss_bytes"], report["weight_bytes"]);
  EXPECT_GT(report["tokens_per_second"], 0.0);

  const Outcome table = run("eval " + kModel + kTokens + " --windows 1 --against " + kModel);
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("KL divergence    0.00000 nats\n"), std::string::npos) << table.out;
}

TEST(LlamaCli, SettingsAreShorthands) {
  const auto eval = [](const std::string& options) {
    const Outcome outcome = run("eval " + kModel + kTokens + " --windows 1 --json " + options);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    json report = json::parse(outcome.out);
    report.erase("peak_rss_bytes");
    report.erase("tokens_per_second");
    return report;
  };
  const json whole = eval("");
  EXPECT_EQ(eval("--setting w4a16"), whole);
  const json paper = eval("--setting w4a8kv4");
  EXPECT_EQ(paper["activations"], "a8");
  EXPECT_EQ(paper["kv_cache"], "h4");
  EXPECT_EQ(paper["kv_cache_bytes"], 2 * 6 * 256 * 64);
  for (const char* part : {"keys", "values"}) {
    EXPECT_EQ(paper["kv_statistics"][part].size(), 3u);
    EXPECT_GE(paper["kv_statistics"][part]["clipped_share"], 0.0);
    EXPECT_GT(paper["kv_statistics"][part]["outlier_share"], 0.0);
    EXPECT_GT(paper["kv_statistics"][part]["mean_code_length"], 2.0);
  }
  EXPECT_NE(paper["perplexity"], whole["perplexity"]);
  EXPECT_EQ(eval("--activations a8 --kv-cache h4"), paper);
  EXPECT_EQ(eval("--kv-cache a8")["kv_cache_bytes"], 2 * 6 * 256 * 128);
  const Outcome table = run("eval " + kModel + kTokens + " --windows 1 --setting w4a8kv4");
  EXPECT_NE(table.out.find("KV cache         0.20 MB (h4)\nactivations      a8\n"),
            std::string::npos)
      << table.out;

  const std::string command = "generate " + kModel + " --prompt 'It is a truth' -n 12 ";
  const std::string text = run(command + "--setting w4a8kv4 --threads 1").out;
  EXPECT_EQ(text.rfind("It is a truth", 0), 0u) << text;
  EXPECT_EQ(run(command + "--activations a8 --kv-cache h4 --threads 2").out, text);
}

TEST(LlamaCli, GenerateRepeatsItselfForASeed) {
  const std::string command = "generate " + kModel + " --prompt 'It is a truth' -n 12";
  const Outcome first = run(command + " --seed 3 --threads 1");
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out.rfind("It is a truth", 0), 0u) << first.out;
  EXPECT_EQ(first.out.back(), '\n');
  EXPECT_NE(first.err.find("tokens/s"), std::string::npos);
  EXPECT_EQ(run(command + " --seed 3 --threads 2").out, first.out);
  EXPECT_NE(run(command + " --seed 4").out, first.out);
  const std::string greedy = run(command + " --temperature 0").out;
  EXPECT_EQ(run(command + " --temperature 0 --seed 9").out, greedy);
}

TEST(LlamaCli, ImportanceIsWrittenOnce) {
  const TemporaryDirectory directory;
  const std::string command =
      "importance " + kModel + kTokens + " --windows 1 -o " + (directory / "i.safetensors");
  const Outcome outcome = run(command);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out + outcome.err, "");
  const auto model = ecco::Model::open(directory / "i.safetensors");
  ASSERT_TRUE(model) << model.error().message();
  EXPECT_EQ(model->tensors().size(), 43u);
  expect_error(command, 1, "--force");
  EXPECT_EQ(run(command + " --force").exit_code, 0);
  expect_error("importance " + kModel + kTokens + " --windows 1 -o /nowhere/i", 1, "/nowhere/i");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory / ""), {}), 1)
      << "a temporary file is left";
}

TEST(LlamaCli, OnlyARegularFileIsOverwritten) {
  const TemporaryDirectory directory;
  const std::string command = "importance " + kModel + kTokens + " --windows 1 --force -o ";
  write_text(directory / "target", "kept");
  std::filesystem::create_symlink("target", directory / "link");
  expect_error(command + (directory / "link"), 1, "link: exists and is no regular file");
  EXPECT_TRUE(std::filesystem::is_symlink(directory / "link"));
  expect_error(command + (directory / ""), 1, "exists and is no regular file");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory / ""), {}), 2)
      << "a temporary file is left";
}

TEST(LlamaCli, TheLimitOfFileSizesIsAnError) {
  const TemporaryDirectory directory;
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit low{1000, limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);  // for this process, too: it writes nothing here
  expect_error("importance " + kModel + kTokens + " --windows 1 -o " + (directory / "i"), 1,
               "i: cannot write: File too large");
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_TRUE(std::filesystem::is_empty(directory / ""));
}

TEST(LlamaCli, ErrorsThatCannotBeWrittenKeepTheExitCode) {
  const auto exit_code_of = [](const std::string& arguments) {
    const std::string command = ECCO_LLAMA_PROGRAM " " + arguments + " >/dev/null 2>&-";
    return WEXITSTATUS(std::system(command.c_str()));
  };
  EXPECT_EQ(exit_code_of("eval /nowhere" + kTokens), 1);
  EXPECT_EQ(exit_code_of("frobnicate"), 2);
  EXPECT_EQ(exit_code_of("generate " + kModel + " --prompt a -n 1"), 0);
}

TEST(LlamaCli, BadInputIsOneLine) {
  const TemporaryDirectory directory;
  const auto eval = [&](const std::string& bytes) {
    write_text(directory / "t", bytes);
    return "eval " + kModel + " --tokens " + (directory / "t");
  };
  expect_error(eval(""), 1, "empty");
  expect_error(eval("abc"), 1, "3 bytes");
  expect_error(eval(std::string(512, '\xff')), 1, "id 65535, but the vocabulary has 4096");
  expect_error(eval(std::string(510, '\0')), 1,
               "255 tokens, but one window of the model takes 256");
  expect_error("eval /nowhere" + kTokens, 1, "/nowhere/config.json");
  expect_error("eval " + kModel + " --tokens /nowhere", 1, "/nowhere");
  expect_error("generate " + kModel + " --prompt ''", 1, "the prompt has no tokens");
  write_model(directory / "tiny", tiny_config());
  expect_error("generate " + (directory / "tiny") + " --prompt a", 1, "tokenizer.model");
  expect_error("eval " + kModel + kTokens + " --against " + (directory / "tiny"), 1,
               "vocabulary of 4096");
  write_text(directory / "tiny/model.safetensors", "short");
  expect_error("eval " + (directory / "tiny") + kTokens, 1, "model.safetensors");
}

TEST(LlamaCli, BadCommandLinesExitWith2) {
  expect_error("", 2, "--help");
  expect_error("frobnicate", 2, "--help");
  expect_error("eval", 2, "MODEL_DIR");
  expect_error("eval " + kModel, 2, "--tokens");
  expect_error("eval " + kModel + kTokens + " --windows 0", 2, "--windows");
  for (const std::string& command :
       {"eval " + kModel + kTokens, "generate " + kModel + " --prompt a"}) {
    expect_error(command + " --kv-cache p3", 2, "--kv-cache");
    expect_error(command + " --activations h4", 2, "--activations");
    expect_error(command + " --setting w8a8", 2, "--setting");
    expect_error(command + " --setting w4a16 --kv-cache h4", 2, "--setting");
    expect_error(command + " --activations f32 --setting w4a8kv4", 2, "--setting");
  }
  expect_error("generate " + kModel + " --prompt a --temperature nan", 2, "--temperature");
  expect_error("generate " + kModel + " --prompt a --temperature -1", 2, "--temperature");
  expect_error("generate " + kModel + " --prompt a --seed x", 2, "--seed");
  expect_error("importance " + kModel + kTokens, 2, "--output");
}

TEST(LlamaCli, HelpAndVersion) {
  for (const char* arguments : {"--help", "eval --help", "generate --help", "importance --help"}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_NE(outcome.out.find("Exit codes:"), std::string::npos);
    EXPECT_EQ(outcome.err, "");
  }
  EXPECT_EQ(run("--version").out.rfind("ecco-llama ", 0), 0u);
  const Outcome forced = run("--version", "ECCO_FORCE_ISA=scalar ");
  EXPECT_NE(forced.out.find("(scalar)"), std::string::npos);
}

}  // namespace

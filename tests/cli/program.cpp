// SPDX-License-Identifier: MIT
#include "cli/program.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace ecco::test {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

/// In a forked child: becomes the program.
[[noreturn]] void become_ecco(std::vector<std::string> arguments,
                              std::vector<std::string> environment) {
  arguments.insert(arguments.begin(), ECCO_PROGRAM);
  for (const int caught : {SIGINT, SIGTERM}) signal(caught, SIG_DFL);  // ignored under nohup
  for (std::string& entry : environment) putenv(entry.data());
  execv(ECCO_PROGRAM, pointers(arguments).data());
  _exit(127);
}

void redirect(int descriptor, const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
  close(file);
}

}  // namespace

int wait_for(pid_t process) {
  int status = 0;
  if (waitpid(process, &status, 0) != process) return -2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Outcome run_ecco(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment, Output output) {
  const TemporaryFolder scratch;
  const std::string out = scratch.path("out");
  const std::string err = scratch.path("err");
  const pid_t process = fork();
  if (process == 0) {
    redirect(STDERR_FILENO, err);
    if (output == Output::errors_closed) close(STDERR_FILENO);
    if (output == Output::closed) {
      close(STDOUT_FILENO);
    } else {
      redirect(STDOUT_FILENO, output == Output::full ? "/dev/full" : out);
    }
    become_ecco(arguments, environment);
  }
  const int exit_code = wait_for(process);
  return {exit_code, read_text(out), read_text(err)};
}

Outcome run_ecco_on_terminal(const std::vector<std::string>& arguments) {
  const TemporaryFolder scratch;
  const std::string out = scratch.path("out");
  int master = -1;
  int slave = -1;
  winsize size{24, 80, 0, 0};
  if (openpty(&master, &slave, nullptr, nullptr, &size) != 0) return {-2, "", "openpty failed"};
  const pid_t process = fork();
  if (process == 0) {
    close(master);
    dup2(slave, STDERR_FILENO);
    close(slave);
    redirect(STDOUT_FILENO, out);
    become_ecco(arguments, {"TERM=xterm"});
  }
  close(slave);
  Outcome outcome;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(master, buffer.data(), buffer.size())) > 0;) {
    outcome.err.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(master);
  outcome.exit_code = wait_for(process);
  outcome.out = read_text(out);
  return outcome;
}

pid_t start_ecco(const std::vector<std::string>& arguments) {
  const pid_t process = fork();
  if (process != 0) return process;
  redirect(STDOUT_FILENO, "/dev/null");
  redirect(STDERR_FILENO, "/dev/null");
  become_ecco(arguments, {});
}

void expect_success(const Outcome& outcome) {
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
}

void expect_error(const Outcome& outcome, int exit_code, const std::string& reason) {
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("ecco: ")) << outcome.err;
  EXPECT_EQ(outcome.err.find('\n') + 1, outcome.err.size()) << outcome.err;
  EXPECT_NE(outcome.err.find(reason), std::string::npos) << outcome.err;
}

nlohmann::json json_of(const Outcome& outcome) {
  expect_success(outcome);
  EXPECT_EQ(outcome.out.find('\n') + 1, outcome.out.size());
  nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << outcome.out;
  return json;
}

std::vector<std::string> keys_of(const nlohmann::json& object) {
  std::vector<std::string> keys;
  for (const auto& item : object.items()) keys.push_back(item.key());
  return keys;
}

Bytes small_model() {
  return safetensors({gaussian_tensor("w", "F16", {4, 256}, 1),
                      gaussian_tensor("v", "BF16", {2, 3, 130}, 2),
                      gaussian_tensor("u", "F32", {3, 384}, 3),
                      gaussian_tensor("bias", "F32", {128}, 4),
                      {"ids", "I64", {2, 2}, Bytes(32, 1)}});
}

std::string read_text(const std::string& path) {
  const Bytes bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

std::string numbered(unsigned index) {
  std::string name = "w";
  name += std::to_string(index);
  return name;
}

}  // namespace ecco::test

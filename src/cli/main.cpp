// SPDX-License-Identifier: MIT
// The program ecco: command line -> command -> one line of error and an exit code.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <variant>

#include "cli/arguments.hpp"
#include "cli/commands.hpp"
#include "cli/text.hpp"
#include "ecco/isa.hpp"
#include "ecco/version.hpp"

namespace ecco::cli {
namespace {

constexpr int kFailure = 1;
constexpr int kUsageError = 2;

int report(std::string_view message, int exit_code) {
  write_error(fmt::format("ecco: {}\n", printable(message)));
  return exit_code;
}

/// A standard descriptor that is closed would be given to the next file opened, and messages
/// would land in it.
void occupy_standard_descriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free descriptor is fd. Opened for reading: writing to it is still an error.
    if (open("/dev/null", O_RDONLY) != fd) return;
  }
}

int run_command(const Arguments& arguments) {
  if (!std::holds_alternative<HelpArguments>(arguments)) {
    if (const auto isa = active_isa(); !isa) return report(isa.error().message(), kFailure);
  }
  const Status status = std::visit([](const auto& chosen) { return run(chosen); }, arguments);
  return status.ok() ? 0 : report(status.message(), kFailure);
}

}  // namespace

Status run(const HelpArguments& arguments) { return write_output(arguments.text); }

Status run(const VersionArguments&) {
  return write_output(fmt::format("ecco {} ({})\n", ECCO_VERSION_STRING, isa_name(*active_isa())));
}

}  // namespace ecco::cli

int main(int argc, char** argv) {
  using namespace ecco::cli;
  occupy_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error of write(), not the end
  try {
    const auto arguments = parse_command_line(argc, argv);
    return arguments ? run_command(*arguments) : report(arguments.error(), kUsageError);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kFailure);
  } catch (const std::exception& error) {
    return report(fmt::format("internal error: {}; please report it", error.what()), kFailure);
  }
}

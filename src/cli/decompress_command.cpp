// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cli/commands.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "cli/threads.hpp"

namespace ecco::cli {

Status run(const DecompressArguments& arguments) {
  ModelDecompressOptions options;
  options.dtype = arguments.dtype;
  options.overwrite = arguments.force;

  const Threads threads(arguments.threads);
  double seconds = 0.0;
  {
    ProgressBar bar("decompressing");
    Status status =
        decompress_model(arguments.in, arguments.out, options, threads.parallel(), bar.callback());
    if (!status) return explain_interrupt(std::move(status), arguments.out + " was not written");
    seconds = bar.seconds();
  }
  return write_output(fmt::format(
      "{} -> {}\n  time        {:.2f} s ({})\n", printable(arguments.in), printable(arguments.out),
      seconds, format_number_of(static_cast<std::size_t>(threads.count()), "thread")));
}

}  // namespace ecco::cli

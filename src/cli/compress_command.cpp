// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/progress.hpp"
#include "cli/text.hpp"
#include "cli/threads.hpp"
#include "ecco/isa.hpp"

namespace ecco::cli {
namespace {

/// Sums over the tensors of a report.
struct Totals {
  std::size_t compressed = 0;
  std::size_t carried = 0;
  double values = 0.0;  ///< of the compressed tensors
  std::uint64_t compressed_bytes = 0;
  std::uint64_t carried_bytes = 0;
};

double number_of_values(const TensorOutcome& tensor) {
  double values = 1.0;
  for (const std::uint64_t extent : tensor.shape) values *= static_cast<double>(extent);
  return values;
}

Totals sum(const CompressReport& report) {
  Totals totals;
  for (const TensorOutcome& tensor : report.tensors) {
    if (tensor.codec) {
      ++totals.compressed;
      totals.values += number_of_values(tensor);
      totals.compressed_bytes += tensor.stored_bytes;
    } else {
      ++totals.carried;
      totals.carried_bytes += tensor.stored_bytes;
    }
  }
  return totals;
}

std::string_view effort_name(Effort effort) {
  return effort == Effort::fast ? "fast" : effort == Effort::best ? "best" : "default";
}

std::string_view mode_name(H4Mode mode) {
  return mode == H4Mode::faithful ? "faithful" : "rate-aware";
}

/// Where the tables come from, as asked for or implied.
TableSource table_of(const CompressArguments& arguments) {
  const bool own = arguments.patterns != 0 || arguments.codebooks != 0;
  return arguments.table.value_or(own ? TableSource::file : TableSource::standard);
}

std::string_view table_name(TableSource table) {
  return table == TableSource::tensor ? "tensor"
         : table == TableSource::file ? "file"
                                      : "standard";
}

/// "default", "faithful"
std::string_view how_encoded(const CompressArguments& arguments) {
  const bool faithful = arguments.codec == Codec::h4 && arguments.mode == H4Mode::faithful;
  return faithful ? mode_name(arguments.mode) : effort_name(arguments.effort);
}

/// Bytes written, or in a dry run those that the tensors would take.
std::uint64_t stored_bytes(const CompressReport& report, const Totals& totals, bool dry_run) {
  return dry_run ? totals.compressed_bytes + totals.carried_bytes : report.stored_bytes;
}

double ratio_of(const CompressReport& report, std::uint64_t stored) {
  return stored == 0 ? 0.0
                     : static_cast<double>(report.source_bytes) / static_cast<double>(stored);
}

std::string json_report(const CompressArguments& arguments, const CompressReport& report,
                        double seconds, int threads) {
  const Totals totals = sum(report);
  const std::uint64_t stored = stored_bytes(report, totals, arguments.dry_run);
  Json json;
  json["file"] = arguments.in;
  json["output"] = arguments.out.empty() ? Json() : Json(arguments.out);
  json["codec"] = codec_name(arguments.codec);
  json["effort"] = effort_name(arguments.effort);
  json["mode"] = arguments.codec == Codec::h4 ? Json(mode_name(arguments.mode)) : Json();
  json["table"] = table_name(table_of(arguments));
  json["threads"] = threads;
  json["dry_run"] = arguments.dry_run;
  json["source_bytes"] = report.source_bytes;
  json["stored_bytes"] = stored;
  json["ratio"] = stored == 0 ? Json() : Json(ratio_of(report, stored));
  json["bits_per_weight"] = totals.compressed == 0 ? Json() : Json(report.bits_per_weight);
  json["seconds"] = seconds;
  json["values_per_second"] =
      arguments.dry_run || seconds <= 0.0 ? Json() : Json(totals.values / seconds);
  json["tensors"] = Json::array();
  for (const TensorOutcome& tensor : report.tensors) {
    Json entry;
    entry["name"] = tensor.name;
    entry["shape"] = tensor.shape;
    entry["dtype"] = tensor.dtype;
    entry["codec"] = tensor.codec ? Json(codec_name(*tensor.codec)) : Json();
    entry["reason"] = tensor.reason;
    entry["included"] = tensor.included;
    entry["source_bytes"] = tensor.source_bytes;
    entry["stored_bytes"] = tensor.stored_bytes;
    json["tensors"].push_back(std::move(entry));
  }
  return to_line(json);
}

std::string list_tensors(const CompressReport& report) {
  using enum TextTable::Align;
  TextTable table({{"tensor"},
                   {"shape"},
                   {"dtype"},
                   {"codec"},
                   {"source bytes", right},
                   {"stored bytes", right},
                   {"reason"}});
  for (const TensorOutcome& tensor : report.tensors) {
    table.add_row({printable(tensor.name), format_shape(tensor.shape), printable(tensor.dtype),
                   std::string(tensor.codec ? codec_name(*tensor.codec) : "carried"),
                   fmt::format("{}", tensor.source_bytes), fmt::format("{}", tensor.stored_bytes),
                   printable(tensor.reason)});
  }
  return table.text() + '\n';
}

/// What --include and --exclude asked for and did not get.
std::string list_disappointments(const CompressArguments& arguments,
                                 const CompressReport& report) {
  std::string out;
  bool any_included = false;
  bool any_excluded = false;
  for (const TensorOutcome& tensor : report.tensors) {
    any_included |= tensor.included;
    any_excluded |= tensor.excluded;
    if (arguments.include.empty() || !tensor.included || tensor.codec) continue;
    out += fmt::format("  not compressed although --include names it: {}: {}\n",
                       printable(tensor.name), printable(tensor.reason));
  }
  if (!arguments.include.empty() && !any_included) {
    out += fmt::format("  --include '{}' names no tensor\n", printable(arguments.include));
  }
  if (!arguments.exclude.empty() && !any_excluded) {
    out += fmt::format("  --exclude '{}' names no tensor\n", printable(arguments.exclude));
  }
  return out;
}

std::string summary(const CompressArguments& arguments, const CompressReport& report,
                    double seconds, int threads) {
  const Totals totals = sum(report);
  const std::uint64_t stored = stored_bytes(report, totals, arguments.dry_run);
  std::string out;
  if (arguments.dry_run) {
    out = list_tensors(report) + fmt::format("{}: nothing was written\n", printable(arguments.in));
  } else {
    out = fmt::format("{} -> {}\n", printable(arguments.in), printable(arguments.out));
  }
  out += fmt::format("  source      {}\n", format_bytes(report.source_bytes));
  out += fmt::format("  stored      {}{}, {:.2f} times smaller\n", format_bytes(stored),
                     arguments.dry_run ? " and a header" : "", ratio_of(report, stored));
  out += fmt::format("  compressed  {}", format_number_of(totals.compressed, "tensor"));
  if (totals.compressed > 0) {
    out += fmt::format(", {} values, {:.3f} bits/weight ({}, {}, table {})",
                       format_count(totals.values), report.bits_per_weight,
                       codec_name(arguments.codec), how_encoded(arguments),
                       table_name(table_of(arguments)));
  }
  out += fmt::format("\n  carried     {}, {}\n", format_number_of(totals.carried, "tensor"),
                     format_bytes(totals.carried_bytes));
  if (!arguments.dry_run) {
    out += fmt::format("  time        {:.2f} s, {} values/s ({}, {})\n", seconds,
                       format_count(totals.values / std::max(seconds, 1e-9)),
                       format_number_of(static_cast<std::size_t>(threads), "thread"),
                       isa_name(*active_isa()));
  }
  return out + list_disappointments(arguments, report);
}

}  // namespace

Status run(const CompressArguments& arguments) {
  ModelCompressOptions options;
  options.codec = arguments.codec;
  options.effort = arguments.effort;
  options.mode = arguments.mode;
  options.table = table_of(arguments);
  options.patterns = arguments.patterns;
  options.codebooks = arguments.codebooks;
  options.importance = arguments.importance;
  options.include = arguments.include;
  options.exclude = arguments.exclude;
  options.overwrite = arguments.force;
  options.dry_run = arguments.dry_run;

  const Threads threads(arguments.threads);
  double seconds = 0.0;
  const Result<CompressReport> report = [&] {
    ProgressBar bar("compressing");
    auto result =
        compress_model(arguments.in, arguments.out, options, threads.parallel(), bar.callback());
    seconds = bar.seconds();
    return result;
  }();
  if (!report) return explain_interrupt(report.error(), arguments.out + " was not written");
  return write_output(arguments.json ? json_report(arguments, *report, seconds, threads.count())
                                     : summary(arguments, *report, seconds, threads.count()));
}

}  // namespace ecco::cli

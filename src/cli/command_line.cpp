// SPDX-License-Identifier: MIT
// The one file that includes CLI11.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <regex>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/arguments.hpp"
#include "cli/text.hpp"
#include "ecco/h4.hpp"

namespace ecco::cli {
namespace {

constexpr int kMaxThreads = 1024;
constexpr std::size_t kMaxRegexBytes = 1000;  // std::regex compiles by recursion

constexpr std::string_view kExitCodes = R"(Exit codes:
  0  done (verify: intact)
  1  failed, refused or interrupted; one line on standard error says why
  2  the command line itself makes no sense)";

template <typename T>
struct Choice {
  std::string_view name;
  T value;
};

constexpr std::array<Choice<Codec>, 5> kCodecs = {{{"h4", Codec::h4},
                                                   {"p2", Codec::p2},
                                                   {"p3", Codec::p3},
                                                   {"p4", Codec::p4},
                                                   {"p5", Codec::p5}}};
constexpr std::array<Choice<H4Mode>, 2> kModes = {
    {{"rate-aware", H4Mode::rate_aware}, {"faithful", H4Mode::faithful}}};
constexpr std::array<Choice<Effort>, 3> kEfforts = {
    {{"fast", Effort::fast}, {"default", Effort::default_}, {"best", Effort::best}}};
constexpr std::array<Choice<TableSource>, 3> kTables = {{{"standard", TableSource::standard},
                                                         {"tensor", TableSource::tensor},
                                                         {"file", TableSource::file}}};
constexpr std::array<Choice<const char*>, 3> kDtypes = {
    {{"f32", "F32"}, {"f16", "F16"}, {"bf16", "BF16"}}};

template <typename T, std::size_t N>
std::string names(const std::array<Choice<T>, N>& choices, std::string_view separator) {
  std::string out;
  for (const Choice<T>& choice : choices) {
    if (!out.empty()) out += separator;
    out += choice.name;
  }
  return out;
}

/// An option that takes one of a few names.
template <typename Target, typename T, std::size_t N>
CLI::Option* add_choice(CLI::App* app, std::string option, Target* target,
                        const std::array<Choice<T>, N>& choices, std::string description) {
  auto set = [option, target, &choices](const std::string& name) {
    for (const Choice<T>& choice : choices) {
      if (choice.name != name) continue;
      *target = choice.value;
      return;
    }
    throw CLI::ValidationError(option,
                               fmt::format("'{}' is not one of {}", name, names(choices, ", ")));
  };
  return app->add_option_function<std::string>(option, set, std::move(description))
      ->type_name(names(choices, "|"));
}

void add_regex(CLI::App* app, const std::string& option, std::string* target,
               const std::string& description) {
  auto check = [](const std::string& text) -> std::string {
    if (text.size() > kMaxRegexBytes) {
      return fmt::format("the regular expression has {} bytes; the limit is {}", text.size(),
                         kMaxRegexBytes);
    }
    try {
      std::regex(text, std::regex::ECMAScript);
    } catch (const std::regex_error& error) {
      return fmt::format("'{}' is no ECMAScript regular expression: {}", text, error.what());
    }
    return {};
  };
  app->add_option(option, *target, description)->type_name("REGEX")->check(check);
}

void add_threads(CLI::App* app, int* threads) {
  app->add_option("--threads", *threads,
                  "Threads, 1 to 1024 (default: as many as there are processors)")
      ->type_name("N")
      ->check(CLI::Range(1, kMaxThreads).description(""));
}

void add_file(CLI::App* app, const std::string& name, std::string* file,
              const std::string& description) {
  app->add_option(name, *file, description)->required()->type_name("");
}

CLI::Option* add_out(CLI::App* app, std::string* out) {
  return app->add_option("-o,--output", *out, "What to write: a directory if IN is not one file")
      ->type_name("OUT");
}

CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description,
                      std::string_view examples) {
  CLI::App* app = program.add_subcommand(name, description);
  app->footer(fmt::format("Examples:\n{}\n\n{}", examples, kExitCodes));
  return app;
}

void add_compress(CLI::App& program, CompressArguments& arguments) {
  CLI::App* app = add_command(program, "compress", "Compresses a model to fixed-size blocks.",
                              R"(  ecco compress model.safetensors -o model.p4.safetensors
  ecco compress llama/ -o llama-p3/ --codec p3 --effort best
  ecco compress llama/ -o llama-h4/ --codec h4 --mode faithful --table file
  ecco compress llama/ -o llama-p4/ --exclude 'lm_head|embed' --importance stats.safetensors
  ecco compress llama/ --dry-run             what would become of each tensor

F16, BF16 and F32 tensors of rank 2 and above are compressed where that at least halves them;
all others are carried unchanged. --include and --exclude are ECMAScript regular expressions
that may match anywhere in a tensor's name; --exclude wins. A tensor with NaN or infinity is
an error: --exclude it to carry it as it is. Against best, fast has up to 4 % (p5: 6 %) and
default 1 % (p5: 2 %) more error; best takes over ten times as long as default.

h4 is the Huffman block of the ISCA 2025 paper. Mode rate-aware chooses pattern, codebook, scale
and symbols together under the 512 bits of a block; faithful does as the paper and pads or clips,
whatever the effort. --patterns and --codebooks are of a table trained on the model (so they
imply --table file); with --table file or tensor, faithful trains by the paper's two k-means.
Ctrl-C ends the run without a trace of OUT.

--json prints one object: file, output, codec, effort, mode (null but for h4), table, threads,
dry_run, source_bytes, stored_bytes (in a dry run without headers and trained tables), ratio,
bits_per_weight (null when nothing is compressed), seconds, values_per_second, and tensors:
name, shape, dtype, codec (null: carried), reason, included, source_bytes, stored_bytes.)");
  add_file(app, "IN", &arguments.in,
           "A .safetensors file, an index of shards, or a model directory");
  add_out(app, &arguments.out);
  add_choice(app, "--codec", &arguments.codec, kCodecs,
             "Block format: p2 to p5 by bits per weight, or h4 (default p4)");
  add_choice(app, "--effort", &arguments.effort, kEfforts,
             "How hard to search (default: default)");
  CLI::Option* mode = add_choice(app, "--mode", &arguments.mode, kModes,
                                 "How h4 is encoded (default: rate-aware)");
  CLI::Option* patterns =
      app->add_option("--patterns", arguments.patterns,
                      "Patterns of a trained h4 table, 16 to 256 (default: up to 64)")
          ->type_name("S")
          ->check(CLI::Range(h4::kMinPatterns, kMaxPatterns).description(""));
  CLI::Option* codebooks =
      app->add_option("--codebooks", arguments.codebooks,
                      "Huffman codebooks of a trained h4 table, 1 to 16 (default 4)")
          ->type_name("H")
          ->check(CLI::Range(1, h4::kMaxCodebooks).description(""));
  app->add_option("--importance", arguments.importance,
                  "F32 vectors under the tensors' names: weights of the columns")
      ->type_name("FILE");
  add_regex(app, "--include", &arguments.include, "Compress only tensors with such names");
  add_regex(app, "--exclude", &arguments.exclude, "Carry tensors with such names");
  add_choice(app, "--table", &arguments.table, kTables,
             "Patterns: built in (default), or trained (p2 to p5: where that gains)");
  add_threads(app, &arguments.threads);
  app->add_flag("--force", arguments.force, "Overwrite OUT if it exists");
  app->add_flag("--dry-run", arguments.dry_run,
                "List what would become of each tensor; write nothing");
  app->add_flag("--json", arguments.json, "Print the report as JSON");
  app->final_callback([&arguments, mode, patterns, codebooks] {
    if (arguments.out.empty() && !arguments.dry_run) throw CLI::RequiredError("-o OUT");
    for (const CLI::Option* option : {mode, patterns, codebooks}) {
      if (option->count() == 0 || arguments.codec == Codec::h4) continue;
      throw CLI::ValidationError(option->get_name(), "it is an option of --codec h4");
    }
    for (const CLI::Option* option : {patterns, codebooks}) {
      if (option->count() == 0 || arguments.table != TableSource::standard) continue;
      throw CLI::ValidationError(option->get_name(),
                                 "the standard table has its own; use --table file or tensor");
    }
  });
}

void add_decompress(CLI::App& program, DecompressArguments& arguments) {
  CLI::App* app = add_command(program, "decompress",
                              "Writes a compressed model as plain safetensors, checksums checked.",
                              R"(  ecco decompress model.p4.safetensors -o model.safetensors
  ecco decompress llama-p4/ -o llama-f16/ --dtype f16 --force)");
  add_file(app, "IN", &arguments.in, "A compressed file, index or model directory");
  add_out(app, &arguments.out)->required();
  add_choice(app, "--dtype", &arguments.dtype, kDtypes,
             "Type of the decompressed tensors (default: each as it was)");
  add_threads(app, &arguments.threads);
  app->add_flag("--force", arguments.force, "Overwrite OUT if it exists");
}

void add_info(CLI::App& program, InfoArguments& arguments) {
  CLI::App* app = add_command(program, "info",
                              "Lists the tensors of a model; with --against also their errors.",
                              R"(  ecco info model.p4.safetensors
  ecco info model.p4.safetensors --against model.safetensors
  ecco info llama-p4/ --json | jq .bits_per_weight

Without --against only the header is read. Bits per weight are effective: padding and tables
count, the header stands apart. RMSE is
relative, the root of the sum of squared errors over the sum of squares (0.08 in JSON is 8 %
in the list); the total is over all values of the compressed tensors.

--json prints one object: file_bytes, header_bytes, bits_per_weight, rmse, and tensors: name,
shape, codec, table, bits_per_weight, rmse, snr_db. A carried tensor has null for codec and
table; rmse and snr_db are null without --against, for carried tensors, and where they are
not finite (snr_db of a tensor without error).)");
  add_file(app, "FILE", &arguments.file, "A safetensors file, an index, or a model directory");
  app->add_option("--against", arguments.against,
                  "Compares all values with this model, the source")
      ->type_name("ORIGINAL");
  add_threads(app, &arguments.threads);
  app->add_flag("--json", arguments.json, "Print JSON");
}

void add_verify(CLI::App& program, VerifyArguments& arguments) {
  CLI::App* app =
      add_command(program, "verify", "Checks a compressed model: layout, checksums, every block.",
                  R"(  ecco verify model.p4.safetensors && echo intact
  ecco verify llama-p4/ --json

--json prints one object: intact, file, tensors (their number; null if the header is
corrupt), defects: tensor (null if the header is corrupt), reason; and, over the values of all
h4 tensors (null if there is none), clipped_share, outlier_share, mean_code_length; h4: the same
per tensor, with its name.)");
  add_file(app, "FILE", &arguments.file, "A compressed file, index or model directory");
  add_threads(app, &arguments.threads);
  app->add_flag("--json", arguments.json, "Print JSON");
}

void add_table(CLI::App& program, TableArguments& arguments) {
  CLI::App* app = add_command(program, "table", "Prints the standard pattern table of a codec.",
                              R"(  ecco table p4
  ecco table p4 --json | jq '.centroids[0]'
  ecco table h4 --kv

One pattern a line: its centroids in rank order, the most probable first; of h4 in ascending
order, then one Huffman codebook a line: the code lengths of its 16 symbols.
--json prints one object: codec, name, xxh3 (of the centroids' bytes, row-major), centroids,
and for h4 codebooks.)");
  add_choice(app, "CODEC", &arguments.codec, kCodecs, "Codec of the table")->required();
  CLI::Option* kv = app->add_flag("--kv", arguments.kv, "The table of h4's KV mode");
  app->final_callback([&arguments, kv] {
    if (kv->count() == 0 || arguments.codec == Codec::h4) return;
    throw CLI::ValidationError("--kv", "it is an option of codec h4");
  });
  app->add_flag("--json", arguments.json, "Print JSON");
}

void add_bench(CLI::App& program, BenchArguments& arguments) {
  CLI::App* app = add_command(program, "bench",
                              "Measures the speed of one thread, with all data in the L2 cache.",
                              R"(  ecco bench
  ecco bench --codec p4 --json
  ECCO_FORCE_ISA=scalar ecco bench --codec p4

Each figure is the median of 7 runs after a warm-up, in values per second of processor time.
The working set is all that an operation reads and writes, but for an encoder's own tables.
The checksum is the XXH3 of all that was computed; it is the same for every instruction set.
--json prints one object: cpu, isa, and results: name, codec, values_per_second,
working_set_bytes, checksum. Names: decode_f32, decode_bf16, decode_int8, gemv_f32,
gemv_int8, encode_fast, encode_default, encode_best.)");
  add_choice(app, "--codec", &arguments.codec, kCodecs, "Only this codec (default: all)");
  app->add_flag("--json", arguments.json, "Print JSON");
}

/// "compress: --codec: ...; see ecco compress --help".
std::string explain(const CLI::App& program, const CLI::ParseError& error) {
  const std::vector<CLI::App*> commands = program.get_subcommands();
  if (commands.empty()) return fmt::format("{}; see ecco --help", error.what());
  const std::string& name = commands.front()->get_name();
  return fmt::format("{}: {}; see ecco {} --help", name, error.what(), name);
}

}  // namespace

tl::expected<Arguments, std::string> parse_command_line(int argc, const char* const* argv) {
  CLI::App program(
      "Compresses the weights of language models to fixed-size blocks of 2 to 5 bits "
      "per weight.",
      "ecco");
  program.footer(fmt::format(R"(Examples:
  ecco compress model.safetensors -o model.p4.safetensors
  ecco info model.p4.safetensors --against model.safetensors
  ecco decompress model.p4.safetensors -o restored.safetensors
  ecco compress --help

Environment:
  ECCO_FORCE_ISA=scalar|avx2  runs on that instruction set; an error where the CPU lacks it

{})",
                             kExitCodes));
  bool version = false;
  program.add_flag("--version", version, "Print the version and the instruction set in use");
  program.require_subcommand(0, 1);

  CompressArguments compress;
  DecompressArguments decompress;
  InfoArguments info;
  VerifyArguments verify;
  TableArguments table;
  BenchArguments bench;
  add_compress(program, compress);
  add_decompress(program, decompress);
  add_info(program, info);
  add_verify(program, verify);
  add_table(program, table);
  add_bench(program, bench);

  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return HelpArguments{program.help()};
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(explain(program, error));
  }
  if (version) return VersionArguments{};
  if (program.got_subcommand("compress")) return compress;
  if (program.got_subcommand("decompress")) return decompress;
  if (program.got_subcommand("info")) return info;
  if (program.got_subcommand("verify")) return verify;
  if (program.got_subcommand("table")) return table;
  if (program.got_subcommand("bench")) return bench;
  return tl::unexpected(std::string("no sub-command; see ecco --help"));
}

}  // namespace ecco::cli

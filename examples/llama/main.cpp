// SPDX-License-Identifier: MIT
// The program ecco-llama: command line -> command -> one line of error and an exit code.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "ecco/isa.hpp"
#include "ecco/parallel_tbb.hpp"
#include "ecco/version.hpp"
#include "llama/eval.hpp"
#include "llama/files.hpp"
#include "llama/generate.hpp"
#include "llama/importance.hpp"
#include "llama/tokenizer.hpp"
#include "llama/tokens.hpp"

namespace llama {
namespace {

using ecco::Status;
using ecco::StatusCode;

constexpr int kMaxThreads = 1024;

constexpr const char* kExitCodes = R"(Exit codes:
  0  done
  1  failed or refused; one line on standard error says why
  2  the command line itself makes no sense)";

struct Arguments {
  std::string model;
  std::string tokens;
  std::string against;
  std::string out;
  std::string prompt;
  std::string setting;
  std::string activations = "f32";
  std::string kv_cache = "f32";
  std::size_t windows = 0;
  std::size_t most_tokens = 128;
  double temperature = 0.8;
  std::uint64_t seed = 0;
  int threads = 0;
  bool json = false;
  bool force = false;
};

/// Control characters of names and paths must not reach the terminal.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

/// To standard error, as far as that can be written: nobody is left to be told otherwise.
void print_error(std::string_view text) {
  const ssize_t ignored = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(ignored);
}

int report(const std::string& message, int exit_code) {
  print_error(fmt::format("ecco-llama: {}\n", one_line(message)));
  return exit_code;
}

/// Error: io_error, so that a full disk or a closed pipe is not taken for success.
Status print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
      std::fflush(stdout) == 0) {
    return {};
  }
  return {StatusCode::io_error, "cannot write to standard output"};
}

/// The threads that the computation may use.
class Threads {
 public:
  explicit Threads(int threads)
      : count_(threads > 0 ? threads : tbb::info::default_concurrency()),
        limit_(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(count_)),
        parallel_(count_ == 1 ? ecco::ParallelFor(ecco::serial) : ecco::tbb_parallel(count_)) {}
  [[nodiscard]] const ecco::ParallelFor& parallel() const { return parallel_; }

 private:
  int count_;
  tbb::global_control limit_;
  ecco::ParallelFor parallel_;
};

/// A line on standard error while windows are computed, if that is a terminal.
class ProgressLine {
 public:
  ProgressLine() : shown_(isatty(STDERR_FILENO) != 0) {}
  ~ProgressLine() {
    if (shown_) print_error("\r\x1b[K");
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  [[nodiscard]] WindowProgress callback() const {
    if (!shown_) return {};
    return [](std::size_t done, std::size_t total) {
      print_error(fmt::format("\r{} of {} windows", done, total));
      return true;
    };
  }

 private:
  bool shown_;
};

std::uint64_t peak_rss_bytes() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

/// The words of the command line; every one of them passed CLI11's check.
Setting setting_of(const Arguments& arguments) {
  if (arguments.setting == "w4a8kv4") return {true, ecco::Codec::h4};
  Setting setting;
  setting.a8_activations = arguments.activations == "a8";
  for (const ecco::Codec codec : {ecco::Codec::h4, ecco::Codec::p4, ecco::Codec::a8}) {
    if (arguments.kv_cache == ecco::codec_name(codec)) setting.kv_cache = codec;
  }
  return setting;
}

std::string activations_name(const Setting& setting) {
  return setting.a8_activations ? "a8" : "f32";
}

std::string kv_cache_name(const Setting& setting) {
  return setting.kv_cache ? std::string(ecco::codec_name(*setting.kv_cache)) : "f32";
}

nlohmann::ordered_json statistics_json(const ecco::h4::Statistics& statistics) {
  nlohmann::ordered_json json;
  json["clipped_share"] = statistics.clipped_share();
  json["outlier_share"] = statistics.outlier_share();
  json["mean_code_length"] = statistics.mean_code_length();
  return json;
}

std::string eval_json(const Quality& quality, const Transformer& model) {
  const WeightSize size = model.weight_size();
  nlohmann::ordered_json json;
  json["perplexity"] = quality.perplexity;
  json["predictions"] = quality.predictions;
  json["kl_divergence"] = nullptr;
  if (quality.kl_divergence) json["kl_divergence"] = *quality.kl_divergence;
  json["bits_per_weight"] = size.bits_per_weight;
  json["weight_bytes"] = size.bytes;
  json["activations"] = activations_name(model.setting());
  json["kv_cache"] = kv_cache_name(model.setting());
  json["kv_cache_bytes"] = quality.kv_cache_bytes;
  json["kv_statistics"] = nullptr;
  if (quality.kv_statistics) {
    json["kv_statistics"] = {{"keys", statistics_json(quality.kv_statistics->keys)},
                             {"values", statistics_json(quality.kv_statistics->values)}};
  }
  json["peak_rss_bytes"] = peak_rss_bytes();
  json["tokens_per_second"] = quality.tokens_per_second;
  return json.dump(2) + "\n";
}

std::string eval_text(const Quality& quality, const Transformer& model) {
  const WeightSize size = model.weight_size();
  std::string text = fmt::format("perplexity       {:.4f}  ({} predictions)\n", quality.perplexity,
                                 quality.predictions);
  if (quality.kl_divergence) {
    text += fmt::format("KL divergence    {:.5f} nats\n", *quality.kl_divergence);
  }
  const auto megabytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  return text + fmt::format(
                    "bits per weight  {:.3f}\nweights          {:.2f} MB\n"
                    "KV cache         {:.2f} MB ({})\nactivations      {}\n"
                    "peak memory      {:.2f} MB\nspeed            {:.0f} tokens/s\n",
                    size.bits_per_weight, megabytes(size.bytes), megabytes(quality.kv_cache_bytes),
                    kv_cache_name(model.setting()), activations_name(model.setting()),
                    megabytes(peak_rss_bytes()), quality.tokens_per_second);
}

Status run_eval(const Arguments& arguments) {
  const Threads threads(arguments.threads);
  const auto model = Transformer::load(arguments.model, threads.parallel(), setting_of(arguments));
  if (!model) return model.error();
  std::optional<Transformer> original;
  if (!arguments.against.empty()) {
    auto loaded = Transformer::load(arguments.against, threads.parallel());
    if (!loaded) return loaded.error();
    original.emplace(std::move(*loaded));
  }
  const auto tokens = read_tokens(arguments.tokens, model->config().vocab_size);
  if (!tokens) return tokens.error();
  const auto windows = count_windows(model->config(), tokens->size(), arguments.windows);
  if (!windows)
    return {windows.error().code(), arguments.tokens + ": " + windows.error().message()};
  const auto quality = [&] {
    const ProgressLine line;
    return evaluate(*model, original ? &*original : nullptr, *tokens, *windows, threads.parallel(),
                    line.callback());
  }();
  if (!quality) return quality.error();
  return print(arguments.json ? eval_json(*quality, *model) : eval_text(*quality, *model));
}

Status run_generate(const Arguments& arguments) {
  const Threads threads(arguments.threads);
  const auto model = Transformer::load(arguments.model, threads.parallel(), setting_of(arguments));
  if (!model) return model.error();
  const auto tokenizer = Tokenizer::load(arguments.model, model->config());
  if (!tokenizer) return tokenizer.error();
  const auto prompt = tokenizer->encode(arguments.prompt);
  if (!prompt) return prompt.error();
  Utf8Stream text;
  Status output;
  bool started = false;
  const TokenSink sink = [&](std::uint32_t token) {
    if (!std::exchange(started, true)) output = print(arguments.prompt);
    if (output) output = print(text.append(tokenizer->bytes(token)));
    return output.ok();
  };
  Sampler sampler(arguments.temperature, arguments.seed);
  const auto result = generate(*model, *prompt, arguments.most_tokens, sampler, sink);
  if (started && output) output = print(text.finish() + "\n");
  if (!result) return result.error();
  if (output) {
    print_error(
        fmt::format("{} tokens, {:.0f} tokens/s\n", result->tokens, result->tokens_per_second));
  }
  return output;
}

Status run_importance(const Arguments& arguments) {
  if (Status status = check_target(arguments.out, arguments.force); !status) return status;
  const Threads threads(arguments.threads);
  const auto model = Transformer::load(arguments.model, threads.parallel());
  if (!model) return model.error();
  const auto tokens = read_tokens(arguments.tokens, model->config().vocab_size);
  if (!tokens) return tokens.error();
  const auto windows = count_windows(model->config(), tokens->size(), arguments.windows);
  if (!windows)
    return {windows.error().code(), arguments.tokens + ": " + windows.error().message()};
  const auto importance = [&] {
    const ProgressLine line;
    return measure_importance(*model, *tokens, *windows, line.callback());
  }();
  if (!importance) return importance.error();
  return write_importance(*importance, arguments.out, arguments.force);
}

void add_model(CLI::App* app, Arguments& arguments) {
  app->add_option("MODEL_DIR", arguments.model,
                  "Directory with config.json and the model, compressed or not")
      ->required()
      ->type_name("");
  app->add_option("--threads", arguments.threads, "Threads to use; by default all processors")
      ->type_name("N")
      ->check(CLI::Range(1, kMaxThreads).description(""));
}

void add_setting(CLI::App* app, Arguments& arguments) {
  const auto one_of = [&](CLI::Option* option, std::vector<std::string> words) {
    option->type_name(fmt::format("{}", fmt::join(words, "|")));
    return option->check(CLI::IsMember(std::move(words)).description(""));
  };
  CLI::Option* activations =
      one_of(app->add_option("--activations", arguments.activations,
                             "What every matrix's input goes through (default f32: nothing)"),
             {"f32", "a8"});
  CLI::Option* kv_cache = one_of(
      app->add_option("--kv-cache", arguments.kv_cache, "Blocks of keys and values (default f32)"),
      {"f32", "h4", "p4", "a8"});
  one_of(app->add_option("--setting", arguments.setting,
                         "w4a16: both f32; w4a8kv4: --activations a8 --kv-cache h4"),
         {"w4a16", "w4a8kv4"})
      ->excludes(activations)
      ->excludes(kv_cache);
}

void add_tokens(CLI::App* app, Arguments& arguments) {
  app->add_option("--tokens", arguments.tokens, "The text as little-endian 16-bit token ids")
      ->required()
      ->type_name("FILE");
  app->add_option("--windows", arguments.windows, "Read only the first windows of the text")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 40).description(""));
}

CLI::App* add_eval(CLI::App& program, Arguments& arguments) {
  CLI::App* app = program.add_subcommand(
      "eval", "Perplexity of a model on a text, and with --against what its compression cost.");
  add_model(app, arguments);
  add_tokens(app, arguments);
  app->add_option("--against", arguments.against,
                  "The model before its compression, for the KL divergence; it runs in f32")
      ->type_name("ORIGINAL_DIR");
  add_setting(app, arguments);
  app->add_flag("--json", arguments.json, "Print JSON");
  app->footer(fmt::format(R"(Examples:
  ecco-llama eval model-p4 --tokens eval_tokens.u16
  ecco-llama eval model-p4 --tokens eval_tokens.u16 --against model --json
  ecco-llama eval model-h4 --tokens eval_tokens.u16 --setting w4a8kv4

The text is cut into windows of max_position_embeddings tokens, a short last one dropped; all
tokens but the first of a window are predicted from those before them in the window.

--json prints one object: perplexity; predictions, their number; kl_divergence, the mean over
the predictions of sum p ln(p / q) in nats, p of ORIGINAL_DIR (null without it);
bits_per_weight, of the compressed matrices, or of all if none is; weight_bytes, all that the
weights of MODEL_DIR take in memory; activations and kv_cache, as chosen; kv_cache_bytes, all
keys and values of a window; kv_statistics, null unless they are in h4: of keys and of values,
clipped_share and outlier_share of the elements and mean_code_length in bits; peak_rss_bytes, of
the whole process; tokens_per_second, of MODEL_DIR alone.

Keys are cached rotated, as attention reads them. Queries, attention and the sums of the layers
are f32 in every setting.

{})",
                          kExitCodes));
  return app;
}

CLI::App* add_generate(CLI::App& program, Arguments& arguments) {
  CLI::App* app = program.add_subcommand(
      "generate", "Continues a text: prints it and the tokens after it as they are drawn.");
  add_model(app, arguments);
  app->add_option("--prompt", arguments.prompt, "The text to continue")
      ->required()
      ->type_name("TEXT");
  app->add_option("-n", arguments.most_tokens,
                  "Most tokens to draw (default 128); the end of a text or of the context ends "
                  "it sooner")
      ->type_name("N")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 32).description(""));
  app->add_option("--temperature", arguments.temperature,
                  "0 takes the most probable token each time (default 0.8)")
      ->type_name("T")
      ->check(CLI::Range(0.0, 100.0).description(""))
      ->check(
          [](const std::string& text) {  // every comparison with NaN is false: it passes a range
            return std::isnan(std::strtod(text.c_str(), nullptr)) ? "not a number" : "";
          });
  app->add_option("--seed", arguments.seed, "The same seed draws the same text (default 0)")
      ->type_name("S");
  add_setting(app, arguments);
  app->footer(fmt::format(R"(Example:
  ecco-llama generate model-p4 --prompt "It is a truth" -n 100 --temperature 0.7 --seed 3

{})",
                          kExitCodes));
  return app;
}

CLI::App* add_importance(CLI::App& program, Arguments& arguments) {
  CLI::App* app = program.add_subcommand(
      "importance",
      "Writes the mean square of every matrix's input per column, for ecco compress "
      "--importance.");
  add_model(app, arguments);
  add_tokens(app, arguments);
  app->add_option("-o,--output", arguments.out, "The safetensors file to write")
      ->required()
      ->type_name("FILE");
  app->add_flag("--force", arguments.force, "Overwrite FILE if it exists");
  app->footer(fmt::format(R"(Example:
  ecco-llama importance model --tokens calib_tokens.u16 -o importance.safetensors

{})",
                          kExitCodes));
  return app;
}

int run(int argc, char** argv) {
  CLI::App program("Runs Llama-type models from compressed weights.", "ecco-llama");
  program.footer(kExitCodes);
  Arguments arguments;
  const CLI::App* eval = add_eval(program, arguments);
  const CLI::App* generate = add_generate(program, arguments);
  add_importance(program, arguments);
  bool version = false;
  program.add_flag("--version", version, "Print the version and the instruction set in use");
  program.require_subcommand(0, 1);
  try {
    program.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const Status status = print(program.help());
    return status ? 0 : report(status.message(), 1);
  } catch (const CLI::ParseError& error) {
    return report(std::string(error.what()) + "; see ecco-llama --help", 2);
  }
  Status status;
  if (const auto isa = ecco::active_isa(); !isa) {
    status = isa.error();
  } else if (version) {
    status = print(fmt::format("ecco-llama {} ({})\n", ECCO_VERSION_STRING, ecco::isa_name(*isa)));
  } else if (program.get_subcommands().empty()) {
    return report("no sub-command; see ecco-llama --help", 2);
  } else if (eval->parsed()) {
    status = run_eval(arguments);
  } else if (generate->parsed()) {
    status = run_generate(arguments);
  } else {
    status = run_importance(arguments);
  }
  return status ? 0 : report(status.message(), 1);
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a file over the limit is an error of write(), not the end
  try {
    return llama::run(argc, argv);
  } catch (const std::bad_alloc&) {
    return llama::report("out of memory", 1);
  } catch (const std::exception& error) {
    return llama::report(fmt::format("internal error: {}", error.what()), 1);
  }
}

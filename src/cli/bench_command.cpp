// SPDX-License-Identifier: MIT
// Speed on one thread with all data in the L2 cache. The sizes are fixed, so that the checksums
// are the same everywhere, and chosen to miss any L1 and to fit any L2 of 256 KB.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <numbers>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/json.hpp"
#include "cli/text.hpp"
#include "ecco/decode.hpp"
#include "ecco/encode.hpp"
#include "ecco/gemv.hpp"
#include "ecco/isa.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco::cli {
namespace {

constexpr std::size_t kRows = 64;
constexpr std::size_t kCols = 4096;
constexpr std::size_t kEncodeCols = 1024;
constexpr std::size_t kEncodeRows = 32;
constexpr int kRuns = 7;
constexpr double kRunSeconds = 0.02;

/// Takes every piece of output once it is computed.
using Sink = std::function<void(std::span<const std::uint8_t>)>;

struct Case {
  std::string name;
  double values = 0.0;                      ///< per pass
  std::size_t working_set_bytes = 0;        ///< inputs, outputs and table
  std::function<Status(const Sink&)> pass;  ///< does the work once
};

struct Measurement {
  std::string name;
  Codec codec;
  double values_per_second;
  std::size_t working_set_bytes;
  std::string checksum;
};

template <typename T>
std::span<const std::uint8_t> bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(T)};
}

/// Box and Muller, since std::normal_distribution differs between standard libraries.
std::vector<float> gaussian(std::size_t count, double deviation, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  auto uniform = [&] { return (static_cast<double>(engine() >> 11) + 0.5) * 0x1p-53; };
  std::vector<float> values(count);
  for (float& value : values) {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    value = static_cast<float>(deviation * radius * std::cos(2.0 * std::numbers::pi * uniform()));
  }
  return values;
}

/// Seconds of processor time of this thread: others on the machine disturb it least.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename T>
Case decode_case(std::string name, const TensorView& weights) {
  auto row = std::make_shared<std::vector<T>>(kCols);
  return {std::move(name), static_cast<double>(kRows * kCols),
          weights.blocks().size() + weights.table().centroids.size() + kCols * sizeof(T),
          [row, &weights](const Sink& sink) -> Status {
            for (std::size_t r = 0; r < kRows; ++r) {
              if (Status status = decode_rows(weights, r, dense_view(row->data(), 1, kCols));
                  !status) {
                return status;
              }
              sink(bytes_of(*row));
            }
            return {};
          }};
}

Case decode_int8_case(const TensorView& weights) {
  auto row = std::make_shared<std::vector<std::int8_t>>(kCols);
  auto factors = std::make_shared<std::vector<float>>(weights.blocks_per_row());
  return {"decode_int8", static_cast<double>(kRows * kCols),
          weights.blocks().size() + weights.table().centroids.size() + kCols +
              factors->size() * sizeof(float),
          [row, factors, &weights](const Sink& sink) -> Status {
            for (std::size_t r = 0; r < kRows; ++r) {
              if (Status status = decode_rows(weights, r, dense_view(row->data(), 1, kCols),
                                              dense_view(factors->data(), 1, factors->size()));
                  !status) {
                return status;
              }
              sink(bytes_of(*row));
              sink(bytes_of(*factors));
            }
            return {};
          }};
}

/// `x` is whatever gemv takes: floats or Int8Activations.
template <typename X>
Case gemv_case(std::string name, const TensorView& weights, const X& x, std::size_t x_bytes) {
  auto y = std::make_shared<std::vector<float>>(kRows);
  return {
      std::move(name), static_cast<double>(kRows * kCols),
      weights.blocks().size() + weights.table().centroids.size() + x_bytes + kRows * sizeof(float),
      [y, &weights, &x](const Sink& sink) -> Status {
        Status status = gemv(weights, x, std::span<float>(*y));
        sink(bytes_of(*y));
        return status;
      }};
}

Case encode_case(std::string name, const Encoder& encoder, const std::vector<float>& values,
                 const TensorView& like) {
  auto out = std::make_shared<std::vector<std::uint8_t>>(
      kEncodeRows * blocks_per_row(kEncodeCols) * block_bytes(like.codec()));
  return {std::move(name), static_cast<double>(kEncodeRows * kEncodeCols),
          kEncodeRows * kEncodeCols * sizeof(float) + out->size() + like.table().centroids.size(),
          [out, encoder, &values, scale = like.tensor_scale()](const Sink& sink) -> Status {
            Status status =
                encoder.encode_rows(dense_view(values.data(), kEncodeRows, kEncodeCols), {}, scale,
                                    CompressOptions().largest_value, *out);
            sink(bytes_of(*out));
            return status;
          }};
}

/// Warm-up, which gives the checksum and the number of passes in a run; then the median run.
Result<Measurement> measure(const Case& bench_case, Codec codec) {
  std::vector<std::uint8_t> output;
  Status status = bench_case.pass([&](std::span<const std::uint8_t> piece) {
    output.insert(output.end(), piece.begin(), piece.end());
  });
  if (!status) return fail(std::move(status));

  volatile std::uint8_t seen = 0;
  const Sink glance = [&](std::span<const std::uint8_t> piece) { seen = piece.back(); };
  auto seconds_of = [&](std::size_t passes) {
    const double start = thread_seconds();
    for (std::size_t i = 0; i < passes && status; ++i) status = bench_case.pass(glance);
    return thread_seconds() - start;
  };
  std::size_t passes = 1;
  for (double once = seconds_of(1); once * static_cast<double>(passes) < kRunSeconds;) ++passes;
  std::array<double, kRuns> runs{};
  for (double& run : runs) run = seconds_of(passes);
  if (!status) return fail(std::move(status));
  std::ranges::nth_element(runs, runs.begin() + kRuns / 2);
  return Measurement{bench_case.name, codec,
                     bench_case.values * static_cast<double>(passes) / runs[kRuns / 2],
                     bench_case.working_set_bytes, xxh3_hex(output)};
}

/// Every case of one codec.
Status measure_codec(Codec codec, std::vector<Measurement>& results) {
  const std::vector<float> source = gaussian(kRows * kCols, 0.02, 1);
  CompressOptions options;
  options.codec = codec;
  options.effort = Effort::fast;
  const Result<CompressedTensor> compressed =
      compress(dense_view(source.data(), kRows, kCols), options);
  if (!compressed) return compressed.error();
  const TensorView weights = compressed->view();
  const std::vector<float> x = gaussian(kCols, 1.0, 2);
  const Result<Int8Activations> x_int8 = Int8Activations::quantize(x);
  if (!x_int8) return x_int8.error();

  std::vector<Case> cases;
  cases.push_back(decode_case<float>("decode_f32", weights));
  cases.push_back(decode_case<bfloat16>("decode_bf16", weights));
  if (is_planar(codec)) cases.push_back(decode_int8_case(weights));  // h4 has outliers apart
  cases.push_back(gemv_case("gemv_f32", weights, x, bytes_of(x).size()));
  cases.push_back(gemv_case("gemv_int8", weights, *x_int8,
                            x_int8->values().size() + x_int8->factors().size_bytes()));
  for (const auto& [name, effort] :
       {std::pair{"encode_fast", Effort::fast}, std::pair{"encode_default", Effort::default_},
        std::pair{"encode_best", Effort::best}}) {
    const Result<Encoder> encoder = Encoder::standard(codec, effort);
    if (!encoder) return encoder.error();
    cases.push_back(encode_case(name, *encoder, source, weights));
  }
  for (const Case& bench_case : cases) {
    Result<Measurement> result = measure(bench_case, codec);
    if (!result) return result.error();
    results.push_back(std::move(*result));
  }
  return {};
}

/// The processor's name as Linux on x86 gives it.
std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::string json_results(const std::vector<Measurement>& results) {
  Json json;
  json["cpu"] = cpu_name();
  json["isa"] = isa_name(*active_isa());
  json["results"] = Json::array();
  for (const Measurement& result : results) {
    Json entry;
    entry["name"] = result.name;
    entry["codec"] = codec_name(result.codec);
    entry["values_per_second"] = result.values_per_second;
    entry["working_set_bytes"] = result.working_set_bytes;
    entry["checksum"] = result.checksum;
    json["results"].push_back(std::move(entry));
  }
  return to_line(json);
}

std::string list_results(const std::vector<Measurement>& results) {
  using enum TextTable::Align;
  TextTable table(
      {{"operation"}, {"codec"}, {"values/s", right}, {"working set", right}, {"checksum"}});
  for (const Measurement& result : results) {
    table.add_row({result.name, std::string(codec_name(result.codec)),
                   format_count(result.values_per_second), format_bytes(result.working_set_bytes),
                   result.checksum});
  }
  return fmt::format("{}, {}, one thread, median of {} runs\n\n{}", printable(cpu_name()),
                     isa_name(*active_isa()), kRuns, table.text());
}

}  // namespace

Status run(const BenchArguments& arguments) {
  std::vector<Measurement> results;
  for (const Codec codec : kStoredCodecs) {
    if (arguments.codec && *arguments.codec != codec) continue;
    if (Status status = measure_codec(codec, results); !status) return status;
  }
  return write_output(arguments.json ? json_results(results) : list_results(results));
}

}  // namespace ecco::cli

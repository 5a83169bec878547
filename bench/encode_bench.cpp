// SPDX-License-Identifier: MIT
// Encoding, one thread, 16 x 4096 values in L2: weights in every codec, mode and effort, keys and
// values in H4's KV mode, activations in A8. Values are Gaussian, or Student's t with 5 degrees of
// freedom, whose tails fill fewer bits.
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "ecco/encode.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/online.hpp"
#include "support.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kCols = 4096;
constexpr std::size_t kRows = 16;

struct Source {
  std::string name;
  std::vector<float> values;
};

std::vector<float> student_values(std::size_t count) {
  std::mt19937 random(3);
  std::student_t_distribution<float> student(5.0f);
  std::vector<float> values(count);
  for (float& value : values) value = student(random);
  return values;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = {{"normal", normal_values(kRows * kCols)},
                                          {"student_t5", student_values(kRows * kCols)}};
  return all;
}

/// Encodes all rows to `out`, which has room for 8 bits a value.
using Encode = std::function<Status(MatrixView<const float> rows, std::span<std::uint8_t> out)>;

void measure(benchmark::State& state, const Source& source, double bits, const Encode& encode) {
  const MatrixView<const float> rows = dense_view(source.values.data(), kRows, kCols);
  const double values = kRows * kCols;
  std::vector<std::uint8_t> out(kRows * kCols);
  for (auto _ : state) {
    if (const Status status = encode(rows, out); !status) {
      return state.SkipWithError(status.message().c_str());
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  set_rates(state, values, values * (sizeof(float) + bits / 8.0));
}

void add(const std::string& name, const std::function<void(benchmark::State&, const Source&)>& f) {
  for (const Source& source : sources()) {
    benchmark::RegisterBenchmark((name + "/" + source.name).c_str(), [&source,
                                                                      f](benchmark::State& state) {
      f(state, source);
    })->Unit(benchmark::kMicrosecond);
  }
}

/// The encoder is prepared where it runs, so that a filter leaves the others out.
void add_weights(const std::string& name, Codec codec, Effort effort, H4Mode mode) {
  add(name, [=](benchmark::State& state, const Source& source) {
    const Result<Encoder> encoder = Encoder::standard(codec, effort, mode);
    if (!encoder) return state.SkipWithError(encoder.error().message().c_str());
    float largest = 0.0f;
    for (const float value : source.values) largest = std::max(largest, std::fabs(value));
    const float scale = codec == Codec::h4 ? h4::tensor_scale_of(largest) : 1.0f;
    const std::size_t bytes = kRows * blocks_per_row(kCols) * block_bytes(codec);
    measure(state, source, bits_per_value(codec),
            [&](MatrixView<const float> rows, std::span<std::uint8_t> out) {
              return encoder->encode_rows(rows, {}, scale, std::numeric_limits<float>::max(),
                                          out.first(bytes));
            });
  });
}

void register_weights() {
  constexpr std::pair<Effort, const char*> kEfforts[] = {
      {Effort::fast, "fast"}, {Effort::default_, "default"}, {Effort::best, "best"}};
  for (const auto& [effort, name] : kEfforts) {
    for (const Codec codec : kStoredCodecs) {
      add_weights("encode_" + std::string(codec_name(codec)) + "/" + name, codec, effort,
                  H4Mode::rate_aware);
    }
  }
  add_weights("encode_h4/faithful", Codec::h4, Effort::best, H4Mode::faithful);
}

void register_online() {
  add("encode_kv", [](benchmark::State& state, const Source& source) {
    const Result<KvEncoder> encoder = KvEncoder::create(standard_kv_table());
    if (!encoder) return state.SkipWithError(encoder.error().message().c_str());
    measure(state, source, bits_per_value(Codec::h4),
            [&](MatrixView<const float> rows, std::span<std::uint8_t> out) {
              constexpr std::size_t kRowBytes = kCols / 2;
              Status status;
              for (std::size_t r = 0; r < rows.rows && status; ++r) {
                status = encoder->encode_row({rows.row(r), kCols}, 1.0f,
                                             out.subspan(r * kRowBytes, kRowBytes));
              }
              return status;
            });
  });
  add("encode_a8", [](benchmark::State& state, const Source& source) {
    measure(state, source, bits_per_value(Codec::a8),
            [](MatrixView<const float> rows, std::span<std::uint8_t> out) {
              return encode_a8({rows.data, rows.rows * rows.cols}, 1.0f, out);
            });
  });
}

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) {
  using namespace ecco::bench;
  register_weights();
  register_online();
  return run(argc, argv);
}

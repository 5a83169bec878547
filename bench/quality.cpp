// SPDX-License-Identifier: MIT
// Relative RMSE of the standard tables on fresh random data, in percent: one line per codec and
// source, one column per effort. usage: quality [BLOCKS]
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/encode.hpp"

namespace {

using Random = std::mt19937_64;

double relative_error(const std::vector<float>& values, ecco::Codec codec, ecco::Effort effort) {
  constexpr std::size_t kCols = 1024;
  const std::size_t rows = values.size() / kCols;
  ecco::CompressOptions options;
  options.codec = codec;
  options.effort = effort;
  const auto tensor = ecco::compress(ecco::dense_view(values.data(), rows, kCols), options);
  std::vector<float> decoded(values.size());
  if (!tensor ||
      !ecco::decode_rows(tensor->view(), 0, ecco::dense_view(decoded.data(), rows, kCols))) {
    return std::nan("");
  }
  double error = 0.0;
  double signal = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    error += (value - decoded[i]) * (value - decoded[i]);
    signal += value * value;
  }
  return 100.0 * std::sqrt(error / signal);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t blocks = argc > 1 ? std::strtoul(argv[1], nullptr, 10) / 8 * 8 : 4096;
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student3(3.0f);
  std::student_t_distribution<float> student5(5.0f);
  std::exponential_distribution<float> exponential;
  const std::pair<const char*, std::function<float(Random&)>> sources[] = {
      {"Gaussian", [&](Random& random) { return normal(random); }},
      {"Student t(5)", [&](Random& random) { return student5(random); }},
      {"Laplace",
       [&](Random& random) { return (random() % 2 == 0 ? 1.0f : -1.0f) * exponential(random); }},
      {"Student t(3)", [&](Random& random) { return student3(random); }}};
  fmt::print("{:6}{:14}{:>9}{:>9}{:>9}\n", "codec", "source", "fast", "default", "best");
  for (const ecco::Codec codec : ecco::kStoredCodecs) {
    for (const auto& [name, draw] : sources) {
      Random random(20261125);
      std::vector<float> values(blocks * ecco::kGroup);
      for (float& value : values) value = draw(random);
      fmt::print("{:6}{:14}", ecco::codec_name(codec), name);
      for (const ecco::Effort effort :
           {ecco::Effort::fast, ecco::Effort::default_, ecco::Effort::best}) {
        fmt::print("{:9.3f}", relative_error(values, codec, effort));
        std::fflush(stdout);
      }
      fmt::print("\n");
    }
  }
}

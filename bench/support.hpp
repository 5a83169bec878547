// SPDX-License-Identifier: MIT
// What the benchmarks share: matrices of random valid blocks, the roofs of this machine, counters.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ecco/isa.hpp"
#include "ecco/planar.hpp"
#include "ecco/standard_tables.hpp"
#include "ecco/tensor.hpp"

namespace ecco::bench {

/// Compressed bytes that fit the L2 cache with their products, and that exceed any L3 at hand.
inline constexpr std::size_t kL2Bytes = std::size_t{128} << 10;
inline constexpr std::size_t kDramBytes = std::size_t{160} << 20;

/// Ranks whose classes have the probabilities of their code lengths: s with 2^-(s + 1).
template <int R>
void random_block(std::mt19937& random, std::uint8_t* block) {
  std::uint8_t ranks[kGroup];
  const auto pattern = static_cast<std::uint8_t>(random() % kMaxPatterns);
  const auto scale = static_cast<std::uint8_t>(96 + random() % 64);
  do {
    for (std::uint8_t& rank : ranks) {
      unsigned level = 0;
      while (level < kClasses - 1 && random() % 2 == 0) ++level;
      rank = static_cast<std::uint8_t>(level << R | random() % (1u << R));
    }
  } while (!planar::pack<R>(ranks, pattern, scale, block));
}

/// A matrix under the standard table; up to 8192 distinct blocks, then the same again.
class RandomMatrix {
 public:
  RandomMatrix(Codec codec, std::size_t rows, std::size_t cols)
      : codec_(codec),
        rows_(rows),
        cols_(cols),
        blocks_(rows * blocks_per_row(cols) * block_bytes(codec)) {
    std::mt19937 random(1);
    const std::size_t distinct = std::min(blocks_.size(), 8192 * block_bytes(codec));
    planar::dispatch(codec, [&](auto planes) {
      for (std::size_t at = 0; at < distinct; at += block_bytes(codec)) {
        random_block<decltype(planes)::value>(random, blocks_.data() + at);
      }
    });
    for (std::size_t at = distinct; at < blocks_.size(); at += distinct) {
      std::memcpy(blocks_.data() + at, blocks_.data(), std::min(distinct, blocks_.size() - at));
    }
  }

  /// As many rows of `cols` values as `bytes` hold.
  static RandomMatrix of_bytes(Codec codec, std::size_t bytes, std::size_t cols) {
    return {codec, bytes / (blocks_per_row(cols) * block_bytes(codec)), cols};
  }

  [[nodiscard]] TensorView view() const {
    return TensorView::parse(codec_, rows_, cols_, 1.0f, standard_table(codec_), blocks_).value();
  }

 private:
  Codec codec_;
  std::size_t rows_;
  std::size_t cols_;
  std::vector<std::uint8_t> blocks_;
};

inline std::vector<float> normal_values(std::size_t count) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// Sum of 64-bit words, 8 at a time: as fast as one core reads.
inline std::uint64_t sum_words(std::span<const std::uint64_t> words) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 8 <= words.size(); i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  std::uint64_t total = 0;
  for (const std::uint64_t sum : sums) total += sum;
  return total;
}

/// Bytes/s that one core reads from DRAM: best of 9 passes over kDramBytes in processor time, as
/// the rates below are; measured on first use, so in the same process as what is compared with it.
inline double read_roof() {
  static const double roof = [] {
    const std::vector<std::uint64_t> words(kDramBytes / 8, 1);
    double best = 0.0;
    for (int pass = 0; pass < 9; ++pass) {
      const std::clock_t begin = std::clock();
      benchmark::DoNotOptimize(sum_words(words));
      const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      best = std::max(best, static_cast<double>(kDramBytes) / seconds);
    }
    return best;
  }();
  return roof;
}

/// Values and bytes per second. `bytes` = what an iteration reads and writes.
inline void set_rates(benchmark::State& state, double values, double bytes) {
  using benchmark::Counter;
  state.counters["values/s"] = Counter(values, Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1024);
}

/// The same for a pass over memory outside the caches, with the time that reading alone takes as a
/// part of the time taken.
inline void set_dram_rates(benchmark::State& state, double values, double bytes) {
  using benchmark::Counter;
  set_rates(state, values, bytes);
  state.counters["of_read_roof"] =
      Counter(bytes / read_roof(), Counter::kIsIterationInvariantRate);
  state.counters["read_roof"] = Counter(read_roof(), Counter::kDefaults, Counter::kIs1024);
}

/// Registers `function(state)` under a name with the codec in it, for every planar codec.
template <typename Function>
void register_codecs(const std::string& prefix, const std::string& suffix, Function function) {
  for (const Codec codec : kPlanarCodecs) {
    const std::string name = prefix + "/" + std::string(codec_name(codec)) + "/" + suffix;
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      function(state, codec);
    })->Unit(benchmark::kMicrosecond);
  }
}

/// Runs what is registered; the context names the path in use.
inline int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const Result<Isa> isa = active_isa();
  benchmark::AddCustomContext("isa", isa ? std::string(isa_name(*isa)) : isa.error().message());
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace ecco::bench

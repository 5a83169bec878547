// SPDX-License-Identifier: MIT
// The same products on dense weights, one thread: f32 by OpenBLAS (sgemv, sgemm) and half by the
// loop of half_gemv.hpp. Shapes as in gemv_bench.cpp and gemm_bench.cpp.
#include <cblas.h>

#include <algorithm>
#include <vector>

#include "compare/half_gemv.hpp"
#include "ecco/types.hpp"
#include "support.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kCols = 4096;

// Rates of an iteration over `values` weights of `bytes` bytes, which lie in L2 or in DRAM.
void finish(benchmark::State& state, std::size_t values, std::size_t bytes) {
  if (bytes >= kDramBytes) {
    set_dram_rates(state, static_cast<double>(values), static_cast<double>(bytes));
  } else {
    set_rates(state, static_cast<double>(values), static_cast<double>(bytes));
  }
}

// Rows for weights of `size` bytes that take `range(0)` KiB.
std::size_t rows_of(const benchmark::State& state, std::size_t size) {
  return static_cast<std::size_t>(state.range(0)) * 1024 / (size * kCols);
}

void f32_gemv(benchmark::State& state) {
  const std::size_t rows = rows_of(state, sizeof(float));
  const std::vector<float> w(rows * kCols, 0.5f);
  const std::vector<float> x = normal_values(kCols);
  std::vector<float> y(rows);
  for (auto _ : state) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, static_cast<int>(rows), static_cast<int>(kCols), 1.0f,
                w.data(), static_cast<int>(kCols), x.data(), 1, 0.0f, y.data(), 1);
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  finish(state, w.size(), w.size() * sizeof(float));
}

void f16_gemv(benchmark::State& state) {
  if (!isa_supported(Isa::avx2)) return state.SkipWithError("needs AVX2 and F16C");
  const std::size_t rows = rows_of(state, sizeof(half));
  const std::vector<half> w(rows * kCols, to_half(0.5f));
  const std::vector<float> x = normal_values(kCols);
  std::vector<float> y(rows);
  for (auto _ : state) {
    half_gemv(w.data(), rows, kCols, x.data(), y.data());
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  finish(state, w.size(), w.size() * sizeof(half));
}

void f32_gemm(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  constexpr std::size_t kRows = 4096;
  const std::vector<float> w(kRows * kCols, 0.5f);
  const std::vector<float> x = normal_values(batch * kCols);
  std::vector<float> y(batch * kRows);
  for (auto _ : state) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, static_cast<int>(batch),
                static_cast<int>(kRows), static_cast<int>(kCols), 1.0f, x.data(),
                static_cast<int>(kCols), w.data(), static_cast<int>(kCols), 0.0f, y.data(),
                static_cast<int>(kRows));
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  const auto values = static_cast<double>(w.size() * batch);
  set_rates(state, values, static_cast<double>(w.size() * sizeof(float)));
  state.counters["flop/s"] =
      benchmark::Counter(2 * values, benchmark::Counter::kIsIterationInvariantRate);
}

constexpr std::int64_t kL2KiB = 512;
constexpr auto kDramKiB = static_cast<std::int64_t>(kDramBytes / 1024);
BENCHMARK(f32_gemv)->Arg(kL2KiB)->Arg(kDramKiB)->Unit(benchmark::kMicrosecond);
BENCHMARK(f16_gemv)->Arg(kL2KiB)->Arg(kDramKiB)->Unit(benchmark::kMicrosecond);
BENCHMARK(f32_gemm)->RangeMultiplier(2)->Range(1, 256)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  return ecco::bench::run(argc, argv);
}

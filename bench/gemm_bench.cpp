// SPDX-License-Identifier: MIT
// gemm with f32 and int8 activations over batches of 1 to 256, one thread, a P4 matrix of 4096 x
// 4096 (8 MiB of blocks).
#include "ecco/gemm.hpp"

#include <vector>

#include "support.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kRows = 4096;
constexpr std::size_t kCols = 4096;

// flop/s counts a product and a sum as two.
void finish(benchmark::State& state, std::size_t batch, const TensorView& tensor) {
  const double values = static_cast<double>(kRows * kCols * batch);
  set_rates(state, values, static_cast<double>(tensor.blocks().size()));
  state.counters["flop/s"] =
      benchmark::Counter(2 * values, benchmark::Counter::kIsIterationInvariantRate);
}

void gemm_f32(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  const RandomMatrix matrix(Codec::p4, kRows, kCols);
  const TensorView tensor = matrix.view();
  const std::vector<float> x = normal_values(batch * kCols);
  std::vector<float> y(batch * kRows);
  for (auto _ : state) {
    const Status status =
        gemm(tensor, dense_view(x.data(), batch, kCols), dense_view(y.data(), batch, kRows));
    if (!status) return state.SkipWithError(status.message().c_str());
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  finish(state, batch, tensor);
}

void gemm_int8(benchmark::State& state) {
  const auto batch = static_cast<std::size_t>(state.range(0));
  const RandomMatrix matrix(Codec::p4, kRows, kCols);
  const TensorView tensor = matrix.view();
  const std::vector<Int8Activations> x(batch,
                                       Int8Activations::quantize(normal_values(kCols)).value());
  std::vector<float> y(batch * kRows);
  for (auto _ : state) {
    const Status status = gemm(tensor, x, dense_view(y.data(), batch, kRows));
    if (!status) return state.SkipWithError(status.message().c_str());
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  finish(state, batch, tensor);
}

}  // namespace

BENCHMARK(gemm_f32)->RangeMultiplier(2)->Range(1, 256)->Unit(benchmark::kMillisecond);
BENCHMARK(gemm_int8)->RangeMultiplier(2)->Range(1, 256)->Unit(benchmark::kMillisecond);

}  // namespace ecco::bench

int main(int argc, char** argv) { return ecco::bench::run(argc, argv); }

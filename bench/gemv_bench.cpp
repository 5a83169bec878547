// SPDX-License-Identifier: MIT
// gemv with f32 and int8 activations, one thread, the blocks in L2 or from DRAM.
#include "ecco/gemv.hpp"

#include <span>
#include <type_traits>
#include <vector>

#include "support.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kCols = 4096;

template <typename Activations>
void product(benchmark::State& state, Codec codec, std::size_t bytes) {
  const RandomMatrix matrix = RandomMatrix::of_bytes(codec, bytes, kCols);
  const TensorView tensor = matrix.view();
  const std::vector<float> x = normal_values(kCols);
  const Int8Activations q = Int8Activations::quantize(x).value();
  std::vector<float> y(tensor.rows());
  for (auto _ : state) {
    Status status;
    if constexpr (std::is_same_v<Activations, Int8Activations>) {
      status = gemv(tensor, q, y);
    } else {
      status = gemv(tensor, x, y);
    }
    if (!status) return state.SkipWithError(status.message().c_str());
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  const auto values = static_cast<double>(tensor.rows() * kCols);
  const auto read = static_cast<double>(tensor.blocks().size());
  if (bytes >= kDramBytes) {
    set_dram_rates(state, values, read);
  } else {
    set_rates(state, values, read);
  }
}

template <typename Activations>
void register_product(const std::string& name) {
  register_codecs(name, "l2", [](benchmark::State& state, Codec codec) {
    product<Activations>(state, codec, kL2Bytes);
  });
  register_codecs(name, "dram", [](benchmark::State& state, Codec codec) {
    product<Activations>(state, codec, kDramBytes);
  });
}

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) {
  using namespace ecco::bench;
  register_product<float>("gemv_f32");
  register_product<ecco::Int8Activations>("gemv_int8");
  return run(argc, argv);
}

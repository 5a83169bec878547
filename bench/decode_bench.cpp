// SPDX-License-Identifier: MIT
// decode_rows to every output type, one thread. In L2: blocks and output together; from DRAM: the
// blocks, decoded 16 rows at a time to the same output.
#include "ecco/decode.hpp"

#include <cstdint>
#include <type_traits>
#include <vector>

#include "support.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kCols = 4096;
constexpr std::size_t kRows = 16;

// Output of kRows rows in type T; int8 comes with factors.
template <typename T>
struct Output {
  std::vector<T> values = std::vector<T>(kRows * kCols);
  std::vector<float> factors = std::vector<float>(kRows * blocks_per_row(kCols));

  Status decode(const TensorView& tensor, std::size_t first_row) {
    const MatrixView<T> out = dense_view(values.data(), kRows, kCols);
    if constexpr (std::is_same_v<T, std::int8_t>) {
      return decode_rows(tensor, first_row, out,
                         dense_view(factors.data(), kRows, blocks_per_row(kCols)));
    } else {
      return decode_rows(tensor, first_row, out);
    }
  }
};

template <typename T>
void decode(benchmark::State& state, Codec codec, std::size_t rows) {
  const RandomMatrix matrix(codec, rows, kCols);
  const TensorView tensor = matrix.view();
  Output<T> output;
  for (auto _ : state) {
    for (std::size_t r = 0; r < rows; r += kRows) {
      if (const Status status = output.decode(tensor, r); !status) {
        return state.SkipWithError(status.message().c_str());
      }
      benchmark::DoNotOptimize(output.values.data());
      benchmark::ClobberMemory();
    }
  }
  const auto values = static_cast<double>(rows * kCols);
  const auto read = static_cast<double>(tensor.blocks().size());
  if (tensor.blocks().size() >= kDramBytes / 2) {
    set_dram_rates(state, values, read);
  } else {
    set_rates(state, values, read + values * sizeof(T));
  }
}

template <typename T>
void register_type(const std::string& type) {
  register_codecs("decode_" + type, "l2",
                  [](benchmark::State& state, Codec codec) { decode<T>(state, codec, kRows); });
  register_codecs("decode_" + type, "dram", [](benchmark::State& state, Codec codec) {
    const std::size_t row_bytes = blocks_per_row(kCols) * block_bytes(codec);
    decode<T>(state, codec, kDramBytes / row_bytes / kRows * kRows);
  });
}

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) {
  using namespace ecco::bench;
  register_type<float>("f32");
  register_type<ecco::half>("f16");
  register_type<ecco::bfloat16>("bf16");
  register_type<std::int8_t>("int8");
  return run(argc, argv);
}

// SPDX-License-Identifier: MIT
// Symbols of H4, one thread: the table-driven decoder of the AVX2 path against zstd's Huffman
// decoder on the same symbols, 128 x 4096 of them, which the encoder made of Gaussian values.
// Both write one byte per symbol, in order; compressed and decoded bytes fit the L2 cache.
#include <immintrin.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "compare/zstd_huffman.hpp"
#include "compute/h4_rows.hpp"
#include "ecco/encode.hpp"
#include "ecco/h4_encode.hpp"
#include "support.hpp"

#include "compute/avx2_h4_ops.hpp"

#include "isa/target_avx2_begin.hpp"

namespace ecco::bench {
namespace {

// Symbols of all blocks of a tensor, in order.
void decode_symbols(const TensorView& tensor, std::uint8_t* out) {
  const std::size_t blocks = tensor.blocks().size() / 64;
  h4::RowDecoder<avx2::H4Ops> decoder(tensor);
  for (std::size_t first = 0; first < blocks; first += h4::kChunk) {
    const std::uint8_t* list[h4::kChunk];
    const std::size_t count = std::min(h4::kChunk, blocks - first);
    for (std::size_t i = 0; i < count; ++i) list[i] = tensor.blocks().data() + 64 * (first + i);
    decoder.decode(list, count, [&](std::size_t i, const h4::CodedBlock& coded) {
      avx2::H4Ops::reverse(coded.last, out + (first + i) * kGroup);
    });
  }
}

}  // namespace
}  // namespace ecco::bench

#include "isa/target_avx2_end.hpp"

namespace ecco::bench {
namespace {

constexpr std::size_t kRows = 128;
constexpr std::size_t kCols = 4096;

struct Data {
  std::vector<std::uint8_t> blocks;
  std::vector<std::uint8_t> symbols;  // as the reference decodes them

  [[nodiscard]] TensorView tensor() const {
    static const h4::CodeTables codes(standard_table(Codec::h4).codebooks);
    PatternTableView table = standard_table(Codec::h4);
    table.codes = &codes;  // as files that are read share them
    return TensorView::parse(Codec::h4, kRows, kCols, 0.01f, table, blocks).value();
  }
};

Data make_data() {
  Data data{std::vector<std::uint8_t>(kRows * kCols / 2), {}};
  const std::vector<float> values = normal_values(kRows * kCols);
  const Encoder encoder = Encoder::standard(Codec::h4, Effort::fast).value();
  const Status status = encoder.encode_rows(dense_view(values.data(), kRows, kCols), {}, 0.01f,
                                            std::numeric_limits<float>::max(), data.blocks);
  if (!status) throw std::runtime_error(status.message());
  const h4::TableView table = standard_table(Codec::h4).h4();
  for (std::size_t at = 0; at < data.blocks.size(); at += 64) {
    const h4::Fields fields = h4::parse(data.blocks.data() + at, table);
    data.symbols.insert(data.symbols.end(), fields.symbols, fields.symbols + kGroup);
  }
  return data;
}

const Data& data() {
  static const Data all = make_data();
  return all;
}

/// Runs decode(out) and checks what it gave.
template <typename Decode>
void measure(benchmark::State& state, std::size_t compressed_bytes, const Decode& decode) {
  std::vector<std::uint8_t> out(data().symbols.size());
  for (auto _ : state) {
    decode(out);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  if (out != data().symbols) return state.SkipWithError("other symbols than the reference's");
  const auto symbols = static_cast<double>(out.size());
  set_rates(state, symbols, symbols + static_cast<double>(compressed_bytes));
  state.counters["bits/symbol"] = 8.0 * static_cast<double>(compressed_bytes) / symbols;
}

void h4_symbols(benchmark::State& state) {
  if (!isa_supported(Isa::avx2)) return state.SkipWithError("needs AVX2");
  const TensorView tensor = data().tensor();
  measure(state, data().blocks.size(),
          [&](std::vector<std::uint8_t>& out) { decode_symbols(tensor, out.data()); });
}

void zstd_huffman(benchmark::State& state) {
  const ZstdHuffman zstd(data().symbols);
  measure(state, zstd.compressed_bytes(),
          [&](std::vector<std::uint8_t>& out) { zstd.decode(out); });
}

BENCHMARK(h4_symbols)->Unit(benchmark::kMicrosecond);
BENCHMARK(zstd_huffman)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace ecco::bench

int main(int argc, char** argv) { return ecco::bench::run(argc, argv); }

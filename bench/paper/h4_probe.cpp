// SPDX-License-Identifier: MIT
// What run.py cannot ask the programs: how often each symbol occurs in an h4 model, and loops over
// one way to decode, whose instructions a counting instrument (callgrind) takes.
// usage: h4_probe symbols MODEL | h4_probe depth | h4_probe decode WAY ROUNDS
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "ecco/decode.hpp"
#include "ecco/h4_codes.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/h4_parallel.hpp"
#include "ecco/model.hpp"
#include "ecco/standard_tables.hpp"

namespace {

using ecco::huffman::kSymbols;
namespace h4 = ecco::h4;

constexpr std::size_t kBlocks = 256;

// One line of counts per codebook in use: symbols of whole codes, padding of rows left out.
using Counts = std::vector<std::array<std::uint64_t, kSymbols>>;

void count_symbols(const ecco::TensorView& tensor, Counts& counts) {
  const h4::TableView table = tensor.table().h4();
  counts.resize(static_cast<std::size_t>(table.codebooks));
  const std::size_t per_row = tensor.blocks_per_row();
  for (std::size_t b = 0; b < tensor.rows() * per_row; ++b) {
    const h4::Fields fields = h4::parse(tensor.blocks().data() + b * 64, table);
    if ((fields.scale.bits & 0x7fu) == 0) continue;
    const auto left = static_cast<int>(std::min<std::size_t>(
        tensor.cols() - b % per_row * ecco::kGroup, std::size_t{ecco::kGroup}));
    auto& row = counts[static_cast<std::size_t>(fields.codebook)];
    for (int e = 0; e < std::min(left, fields.coded); ++e) ++row[fields.symbols[e]];
  }
}

int print_symbols(const std::string& path) {
  const auto model = ecco::Model::open(path);
  if (!model) {
    fmt::print(stderr, "h4_probe: {}\n", model.error().message());
    return 1;
  }
  std::string lines;
  for (const ecco::ModelTensor& tensor : model->tensors()) {
    if (tensor.codec != ecco::Codec::h4) continue;
    Counts counts;
    count_symbols(model->view(tensor), counts);
    std::string rows;
    for (const auto& row : counts) {
      rows += fmt::format("{}[{}]", rows.empty() ? "" : ",", fmt::join(row, ","));
    }
    lines += fmt::format("{}\n\"{}\":[{}]", lines.empty() ? "" : ",", tensor.name, rows);
  }
  fmt::print("{{{}}}\n", lines);
  return 0;
}

// Gaussian groups in the standard table, those that hold all 128 codes.
std::vector<std::uint8_t> sample_blocks() {
  const h4::TableView table = ecco::standard_table(ecco::Codec::h4).h4();
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<std::uint8_t> blocks(kBlocks * 64);
  for (std::size_t at = 0; at < blocks.size();) {
    float values[ecco::kGroup];
    for (float& value : values) value = normal(random);
    const h4::Fields fields = h4::choose_faithful(values, nullptr, ecco::kGroup, table, 0.01f);
    h4::pack_choice(fields, table, blocks.data() + at);
    if (h4::parse(blocks.data() + at, table).coded == ecco::kGroup) at += 64;
  }
  return blocks;
}

// The serial decoder with one table look-up per code instead of one per bit.
unsigned parse_by_steps(const std::uint8_t* block, const h4::TableView& table,
                        const ecco::huffman::StepTable* steps) {
  const h4::Fields header = h4::parse_header(block, table);
  const auto& code = steps[header.codebook];
  std::uint8_t padded[72] = {};
  std::memcpy(padded, block, 64);
  std::uint8_t symbols[ecco::kGroup] = {};
  int at = table.header_bits();
  for (int e = 0; e < ecco::kGroup; ++e) {
    const unsigned window = padded[at / 8] | static_cast<unsigned>(padded[at / 8 + 1]) << 8;
    const ecco::huffman::Step step = code[window >> (at % 8) & 255u];
    if (at + step.length > h4::kBlockBits) break;
    symbols[e] = step.symbol;
    at += step.length;
  }
  asm volatile("" : : "r"(symbols) : "memory");
  return static_cast<unsigned>(at);
}

// Work of one block, by name; the value keeps the compiler from dropping it.
unsigned decode_block(std::string_view way, const std::uint8_t* block, const h4::TableView& table,
                      const ecco::huffman::StepTable* steps) {
  namespace parallel = h4::parallel;
  if (way == "serial") return static_cast<unsigned>(h4::parse(block, table).end);
  if (way == "steps") return parse_by_steps(block, table, steps);
  if (way == "parallel") return static_cast<unsigned>(parallel::parse(block, table, steps).end);
  const auto& code = steps[h4::parse_header(block, table).codebook];
  parallel::Run runs[parallel::kChunks];
  for (int i = 0; i < parallel::kChunks; ++i) {
    const parallel::Chunk chunk = parallel::decode_chunk(block, i, table.header_bits(), code);
    runs[i] = chunk.run;
    asm volatile("" : : "r"(&chunk) : "memory");
  }
  if (way == "merged") parallel::merge_all(runs);
  asm volatile("" : : "r"(runs) : "memory");
  return runs[parallel::kChunks - 1].codes[0];
}

int decode(std::string_view way, int rounds) {
  constexpr std::size_t kRows = 8;
  constexpr std::size_t kCols = kBlocks / kRows * ecco::kGroup;
  const std::vector<std::uint8_t> blocks = sample_blocks();
  const ecco::PatternTableView table = ecco::standard_table(ecco::Codec::h4);
  const h4::CodeTables codes(table.codebooks);
  const auto tensor = ecco::TensorView::parse(ecco::Codec::h4, kRows, kCols, 0.01f, table, blocks);
  if (!tensor) return 1;
  unsigned sum = 0;
  std::vector<float> values(kRows * kCols);
  for (int round = 0; round < rounds; ++round) {
    if (way == "fast") {
      if (!ecco::decode_rows(*tensor, 0, ecco::dense_view(values.data(), kRows, kCols))) return 1;
      continue;
    }
    for (std::size_t at = 0; at < blocks.size(); at += 64) {
      sum += decode_block(way, blocks.data() + at, table.h4(), codes.steps());
    }
  }
  fmt::print("{{\"blocks\":{},\"sum\":{}}}\n", kBlocks, sum);
  return 0;
}

// Longest chain of look-ups that a sub-decoder makes on the sample, and the mean one.
int print_depth() {
  const ecco::PatternTableView table = ecco::standard_table(ecco::Codec::h4);
  const h4::CodeTables codes(table.codebooks);
  const std::vector<std::uint8_t> blocks = sample_blocks();
  int deepest = 0;
  double sum = 0.0;
  for (std::size_t at = 0; at < blocks.size(); at += 64) {
    const int book = h4::parse_header(blocks.data() + at, table.h4()).codebook;
    int of_block = 0;
    for (int i = 0; i < h4::parallel::kChunks; ++i) {
      const auto chunk = h4::parallel::decode_chunk(blocks.data() + at, i,
                                                    table.h4().header_bits(), codes.steps()[book]);
      for (const auto count : chunk.run.codes) of_block = std::max(of_block, int{count});
    }
    deepest = std::max(deepest, of_block);
    sum += of_block;
  }
  fmt::print("{{\"lookups\":{},\"mean_lookups\":{},\"merges\":{},\"serial_lookups\":{}}}\n",
             deepest, sum / static_cast<double>(kBlocks), h4::parallel::kMergeStages,
             ecco::kGroup);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "symbols") return print_symbols(argv[2]);
  if (arguments.size() == 1 && arguments[0] == "depth") return print_depth();
  if (arguments.size() == 3 && arguments[0] == "decode") {
    for (const std::string_view way :
         {"serial", "steps", "chunks", "merged", "parallel", "fast"}) {
      if (way == arguments[1]) return decode(way, std::atoi(argv[3]));
    }
  }
  fmt::print(stderr,
             "usage: h4_probe symbols MODEL | h4_probe depth | h4_probe decode "
             "serial|steps|chunks|merged|parallel|fast ROUNDS\n");
  return 2;
}

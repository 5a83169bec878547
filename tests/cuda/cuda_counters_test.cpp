// SPDX-License-Identifier: MIT
// Budgets of what the kernels do on ptxvm: PTX instructions, 32-byte sectors, wavefronts of shared
// memory. Counts, not times; docs/cuda.md has the table.
#include <ptxvm/ptxvm.h>

#include "cuda/support.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/kv_page.hpp"
#include "gemv_job.hpp"
#include "launch.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;

using CudaCounters = CudaTest;

/// Counts of one kernel of `values` values.
struct Counts {
  double instructions;  ///< PTX instructions of lanes, per value
  double wavefronts;    ///< of shared memory, per 128 values
  std::uint64_t read_sectors;
  std::uint64_t write_sectors;
};

Counts last_launch(double values) {
  ptxvm_stats stats{};
  ptxvm_last_launch_stats(&stats);
  return {static_cast<double>(stats.lane_instructions) / values,
          128.0 * static_cast<double>(stats.shared_wavefronts) / values, stats.global_read_sectors,
          stats.global_write_sectors};
}

constexpr std::size_t kRows = 32;
constexpr std::size_t kCols = 21120;

/// Of kRows x kCols values, per block of 128.
double per_block(std::uint64_t sectors) {
  return 128.0 * static_cast<double>(sectors) / (kRows * kCols);
}

/// Lengths 3 x 4, 4 x 4, 5 x 8, and blocks whose symbols are as frequent as their codes are short:
/// about 3.75 bits a value, no clipping and an outlier or none, as an encoder makes them.
Result<CompressedTensor> h4_tensor(std::mt19937& random, std::size_t rows, std::size_t cols) {
  const std::size_t blocks = rows * blocks_per_row(cols);
  PatternTable table = test::random_tables(random, Codec::h4, 64, 1);
  for (std::size_t s = 0; s < 16; ++s) {
    table.codebooks[s] = static_cast<std::uint8_t>(s < 4 ? 3 : s < 8 ? 4 : 5);
  }
  std::vector<std::uint8_t> bytes(64 * blocks);
  for (std::size_t b = 0; b < blocks; ++b) {
    h4::Fields fields = test::random_h4_fields(random, table.view().h4(), 16);
    do {
      for (std::uint8_t& symbol : fields.symbols) {
        const unsigned r = random() % 32;
        symbol = static_cast<std::uint8_t>(r < 16 ? r / 4 : r < 24 ? 4 + (r - 16) / 2 : r - 16);
      }
    } while (h4::code_bits(fields.symbols, table.codebooks.data()) > 512 - 14);
    h4::pack(fields, table.view().h4(), bytes.data() + 64 * b);
  }
  return CompressedTensor::create(rows, cols, 1.0f, std::move(table), std::move(bytes));
}

Result<CompressedTensor> tensor_of(Codec codec, std::size_t rows = kRows,
                                   std::size_t cols = kCols) {
  std::mt19937 random(31);
  if (codec == Codec::h4) return h4_tensor(random, rows, cols);
  return test::random_tensor(random, test::random_tables(random, codec, 256), rows, cols, 1.0f);
}

Counts decode(Codec codec, cuda::H4Decoder decoder = cuda::H4Decoder::lane) {
  const auto tensor = tensor_of(codec);
  EXPECT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view());
  EXPECT_TRUE(device);
  const DeviceArray<half> out(std::vector<half>(kRows * kCols));
  const Status status =
      cuda::decode(device->view(), dense_view(out.data(), kRows, kCols), nullptr, decoder);
  EXPECT_TRUE(status) << status.message();
  return last_launch(kRows * kCols);
}

TEST_F(CudaCounters, DecodePlanar) {
  struct Budget {
    Codec codec;
    double instructions;
    double wavefronts;
    double sectors;  ///< read per block
  };
  for (const Budget& budget : {Budget{Codec::p2, 21.0, 7.0, 2.5},
                               {Codec::p3, 22.2, 7.1, 3.7},
                               {Codec::p4, 22.0, 7.6, 5.1},
                               {Codec::p5, 25.6, 9.5, 7.1}}) {
    const Counts counts = decode(budget.codec);
    std::printf("decode %s: %.2f PTX, %.2f wavefronts, %.3f sectors read a block\n",
                std::string(codec_name(budget.codec)).c_str(), counts.instructions,
                counts.wavefronts, per_block(counts.read_sectors));
    EXPECT_LE(counts.instructions, budget.instructions);
    EXPECT_LE(counts.wavefronts, budget.wavefronts);
    EXPECT_LE(per_block(counts.read_sectors), budget.sectors);
    EXPECT_EQ(counts.write_sectors, kRows * kCols * 2 / 32);  // each once
  }
}

TEST_F(CudaCounters, DecodeA8) {
  constexpr std::size_t kBytes = kRows * kCols;  // a byte per value
  const DeviceArray<std::uint8_t> blocks(std::vector<std::uint8_t>(kBytes, 77));
  const DeviceArray<half> out(std::vector<half>(kRows * kCols));
  ASSERT_TRUE(cuda::decode_a8(blocks.data(), 1.0f, dense_view(out.data(), kRows, kCols), nullptr));
  const Counts counts = last_launch(kRows * kCols);
  std::printf("decode a8: %.2f PTX, %.2f wavefronts\n", counts.instructions, counts.wavefronts);
  EXPECT_LE(counts.instructions, 22.4);
  EXPECT_EQ(counts.wavefronts, 0.0);
  EXPECT_EQ(counts.read_sectors, kBytes / 32);
  EXPECT_EQ(counts.write_sectors, kRows * kCols * 2 / 32);
}

TEST_F(CudaCounters, DecodeH4) {
  const Counts lane = decode(Codec::h4);
  std::printf("decode h4, lane: %.2f PTX, %.2f wavefronts\n", lane.instructions, lane.wavefronts);
  EXPECT_LE(lane.instructions, 16.2);
  EXPECT_LE(lane.wavefronts, 22.8);
  const Counts parallel = decode(Codec::h4, cuda::H4Decoder::parallel);
  std::printf("decode h4, parallel: %.2f PTX, %.2f wavefronts\n", parallel.instructions,
              parallel.wavefronts);
  EXPECT_LE(parallel.instructions, 302.0);
}

/// Encoding of half values of a normal distribution.
Counts encode(Codec codec, std::size_t rows) {
  std::mt19937 random(32);
  std::normal_distribution<float> normal;
  std::vector<half> values(rows * kCols);
  for (half& value : values) value = to_half(normal(random));
  const auto device = cuda::DeviceCodec::create(codec);
  EXPECT_TRUE(device);
  const DeviceArray<half> in(values);
  const std::size_t group = static_cast<std::size_t>(group_values(codec));
  const std::size_t bytes = rows * kCols / group * block_bytes(codec);
  const DeviceArray<std::uint8_t> blocks(std::vector<std::uint8_t>(bytes, 0));
  const Status status =
      cuda::encode(device->view(), dense_view<const half>(in.data(), rows, kCols), 1.0f,
                   {blocks.data(), bytes}, nullptr);
  EXPECT_TRUE(status) << status.message();
  const Counts counts = last_launch(static_cast<double>(rows * kCols));
  std::printf(
      "encode %s: %.2f PTX, %.2f wavefronts, %.3f read sectors a block\n",
      std::string(codec_name(codec)).c_str(), counts.instructions, counts.wavefronts,
      static_cast<double>(counts.read_sectors * block_bytes(codec)) / static_cast<double>(bytes));
  EXPECT_LE(counts.write_sectors, bytes / 32 + bytes / 128);  // p5: 80 bytes lie in 3 sectors
  return counts;
}

TEST_F(CudaCounters, Encode) {
  const Counts a8 = encode(Codec::a8, kRows);
  EXPECT_LE(a8.instructions, 54.0);
  const Counts h4 = encode(Codec::h4, 8);
  EXPECT_LE(h4.instructions, 216.0);
  const Counts p4 = encode(Codec::p4, 4);
  EXPECT_LE(p4.instructions, 3480.0);
  const Counts p5 = encode(Codec::p5, 4);
  EXPECT_LE(p5.instructions, 4200.0);
}

/// Queries times a page of tokens of one head of 128 values, or the sums of the page by weights.
Counts attention(Codec codec, std::size_t queries, bool sums) {
  constexpr std::size_t kTokens = 256;
  std::mt19937 random(33);
  std::normal_distribution<float> normal;
  std::vector<half> values(kTokens * 128);
  for (half& value : values) value = to_half(normal(random));
  const auto device = cuda::DeviceCodec::create(codec);
  EXPECT_TRUE(device);
  const DeviceArray<half> in(values);
  const std::size_t bytes = values.size() / static_cast<std::size_t>(group_values(codec)) * 64;
  const DeviceArray<std::uint8_t> memory(std::vector<std::uint8_t>(bytes, 0));
  auto page = cuda::DeviceKvPage::create(device->view(), 128, 1.0f, {memory.data(), bytes});
  EXPECT_TRUE(page);
  EXPECT_TRUE(page->append(dense_view<const half>(in.data(), kTokens, 128), nullptr));
  const DeviceArray<float> out(std::vector<float>(queries * kTokens));
  EXPECT_TRUE(sums ? page->weighted_sums(0, dense_view<const half>(in.data(), queries, kTokens),
                                         dense_view(out.data(), queries, 128), {}, nullptr)
                   : page->scores(0, dense_view<const half>(in.data(), queries, 128),
                                  dense_view(out.data(), queries, kTokens), nullptr));
  const Counts counts = last_launch(kTokens * 128);
  std::printf("%s %s, %zu queries: %.2f PTX, %.2f wavefronts\n", sums ? "sums" : "scores",
              std::string(codec_name(codec)).c_str(), queries, counts.instructions,
              counts.wavefronts);
  return counts;
}

TEST_F(CudaCounters, ScoresOfAKvPage) {
  EXPECT_LE(attention(Codec::p4, 1, false).instructions, 24.5);
  EXPECT_LE(attention(Codec::p4, 4, false).instructions, 30.5);
  EXPECT_LE(attention(Codec::h4, 1, false).instructions, 27.5);
  EXPECT_LE(attention(Codec::h4, 4, false).instructions, 33.0);
  EXPECT_LE(attention(Codec::a8, 1, false).instructions, 29.0);
  EXPECT_LE(attention(Codec::a8, 4, false).instructions, 46.0);
}

TEST_F(CudaCounters, WeightedSumsOfAKvPage) {
  EXPECT_LE(attention(Codec::p4, 1, true).instructions, 21.6);
  EXPECT_LE(attention(Codec::p4, 4, true).instructions, 26.2);
  EXPECT_LE(attention(Codec::h4, 1, true).instructions, 25.6);
  EXPECT_LE(attention(Codec::h4, 4, true).instructions, 29.8);
  EXPECT_LE(attention(Codec::a8, 1, true).instructions, 17.0);
  EXPECT_LE(attention(Codec::a8, 4, true).instructions, 23.8);
}

/// One product of up to 16 vectors, its kernel alone: shapes give as many row tiles as slices are
/// not needed for.
Counts multiply(Codec codec, Layout layout, std::size_t batch) {
  const auto tensor = tensor_of(codec);
  EXPECT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), layout);
  EXPECT_TRUE(device);
  EXPECT_EQ(device->view().layout, layout);
  const DeviceArray<std::uint32_t> fragments(
      std::vector<std::uint32_t>(blocks_per_row(kCols) * 2 * 8 * 32));
  const DeviceArray<float> factors(std::vector<float>(blocks_per_row(kCols) * 16, 1.0f));
  const DeviceArray<float> sums(std::vector<float>(batch * kRows));
  cuda::detail::GemvJob job = cuda::detail::gemv_job(device->view());
  job.x = reinterpret_cast<const uint4*>(fragments.data());
  job.factors = factors.data();
  job.sums = sums.data();
  job.slice = job.column_tiles;
  job.columns = static_cast<unsigned>(batch);
  job.sum_stride = kRows;
  EXPECT_EQ(cuda::detail::gemv_launch(device->view(), job, 1, nullptr), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Counts counts = last_launch(kRows * kCols);
  if (codec == Codec::h4) return counts;  // the sparse corrections gather some sectors each
  // Tiles once, in whole sectors (of raw blocks, lanes of a quad share some in two requests); per
  // tile and 8 columns the fragments that are stored and a sector of factors; per row tile all
  // tables at most.
  const std::size_t tiles = cuda::layout_bytes(codec, layout, kRows, kCols);
  const std::size_t stored = std::min(cuda::detail::stored_columns(job.columns), 8u);
  const std::size_t activations = (batch > 8 ? 2 : 1) * (4 * stored + 1);
  EXPECT_LE(counts.read_sectors, (layout == Layout::raw ? 2 : 1) * tiles / 32 +
                                     std::size_t{job.row_tiles} * job.column_tiles * activations +
                                     job.row_tiles * ((device->device_bytes() - tiles) / 32 + 64));
  EXPECT_GE(counts.read_sectors, tiles / 32);
  return counts;
}

/// Most of what a product of 1, 8 or 16 vectors takes.
struct GemvBudget {
  Codec codec;
  Layout layout;
  double instructions;
  double instructions_16;
  double wavefronts;
};

void expect_within(const GemvBudget& budget) {
  for (const std::size_t batch : {1u, 8u, 16u}) {
    const Counts counts = multiply(budget.codec, budget.layout, batch);
    std::printf("gemv %s, batch %zu: %.2f PTX, %.2f wavefronts\n",
                test::kind_name(budget.codec, budget.layout).c_str(), batch, counts.instructions,
                counts.wavefronts);
    EXPECT_LE(counts.instructions, batch == 16 ? budget.instructions_16 : budget.instructions);
    EXPECT_LE(counts.wavefronts, budget.wavefronts);
  }
}

TEST_F(CudaCounters, GemvOnTiles) {
  expect_within({Codec::p4, Layout::dense, 5.4, 5.9, 4.8});
  expect_within({Codec::p4, Layout::paired, 3.5, 4.0, 1.4});
  expect_within({Codec::p2, Layout::fast, 1.9, 2.4, 0.7});
  expect_within({Codec::p3, Layout::fast, 2.2, 2.7, 0.95});
  expect_within({Codec::p4, Layout::fast, 3.1, 3.6, 1.1});
  expect_within({Codec::p5, Layout::fast, 4.5, 5.2, 1.9});
  expect_within({Codec::h4, Layout::fast, 3.0, 4.0, 1.1});
}

TEST_F(CudaCounters, GemvOnRawBlocks) {
  expect_within({Codec::p2, Layout::raw, 11.6, 12.0, 6.9});
  expect_within({Codec::p3, Layout::raw, 12.4, 13.0, 7.1});
  expect_within({Codec::p4, Layout::raw, 13.5, 14.2, 7.3});
  expect_within({Codec::p5, Layout::raw, 15.4, 16.0, 8.2});
  expect_within({Codec::h4, Layout::raw, 17.1, 18.0, 29.9});
}

/// The kernel that rounds vectors to one or two digits.
Counts quantize(bool two_digits) {
  constexpr std::size_t kVectors = 8;
  const DeviceArray<half> x(std::vector<half>(kVectors * kCols));
  const unsigned n_tiles = two_digits ? 2 : 1;
  const DeviceArray<std::uint32_t> fragments(
      std::vector<std::uint32_t>(blocks_per_row(kCols) * n_tiles * 8 * 32));
  const DeviceArray<float> factors(std::vector<float>(blocks_per_row(kCols) * n_tiles * 8));
  const cuda::detail::QuantizeJob job{
      kCols,         kCols, static_cast<unsigned>(blocks_per_row(kCols)),
      n_tiles,       8,     fragments.data(),
      factors.data()};
  EXPECT_EQ(cuda::detail::quantize(job, x.data(), kVectors, two_digits, nullptr), cudaSuccess);
  const Counts counts = last_launch(kVectors * kCols);
  const double groups = kVectors * kCols / 128.0;
  const double read = static_cast<double>(counts.read_sectors) / groups;
  const double written = static_cast<double>(counts.write_sectors) / groups;
  std::printf("quantize, %s: %.2f PTX, %.3f sectors read, %.3f written per 128 values\n",
              two_digits ? "int16" : "int8", counts.instructions, read, written);
  EXPECT_EQ(counts.wavefronts, 0.0);
  EXPECT_LE(read, 32.0);  // a lane's four values lie apart, in four requests of all 8 sectors
  EXPECT_LE(written, two_digits ? 10.0 : 5.0);
  return counts;
}

TEST_F(CudaCounters, Quantize) {
  EXPECT_LE(quantize(false).instructions, 33.4);
  EXPECT_LE(quantize(true).instructions, 42.6);
}

/// Most of what a conversion takes; sectors per block.
struct RepackBudget {
  double instructions;
  double wavefronts;
  double read_sectors;
  double write_sectors;
};

/// Blocks to tiles, or back, without a fault.
void expect_within(const RepackBudget& budget, const cuda::DeviceTensorView& from, Layout to,
                   std::span<std::uint8_t> out) {
  const DeviceArray<std::uint32_t> faults({0});
  ASSERT_TRUE(cuda::repack(from, to, out, faults.data(), nullptr));
  const Counts counts = last_launch(kRows * kCols);
  EXPECT_EQ(faults.values()[0], 0u);
  std::printf("repack %s %s: %.2f PTX, %.2f wavefronts, %.3f sectors read, %.3f written a block\n",
              to == Layout::raw ? "from" : "to",
              test::kind_name(from.codec, to == Layout::raw ? from.layout : to).c_str(),
              counts.instructions, counts.wavefronts, per_block(counts.read_sectors),
              per_block(counts.write_sectors));
  EXPECT_LE(counts.instructions, budget.instructions);
  EXPECT_LE(counts.wavefronts, budget.wavefronts);
  EXPECT_LE(per_block(counts.read_sectors), budget.read_sectors);
  EXPECT_LE(per_block(counts.write_sectors), budget.write_sectors);
}

/// Both ways.
void expect_within(Codec codec, Layout layout, const RepackBudget& to_tiles,
                   const RepackBudget& to_blocks) {
  const auto tensor = tensor_of(codec);
  ASSERT_TRUE(tensor);
  const auto raw = cuda::upload(tensor->view());
  const auto tiles = cuda::upload(tensor->view(), layout);
  ASSERT_TRUE(raw && tiles);
  const std::size_t block_bytes = tensor->blocks().size();
  const std::size_t tile_bytes = cuda::layout_bytes(codec, layout, kRows, kCols);
  const test::DeviceWorkspace out(std::max(tile_bytes, block_bytes));
  expect_within(to_tiles, raw->view(), layout, out.span().first(tile_bytes));
  expect_within(to_blocks, tiles->view(), Layout::raw, out.span().first(block_bytes));
}

TEST_F(CudaCounters, Repack) {
  expect_within(Codec::p4, Layout::dense, {29.0, 9.8, 7.3, 2.25}, {26.9, 4.6, 5.4, 4.1});
  expect_within(Codec::p4, Layout::paired, {25.8, 6.2, 4.3, 2.7}, {23.0, 0.0, 2.32, 4.1});
  expect_within(Codec::p2, Layout::fast, {19.5, 6.2, 2.0, 5.13}, {19.6, 0.0, 1.57, 2.1});
  expect_within(Codec::p3, Layout::fast, {18.6, 6.2, 3.0, 2.13}, {20.8, 0.0, 2.07, 3.1});
  expect_within(Codec::p4, Layout::fast, {30.7, 6.2, 4.0, 3.13}, {22.6, 0.0, 2.57, 4.1});
  expect_within(Codec::p5, Layout::fast, {32.8, 6.2, 5.0, 6.13}, {25.2, 0.0, 3.07, 5.15});
}

TEST_F(CudaCounters, DecodeTiles) {
  const auto tensor = tensor_of(Codec::p4);
  ASSERT_TRUE(tensor);
  for (const Layout layout : {Layout::dense, Layout::paired, Layout::fast}) {
    const auto device = cuda::upload(tensor->view(), layout);
    ASSERT_TRUE(device);
    const DeviceArray<half> out(std::vector<half>(kRows * kCols));
    ASSERT_TRUE(cuda::decode(device->view(), dense_view(out.data(), kRows, kCols), nullptr));
    const Counts counts = last_launch(kRows * kCols);
    std::printf("decode p4, %s: %.2f PTX, %.2f wavefronts\n",
                test::kind_name(Codec::p4, layout).c_str(), counts.instructions,
                counts.wavefronts);
    EXPECT_LE(counts.instructions, layout == Layout::dense ? 19.0 : 15.3);
    EXPECT_LE(counts.wavefronts, layout == Layout::dense ? 6.2 : 1.6);
    EXPECT_EQ(counts.write_sectors, kRows * kCols * 2 / 32);  // each once
  }
}

/// The last kernel of a product of 64 vectors, K in one slice.
Counts multiply_in_half(Codec codec, Layout layout) {
  constexpr std::size_t kRowsHere = 128;
  constexpr std::size_t kColsHere = 1280;
  const auto tensor = tensor_of(codec, kRowsHere, kColsHere);
  EXPECT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), layout);
  EXPECT_TRUE(device);
  const DeviceArray<half> x(std::vector<half>(64 * kColsHere));
  test::run_product(
      64, kRowsHere, cuda::gemm_workspace_bytes(device->view(), 64, Activations::int8),
      [&](const MatrixView<float>& y, std::span<std::uint8_t> workspace) {
        return cuda::gemm(device->view(), dense_view<const half>(x.data(), 64, kColsHere), y,
                          Activations::int8, workspace, nullptr);
      });
  const Counts counts = last_launch(kRowsHere * kColsHere);
  std::printf("gemm %s, 64 vectors: %.2f PTX, %.2f wavefronts, %.3f read sectors per weight\n",
              test::kind_name(codec, layout).c_str(), counts.instructions, counts.wavefronts,
              static_cast<double>(counts.read_sectors) / (kRowsHere * kColsHere));
  return counts;
}

// Activations take 4 wavefronts per 128 weights to load and 1 to store: no bank conflicts.
TEST_F(CudaCounters, GemmReadsTilesOnceForSixtyFourVectors) {
  struct Budget {
    Layout layout;
    double instructions;
    double wavefronts;
  };
  for (const Budget& budget :
       {Budget{Layout::raw, 18.8, 13.0}, Budget{Layout::dense, 12.9, 10.7},
        Budget{Layout::paired, 10.8, 7.1}, Budget{Layout::fast, 10.2, 6.8}}) {
    const Counts counts = multiply_in_half(Codec::p4, budget.layout);
    EXPECT_LE(counts.instructions, budget.instructions);
    EXPECT_LE(counts.wavefronts, budget.wavefronts);
  }
}

// With an outlier in most blocks, a line of 64 activations each, beside y.
TEST_F(CudaCounters, GemmAddsValuesApart) {
  const Counts counts = multiply_in_half(Codec::h4, Layout::fast);
  EXPECT_LE(counts.instructions, 9.2);
  EXPECT_LE(counts.wavefronts, 1.0);
}

}  // namespace
}  // namespace ecco

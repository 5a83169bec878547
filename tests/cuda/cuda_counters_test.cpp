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

TEST_F(CudaCounters, DecodeP4) {
  const Counts counts = decode(Codec::p4);
  std::printf("decode p4: %.2f PTX, %.2f wavefronts\n", counts.instructions, counts.wavefronts);
  EXPECT_LE(counts.instructions, 22.0);
  EXPECT_LE(counts.wavefronts, 7.6);
  EXPECT_EQ(counts.write_sectors, kRows * kCols * 2 / 32);  // each once
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

/// One product of a vector, its kernel alone: shapes give as many row tiles as slices are not
/// needed for.
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
  EXPECT_EQ(cuda::detail::gemv_tiles(codec, layout, job, 1, nullptr), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Counts counts = last_launch(kRows * kCols);
  if (codec == Codec::h4) return counts;  // the sparse corrections gather some sectors each
  // Tiles once, in whole sectors; per tile and 8 columns the fragments that are stored and a
  // sector of factors; per row tile all tables at most.
  const std::size_t tiles = cuda::layout_bytes(codec, layout, kRows, kCols);
  const std::size_t stored = std::min(cuda::detail::stored_columns(job.columns), 8u);
  const std::size_t activations = (batch > 8 ? 2 : 1) * (4 * stored + 1);
  EXPECT_LE(counts.read_sectors, tiles / 32 +
                                     std::size_t{job.row_tiles} * job.column_tiles * activations +
                                     job.row_tiles * ((device->device_bytes() - tiles) / 32 + 64));
  EXPECT_GE(counts.read_sectors, tiles / 32);
  return counts;
}

TEST_F(CudaCounters, GemvOnTiles) {
  struct Budget {
    Codec codec;
    Layout layout;
    double instructions;
    double instructions_16;
    double wavefronts;
  };
  for (const Budget& budget : {Budget{Codec::p4, Layout::dense, 5.5, 6.1, 4.8},
                               {Codec::p4, Layout::paired, 3.5, 4.0, 1.4},
                               {Codec::p2, Layout::fast, 1.9, 2.4, 0.7},
                               {Codec::p3, Layout::fast, 2.2, 2.7, 0.95},
                               {Codec::p4, Layout::fast, 3.1, 3.6, 1.1},
                               {Codec::p5, Layout::fast, 4.5, 5.2, 1.9},
                               {Codec::h4, Layout::fast, 3.0, 4.0, 1.1}}) {
    for (const std::size_t batch : {1u, 8u, 16u}) {
      const Counts counts = multiply(budget.codec, budget.layout, batch);
      std::printf("gemv %s, batch %zu: %.2f PTX, %.2f wavefronts\n",
                  test::kind_name(budget.codec, budget.layout).c_str(), batch, counts.instructions,
                  counts.wavefronts);
      EXPECT_LE(counts.instructions, batch == 16 ? budget.instructions_16 : budget.instructions);
      EXPECT_LE(counts.wavefronts, budget.wavefronts);
    }
  }
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

// SPDX-License-Identifier: MIT
// Conversion of layouts on the device counts what cannot be converted, and takes it for zeros.
#include <array>

#include "cuda/repack_support.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::arbitrary_blocks;
using test::CudaTest;
using test::random_tables;
using test::repack;
using test::Repacked;
using test::Tiles;
using test::valid_blocks;

class CudaRepackFaults : public test::CudaRepack {
 protected:
  static planar::Fault check(const std::uint8_t* block, int patterns) {
    return planar::dispatch(codec(), [&](auto planes) {
      return planar::check<decltype(planes)::value>(block, patterns);
    });
  }
  static bool write_row(const cuda::TileRow& row, std::uint8_t* block) {
    return planar::dispatch(codec(), [&](auto planes) {
      return cuda::write_row<decltype(planes)::value>(row, block);
    });
  }

  /// Ranks whose halves use about so many tail bits.
  static std::array<std::uint8_t, kGroup> ranks_of(std::mt19937& random, int low, int high) {
    std::array<std::uint8_t, kGroup> ranks;
    int left[2] = {low, high};
    for (std::size_t e = 0; e < kGroup; ++e) {
      int& rest = left[planar::half_of(static_cast<int>(e))];
      const unsigned level = rest > 0 ? 1 + random() % 2 : 0;
      rest -= static_cast<int>(level);
      ranks[e] = static_cast<std::uint8_t>(places() * level + random() % places());
    }
    return ranks;
  }
};

// One rule of validity broken per block, at the first place where it is.
TEST_P(CudaRepackFaults, CountsInvalidBlocksAndTakesThemForZeros) {
  const std::size_t bytes = block_bytes(codec());
  std::mt19937 random(64);
  constexpr std::size_t kBlocks = 17 * 3;
  constexpr int kPatterns = 200;
  std::vector<std::uint8_t> blocks = valid_blocks(random, codec(), kBlocks, kPatterns);
  const auto tail_bit = [](std::uint8_t* block, int bit) {
    block[2 + bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  };
  for (std::size_t b = 0; b < kBlocks; b += 3) {
    std::uint8_t* block = blocks.data() + bytes * b;
    const int low = planar::decode_half(block, 0).used;
    const int high = planar::decode_half(block, 1).used;
    switch (b / 3 % 9) {
      case 0:
        block[0] = kPatterns;
        break;
      case 1:
        block[1] = 0;
        break;
      case 2:  // a half of 64 elements of class 4: 192 bits
        std::fill(block + 2, block + 24, std::uint8_t{255});
        break;
      case 3:
        std::fill(block, block + bytes, std::uint8_t{0});
        block[bytes - 1] = 128;
        break;
      case 4:
        if (low + high < 112) tail_bit(block, low);
        break;
      case 5:
        if (low + high < 112) tail_bit(block, 111 - high);
        break;
      case 6:  // over 64 bits unused, one of them set
        fill_tails(random, 3, 9, block);
        tail_bit(block, 53);
        break;
      case 7:  // 112 bits, and one class more or less
        fill_tails(random, 60, 52, block);
        block[24] ^= 1;
        break;
      default:
        fill_tails(random, 64, 0, block);
        tail_bit(block, 64 + static_cast<int>(b % 48));
        break;
    }
  }
  const PatternTable table = random_tables(random, codec(), kPatterns);
  const auto tensor = CompressedTensor::create(17, 384, 1.0f, table, blocks);
  ASSERT_TRUE(tensor);
  std::uint32_t faults = 0;
  for (std::size_t b = 0; b < kBlocks; ++b) {
    if (check(blocks.data() + bytes * b, kPatterns) == planar::Fault::none) continue;
    ++faults;
    std::fill_n(blocks.data() + bytes * b, bytes, std::uint8_t{0});
  }
  ASSERT_GE(faults, 14u);
  const auto zeroed = CompressedTensor::create(17, 384, 1.0f, table, blocks);
  ASSERT_TRUE(zeroed);
  const auto raw = cuda::upload(tensor->view());
  ASSERT_TRUE(raw);
  const auto want = host_tiles(zeroed->view());
  ASSERT_TRUE(want);
  const Repacked packed = repack(raw->view(), layout());
  EXPECT_EQ(test::first_difference(packed.bytes, *want), -1);
  EXPECT_EQ(packed.faults, faults);
}

TEST_P(CudaRepackFaults, CountsInvalidBlocksOfAnyBytes) {
  const std::size_t bytes = block_bytes(codec());
  std::mt19937 random(65);
  const std::vector<std::uint8_t> blocks = arbitrary_blocks(random, codec(), 33 * 5);
  const auto tensor =
      CompressedTensor::create(33, 640, 1.0f, random_tables(random, codec(), 100), blocks);
  ASSERT_TRUE(tensor);
  std::uint32_t faults = 0;
  for (std::size_t b = 0; b < 33 * 5; ++b) {
    faults += check(blocks.data() + bytes * b, 100) != planar::Fault::none ? 1 : 0;
  }
  const auto raw = cuda::upload(tensor->view());
  ASSERT_TRUE(raw);
  EXPECT_EQ(repack(raw->view(), layout()).faults, faults);
}

// Rows of tiles with more tail bits than a block holds, or a pattern past the table, become
// blocks of zeros; so do, uncounted, rows of scale 0 whatever else they hold.
TEST_P(CudaRepackFaults, CountsRowsThatMakeNoBlock) {
  const std::size_t bytes = block_bytes(codec());
  std::mt19937 random(66);
  const auto tensor = CompressedTensor::create(49, 128, 1.0f, random_tables(random, codec(), 200),
                                               std::vector<std::uint8_t>(bytes * 49));
  ASSERT_TRUE(tensor);
  std::vector<std::uint8_t> want(bytes * 49);
  std::uint32_t faults = 0;
  cuda::TileRow rows[64] = {};
  for (std::size_t r = 0; r < 49; ++r) {
    constexpr int kTails[][2] = {{40, 60}, {60, 51}, {60, 56}, {10, 66}, {66, 0}, {30, 30}};
    const auto& tails = kTails[r % std::size(kTails)];
    const auto ranks = ranks_of(random, tails[0], tails[1]);
    std::copy(ranks.begin(), ranks.end(), rows[r].ranks);
    rows[r].pattern = static_cast<std::uint8_t>(r % 7 == 5 ? 200 : random() % 200);
    rows[r].scale = r % 11 == 4 ? 0 : 130;
    std::uint8_t* block = want.data() + bytes * r;
    if ((rows[r].pattern == 200 && rows[r].scale != 0) || !write_row(rows[r], block)) {
      std::fill_n(block, bytes, std::uint8_t{0});
      ++faults;
    }
  }
  std::vector<std::uint8_t> tiles;
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& of = reinterpret_cast<const cuda::TileRow(&)[16]>(rows[16 * i]);
    const auto append = [&](auto tile) {
      cuda::pack_tile(of, tile);
      const auto* bytes_of = reinterpret_cast<const std::uint8_t*>(&tile);
      tiles.insert(tiles.end(), bytes_of, bytes_of + sizeof(tile));
    };
    cuda::dispatch_tile(codec(), layout(),
                        [&](auto kind) { append(typename decltype(kind)::Tile{}); });
  }
  const auto raw = cuda::upload(tensor->view());
  ASSERT_TRUE(raw);
  const Repacked back = repack(Tiles(tiles, raw->view(), layout()).view, Layout::raw);
  EXPECT_EQ(test::first_difference(back.bytes, want), -1);
  EXPECT_EQ(back.faults, faults);
  EXPECT_GE(faults, 20u);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CudaRepackFaults, ::testing::ValuesIn(test::kTileKinds),
                         test::name_of_kind);

using CudaDenseRepack = CudaTest;

// Nine groups of classes 3, 3, 1, 0, whose code is the longest for its tail, and seven of
// zeros: 143 bits in the 136 of a half. All other rows stay as they are.
TEST_F(CudaDenseRepack, CountsRowsThatDenseTilesDoNotHold) {
  std::mt19937 random(67);
  std::vector<std::uint8_t> blocks = valid_blocks(random, Codec::p4, 16, 256);
  std::uint8_t ranks[kGroup] = {};
  for (int group = 0; group < 9; ++group) {  // of the lanes 0 and 1
    const int levels[4] = {3, 3, 1, 0};
    for (int b = 0; b < 4; ++b) {
      ranks[16 * (group / 2) + 4 * (group % 2) + b] = static_cast<std::uint8_t>(4 * levels[b]);
    }
  }
  ASSERT_TRUE(planar::pack<2>(ranks, 3, 100, blocks.data() + 64 * 5));
  const PatternTable table = random_tables(random, Codec::p4, 256);
  const auto tensor = CompressedTensor::create(16, 128, 1.0f, table, blocks);
  ASSERT_TRUE(tensor);
  EXPECT_FALSE(cuda::pack_tiles(tensor->view(), Layout::dense));
  const auto raw = cuda::upload(tensor->view());
  ASSERT_TRUE(raw);
  const Repacked packed = repack(raw->view(), Layout::dense);
  EXPECT_EQ(packed.faults, 1u);
  const auto back = cuda::unpack_tiles(packed.bytes, Codec::p4, Layout::dense, 16, 128);
  ASSERT_TRUE(back) << back.error().message();
  std::fill_n(blocks.data() + 64 * 5, 64, std::uint8_t{0});
  EXPECT_EQ(test::first_difference(*back, blocks), -1);
}

}  // namespace
}  // namespace ecco

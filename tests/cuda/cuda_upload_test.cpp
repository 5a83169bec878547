// SPDX-License-Identifier: MIT
// Layouts that an upload takes, refuses, and chooses.
#include <random>
#include <vector>

#include "cuda/gemv_emulation.hpp"
#include "layout_choice.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::CudaTest;
using test::random_tables;
using test::random_tensor;
using test::valid_blocks;

using CudaUpload = CudaTest;

TEST_F(CudaUpload, RefusesInvalidBlocksAndCodecsWithoutTiles) {
  std::mt19937 random(26);
  auto blocks = valid_blocks(random, Codec::p4, 4, 256);
  blocks[1] = 0;  // scale 0 with other bytes set
  const auto broken =
      CompressedTensor::create(2, 256, 1.0f, random_tables(random, Codec::p4, 256), blocks);
  ASSERT_TRUE(broken);
  const auto tiles = cuda::upload(broken->view(), Layout::dense);
  ASSERT_FALSE(tiles);
  EXPECT_EQ(tiles.error().code(), StatusCode::corrupt);
  const auto p3 = random_tensor(random, Codec::p3, 2, 256);
  ASSERT_TRUE(p3);
  const auto other = cuda::upload(p3->view(), Layout::dense);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), StatusCode::unsupported);
}

// One centroid -127 and all others above 0: 127 would share a column with a negative value.
TEST_F(CudaUpload, NibbleTilesRefuseAPatternThatDoesNotFit) {
  std::mt19937 random(33);
  PatternTable table = random_tables(random, Codec::h4, 16);
  for (std::size_t k = 0; k < 15; ++k) {
    table.centroids[15 * 7 + k] = static_cast<std::int8_t>(8 * k + 1);
  }
  table.centroids[15 * 7] = -127;
  const auto tensor = random_tensor(random, table, 3, 200);
  ASSERT_TRUE(tensor) << tensor.error().message();
  const auto fast = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_FALSE(fast);
  EXPECT_EQ(fast.error().code(), StatusCode::unsupported);
  EXPECT_EQ(fast.error().message(), "pattern 7 does not fit nibble tiles");
  const auto automatic = cuda::upload(tensor->view(), Layout::automatic);
  ASSERT_TRUE(automatic);
  EXPECT_EQ(automatic->view().layout, Layout::raw);
}

// 128 elements of class 3 and 3, 1, 0 in turn: codes of 12 bits where the tail has 7.
TEST_F(CudaUpload, DenseTilesThatDoNotFitBecomePairedOnes) {
  std::mt19937 random(34);
  std::uint8_t ranks[kGroup] = {};
  for (int group = 0; group < 9; ++group) {  // of the lanes 0 and 1
    constexpr int kLevels[4] = {3, 3, 1, 0};
    for (int b = 0; b < 4; ++b) {
      ranks[16 * (group / 2) + 4 * (group % 2) + b] = static_cast<std::uint8_t>(4 * kLevels[b]);
    }
  }
  std::vector<std::uint8_t> block(64);
  ASSERT_TRUE(planar::pack<2>(ranks, 0, 100, block.data()));
  const auto tensor =
      CompressedTensor::create(1, 128, 1.0f, random_tables(random, Codec::p4, 1), block);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::dense);
  ASSERT_TRUE(device) << device.error().message();
  EXPECT_EQ(device->view().layout, Layout::paired);
}

TEST_F(CudaUpload, AutomaticLayoutIsOneOfTiles) {
  std::mt19937 random(27);
  for (const Codec codec : kStoredCodecs) {
    const auto tensor = random_tensor(random, codec, 4, 300);
    ASSERT_TRUE(tensor);
    const auto device = cuda::upload(tensor->view(), Layout::automatic);
    ASSERT_TRUE(device) << device.error().message();
    const Layout layout = device->view().layout;
    EXPECT_TRUE(layout == Layout::fast ||
                (codec == Codec::p4 && (layout == Layout::dense || layout == Layout::paired)));
  }
}

TEST_F(CudaUpload, CountsTheBytesThatATensorTakes) {
  std::mt19937 random(28);
  const auto tensor = random_tensor(random, Codec::p4, 17, 300);
  ASSERT_TRUE(tensor);
  for (const Layout layout : {Layout::raw, Layout::dense, Layout::paired, Layout::fast}) {
    const auto device = cuda::upload(tensor->view(), layout);
    ASSERT_TRUE(device) << device.error().message();
    const std::size_t blocks = cuda::layout_bytes(Codec::p4, device->view().layout, 17, 300);
    // Tables of 256 patterns: values and gated ones; codes of classes.
    EXPECT_GT(device->device_bytes(), blocks + 256 * 20);
    EXPECT_LE(device->device_bytes(), blocks + 64 * 1024);
  }
}

// GB/s, multiprocessors and GHz of data sheets.
TEST(CudaLayout, FollowsBandwidthPerMultiprocessor) {
  const auto tiles = [](double gigabytes, double count, double clock) {
    return cuda::detail::fastest_tiles(gigabytes / (count * clock));
  };
  EXPECT_EQ(tiles(1008, 128, 2.52), Layout::dense);   // GeForce RTX 4090
  EXPECT_EQ(tiles(864, 142, 2.49), Layout::dense);    // L40S
  EXPECT_EQ(tiles(2039, 108, 1.41), Layout::paired);  // A100, 80 GB
  EXPECT_EQ(tiles(3350, 132, 1.98), Layout::paired);  // H100, SXM
  EXPECT_EQ(tiles(4800, 132, 1.98), Layout::fast);    // H200
  EXPECT_EQ(tiles(8000, 148, 1.965), Layout::fast);   // B200
}

}  // namespace
}  // namespace ecco

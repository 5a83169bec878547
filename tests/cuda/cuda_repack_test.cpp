// SPDX-License-Identifier: MIT
// Conversion of layouts on the device equals that of the host byte for byte, and back.
#include <string>

#include "cuda/repack_support.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::CudaRepack;
using test::CudaTest;
using test::DeviceArray;
using test::random_tables;
using test::valid_blocks;

struct Shape {
  std::size_t rows;
  std::size_t cols;
};
constexpr Shape kShapes[] = {{1, 1}, {17, 129}, {33, 1664}, {33, 300}, {2, 2880}};

TEST_P(CudaRepack, EqualsTheHostForEveryShape) {
  std::mt19937 random(61);
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
    const std::size_t count = shape.rows * blocks_per_row(shape.cols);
    const auto tensor =
        CompressedTensor::create(shape.rows, shape.cols, 1.0f, random_tables(random, codec(), 256),
                                 valid_blocks(random, codec(), count, 256));
    ASSERT_TRUE(tensor);
    expect_host(tensor->view());
  }
}

// Centroids that repeat inside a class keep the order of their ranks.
TEST_P(CudaRepack, KeepsRanksOfEqualCentroidsApart) {
  std::mt19937 random(62);
  PatternTable table = random_tables(random, codec(), 19);
  for (std::int8_t& c : table.centroids) c = static_cast<std::int8_t>(c % 2);
  const auto tensor = CompressedTensor::create(16, 512, 1.0f, std::move(table),
                                               valid_blocks(random, codec(), 64, 19));
  ASSERT_TRUE(tensor);
  expect_host(tensor->view());
}

TEST_P(CudaRepack, TakesTailsOfAnyLength) {
  const std::size_t bytes = block_bytes(codec());
  std::mt19937 random(63);
  std::vector<std::uint8_t> blocks(64 * bytes);
  constexpr int kTails[][2] = {{64, 48}, {48, 64}, {64, 0}, {0, 64}, {56, 56}, {63, 49}, {1, 0}};
  for (std::size_t b = 0; b < 64; ++b) {
    const auto& tails = kTails[b % std::size(kTails)];
    fill_tails(random, tails[0], tails[1], blocks.data() + bytes * b);
  }
  const auto tensor = CompressedTensor::create(32, 256, 1.0f, random_tables(random, codec(), 256),
                                               std::move(blocks));
  ASSERT_TRUE(tensor);
  expect_host(tensor->view());
}

INSTANTIATE_TEST_SUITE_P(Kinds, CudaRepack, ::testing::ValuesIn(test::kTileKinds),
                         test::name_of_kind);

using CudaRepackErrors = CudaTest;

TEST_F(CudaRepackErrors, RefusesWhatDoesNotFit) {
  std::mt19937 random(68);
  const auto p4 = CompressedTensor::create(4, 300, 1.0f, random_tables(random, Codec::p4, 256),
                                           valid_blocks(random, Codec::p4, 12, 256));
  const auto p3 = CompressedTensor::create(4, 300, 1.0f, random_tables(random, Codec::p3, 256),
                                           valid_blocks(random, Codec::p3, 12, 256));
  ASSERT_TRUE(p4);
  ASSERT_TRUE(p3);
  const auto raw = cuda::upload(p4->view());
  const auto other = cuda::upload(p3->view());
  const auto fast = cuda::upload(p4->view(), Layout::fast);
  ASSERT_TRUE(raw);
  ASSERT_TRUE(other);
  ASSERT_TRUE(fast);
  constexpr std::size_t kBytes = 3 * cuda::kDenseTileBytes;
  const DeviceArray<uint4> memory(std::vector<uint4>(kBytes / 16 + 1));
  const DeviceArray<std::uint32_t> faults({0});
  auto* out = reinterpret_cast<std::uint8_t*>(memory.data());
  const auto code = [&](const cuda::DeviceTensorView& from, Layout to,
                        std::span<std::uint8_t> space, std::uint32_t* word) {
    const auto result = cuda::repack(from, to, space, word, nullptr);
    return result ? StatusCode::ok : result.error().code();
  };
  const std::span<std::uint8_t> space(out, kBytes);
  EXPECT_EQ(code(raw->view(), Layout::dense, space, faults.data()), StatusCode::ok);
  EXPECT_EQ(code(raw->view(), Layout::raw, space, faults.data()), StatusCode::unsupported);
  EXPECT_EQ(code(raw->view(), Layout::automatic, space, faults.data()), StatusCode::unsupported);
  EXPECT_EQ(code(fast->view(), Layout::dense, space, faults.data()), StatusCode::unsupported);
  EXPECT_EQ(code(other->view(), Layout::dense, space, faults.data()), StatusCode::unsupported);
  cuda::DeviceTensorView h4 = raw->view();
  h4.codec = Codec::h4;
  EXPECT_EQ(code(h4, Layout::fast, space, faults.data()), StatusCode::unsupported);
  EXPECT_EQ(code(raw->view(), Layout::fast, space, faults.data()), StatusCode::shape_mismatch);
  EXPECT_EQ(code(raw->view(), Layout::dense, {out + 8, kBytes}, faults.data()),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(raw->view(), Layout::dense, space, nullptr), StatusCode::invalid_argument);
  const auto text = [&](Layout to, std::span<std::uint8_t> place) {
    return cuda::repack(raw->view(), to, place, faults.data(), nullptr).error().message();
  };
  EXPECT_EQ(text(Layout::dense, space.first(8)),
            "an output of 8 bytes, needed are " + std::to_string(space.size()));
  EXPECT_EQ(text(Layout::raw, space), "repack from raw to raw: only from raw to tiles and back");
  EXPECT_NE(text(Layout::dense, {space.data() + 1, space.size()}).find("output: the address 0x"),
            std::string::npos);
  cuda::DeviceTensorView elsewhere = raw->view();
  elsewhere.device += 1;
  EXPECT_EQ(code(elsewhere, Layout::dense, space, faults.data()), StatusCode::invalid_argument);
  cuda::DeviceTensorView empty = raw->view();
  empty.rows = 0;
  EXPECT_EQ(code(empty, Layout::dense, {}, faults.data()), StatusCode::ok);
}

}  // namespace
}  // namespace ecco

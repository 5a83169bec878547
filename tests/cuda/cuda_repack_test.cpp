// SPDX-License-Identifier: MIT
// Conversion of layouts on the device equals that of the host byte for byte, and back.
#include <string>

#include "cuda/support.hpp"
#include "ecco/cuda/tiles.hpp"

namespace ecco {
namespace {

using cuda::Layout;
using test::arbitrary_blocks;
using test::CudaTest;
using test::DeviceArray;
using test::random_tables;
using test::valid_blocks;

struct Shape {
  std::size_t rows;
  std::size_t cols;
};
constexpr Shape kShapes[] = {{1, 1}, {17, 129}, {16, 1152}, {33, 300}, {2, 2880}};

/// The bytes that repack writes, with paint around them untouched, and the faults that it counts.
struct Repacked {
  std::vector<std::uint8_t> bytes;
  std::uint32_t faults;
};

Repacked repack(const cuda::DeviceTensorView& from, Layout to) {
  constexpr std::size_t kGap = 64;
  const std::size_t size = cuda::layout_bytes(from.codec, to, from.rows, from.cols);
  const DeviceArray<std::uint8_t> out(std::vector<std::uint8_t>(size + 2 * kGap, 0xa5));
  const DeviceArray<std::uint32_t> faults({1000});
  const auto view = cuda::repack(from, to, {out.data() + kGap, size}, faults.data(), nullptr);
  EXPECT_TRUE(view) << view.error().message();
  if (view) {
    EXPECT_EQ(view->layout, to);
    EXPECT_EQ(view->blocks, out.data() + kGap);
  }
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  std::vector<std::uint8_t> all = out.values();
  for (std::size_t i = 0; i < kGap; ++i) {
    EXPECT_EQ(all[i], 0xa5) << "written before the output";
    EXPECT_EQ(all[kGap + size + i], 0xa5) << "written past the output";
  }
  return {{all.begin() + kGap, all.begin() + static_cast<std::ptrdiff_t>(kGap + size)},
          faults.values()[0] - 1000};
}

/// Device tiles in memory of their own, which the view's tables outlive.
struct Tiles {
  DeviceArray<std::uint8_t> memory;
  cuda::DeviceTensorView view;

  Tiles(const std::vector<std::uint8_t>& bytes, const cuda::DeviceTensorView& raw, Layout layout)
      : memory(bytes), view(raw) {
    view.layout = layout;
    view.blocks = memory.data();
  }
};

struct Kind {
  Codec codec;
  Layout layout;
};

class CudaRepack : public CudaTest, public ::testing::WithParamInterface<Kind> {
 protected:
  static Codec codec() { return GetParam().codec; }
  static Layout layout() { return GetParam().layout; }
  static unsigned places() { return 1u << mantissa_planes(codec()); }

  static planar::Fault check(const std::uint8_t* block, int patterns) {
    return planar::dispatch(codec(), [&](auto planes) {
      return planar::check<decltype(planes)::value>(block, patterns);
    });
  }
  static bool pack(const std::uint8_t* ranks, std::uint8_t pattern, std::uint8_t scale,
                   std::uint8_t* block) {
    return planar::dispatch(codec(), [&](auto planes) {
      return planar::pack<decltype(planes)::value>(ranks, pattern, scale, block);
    });
  }

  static Result<std::vector<std::uint8_t>> host_tiles(const TensorView& tensor) {
    return cuda::pack_tiles(tensor, layout());
  }

  /// Both ways without a fault.
  static void expect_host(const TensorView& tensor) {
    const auto raw = cuda::upload(tensor);
    ASSERT_TRUE(raw) << raw.error().message();
    const auto want = host_tiles(tensor);
    ASSERT_TRUE(want) << want.error().message();
    const Repacked packed = repack(raw->view(), layout());
    EXPECT_EQ(test::first_difference(packed.bytes, *want), -1);
    EXPECT_EQ(packed.faults, 0u);
    const Repacked back = repack(Tiles(*want, raw->view(), layout()).view, Layout::raw);
    const std::vector<std::uint8_t> blocks(tensor.blocks().begin(), tensor.blocks().end());
    EXPECT_EQ(test::first_difference(back.bytes, blocks), -1);
    EXPECT_EQ(back.faults, 0u);
  }

  static bool write_row(const cuda::TileRow& row, std::uint8_t* block) {
    return planar::dispatch(codec(), [&](auto planes) {
      return cuda::write_row<decltype(planes)::value>(row, block);
    });
  }

  /// A block whose halves use the given numbers of tail bits, in elements of class 3 and 4.
  static void fill_tails(std::mt19937& random, int low, int high, std::uint8_t* block) {
    std::uint8_t ranks[kGroup];
    int left[2] = {low, high};
    for (int e = 0; e < kGroup; ++e) {
      int& rest = left[planar::half_of(e)];
      const unsigned level =
          static_cast<unsigned>(rest) >= 3 ? 3 + random() % 2 : static_cast<unsigned>(rest);
      rest -= std::min(static_cast<int>(level), 3);
      ranks[e] = static_cast<std::uint8_t>(places() * level + random() % places());
    }
    ASSERT_TRUE(pack(ranks, static_cast<std::uint8_t>(random()), 77, block));
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

// One rule of validity broken per block, at the first place where it is.
TEST_P(CudaRepack, CountsInvalidBlocksAndTakesThemForZeros) {
  const std::size_t bytes = block_bytes(codec());
  std::mt19937 random(64);
  constexpr std::size_t bytess = 17 * 3;
  constexpr int kPatterns = 200;
  std::vector<std::uint8_t> blocks = valid_blocks(random, codec(), bytess, kPatterns);
  const auto tail_bit = [](std::uint8_t* block, int bit) {
    block[2 + bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
  };
  for (std::size_t b = 0; b < bytess; b += 3) {
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
  for (std::size_t b = 0; b < bytess; ++b) {
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

TEST_P(CudaRepack, CountsInvalidBlocksOfAnyBytes) {
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

// Rows of tiles with more tail bits than a block holds, or a pattern past the table, become blocks
// of zeros; so do, uncounted, rows of scale 0 whatever else they hold.
TEST_P(CudaRepack, CountsRowsThatMakeNoBlock) {
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

INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaRepack,
    ::testing::Values(Kind{Codec::p4, Layout::dense}, Kind{Codec::p4, Layout::paired},
                      Kind{Codec::p2, Layout::fast}, Kind{Codec::p3, Layout::fast},
                      Kind{Codec::p4, Layout::fast}, Kind{Codec::p5, Layout::fast}),
    [](const auto& kind) { return test::kind_name(kind.param.codec, kind.param.layout); });

using CudaRepackErrors = CudaTest;

// Nine groups of classes 3, 3, 1, 0, whose code is the longest for its tail, and seven of zeros:
// 143 bits in the 136 of a half. All other rows stay as they are.
TEST_F(CudaRepackErrors, CountsRowsThatDenseTilesDoNotHold) {
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

// SPDX-License-Identifier: MIT
// What the tests of conversions between layouts share.
#pragma once

#include <string>
#include <vector>

#include "cuda/support.hpp"
#include "ecco/cuda/tiles.hpp"

namespace ecco::test {

using cuda::Layout;

/// The bytes that repack writes, with paint around them untouched, and the faults that it counts.
struct Repacked {
  std::vector<std::uint8_t> bytes;
  std::uint32_t faults;
};

inline Repacked repack(const cuda::DeviceTensorView& from, Layout to) {
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

/// A kind of tiles.
struct Kind {
  Codec codec;
  Layout layout;
};
inline constexpr Kind kTileKinds[] = {{Codec::p4, Layout::dense}, {Codec::p4, Layout::paired},
                                      {Codec::p2, Layout::fast},  {Codec::p3, Layout::fast},
                                      {Codec::p4, Layout::fast},  {Codec::p5, Layout::fast}};

inline std::string name_of_kind(const ::testing::TestParamInfo<Kind>& kind) {
  return kind_name(kind.param.codec, kind.param.layout);
}

class CudaRepack : public CudaTest, public ::testing::WithParamInterface<Kind> {
 protected:
  static Codec codec() { return GetParam().codec; }
  static Layout layout() { return GetParam().layout; }
  static unsigned places() { return 1u << mantissa_planes(codec()); }

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
    EXPECT_EQ(first_difference(packed.bytes, *want), -1);
    EXPECT_EQ(packed.faults, 0u);
    const Repacked back = repack(Tiles(*want, raw->view(), layout()).view, Layout::raw);
    const std::vector<std::uint8_t> blocks(tensor.blocks().begin(), tensor.blocks().end());
    EXPECT_EQ(first_difference(back.bytes, blocks), -1);
    EXPECT_EQ(back.faults, 0u);
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
};

}  // namespace ecco::test

// SPDX-License-Identifier: MIT
// Rows of values that are hard to encode, and how the device encodes them.
#pragma once

#include <cmath>
#include <iomanip>
#include <sstream>

#include "cuda/support.hpp"
#include "ecco/cuda/encode.hpp"

namespace ecco::test {

struct Shape {
  std::size_t rows;
  std::size_t cols;
  std::size_t gap;
  std::size_t lead;  ///< values before the first row
};
inline constexpr Shape kShapes[] = {{1, 1, 0, 0},   {1, 128, 0, 0},  {17, 129, 0, 1},
                                    {5, 256, 4, 0}, {2, 2880, 0, 0}, {33, 100, 12, 0},
                                    {1, 1027, 1, 3}};

/// One value of a row of kind `kind`: bell shapes of many sizes, small integers (ties), equal
/// magnitudes, sparse rows, outliers, arbitrary bits.
inline float value_of(std::mt19937& random, unsigned kind) {
  std::normal_distribution<float> normal;
  const float x = normal(random);
  switch (kind % 10) {
    case 0:
      return x;
    case 1:
      return std::ldexp(x, static_cast<int>(random() % 60) - 30);
    case 2:
      return std::round(2.0f * x) * 0.25f;
    case 3:
      return random() % 2 == 0 ? 1.5f : -1.5f;
    case 4:
      return random() % 8 == 0 ? x : 0.0f;
    case 5:
      return random() % 16 == 0 ? 40.0f * x : x;
    case 6:
      return bits_float(static_cast<std::uint32_t>(random()));  // NaN, infinity, huge, subnormal
    case 7:
      return std::ldexp(x, -140);
    case 8:
      return 3.0f + 0.1f * x;
    default:
      return 0.0f;
  }
}

template <typename T>
std::vector<T> values_of(std::mt19937& random, const Shape& shape) {
  const std::size_t stride = shape.cols + shape.gap;
  std::vector<T> values(shape.lead + shape.rows * stride);
  const auto first = static_cast<unsigned>(random());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto kind = first + static_cast<unsigned>(i / 128);  // a group is of one kind
    values[i] = from_float<T>(value_of(random, kind));
  }
  return values;
}

/// What the device makes of the rows, in memory that was painted.
template <typename T>
std::vector<std::uint8_t> encoded(const cuda::DeviceCodecView& codec, const std::vector<T>& values,
                                  const Shape& shape, float tensor_scale, std::size_t bytes) {
  const DeviceArray<T> rows(values);
  const DeviceArray<std::uint8_t> blocks(std::vector<std::uint8_t>(bytes, 0xa5));
  const Status status = cuda::encode(codec,
                                     MatrixView<const T>{rows.data() + shape.lead, shape.rows,
                                                         shape.cols, shape.cols + shape.gap},
                                     tensor_scale, {blocks.data(), bytes}, nullptr);
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  return blocks.values();
}

/// Whether the blocks are equal; if not, the first that is not, in both.
inline ::testing::AssertionResult same_blocks(const std::vector<std::uint8_t>& got,
                                              const std::vector<std::uint8_t>& want,
                                              std::size_t block_bytes) {
  const std::ptrdiff_t at = first_difference(got, want);
  if (at < 0) return ::testing::AssertionSuccess();
  const std::size_t block = static_cast<std::size_t>(at) / block_bytes;
  std::ostringstream text;
  text << "block " << block << " differs from byte " << static_cast<std::size_t>(at) % block_bytes
       << " on" << std::hex << std::setfill('0');
  for (const auto* bytes : {&got, &want}) {
    text << (bytes == &got ? "\n  got  " : "\n  want ");
    for (std::size_t i = block * block_bytes; i < (block + 1) * block_bytes; ++i) {
      if (i < bytes->size()) text << std::setw(2) << int{(*bytes)[i]};
    }
  }
  return ::testing::AssertionFailure() << text.str();
}

}  // namespace ecco::test

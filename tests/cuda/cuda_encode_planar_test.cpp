// SPDX-License-Identifier: MIT
// Encoding of planar blocks on the device equals the compiled encoder at effort fast byte for
// byte.
#include <limits>
#include <string>

#include "cuda/encode_support.hpp"
#include "ecco/a8.hpp"
#include "ecco/encode.hpp"

namespace ecco {
namespace {

using test::CudaTest;
using test::encoded;
using test::same_blocks;
using test::Shape;

constexpr float kLargest = std::numeric_limits<float>::max();

/// What the compiled encoder makes of the rows; not finite values as the device takes them.
template <typename T>
std::vector<std::uint8_t> expected(const Encoder& encoder, Codec codec,
                                   const std::vector<T>& values, const Shape& shape,
                                   float tensor_scale) {
  std::vector<float> rows(values.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i] = a8::detail::finite(to_float(values[i]));
  }
  std::vector<std::uint8_t> out(shape.rows * blocks_per_row(shape.cols) * block_bytes(codec));
  const Status status = encoder.encode_rows(
      {rows.data() + shape.lead, shape.rows, shape.cols, shape.cols + shape.gap}, {}, tensor_scale,
      kLargest, out);
  EXPECT_TRUE(status) << status.message();
  return out;
}

template <typename T>
void expect_equal(const Encoder& encoder, const cuda::DeviceCodecView& codec,
                  const std::vector<T>& values, const Shape& shape, float tensor_scale) {
  const auto want = expected(encoder, codec.codec, values, shape, tensor_scale);
  const auto got = encoded(codec, values, shape, tensor_scale, want.size());
  EXPECT_TRUE(same_blocks(got, want, block_bytes(codec.codec)))
      << codec_name(codec.codec) << ", " << shape.rows << " x " << shape.cols << ", scale "
      << tensor_scale;
}

class CudaEncodePlanar : public CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

using CudaEncodePlanarP4 = CudaTest;

TEST_P(CudaEncodePlanar, EqualsTheCompiledEncoder) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  const auto encoder = Encoder::standard(GetParam(), Effort::fast);
  const auto codec = cuda::DeviceCodec::create(GetParam());
  ASSERT_TRUE(encoder && codec);
  for (const Shape& shape : test::kShapes) {
    expect_equal(*encoder, codec->view(), test::values_of<float>(random, shape), shape, 1.0f);
    expect_equal(*encoder, codec->view(), test::values_of<half>(random, shape), shape, 0.77f);
    expect_equal(*encoder, codec->view(), test::values_of<bfloat16>(random, shape), shape, 1.0f);
  }
  for (const float scale : {0x1p-149f, 1e-41f, 3e-30f, 1e34f}) {
    const Shape shape{2, 1400, 0, 0};
    expect_equal(*encoder, codec->view(), test::values_of<float>(random, shape), shape, scale);
  }
}

// Blocks at the limits of the tail: one half of large values (over 64 bits), all values far out,
// few values, steps, and mixtures whose multipliers differ between the halves.
TEST_P(CudaEncodePlanar, BalancesTheHalves) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (int block = 0; block < 96; ++block) {
    const float spread = std::ldexp(1.0f, block % 12 - 3);
    for (int e = 0; e < 128; ++e) {
      const bool high = (e >> 3 & 1) != 0;
      const float x = normal(random);
      const float tail = random() % 6 == 0 ? spread * x : 0.1f * x;
      values.push_back(block % 3 == 0   ? (high ? spread * x : 0.2f * x)
                       : block % 3 == 1 ? (high ? 0.05f * x : tail)
                                        : (random() % 2 == 0 ? spread : -0.3f) + 0.1f * x);
    }
  }
  const auto encoder = Encoder::standard(GetParam(), Effort::fast);
  const auto codec = cuda::DeviceCodec::create(GetParam());
  ASSERT_TRUE(encoder && codec);
  expect_equal(*encoder, codec->view(), values, {1, values.size(), 0, 0}, 1.0f);
  for (const std::size_t cols : {5u, 70u, 127u}) {  // the same, padded
    expect_equal(*encoder, codec->view(), values, {4, cols, 128 - cols, 0}, 1.0f);
  }
}

TEST_P(CudaEncodePlanar, TakesTablesOfAnySize) {
  std::mt19937 random(11);
  for (const int patterns : {1, 7, 65}) {
    PatternTable table = test::random_tables(random, GetParam(), patterns);
    const auto width = static_cast<std::size_t>(centroids_per_pattern(GetParam()));
    if (patterns == 65) {  // ties: every second pattern repeats the one before
      for (std::size_t i = 0; i + width < table.centroids.size(); ++i) {
        if (i / width % 2 == 0) table.centroids[i + width] = table.centroids[i];
      }
    }
    const auto encoder = Encoder::create(table.view(), Effort::fast);
    const auto codec = cuda::DeviceCodec::create(GetParam(), table.view());
    ASSERT_TRUE(encoder && codec);
    for (const Shape& shape : {Shape{1, 1280, 0, 0}, Shape{3, 77, 0, 0}}) {
      expect_equal(*encoder, codec->view(), test::values_of<float>(random, shape), shape, 1.0f);
    }
  }
}

TEST_F(CudaEncodePlanarP4, EncodesMoreBlocksThanRunAtATime) {
  std::mt19937 random(13);
  const Shape shape{10, 128 * 31, 0, 0};
  const auto encoder = Encoder::standard(Codec::p4, Effort::fast);
  const auto codec = cuda::DeviceCodec::create(Codec::p4);
  ASSERT_TRUE(encoder && codec);
  expect_equal(*encoder, codec->view(), test::values_of<half>(random, shape), shape, 1.0f);
}

INSTANTIATE_TEST_SUITE_P(Codecs, CudaEncodePlanar,
                         ::testing::Values(Codec::p2, Codec::p3, Codec::p4, Codec::p5),
                         [](const auto& param) { return std::string(codec_name(param.param)); });

}  // namespace
}  // namespace ecco

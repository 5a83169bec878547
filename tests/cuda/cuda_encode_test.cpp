// SPDX-License-Identifier: MIT
// Encoding on the device equals the scalar reference byte for byte: values of all sizes, ties,
// zeros, subnormals, NaN and infinity; padding; all input types.
#include "ecco/cuda/encode.hpp"

#include <limits>
#include <string>

#include "cuda/encode_support.hpp"
#include "ecco/a8.hpp"
#include "ecco/h4_encode.hpp"

namespace ecco {
namespace {

using test::CudaTest;
using test::DeviceArray;
using test::encoded;
using test::kShapes;
using test::same_blocks;
using test::Shape;
using test::values_of;

/// Blocks of the rows as `encode_block(values, count, block)` makes them.
template <typename T, typename EncodeBlock>
std::vector<std::uint8_t> expected(const std::vector<T>& values, const Shape& shape,
                                   std::size_t group, EncodeBlock&& encode_block) {
  std::vector<std::uint8_t> out;
  for (std::size_t r = 0; r < shape.rows; ++r) {
    std::vector<float> row(shape.cols);
    for (std::size_t k = 0; k < shape.cols; ++k) {
      row[k] = to_float(values[shape.lead + r * (shape.cols + shape.gap) + k]);
    }
    for (std::size_t at = 0; at < shape.cols; at += group) {
      out.resize(out.size() + 64);
      const int count = static_cast<int>(std::min(group, shape.cols - at));
      encode_block(row.data() + at, count, out.data() + out.size() - 64);
    }
  }
  return out;
}

template <typename T>
void expect_a8_reference() {
  std::mt19937 random(3 + sizeof(T));
  for (const Shape& shape : kShapes) {
    for (const float scale : {1.0f, 0.77f, 0x1p-140f, 1e34f}) {
      const std::vector<T> values = values_of<T>(random, shape);
      const auto want = expected(values, shape, 64, [&](const float* x, int count, auto* block) {
        a8::encode(x, count, scale, block);
      });
      const auto got = encoded({}, values, shape, scale, want.size());
      EXPECT_TRUE(same_blocks(got, want, 64))
          << shape.rows << " x " << shape.cols << ", scale " << scale;
    }
  }
}

using CudaEncodeA8 = CudaTest;

TEST_F(CudaEncodeA8, EqualsTheReferenceFromHalf) { expect_a8_reference<half>(); }
TEST_F(CudaEncodeA8, EqualsTheReferenceFromBfloat16) { expect_a8_reference<bfloat16>(); }
TEST_F(CudaEncodeA8, EqualsTheReferenceFromFloat) { expect_a8_reference<float>(); }

// The limits of plain bytes (below 127.5) and carriers (up to 128), and half a step to both sides.
TEST_F(CudaEncodeA8, ChoosesTheScaleAtItsLimits) {
  std::vector<float> values;
  for (const int place : {0, 7, 21, 63}) {
    for (int code = 1; code <= 255; code += 2) {
      for (const float limit : {127.0f, 127.5f, 128.0f}) {
        for (const float off : {-0x1p-16f, 0.0f, 0x1p-16f}) {
          std::vector<float> block(64, 0.0f);
          block[static_cast<std::size_t>(place)] =
              (limit + off) * e5m3_to_float(static_cast<std::uint8_t>(code));
          values.insert(values.end(), block.begin(), block.end());
        }
      }
    }
  }
  const Shape shape{1, values.size(), 0, 0};
  const auto want = expected(values, shape, 64, [&](const float* x, int count, auto* block) {
    a8::encode(x, count, 1.0f, block);
  });
  EXPECT_TRUE(same_blocks(encoded({}, values, shape, 1.0f, want.size()), want, 64));
}

void expect_h4(const PatternTableView& table, const std::vector<float>& values, const Shape& shape,
               float scale) {
  const auto codec = cuda::DeviceCodec::create(Codec::h4, table);
  ASSERT_TRUE(codec) << codec.error().message();
  const auto want = expected(values, shape, 128, [&](const float* x, int count, auto* block) {
    h4::encode_kv(x, count, table.h4(), scale, block);
  });
  const auto got = encoded(codec->view(), values, shape, scale, want.size());
  EXPECT_TRUE(same_blocks(got, want, 64))
      << shape.rows << " x " << shape.cols << ", scale " << scale;
}

template <typename T>
void expect_h4_reference() {
  std::mt19937 random(5 + sizeof(T));
  const auto codec = cuda::DeviceCodec::create(Codec::h4);
  ASSERT_TRUE(codec) << codec.error().message();
  for (const Shape& shape : kShapes) {
    for (const float scale : {1.0f, 0.0031f}) {
      const std::vector<T> values = values_of<T>(random, shape);
      const auto want = expected(values, shape, 128, [&](const float* x, int count, auto* block) {
        h4::encode_kv(x, count, standard_kv_table().h4(), scale, block);
      });
      const auto got = encoded(codec->view(), values, shape, scale, want.size());
      EXPECT_TRUE(same_blocks(got, want, 64))
          << shape.rows << " x " << shape.cols << ", scale " << scale;
    }
  }
}

using CudaEncodeH4 = CudaTest;

TEST_F(CudaEncodeH4, EqualsTheReferenceFromHalf) { expect_h4_reference<half>(); }
TEST_F(CudaEncodeH4, EncodesMoreBlocksThanRunAtATime) {
  std::mt19937 random(12);
  const Shape shape{20, 128 * 31, 0, 0};
  expect_h4(standard_kv_table(), values_of<float>(random, shape), shape, 1.0f);
}
TEST_F(CudaEncodeH4, EqualsTheReferenceFromBfloat16) { expect_h4_reference<bfloat16>(); }
TEST_F(CudaEncodeH4, EqualsTheReferenceFromFloat) { expect_h4_reference<float>(); }

// Tables decide the header, equal centroids, clipping (skewed codebooks) and padding.
TEST_F(CudaEncodeH4, TakesTablesOfAnySize) {
  std::mt19937 random(8);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    PatternTable table = test::random_tables(random, Codec::h4, patterns, codebooks);
    for (std::size_t i = 15 * 3; i + 1 < 15 * 4; ++i) table.centroids[i + 1] = table.centroids[i];
    SCOPED_TRACE(std::to_string(patterns) + " patterns, " + std::to_string(codebooks));
    for (const Shape& shape : {Shape{1, 1, 0, 0}, Shape{3, 1152, 0, 0}, Shape{2, 77, 0, 0}}) {
      expect_h4(table.view(), values_of<float>(random, shape), shape, 1.0f);
      expect_h4(table.view(), values_of<float>(random, shape), shape, 0x1p-149f);
      expect_h4(table.view(), values_of<float>(random, shape), shape, 1e34f);
    }
  }
}

// A skewed codebook alone: groups that overflow are clipped, groups of one symbol have 16
// outliers.
TEST_F(CudaEncodeH4, ClipsAndPads) {
  std::mt19937 random(9);
  PatternTable table = test::random_tables(random, Codec::h4, 16, 1);
  huffman::Lengths lengths = huffman::limited_lengths(
      std::array<std::uint64_t, 16>{1000, 500, 200, 100, 50, 20, 10, 5, 3, 2, 1, 1, 1, 1, 1, 1});
  std::copy(lengths.begin(), lengths.end(), table.codebooks.begin());
  std::vector<float> values;
  for (int block = 0; block < 40; ++block) {
    for (int e = 0; e < 128; ++e) {
      const auto spread = static_cast<unsigned>(1 + block);
      values.push_back(block % 2 == 0 ? -1.0f + 0.05f * static_cast<float>(random() % spread)
                                      : 1.0f - 0.002f * static_cast<float>(random() % spread));
    }
  }
  expect_h4(table.view(), values, {1, values.size(), 0, 0}, 1.0f);
  for (int p = 0; p < 16; ++p) {  // patterns of all places: padding would change the choice
    for (int k = 0; k < 15; ++k) {
      table.centroids[static_cast<std::size_t>(15 * p + k)] =
          static_cast<std::int8_t>(-127 + 14 * p + 3 * k);
    }
  }
  expect_h4(table.view(), values, {40, 77, 51, 0}, 1.0f);
}

using CudaEncodeErrors = CudaTest;

TEST_F(CudaEncodeErrors, NamesWhatDoesNotFit) {
  const DeviceArray<float> values(std::vector<float>(3 * 132, 1.0f));
  const DeviceArray<std::uint8_t> blocks(std::vector<std::uint8_t>(16 * 64));
  const auto code = [&](const float* data, std::size_t rows, std::size_t cols, std::size_t stride,
                        std::size_t bytes, float scale = 1.0f, std::size_t shift = 0,
                        const cuda::DeviceCodecView& codec = {}) {
    return cuda::encode(codec, MatrixView<const float>{data, rows, cols, stride}, scale,
                        {blocks.data() + shift, bytes}, nullptr)
        .code();
  };
  EXPECT_EQ(code(values.data(), 3, 130, 132, 9 * 64), StatusCode::ok);
  EXPECT_EQ(code(nullptr, 0, 130, 132, 0), StatusCode::ok);
  EXPECT_EQ(code(values.data(), 3, 130, 132, 8 * 64), StatusCode::shape_mismatch);
  EXPECT_EQ(code(values.data(), 3, 130, 129, 9 * 64), StatusCode::invalid_argument);
  EXPECT_EQ(code(values.data(), 3, 130, 132, 9 * 64, 1.0f, 8), StatusCode::invalid_argument);
  for (const float scale : {0.0f, -1.0f, 2e34f, std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_EQ(code(values.data(), 3, 130, 132, 9 * 64, scale), StatusCode::invalid_argument);
  }
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(values.data()) + 2);
  EXPECT_EQ(code(odd, 1, 130, 130, 3 * 64), StatusCode::invalid_argument);
  EXPECT_EQ(code(values.data(), 1, 130, 130, 2 * 64, 1.0f, 0, {Codec::h4}),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(values.data(), 1, 130, 130, 3 * 64, 1.0f, 0, {Codec::a8, 1}),
            StatusCode::invalid_argument);
}

TEST_F(CudaEncodeErrors, RefusesTables) {
  std::mt19937 random(1);
  PatternTable table = test::random_tables(random, Codec::h4, 16, 1);
  EXPECT_EQ(cuda::DeviceCodec::create(Codec::a8, table.view()).error().code(),
            StatusCode::invalid_argument);
  table.codebooks[0] = 1;
  EXPECT_EQ(cuda::DeviceCodec::create(Codec::h4, table.view()).error().code(),
            StatusCode::corrupt);
}

TEST_F(CudaEncodeErrors, LaunchesOnTheCallersStream) {
  std::mt19937 random(2);
  const Shape shape{2, 300, 0, 0};
  const std::vector<float> values = values_of<float>(random, shape);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  const auto codec = cuda::DeviceCodec::create(Codec::h4, {}, stream);
  ASSERT_TRUE(codec);
  const DeviceArray<float> rows(values);
  const DeviceArray<std::uint8_t> blocks(std::vector<std::uint8_t>(6 * 64));
  EXPECT_TRUE(cuda::encode(codec->view(), dense_view<const float>(rows.data(), 2, 300), 1.0f,
                           {blocks.data(), 6 * 64}, stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  const auto want = expected(values, shape, 128, [&](const float* x, int count, auto* block) {
    h4::encode_kv(x, count, standard_kv_table().h4(), 1.0f, block);
  });
  EXPECT_TRUE(same_blocks(blocks.values(), want, 64));
}

}  // namespace
}  // namespace ecco

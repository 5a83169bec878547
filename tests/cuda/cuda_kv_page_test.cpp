// SPDX-License-Identifier: MIT
// KV pages on the device: appended blocks and read values equal the reference.
#include <cmath>
#include <limits>
#include <string>

#include "cuda/encode_support.hpp"
#include "cuda/kv_support.hpp"
#include "ecco/h4_encode.hpp"

namespace ecco {
namespace {

using cuda::DeviceCodec;
using cuda::DeviceKvPage;
using test::blocks_of;
using test::CudaTest;
using test::DeviceArray;
using test::group_of;
using test::Page;

PatternTable standard_page_table(Codec codec) {
  if (codec == Codec::a8) return {};
  const PatternTableView view = codec == Codec::h4 ? standard_kv_table() : standard_table(codec);
  return {codec,
          "",
          {view.centroids.begin(), view.centroids.end()},
          {view.codebooks.begin(), view.codebooks.end()}};
}

class CudaKvPage : public CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

/// Appends in pieces and compares with whole rows that `encode` made.
TEST_P(CudaKvPage, AppendsInPlaceAndReadsRanges) {
  std::mt19937 random(21);
  const auto codec = DeviceCodec::create(GetParam());
  ASSERT_TRUE(codec);
  for (const std::size_t width : {100u, 256u}) {
    const test::Shape shape{7, width, 0, 0};
    const std::vector<half> values = test::values_of<half>(random, shape);
    const std::size_t token_bytes = blocks_of(GetParam(), width) * block_bytes(GetParam());
    const auto want = test::encoded(codec->view(), values, shape, 1.25f, 7 * token_bytes);
    const DeviceArray<half> tokens(values);
    const DeviceArray<std::uint8_t> memory(std::vector<std::uint8_t>(8 * token_bytes + 5, 0xa5));
    auto page =
        DeviceKvPage::create(codec->view(), width, 1.25f, {memory.data(), 8 * token_bytes + 5});
    ASSERT_TRUE(page);
    EXPECT_EQ(page->capacity(), 8u);
    EXPECT_EQ(page->token_bytes(), token_bytes);
    std::size_t at = 0;
    for (const std::size_t piece : {1u, 4u, 0u, 2u}) {
      ASSERT_TRUE(
          page->append(dense_view<const half>(tokens.data() + at * width, piece, width), nullptr));
      at += piece;
      ASSERT_EQ(page->size(), at);
    }
    EXPECT_EQ(page->blocks().size(), 7 * token_bytes);
    std::vector<std::uint8_t> got = memory.values();
    for (std::size_t i = 7 * token_bytes; i < got.size(); ++i) ASSERT_EQ(got[i], 0xa5);
    got.resize(7 * token_bytes);
    EXPECT_TRUE(test::same_blocks(got, want, block_bytes(GetParam())));
    const Page host{GetParam(), standard_page_table(GetParam()), width, 1.25f, want};
    const DeviceArray<half> out(std::vector<half>(3 * width));
    ASSERT_TRUE(page->read(2, dense_view(out.data(), 3, width), nullptr));
    const std::vector<half> read = out.values();
    for (std::size_t i = 0; i < read.size(); ++i) {
      float block[kGroup] = {};
      const std::size_t column = i % width;
      host.decode(2 + i / width, column / group_of(GetParam()), block);
      ASSERT_EQ(read[i].bits, to_half(block[column % group_of(GetParam())]).bits) << i;
    }
    page->truncate(8);
    EXPECT_EQ(page->size(), 7u);
    page->truncate(3);
    EXPECT_EQ(page->read(2, dense_view(out.data(), 3, width), nullptr).code(),
              StatusCode::shape_mismatch);
  }
}

INSTANTIATE_TEST_SUITE_P(Codecs, CudaKvPage,
                         ::testing::Values(Codec::h4, Codec::p2, Codec::p3, Codec::p4, Codec::p5,
                                           Codec::a8),
                         [](const auto& param) { return std::string(codec_name(param.param)); });

using CudaKvPageH4 = CudaTest;

// The blocks that the reference's KV mode makes, and values that they decode to.
TEST_F(CudaKvPageH4, AppendsWhatTheReferenceEncodes) {
  std::mt19937 random(22);
  std::normal_distribution<float> normal;
  std::vector<float> values(5 * 256);
  for (float& v : values) v = normal(random);
  const auto codec = DeviceCodec::create(Codec::h4);
  ASSERT_TRUE(codec);
  const DeviceArray<std::uint8_t> memory(std::vector<std::uint8_t>(10 * 64));
  auto page = DeviceKvPage::create(codec->view(), 256, 1.0f, {memory.data(), 10 * 64});
  ASSERT_TRUE(page);
  const DeviceArray<float> tokens(values);
  ASSERT_TRUE(page->append(dense_view<const float>(tokens.data(), 5, 256), nullptr));
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  std::vector<std::uint8_t> want(10 * 64);
  for (std::size_t b = 0; b < 10; ++b) {
    h4::encode_kv(values.data() + 128 * b, 128, standard_kv_table().h4(), 1.0f,
                  want.data() + 64 * b);
  }
  EXPECT_TRUE(test::same_blocks(memory.values(), want, 64));
}

using CudaKvPageErrors = CudaTest;

TEST_F(CudaKvPageErrors, NamesWhatDoesNotFit) {
  const DeviceArray<std::uint8_t> memory(std::vector<std::uint8_t>(16 * 64));
  const auto create = [&](std::size_t width, float scale, std::size_t shift,
                          const cuda::DeviceCodecView& codec = {}) {
    return DeviceKvPage::create(codec, width, scale, {memory.data() + shift, 8 * 64}).error();
  };
  EXPECT_EQ(create(0, 1.0f, 0).code(), StatusCode::invalid_argument);
  EXPECT_EQ(create(64, 0.0f, 0).code(), StatusCode::invalid_argument);
  EXPECT_EQ(create(64, NAN, 0).code(), StatusCode::invalid_argument);
  EXPECT_EQ(create(64, 1.0f, 8).code(), StatusCode::invalid_argument);
  EXPECT_EQ(create(std::size_t{1} << 31, 1.0f, 0).code(), StatusCode::unsupported);
  EXPECT_EQ(create(std::numeric_limits<std::size_t>::max(), 1.0f, 0).code(),
            StatusCode::unsupported);
  EXPECT_EQ(create(64, 1.0f, 0, {Codec::h4}).code(), StatusCode::invalid_argument);
  auto page = DeviceKvPage::create({}, 128, 1.0f, {memory.data(), 8 * 64});
  ASSERT_TRUE(page);
  EXPECT_EQ(page->capacity(), 4u);
  const DeviceArray<float> values(std::vector<float>(5 * 128));
  const auto append = [&](std::size_t rows, std::size_t cols) {
    return page->append(dense_view<const float>(values.data(), rows, cols), nullptr).code();
  };
  EXPECT_EQ(append(1, 127), StatusCode::shape_mismatch);
  EXPECT_EQ(append(5, 128), StatusCode::shape_mismatch);
  EXPECT_EQ(page->size(), 0u);
  EXPECT_EQ(append(3, 128), StatusCode::ok);
  EXPECT_EQ(append(2, 128), StatusCode::shape_mismatch);
  const auto scores = [&](std::size_t first, std::size_t rows, std::size_t cols,
                          std::size_t tokens, std::size_t out_rows, std::size_t stride = 9,
                          const float* data = nullptr) {
    return page
        ->scores(first,
                 MatrixView<const float>{data == nullptr ? values.data() : data, rows, cols, cols},
                 MatrixView<float>{values.data(), out_rows, tokens, stride}, nullptr)
        .code();
  };
  EXPECT_EQ(scores(0, 2, 128, 3, 2), StatusCode::ok);
  EXPECT_EQ(scores(3, 2, 128, 0, 2), StatusCode::ok);
  EXPECT_EQ(scores(0, 2, 64, 3, 2), StatusCode::ok);
  EXPECT_EQ(scores(0, 3, 64, 3, 3), StatusCode::shape_mismatch);  // 3 queries of 2 heads
  EXPECT_EQ(scores(0, 4, 32, 3, 4), StatusCode::ok);
  EXPECT_EQ(scores(0, 1, 100, 3, 1), StatusCode::shape_mismatch);  // no part of the width
  EXPECT_EQ(scores(0, 1, 0, 3, 1), StatusCode::shape_mismatch);
  EXPECT_EQ(scores(0, 2, 128, 4, 2), StatusCode::shape_mismatch);
  EXPECT_EQ(scores(4, 2, 128, 0, 2), StatusCode::shape_mismatch);
  EXPECT_EQ(scores(0, 2, 128, 3, 3), StatusCode::shape_mismatch);
  EXPECT_EQ(scores(0, 2, 128, 3, 2, 2), StatusCode::invalid_argument);
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(values.data()) + 2);
  EXPECT_EQ(scores(0, 1, 128, 3, 1, 9, odd), StatusCode::invalid_argument);
  auto elsewhere = DeviceKvPage::create({Codec::a8, 1}, 128, 1.0f, {memory.data(), 8 * 64});
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(elsewhere->append(dense_view<const float>(values.data(), 1, 128), nullptr).code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(elsewhere->read(0, dense_view(values.data(), 0, 128), nullptr).message(),
            "the codec lies on device 1, current is 0");
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// Weighted sums of KV pages' tokens equal an emulation of the order of their sums bit for bit, and
// lie as near to the exact sums as kv_page.hpp promises.
#include <cmath>

#include "cuda/kv_support.hpp"

namespace ecco {
namespace {

using test::KvShape;
using test::Page;

/// Tokens that are added up in a row, and by how many in turn (docs/cuda.md, "KV pages").
struct Turns {
  std::size_t run;
  std::size_t adders;
};
Turns turns_of(Codec codec) {
  return codec == Codec::h4 ? Turns{32, 2} : codec == Codec::a8 ? Turns{1, 8} : Turns{8, 4};
}

/// Values of the page's tokens.
std::vector<float> decoded(const Page& page, std::size_t tokens) {
  const std::size_t group = test::group_of(page.codec);
  const std::size_t padded = page.token_blocks() * group;
  std::vector<float> out(tokens * padded);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t b = 0; b < page.token_blocks(); ++b) {
      page.decode(t, b, out.data() + t * padded + b * group);
    }
  }
  return out;
}

struct Expected {
  std::vector<float> sums;         ///< as the device adds them up
  std::vector<double> exact;       ///< sums in binary64
  std::vector<double> magnitudes;  ///< sums of the products' magnitudes
};

Expected expected_sums(const Page& page, const KvShape& shape, const std::vector<float>& weights) {
  const std::size_t slice = 256 * ((shape.tokens + 16383) / 16384);
  const Turns turns = turns_of(page.codec);
  const std::vector<float> values = decoded(page, shape.first + shape.tokens);
  const std::size_t padded = page.token_blocks() * test::group_of(page.codec);
  Expected out;
  for (std::size_t i = 0; i < shape.queries; ++i) {
    for (std::size_t d = 0; d < shape.head; ++d) {
      float total = 0.0f;
      double exact = 0.0;
      double magnitude = 0.0;
      for (std::size_t begin = 0; begin < shape.tokens; begin += slice) {
        float adder[8] = {};
        for (std::size_t t = begin; t < std::min(begin + slice, shape.tokens); ++t) {
          const float weight = weights[i * shape.tokens + t];
          const float value = values[(shape.first + t) * padded + shape.start(i) + d];
          float& sum = adder[(t - begin) / turns.run % turns.adders];
          sum = std::fma(weight, value, sum);
          exact += double{weight} * double{value};
          magnitude += std::abs(double{weight} * double{value});
        }
        float part = 0.0f;
        for (std::size_t a = 0; a < turns.adders; ++a) part += adder[a];
        total += part;
      }
      out.sums.push_back(total);
      out.exact.push_back(exact);
      out.magnitudes.push_back(magnitude);
    }
  }
  return out;
}

template <typename T>
void expect_sums(std::mt19937& random, Codec codec, const KvShape& shape) {
  SCOPED_TRACE(shape.name(codec));
  const Page host = test::random_page(random, codec, shape.width, shape.first + shape.tokens + 1);
  test::DevicePage device(host);
  ASSERT_TRUE(device.page);
  device.fill(host);
  const test::DeviceRows<T> weights(random, shape.queries, shape.tokens, 3);
  const test::DeviceResults out(shape.queries, shape.head);
  const test::DeviceWorkspace workspace(
      cuda::weighted_sums_workspace_bytes(shape.queries, shape.tokens, shape.head));
  const Status status =
      device.page->weighted_sums(shape.first, weights.view, out.view, workspace.span(), nullptr,
                                 {shape.column, shape.columns});
  ASSERT_TRUE(status) << status.message();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Expected want = expected_sums(host, shape, weights.values);
  out.expect(want.sums);
  for (std::size_t i = 0; i < want.sums.size(); ++i) {
    ASSERT_LE(std::abs(double{want.sums[i]} - want.exact[i]), 194 * 0x1p-24 * want.magnitudes[i]);
  }
}

class CudaKvSums : public test::CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

TEST_P(CudaKvSums, AddUpInTheDocumentedOrder) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 1);
  expect_sums<half>(random, GetParam(), {1, 1, 1, 1, 0});
  expect_sums<float>(random, GetParam(), {300, 300, 3, 70, 2});
  expect_sums<half>(random, GetParam(), {256, 128, 18, 33, 1});      // 9 queries per head
  expect_sums<bfloat16>(random, GetParam(), {256, 128, 2, 129, 0});  // 1 per head
  expect_sums<float>(random, GetParam(), {128, 128, 2, 560, 3});     // 3 slices
}

TEST_P(CudaKvSums, OfHeadsThatShareBlocksAndOfColumns) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 11);
  expect_sums<half>(random, GetParam(), {256, 64, 8, 40, 1});   // 2 queries per head
  expect_sums<float>(random, GetParam(), {240, 80, 3, 20, 0});  // heads across blocks
  expect_sums<half>(random, GetParam(), {320, 256, 5, 9, 0, 0, 256});
  expect_sums<bfloat16>(random, GetParam(), {300, 40, 2, 257, 2, 100, 80});
}

INSTANTIATE_TEST_SUITE_P(Codecs, CudaKvSums,
                         ::testing::Values(Codec::h4, Codec::p2, Codec::p3, Codec::p4, Codec::p5,
                                           Codec::a8),
                         [](const auto& param) { return std::string(codec_name(param.param)); });

using CudaKvSumsOnA8 = test::CudaTest;

// 65 slices of 256 would be too many, so there are 33 of 512.
TEST_F(CudaKvSumsOnA8, TakeLongerSlicesOfLongPages) {
  std::mt19937 random(7);
  expect_sums<half>(random, Codec::a8, {1, 1, 1, 16385, 0});
}

TEST_F(CudaKvSumsOnA8, ClearsWhatNoTokenAddsTo) {
  std::mt19937 random(8);
  const Page host = test::random_page(random, Codec::a8, 64, 3);
  test::DevicePage device(host);
  ASSERT_TRUE(device.page);
  device.fill(host);
  const test::DeviceRows<float> weights(random, 2, 0, 1);
  const test::DeviceResults out(2, 64);
  ASSERT_TRUE(device.page->weighted_sums(3, weights.view, out.view, {}, nullptr));
  out.expect(std::vector<float>(128, 0.0f));
}

TEST_F(CudaKvSumsOnA8, NamesWhatDoesNotFit) {
  std::mt19937 random(9);
  const Page host = test::random_page(random, Codec::a8, 128, 300);
  test::DevicePage device(host);
  ASSERT_TRUE(device.page);
  device.fill(host);
  const test::DeviceRows<float> weights(random, 4, 300, 0);
  const test::DeviceResults out(4, 128);
  const std::size_t needed = cuda::weighted_sums_workspace_bytes(4, 300, 128);
  EXPECT_EQ(needed, 2u * 4 * 128 * 4);
  EXPECT_EQ(cuda::weighted_sums_workspace_bytes(4, 256, 128), 0u);
  const test::DeviceWorkspace workspace(needed + 16);
  const auto sums = [&](std::size_t first, std::size_t rows, std::size_t tokens, std::size_t head,
                        cuda::KvColumns columns = {}, std::size_t bytes = 0, std::size_t at = 0) {
    const Status status = device.page->weighted_sums(
        first, MatrixView<const float>{weights.view.data, rows, tokens, 300},
        MatrixView<float>{out.view.data, rows, head, 130}, {workspace.data() + at, bytes}, nullptr,
        columns);
    return status.code();
  };
  EXPECT_EQ(sums(0, 4, 256, 128), StatusCode::ok);
  EXPECT_EQ(sums(0, 4, 300, 128, {}, needed), StatusCode::ok);
  EXPECT_EQ(sums(0, 4, 300, 128, {}, needed - 1), StatusCode::invalid_argument);
  EXPECT_EQ(sums(0, 4, 300, 128, {}, needed, 8), StatusCode::invalid_argument);
  EXPECT_EQ(sums(0, 4, 9, 32), StatusCode::ok);
  EXPECT_EQ(sums(0, 3, 9, 32), StatusCode::shape_mismatch);   // 3 queries of 4 heads
  EXPECT_EQ(sums(0, 4, 9, 100), StatusCode::shape_mismatch);  // no part of the width
  EXPECT_EQ(sums(0, 4, 9, 100, {28, 0}), StatusCode::ok);
  EXPECT_EQ(sums(0, 4, 9, 100, {0, 100}), StatusCode::ok);
  EXPECT_EQ(sums(0, 4, 9, 100, {29, 100}), StatusCode::shape_mismatch);
  EXPECT_EQ(sums(0, 4, 9, 0), StatusCode::shape_mismatch);
  EXPECT_EQ(sums(292, 4, 9, 128), StatusCode::shape_mismatch);
  EXPECT_EQ(sums(0, 4, 9, 128, {128, 0}), StatusCode::shape_mismatch);
}

}  // namespace
}  // namespace ecco

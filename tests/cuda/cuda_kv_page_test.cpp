// SPDX-License-Identifier: MIT
// KV pages on the device: appended blocks and read values equal the reference, scores equal an
// emulation of the order of their sums bit for bit.
#include "ecco/cuda/kv_page.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "cuda/encode_support.hpp"
#include "ecco/a8.hpp"
#include "ecco/block.hpp"
#include "ecco/h4_encode.hpp"

namespace ecco {
namespace {

using cuda::DeviceCodec;
using cuda::DeviceKvPage;
using test::CudaTest;
using test::DeviceArray;

std::size_t group_of(Codec codec) { return static_cast<std::size_t>(group_values(codec)); }
std::size_t blocks_of(Codec codec, std::size_t width) {
  return (width + group_of(codec) - 1) / group_of(codec);
}

/// A page whose blocks are given, those of an engine that copied them, on the device and the host.
struct Page {
  Codec codec;
  PatternTable table;
  std::size_t width;
  float scale;
  std::vector<std::uint8_t> bytes;

  [[nodiscard]] std::size_t token_blocks() const { return blocks_of(codec, width); }
  [[nodiscard]] const std::uint8_t* block(std::size_t token, std::size_t b) const {
    return bytes.data() + (token * token_blocks() + b) * block_bytes(codec);
  }
  /// Values of a block by the reference decoders.
  void decode(std::size_t token, std::size_t b, float* out) const {
    if (codec == Codec::a8) return a8::decode(block(token, b), scale, out);
    if (codec == Codec::h4) return h4::decode(block(token, b), table.view().h4(), scale, out);
    planar::dispatch(codec, [&](auto planes) {
      planar::decode<decltype(planes)::value>(block(token, b), table.centroids.data(),
                                              table.view().patterns(), scale, out);
    });
  }
};

PatternTable standard_page_table(Codec codec) {
  if (codec == Codec::a8) return {};
  const PatternTableView view = codec == Codec::h4 ? standard_kv_table() : standard_table(codec);
  return {codec,
          "",
          {view.centroids.begin(), view.centroids.end()},
          {view.codebooks.begin(), view.codebooks.end()}};
}

Page random_page(std::mt19937& random, Codec codec, std::size_t width, std::size_t tokens) {
  Page page{codec, {}, width, 0.37f, {}};
  if (codec != Codec::a8) page.table = test::random_tables(random, codec, 19, 3);
  page.bytes = test::arbitrary_blocks(random, codec, tokens * page.token_blocks());
  return page;
}

/// The page on the device.
struct Device {
  Result<DeviceCodec> codec;
  DeviceArray<std::uint8_t> memory;
  Result<DeviceKvPage> page;

  explicit Device(const Page& host)
      : codec(DeviceCodec::create(
            host.codec, host.codec == Codec::a8 ? PatternTableView{} : host.table.view())),
        memory(host.bytes),
        page(DeviceKvPage::create(codec->view(), host.width, host.scale,
                                  {memory.data(), host.bytes.size()})) {
    EXPECT_TRUE(page) << page.error().message();
  }
  /// Appends all tokens (of zeros), then puts the blocks of the host there.
  void fill(const Page& host) {
    const std::size_t tokens = page->capacity();
    const DeviceArray<float> zeros(std::vector<float>(tokens * host.width));
    EXPECT_TRUE(page->append(dense_view<const float>(zeros.data(), tokens, host.width), nullptr));
    EXPECT_EQ(
        cudaMemcpy(memory.data(), host.bytes.data(), host.bytes.size(), cudaMemcpyHostToDevice),
        cudaSuccess);
  }
};

/// The order of sums of a codec, on values of a block and a query, both padded.
struct Sums {
  float lane[32] = {};
};
void add_block(const Page& page, std::size_t token, std::size_t b, const float* query,
               Sums& sums) {
  float values[kGroup] = {};
  page.decode(token, b, values);
  if (page.codec == Codec::a8) {
    for (std::size_t i = 0; i < 64; ++i) {
      float& sum = sums.lane[i / 4];
      sum = std::fma(values[i], query[i], sum);
    }
  } else if (is_planar(page.codec)) {
    for (const std::size_t i : {0u, 4u, 1u, 5u, 2u, 6u, 3u, 7u}) {
      for (std::size_t e = 16 * i; e < 16 * i + 16; ++e) {
        float& sum = sums.lane[e % 16 / 4];
        sum = std::fma(values[e], query[e], sum);
      }
    }
  } else {
    const h4::TableView table = page.table.view().h4();
    const h4::Fields fields = h4::parse(page.block(token, b), table);
    const int outliers = (fields.scale.bits & 0x7fu) == 0 ? 0 : fields.outliers;
    bool taken[kGroup] = {};
    for (int i = 0; i < outliers; ++i) taken[fields.outlier[i].position] = true;
    float& sum = sums.lane[0];
    for (std::size_t e = 0; e < kGroup; ++e) {
      sum = std::fma(taken[e] ? 0.0f : values[e], query[e], sum);
    }
    for (int i = outliers - 1; i >= 0; --i) {
      const std::size_t place = fields.outlier[i].position;
      if (taken[place]) sum = std::fma(values[place], query[place], sum);
      taken[place] = false;
    }
  }
}

float total(const Page& page, Sums sums) {
  const std::size_t lanes = page.codec == Codec::h4 ? 1 : page.codec == Codec::a8 ? 16 : 4;
  for (std::size_t step = 1; step < lanes; step *= 2) {
    for (std::size_t l = 0; l < lanes; l += 2 * step) sums.lane[l] += sums.lane[l + step];
  }
  return sums.lane[0];
}

/// Scores of queries (rows of `head` values) as the device adds them up.
std::vector<float> expected_scores(const Page& page, std::size_t first, std::size_t tokens,
                                   const std::vector<float>& queries, std::size_t head) {
  const std::size_t rows = queries.size() / head;
  const std::size_t per_head = rows / (page.width / head);
  const std::size_t group = group_of(page.codec);
  const std::size_t head_blocks = blocks_of(page.codec, head);
  std::vector<float> out;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t t = 0; t < tokens; ++t) {
      Sums sums;
      for (std::size_t b = 0; b < head_blocks; ++b) {
        float query[kGroup] = {};
        for (std::size_t e = 0; e < group && b * group + e < head; ++e) {
          query[e] = queries[i * head + b * group + e];
        }
        add_block(page, first + t, i / per_head * head_blocks + b, query, sums);
      }
      out.push_back(total(page, sums));
    }
  }
  return out;
}

struct Shape {
  std::size_t width;
  std::size_t head;
  std::size_t queries;
  std::size_t tokens;
  std::size_t first;
};

template <typename T>
void expect_scores(std::mt19937& random, Codec codec, const Shape& shape) {
  SCOPED_TRACE(std::string(codec_name(codec)) + ", width " + std::to_string(shape.width) +
               ", head " + std::to_string(shape.head) + ", " + std::to_string(shape.queries) +
               " queries");
  const Page host = random_page(random, codec, shape.width, shape.first + shape.tokens + 1);
  Device device(host);
  ASSERT_TRUE(device.page);
  device.fill(host);
  std::normal_distribution<float> normal;
  std::vector<T> queries(shape.queries * (shape.head + 3) + 1);
  for (T& q : queries) q = from_float<T>(normal(random));
  std::vector<float> used;
  for (std::size_t i = 0; i < shape.queries; ++i) {
    for (std::size_t d = 0; d < shape.head; ++d) {
      used.push_back(to_float(queries[1 + i * (shape.head + 3) + d]));
    }
  }
  const DeviceArray<T> query_array(queries);
  const std::size_t stride = shape.tokens + 2;
  const DeviceArray<float> out(std::vector<float>(shape.queries * stride, 9.0f));
  const Status status = device.page->scores(
      shape.first,
      MatrixView<const T>{query_array.data() + 1, shape.queries, shape.head, shape.head + 3},
      MatrixView<float>{out.data(), shape.queries, shape.tokens, stride}, nullptr);
  ASSERT_TRUE(status) << status.message();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const auto want = expected_scores(host, shape.first, shape.tokens, used, shape.head);
  const std::vector<float> got = out.values();
  for (std::size_t i = 0; i < got.size(); ++i) {
    const std::size_t t = i % stride;
    const float expected = t < shape.tokens ? want[i / stride * shape.tokens + t] : 9.0f;
    ASSERT_EQ(float_bits(got[i]), float_bits(expected))
        << "query " << i / stride << ", token " << t;
  }
}

class CudaKvPage : public CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

TEST_P(CudaKvPage, ScoresAddUpInTheDocumentedOrder) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 1);
  expect_scores<half>(random, GetParam(), {1, 1, 1, 1, 0});
  expect_scores<float>(random, GetParam(), {300, 300, 3, 70, 2});
  expect_scores<half>(random, GetParam(), {512, 128, 20, 33, 1});      // 5 queries per head
  expect_scores<bfloat16>(random, GetParam(), {256, 128, 2, 129, 0});  // 1 per head
  expect_scores<float>(random, GetParam(), {512, 256, 8, 17, 3});
}

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
  EXPECT_EQ(scores(0, 3, 64, 3, 3), StatusCode::shape_mismatch);   // 3 queries of 2 heads
  EXPECT_EQ(scores(0, 4, 32, 3, 4), StatusCode::shape_mismatch);   // heads inside blocks
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
}

}  // namespace
}  // namespace ecco

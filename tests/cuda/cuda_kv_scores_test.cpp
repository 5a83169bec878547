// SPDX-License-Identifier: MIT
// Scores of queries on KV pages equal an emulation of the order of their sums bit for bit.
#include <cmath>

#include "cuda/kv_support.hpp"
#include "ecco/block.hpp"

namespace ecco {
namespace {

using test::KvShape;
using test::Page;

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

/// Scores of queries (rows of shape.head values) as the device adds them up.
std::vector<float> expected_scores(const Page& page, const KvShape& shape,
                                   const std::vector<float>& queries) {
  const std::size_t group = test::group_of(page.codec);
  std::vector<float> out;
  for (std::size_t i = 0; i < shape.queries; ++i) {
    const std::size_t start = shape.start(i);
    for (std::size_t t = 0; t < shape.tokens; ++t) {
      Sums sums;
      for (std::size_t b = start / group; b * group < start + shape.head; ++b) {
        float query[kGroup] = {};
        for (std::size_t e = 0; e < group; ++e) {
          const std::size_t d = b * group + e - start;
          if (d < shape.head) query[e] = queries[i * shape.head + d];
        }
        add_block(page, shape.first + t, b, query, sums);
      }
      out.push_back(total(page, sums));
    }
  }
  return out;
}

template <typename T>
void expect_scores(std::mt19937& random, Codec codec, const KvShape& shape) {
  SCOPED_TRACE(shape.name(codec));
  const Page host = test::random_page(random, codec, shape.width, shape.first + shape.tokens + 1);
  test::DevicePage device(host);
  ASSERT_TRUE(device.page);
  device.fill(host);
  const test::DeviceRows<T> queries(random, shape.queries, shape.head, 3);
  const test::DeviceResults out(shape.queries, shape.tokens);
  const Status status = device.page->scores(shape.first, queries.view, out.view, nullptr,
                                            {shape.column, shape.columns});
  ASSERT_TRUE(status) << status.message();
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  out.expect(expected_scores(host, shape, queries.values));
}

class CudaKvScores : public test::CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

TEST_P(CudaKvScores, AddUpInTheDocumentedOrder) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 1);
  expect_scores<half>(random, GetParam(), {1, 1, 1, 1, 0});
  expect_scores<float>(random, GetParam(), {300, 300, 3, 70, 2});
  expect_scores<half>(random, GetParam(), {512, 128, 20, 33, 1});      // 5 queries per head
  expect_scores<bfloat16>(random, GetParam(), {256, 128, 2, 129, 0});  // 1 per head
  expect_scores<float>(random, GetParam(), {512, 256, 8, 17, 3});
}

TEST_P(CudaKvScores, OfHeadsThatShareBlocksAndOfColumns) {
  std::mt19937 random(static_cast<unsigned>(GetParam()) + 11);
  expect_scores<half>(random, GetParam(), {256, 64, 8, 33, 1});   // 2 queries per head
  expect_scores<float>(random, GetParam(), {240, 80, 3, 20, 0});  // heads across blocks
  expect_scores<half>(random, GetParam(), {576, 512, 5, 9, 0, 0, 512});
  expect_scores<bfloat16>(random, GetParam(), {300, 40, 2, 18, 2, 100, 80});
}

INSTANTIATE_TEST_SUITE_P(Codecs, CudaKvScores,
                         ::testing::Values(Codec::h4, Codec::p2, Codec::p3, Codec::p4, Codec::p5,
                                           Codec::a8),
                         [](const auto& param) { return std::string(codec_name(param.param)); });

}  // namespace
}  // namespace ecco

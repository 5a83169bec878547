// SPDX-License-Identifier: MIT
// Pages against the block functions of each codec, called block by block.
#include "ecco/kv_page.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <type_traits>

#include "ecco/a8.hpp"
#include "ecco/encode.hpp"
#include "ecco/h4_encode.hpp"
#include "ecco/planar.hpp"
#include "ecco/standard_tables.hpp"

namespace ecco {
namespace {

static_assert(!std::is_copy_constructible_v<KvPage>);

constexpr Codec kCodecs[] = {Codec::h4, Codec::p4, Codec::a8};
constexpr std::size_t kWidths[] = {1, 64, 100, 128, 256, 300};

std::vector<float> normal_values(std::size_t count, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = 3.0f * normal(random);
  return values;
}

MatrixView<const float> view(const std::vector<float>& values, std::size_t width) {
  return dense_view(values.data(), values.size() / width, width);
}

/// The standard table but for planar codecs: of theirs eight patterns, for the exhaustive search.
PatternTableView small_table(Codec codec) {
  if (codec == Codec::h4) return standard_kv_table();
  if (codec == Codec::a8) return {};
  PatternTableView table = standard_table(codec);
  table.centroids =
      table.centroids.first(static_cast<std::size_t>(8 * centroids_per_pattern(codec)));
  return table;
}

KvPage page_of(Codec codec, std::size_t width, std::size_t capacity, float tensor_scale = 1.0f) {
  const KvCodec kv = KvCodec::create(codec, small_table(codec), Effort::best).value();
  return KvPage::create(kv, width, capacity, tensor_scale).value();
}

/// What the references make of the tokens.
std::vector<std::uint8_t> reference_blocks(Codec codec, MatrixView<const float> tokens,
                                           float tensor_scale = 1.0f) {
  if (is_planar(codec)) {
    CompressOptions options;
    options.codec = codec;
    options.table = small_table(codec);
    const CompressedTensor tensor = reference::compress(tokens, options).value();
    EXPECT_EQ(tensor.view().tensor_scale(), 1.0f);
    return {tensor.blocks().begin(), tensor.blocks().end()};
  }
  const auto group = static_cast<std::size_t>(group_values(codec));
  std::vector<std::uint8_t> out;
  for (std::size_t t = 0; t < tokens.rows; ++t) {
    for (std::size_t at = 0; at < tokens.cols; at += group) {
      const int count = static_cast<int>(std::min(group, tokens.cols - at));
      std::uint8_t block[64];
      if (codec == Codec::h4) {
        h4::encode_kv(tokens.row(t) + at, count, standard_kv_table().h4(), tensor_scale, block);
      } else {
        a8::encode(tokens.row(t) + at, count, tensor_scale, block);
      }
      out.insert(out.end(), block, block + 64);
    }
  }
  return out;
}

/// One token of a page, by the reference decoders.
std::vector<float> reference_values(const KvPage& page, std::size_t token) {
  std::vector<float> out;
  for (std::size_t at = 0; at < page.token_bytes(); at += block_bytes(page.codec())) {
    const std::uint8_t* block = page.blocks().data() + token * page.token_bytes() + at;
    float values[kGroup] = {};
    if (page.codec() == Codec::h4) {
      h4::decode(block, standard_kv_table().h4(), page.tensor_scale(), values);
    } else if (page.codec() == Codec::p4) {
      const PatternTableView table = small_table(Codec::p4);
      planar::decode<2>(block, table.centroids.data(), table.patterns(), 1.0f, values);
    } else {
      a8::decode(block, page.tensor_scale(), values);
    }
    out.insert(out.end(), values, values + group_values(page.codec()));
  }
  out.resize(page.width());
  return out;
}

std::vector<float> read(const KvPage& page, std::size_t first, std::size_t count,
                        const ParallelFor& parallel = serial) {
  std::vector<float> out(count * page.width(), NAN);
  EXPECT_TRUE(page.read(first, dense_view(out.data(), count, page.width()), parallel));
  return out;
}

TEST(KvPage, HoldsTheBlocksOfTheReferences) {
  for (const Codec codec : kCodecs) {
    for (const std::size_t width : kWidths) {
      SCOPED_TRACE(std::string(codec_name(codec)) + ", width " + std::to_string(width));
      const std::vector<float> values = normal_values(7 * width);
      KvPage page = page_of(codec, width, 7);
      std::size_t token = 0;
      for (const std::size_t piece : {1u, 4u, 0u, 2u}) {
        ASSERT_TRUE(page.append(dense_view(values.data() + token * width, piece, width)));
        token += piece;
        ASSERT_EQ(page.size(), token);
      }
      const std::vector<std::uint8_t> want = reference_blocks(codec, view(values, width));
      ASSERT_EQ(page.blocks().size(), want.size());
      EXPECT_EQ(page.token_bytes() * 7, want.size());
      EXPECT_EQ(page.bytes(), want.size());
      EXPECT_TRUE(std::equal(want.begin(), want.end(), page.blocks().begin()));
      for (std::size_t first = 0; first < 7; ++first) {
        std::vector<float> range;
        for (std::size_t t = first; t < 7; ++t) {
          EXPECT_EQ(read(page, first, t - first), range);
          const std::vector<float> next = reference_values(page, t);
          range.insert(range.end(), next.begin(), next.end());
        }
        EXPECT_EQ(read(page, first, 7 - first), range);
      }
      EXPECT_TRUE(read(page, 7, 0).empty());
    }
  }
}

TEST(KvPage, TakesAndGivesRowsWithGapsOnAnyThreads) {
  const ParallelFor backwards = [](std::size_t count, const auto& body) {
    for (std::size_t i = count; i-- > 0;) body(i, i + 1);
  };
  const std::vector<float> values = normal_values(5 * 200);
  for (const Codec codec : kCodecs) {
    KvPage one = page_of(codec, 130, 5);
    KvPage other = page_of(codec, 130, 5);
    ASSERT_TRUE(one.append({values.data(), 5, 130, 200}));
    ASSERT_TRUE(other.append({values.data(), 5, 130, 200}, backwards));
    EXPECT_TRUE(std::equal(one.blocks().begin(), one.blocks().end(), other.blocks().begin()));
    const std::vector<float> dense = read(one, 1, 4);
    EXPECT_EQ(read(one, 1, 4, backwards), dense);
    std::vector<float> spaced(4 * 200, 7.0f);
    ASSERT_TRUE(one.read(1, {spaced.data(), 4, 130, 200}));
    for (std::size_t i = 0; i < spaced.size(); ++i) {
      EXPECT_EQ(spaced[i], i % 200 < 130 ? dense[i / 200 * 130 + i % 200] : 7.0f);
    }
  }
}

TEST(KvPage, ForgetsTheLastTokensAndMoves) {
  const std::vector<float> values = normal_values(6 * 128);
  KvPage page = page_of(Codec::h4, 128, 6);
  ASSERT_TRUE(page.append(view(values, 128)));
  const std::vector<float> all = read(page, 0, 6);
  page.truncate(7);
  EXPECT_EQ(page.size(), 6u);
  page.truncate(2);
  EXPECT_EQ(page.blocks().size(), 2u * 64);
  ASSERT_TRUE(page.append(dense_view(values.data() + 2 * 128, 4, 128)));
  const KvPage moved = std::move(page);
  EXPECT_EQ(moved.size(), 6u);
  EXPECT_EQ(read(moved, 0, 6), all);
}

TEST(KvPage, KeepsSmallAndLargeValuesByItsTensorScale) {
  for (const Codec codec : {Codec::h4, Codec::a8}) {
    for (const float scale : {1e-6f, 1.0f, 1e5f}) {
      std::vector<float> values = normal_values(3 * 256);
      for (float& value : values) value *= scale;
      KvPage page = page_of(codec, 256, 3, scale);
      ASSERT_TRUE(page.append(view(values, 256)));
      const auto want = reference_blocks(codec, view(values, 256), scale);
      EXPECT_TRUE(std::equal(want.begin(), want.end(), page.blocks().begin()));
      EXPECT_EQ(std::vector<float>(256, 0.0f) == read(page, 1, 1), false);
      EXPECT_EQ(read(page, 2, 1), reference_values(page, 2));
    }
  }
}

double relative_error(Codec codec) {
  const std::vector<float> values = normal_values(512 * 128, 3);
  KvPage page = page_of(codec, 128, 512);
  EXPECT_TRUE(page.append(view(values, 128)));
  const std::vector<float> decoded = read(page, 0, 512);
  double errors = 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double error = double{decoded[i]} - double{values[i]};
    errors += error * error;
    squares += double{values[i]} * double{values[i]};
  }
  return std::sqrt(errors / squares);
}

// Of Gaussian values. A8: steps of f, and of 2 f in one byte of eight, so an error of
// f sqrt((7 + 4) / 8 / 12) = 0.34 f. f is the greatest magnitude, 2.4 sigma, over 127, rounded up
// by 1.06 on average: 0.7 %.
TEST(KvPage, HasTheErrorOfItsCodec) {
  const double h4 = relative_error(Codec::h4);
  EXPECT_GT(h4, 0.09);
  EXPECT_LT(h4, 0.11);
  const double p4 = relative_error(Codec::p4);
  EXPECT_GT(p4, 0.08);
  EXPECT_LT(p4, 0.09);
  const double a8 = relative_error(Codec::a8);
  EXPECT_GT(a8, 0.006);
  EXPECT_LT(a8, 0.0085);
}

TEST(KvPage, NamesWhatIsWrongAndKeepsNothingOfIt) {
  std::vector<float> values = normal_values(3 * 130);
  for (const Codec codec : kCodecs) {
    KvPage page = page_of(codec, 130, 4);
    ASSERT_TRUE(page.append(view(values, 130)));
    const std::vector<std::uint8_t> before(page.blocks().begin(), page.blocks().end());
    const auto unchanged = [&] {
      return page.size() == 3 && std::equal(before.begin(), before.end(), page.blocks().begin());
    };
    const Status full = page.append(view(values, 130));
    EXPECT_EQ(full.code(), StatusCode::shape_mismatch);
    EXPECT_EQ(full.message(), "3 tokens for a page that holds 3 of 4");
    EXPECT_TRUE(unchanged());
    const Status narrow = page.append(dense_view<const float>(values.data(), 1, 129));
    EXPECT_EQ(narrow.code(), StatusCode::shape_mismatch);
    EXPECT_EQ(narrow.message(), "tokens of 129 values for a page of 130");
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY}) {
      std::vector<float> token(values.begin(), values.begin() + 130);
      token[129] = bad;
      const Status status = page.append(view(token, 130));
      EXPECT_EQ(status.code(), StatusCode::not_finite);
      EXPECT_EQ(status.message(), "token 0, value 129 is not finite");
    }
    EXPECT_EQ(page.append(dense_view<const float>(values.data(), 1, 130), {}).code(),
              StatusCode::invalid_argument);
    EXPECT_TRUE(unchanged());

    std::vector<float> out(4 * 130);
    EXPECT_EQ(page.read(0, dense_view(out.data(), 4, 130)).message(),
              "tokens 0 to 4 of 130 values asked of a page that holds 3 of 130");
    EXPECT_EQ(page.read(4, dense_view(out.data(), 0, 130)).code(), StatusCode::shape_mismatch);
    EXPECT_EQ(page.read(0, dense_view(out.data(), 1, 129)).code(), StatusCode::shape_mismatch);
    EXPECT_EQ(page.read(std::size_t(-1), dense_view(out.data(), 2, 130)).code(),
              StatusCode::shape_mismatch);
  }
}

TEST(KvPage, RefusesWhatItCannotHold) {
  const KvCodec codec = KvCodec::create(Codec::h4).value();
  EXPECT_EQ(codec.table().patterns(), 16);
  EXPECT_EQ(KvPage::create(codec, 0, 4).error().code(), StatusCode::invalid_argument);
  for (const float scale : {0.0f, -1.0f, NAN, 2e34f}) {
    EXPECT_EQ(KvPage::create(codec, 1, 4, scale).error().code(), StatusCode::invalid_argument);
  }
  constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max() / 4;
  EXPECT_EQ(KvPage::create(codec, kHuge, 4).error().code(), StatusCode::out_of_memory);
  EXPECT_EQ(KvPage::create(codec, 4, kHuge).error().code(), StatusCode::out_of_memory);
  KvPage none = KvPage::create(codec, 4, 0).value();
  const float token[4] = {};
  EXPECT_EQ(none.append(dense_view(token, 1, 4)).code(), StatusCode::shape_mismatch);
  EXPECT_EQ(none.bytes(), 0u);
}

TEST(KvCodec, NamesWhatIsWrong) {
  EXPECT_EQ(KvCodec::create(Codec::p4, standard_kv_table()).error().code(),
            StatusCode::invalid_argument);
  EXPECT_EQ(KvCodec::create(static_cast<Codec>(7)).error().code(), StatusCode::unsupported);
  PatternTableView broken = standard_kv_table();
  broken.codebooks = broken.codebooks.first(5);
  EXPECT_EQ(KvCodec::create(Codec::h4, broken).error().code(), StatusCode::corrupt);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/encode.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ecco/block.hpp"
#include "ecco/decode.hpp"
#include "encode/shortlist_encoder.hpp"
#include "isa/kernels.hpp"
#include "support/compare.hpp"

namespace ecco {
namespace {

constexpr Effort kEfforts[] = {Effort::fast, Effort::default_, Effort::best};

std::string name_of(Effort effort) {
  return effort == Effort::fast ? "fast" : effort == Effort::default_ ? "default" : "best";
}

enum class Source {
  gaussian,
  student5,
  laplace,
  arcsine,
  constant,
  zeros,
  outlier,
  subnormal,
  huge,
  two_levels,
  mixed
};
constexpr Source kSources[] = {Source::gaussian,   Source::student5,  Source::laplace,
                               Source::arcsine,    Source::constant,  Source::zeros,
                               Source::outlier,    Source::subnormal, Source::huge,
                               Source::two_levels, Source::mixed};

std::vector<float> draw(Source source, std::size_t count, unsigned seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> student(5.0f);
  std::exponential_distribution<float> exponential;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const float sign = random() % 2 == 0 ? 1.0f : -1.0f;
    switch (source) {
      case Source::gaussian:
        values[i] = 0.02f * normal(random);
        break;
      case Source::student5:
        values[i] = student(random);
        break;
      case Source::laplace:
        values[i] = sign * exponential(random);
        break;
      case Source::arcsine:
        values[i] = 0.1f + 2.0f * std::cos(static_cast<float>(i));
        break;
      case Source::constant:
        values[i] = -0.37f;
        break;
      case Source::zeros:
        break;
      case Source::outlier:
        values[i] = i % 300 == 17 ? 900.0f : normal(random);
        break;
      case Source::subnormal:
        values[i] = 1e-41f * normal(random);
        break;
      case Source::huge:
        values[i] = 2e37f * normal(random);
        break;
      case Source::two_levels:
        values[i] = sign * 3.0f;
        break;
      case Source::mixed:
        values[i] = normal(random) * (i / 128 % 2 == 0 ? 1e-12f : 1.0f);
        break;
    }
  }
  return values;
}

CompressedTensor encode(const std::vector<float>& values, std::size_t rows, std::size_t cols,
                        const CompressOptions& options, const ParallelFor& parallel = serial) {
  return compress(dense_view(values.data(), rows, cols), options, parallel).value();
}

// Relative error, or infinity for an invalid block; every value finite.
double relative_error(const CompressedTensor& tensor, const std::vector<float>& values,
                      std::span<const float> importance = {}) {
  const TensorView view = tensor.view();
  std::vector<float> decoded(values.size());
  EXPECT_TRUE(decode_rows(view, 0, dense_view(decoded.data(), view.rows(), view.cols())));
  double error = 0.0;
  double signal = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double weight = importance.empty() ? 1.0 : importance[i % view.cols()];
    const double difference = static_cast<double>(values[i]) - static_cast<double>(decoded[i]);
    EXPECT_TRUE(std::isfinite(decoded[i]));
    error += weight * difference * difference;
    signal += weight * static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return signal == 0.0 ? std::sqrt(error) : std::sqrt(error / signal);
}

void expect_valid(const TensorView& tensor) {
  for (std::size_t at = 0; at < tensor.blocks().size(); at += block_bytes(tensor.codec())) {
    const char* fault = block_fault(tensor, tensor.blocks().data() + at, kGroup);
    ASSERT_EQ(fault, nullptr) << fault << " at byte " << at;
  }
}

class Encode : public testing::TestWithParam<Codec> {};
class EncodePlanar : public Encode {};
std::string name_of_codec(const testing::TestParamInfo<Codec>& codec) {
  return std::string(codec_name(codec.param));
}
INSTANTIATE_TEST_SUITE_P(Codecs, Encode, testing::ValuesIn(kStoredCodecs), name_of_codec);
INSTANTIATE_TEST_SUITE_P(Codecs, EncodePlanar, testing::ValuesIn(kPlanarCodecs), name_of_codec);

TEST_P(Encode, EmitsValidBlocksOfEverySource) {
  for (const Source source : kSources) {
    const std::vector<float> values = draw(source, 2 * 384, 3);
    for (const Effort effort : kEfforts) {
      SCOPED_TRACE(name_of(effort) + " source " + std::to_string(static_cast<int>(source)));
      CompressOptions options;
      options.codec = GetParam();
      options.effort = effort;
      if (options.codec == Codec::h4 && source == Source::huge) {
        const auto refused = compress(dense_view(values.data(), 2, 384), options);
        EXPECT_EQ(refused.error().code(), StatusCode::unsupported);
        continue;
      }
      const CompressedTensor tensor = encode(values, 2, 384, options);
      expect_valid(tensor.view());
      EXPECT_LT(relative_error(tensor, values), source == Source::zeros ? 1e-30 : 0.62);
    }
  }
}

// Symbols of a block's elements that format.md, section 1, gives padding, and those it has.
struct Padding {
  int expected = 0;
  std::array<std::uint8_t, kGroup> symbols{};
};

Padding padding_of(const TensorView& tensor, const std::uint8_t* block) {
  Padding padding;
  if (tensor.codec() == Codec::h4) {
    const h4::Fields fields = h4::parse(block, tensor.table().h4());
    padding.expected = h4::shortest_symbol(tensor.table().h4().codebook(fields.codebook));
    std::copy(std::begin(fields.symbols), std::end(fields.symbols), padding.symbols.begin());
    return padding;
  }
  planar::dispatch(tensor.codec(), [&](auto planes) {
    planar::decode_ranks<decltype(planes)::value>(block, padding.symbols.data());
  });
  return padding;
}

TEST_P(Encode, AwkwardShapesAreCodedWholeAndTheirPaddingIsCheap) {
  for (const auto& shape : {std::pair<std::size_t, std::size_t>{0, 128},
                            {1, 1},
                            {3, 1},
                            {2, 127},
                            {2, 128},
                            {2, 129},
                            {1, 2880}}) {
    const std::size_t rows = shape.first;  // Clang 14 captures no structured bindings
    const std::size_t cols = shape.second;
    const std::vector<float> values = draw(Source::gaussian, rows * cols, 4);
    CompressOptions options;
    options.codec = GetParam();
    options.effort = Effort::fast;
    const CompressedTensor tensor = encode(values, rows, cols, options);
    expect_valid(tensor.view());
    EXPECT_LT(relative_error(tensor, values), 0.5);
    const std::size_t last = tensor.view().blocks_per_row() - 1;
    for (std::size_t r = 0; r < rows; ++r) {
      const Padding padding =
          padding_of(tensor.view(), tensor.view().row(r) + last * block_bytes(GetParam()));
      for (std::size_t e = cols - 128 * last; e < kGroup; ++e) {
        EXPECT_EQ(padding.symbols[e], padding.expected);
      }
    }
  }
}

// Patterns spread over the standard table of a planar codec, as a table of their own.
std::vector<std::int8_t> some_patterns(Codec codec, int count) {
  const PatternTableView table = standard_table(codec);
  std::vector<std::int8_t> some;
  for (int i = 0; i < count; ++i) {
    const std::int8_t* pattern = table.pattern(i * (table.patterns() - 1) / (count - 1));
    some.insert(some.end(), pattern, pattern + centroids_per_pattern(codec));
  }
  return some;
}

// The reference takes up to 0.1 s to prepare a pattern under sanitizers: p2 and h4 have the whole
// standard table, the others 21 of its patterns.
TEST_P(Encode, TheCompiledSearchOfBestIsTheReference) {
  std::vector<float> values;  // one matrix: preparing the reference takes long
  for (const Source source : {Source::gaussian, Source::outlier, Source::arcsine}) {
    const std::vector<float> part = draw(source, 2 * 200, 5);
    values.insert(values.end(), part.begin(), part.end());
  }
  std::vector<float> importance(200);
  for (std::size_t k = 0; k < 200; ++k) importance[k] = 1.0f + static_cast<float>(k * k % 37);
  const bool whole = GetParam() == Codec::p2 || GetParam() == Codec::h4;
  const auto some = whole ? std::vector<std::int8_t>() : some_patterns(GetParam(), 21);
  for (const bool weighted : {false, true}) {
    CompressOptions options;
    options.codec = GetParam();
    options.effort = Effort::best;
    if (!whole) options.table = {GetParam(), some};
    if (weighted) options.importance = importance;
    const auto want =
        reference::compress(dense_view<const float>(values.data(), 6, 200), options).value();
    const CompressedTensor got = encode(values, 6, 200, options);
    EXPECT_TRUE(std::equal(got.blocks().begin(), got.blocks().end(), want.blocks().begin(),
                           want.blocks().end()));
    EXPECT_EQ(got.view().tensor_scale(), want.view().tensor_scale());
  }
}

// The blocks that one path makes at a shortlist effort.
std::vector<std::uint8_t> shortlist_blocks(const EncodeKernels& kernels,
                                           const rd::PreparedTable& table,
                                           const Shortlist& shortlist,
                                           const ShortlistEffort& effort,
                                           MatrixView<const float> values,
                                           std::span<const float> importance) {
  const rd::ColumnBlocks columns(values.cols, importance, 1.0f);
  std::vector<std::uint8_t> blocks(values.rows * blocks_per_row(values.cols) *
                                   block_bytes(table.codec));
  ShortlistEncoder(table, shortlist, kernels, columns, rd::scale_range(1.0f, 3e38f), effort)
      .encode(values, blocks.data());
  return blocks;
}

// The scalar path defines the tables too: the other paths search with those they prepare
// themselves.
TEST_P(EncodePlanar, EveryPathGivesTheSameBlocks) {
  const std::size_t cols = 300;
  std::vector<float> values;
  for (const Source source : kSources) {
    const std::vector<float> part = draw(source, 2 * cols, 6);
    values.insert(values.end(), part.begin(), part.end());
  }
  for (float& value : values) value = std::fmax(std::fmin(value, 1e3f), -1e3f);
  const MatrixView<const float> rows =
      dense_view(std::as_const(values).data(), values.size() / cols, cols);
  std::vector<float> importance(cols);
  for (std::size_t k = 0; k < cols; ++k) importance[k] = static_cast<float>(k % 17) * 0.3f;
  std::vector<std::pair<Isa, rd::PreparedTable>> tables;  // once: preparing takes long
  for (const Isa isa : test::supported_isas()) {
    const auto planes = static_cast<std::size_t>(mantissa_planes(GetParam()));
    tables.emplace_back(
        isa, rd::prepare_table(standard_table(GetParam()), kernels_of(isa).encode.search[planes]));
  }
  ASSERT_EQ(tables[0].first, Isa::scalar);
  for (const ShortlistEffort effort : {ShortlistEffort{0, 8, 32}, ShortlistEffort{2, 32, 0}}) {
    const Shortlist shortlist(tables[0].second, effort.neighbours);
    for (const std::span<const float> weights :
         {std::span<const float>(), std::span<const float>(importance)}) {
      const auto blocks_of = [&](Isa isa, const rd::PreparedTable& table) {
        return shortlist_blocks(kernels_of(isa).encode, table, shortlist, effort, rows, weights);
      };
      const std::vector<std::uint8_t> want = blocks_of(Isa::scalar, tables[0].second);
      for (std::size_t i = 1; i < tables.size(); ++i) {
        EXPECT_EQ(blocks_of(tables[i].first, tables[i].second), want)
            << isa_name(tables[i].first) << (weights.empty() ? "" : " weighted");
      }
    }
  }
}

TEST_P(Encode, ThreadsDoNotChangeABit) {
  const std::vector<float> values = draw(Source::student5, 37 * 500, 7);
  CompressOptions options;
  options.codec = GetParam();
  options.effort = Effort::fast;
  const CompressedTensor want = encode(values, 37, 500, options);
  for (const std::size_t threads : {2u, 7u}) {
    const CompressedTensor got = encode(values, 37, 500, options, test::threads(threads));
    EXPECT_TRUE(std::equal(got.blocks().begin(), got.blocks().end(), want.blocks().begin()));
  }
}

// Through the whole of compress, mode faithful is the paper's encoder block by block.
TEST(EncodeFaithful, GivesThePapersBlocks) {
  const std::vector<float> values = draw(Source::student5, 5 * 300, 12);
  std::vector<float> importance(300);
  for (std::size_t k = 0; k < 300; ++k) importance[k] = static_cast<float>(k % 5);
  CompressOptions options;
  options.codec = Codec::h4;
  options.mode = H4Mode::faithful;
  options.importance = importance;
  const CompressedTensor tensor = encode(values, 5, 300, options, test::threads(3));
  const auto reference = reference::compress(dense_view(values.data(), 5, 300), options).value();
  EXPECT_TRUE(std::equal(tensor.blocks().begin(), tensor.blocks().end(),
                         reference.blocks().begin(), reference.blocks().end()));
  const TensorView view = tensor.view();
  float largest = 0.0f;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  EXPECT_EQ(view.tensor_scale(), largest / 448.0f);
  for (std::size_t r = 0; r < 5; ++r) {
    for (std::size_t k = 0; k < 3; ++k) {
      std::uint8_t block[64];
      h4::encode_faithful(values.data() + r * 300 + k * 128, importance.data() + k * 128,
                          k < 2 ? 128 : 44, view.table().h4(), view.tensor_scale(), block);
      EXPECT_TRUE(std::equal(block, block + 64, view.row(r) + k * 64));
    }
  }
}

// Two-sided: a test fails when an error gets better unexpectedly, too. Standard tables.
struct Window {
  Codec codec;
  Source source;
  Effort effort;
  double percent;
};
TEST(EncodeDistortion, StaysInItsWindows) {
  for (const Window& window : {
           Window{Codec::p4, Source::gaussian, Effort::best, 7.92},
           Window{Codec::p4, Source::gaussian, Effort::default_, 7.94},
           Window{Codec::p4, Source::gaussian, Effort::fast, 8.08},
           Window{Codec::p4, Source::student5, Effort::default_, 7.85},
           Window{Codec::p4, Source::laplace, Effort::default_, 7.75},
           Window{Codec::p2, Source::gaussian, Effort::default_, 31.7},
           Window{Codec::p3, Source::gaussian, Effort::default_, 15.65},
           Window{Codec::p5, Source::gaussian, Effort::default_, 4.05},
           Window{Codec::h4, Source::gaussian, Effort::best, 7.95},
           Window{Codec::h4, Source::gaussian, Effort::default_, 8.00},
           Window{Codec::h4, Source::gaussian, Effort::fast, 8.06},
           Window{Codec::h4, Source::student5, Effort::default_, 8.00},
           Window{Codec::h4, Source::laplace, Effort::default_, 8.07},
       }) {
    const std::size_t rows = window.effort == Effort::best ? 8 : 24;
    const std::vector<float> values = draw(window.source, rows * 1024, 8);
    CompressOptions options;
    options.codec = window.codec;
    options.effort = window.effort;
    const double got = 100.0 * relative_error(encode(values, rows, 1024, options), values);
    EXPECT_NEAR(got, window.percent, 0.015 * window.percent)
        << codec_name(window.codec) << " " << name_of(window.effort) << " source "
        << static_cast<int>(window.source);
  }
}

TEST(EncodeDistortion, LessSearchCostsLittle) {
  for (const Source source : {Source::gaussian, Source::student5, Source::laplace}) {
    const std::vector<float> values = draw(source, 12 * 1024, 9);
    double error[3];
    for (const Effort effort : kEfforts) {
      CompressOptions options;
      options.effort = effort;
      error[static_cast<int>(effort)] = relative_error(encode(values, 12, 1024, options), values);
    }
    EXPECT_LE(error[1], 1.012 * error[2]);
    EXPECT_LE(error[0], 1.045 * error[2]);
    EXPECT_GE(error[0], error[1]);
  }
}

TEST(EncodeImportance, LowersTheErrorThatItWeighs) {
  const std::vector<float> values = draw(Source::gaussian, 20 * 512, 10);
  std::vector<float> importance(512);
  for (std::size_t k = 0; k < 512; ++k) importance[k] = k % 8 == 3 ? 50.0f : 1.0f;
  for (const Effort effort : {Effort::fast, Effort::default_}) {
    CompressOptions options;
    options.effort = effort;
    const CompressedTensor plain = encode(values, 20, 512, options);
    options.importance = importance;
    const CompressedTensor weighted = encode(values, 20, 512, options);
    expect_valid(weighted.view());
    EXPECT_LT(relative_error(weighted, values, importance),
              0.9 * relative_error(plain, values, importance));
    EXPECT_GT(relative_error(weighted, values), relative_error(plain, values));
  }
}

TEST(EncodeErrors, NameWhatIsWrong) {
  std::vector<float> values = draw(Source::gaussian, 3 * 200, 11);
  const auto error = [&](const CompressOptions& options = {}) {
    const auto result = compress(dense_view(std::as_const(values).data(), 3, 200), options);
    return result ? Status() : result.error();
  };
  EXPECT_TRUE(error());
  values[2 * 200 + 131] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error().code(), StatusCode::not_finite);
  EXPECT_EQ(error().message(), "row 2, column 131 is not finite (nan)");
  values[2 * 200 + 131] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(error().message(), "row 2, column 131 is not finite (-inf)");
  EXPECT_EQ(
      reference::compress(dense_view(std::as_const(values).data(), 3, 200)).error().message(),
      error().message());
  values[2 * 200 + 131] = 0.0f;

  std::vector<float> importance(200, 1.0f);
  CompressOptions options;
  options.importance = importance;
  EXPECT_TRUE(error(options));
  for (const float bad :
       {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    importance[7] = bad;
    EXPECT_EQ(error(options).code(), StatusCode::invalid_argument);
    EXPECT_NE(error(options).message().find("column 7"), std::string::npos);
  }
  options.importance = std::span(importance).first(199);
  EXPECT_EQ(error(options).code(), StatusCode::invalid_argument);
  options = {};
  options.codec = Codec::a8;
  EXPECT_EQ(error(options).code(), StatusCode::unsupported);
  options = {};
  options.largest_value = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error(options).code(), StatusCode::invalid_argument);
}

TEST(EncodeErrors, NameTheFirstRowThatFailsWhateverTheThreads) {
  std::vector<float> values = draw(Source::gaussian, 64 * 128, 14);
  for (const std::size_t row : {5u, 20u, 41u, 63u}) {
    values[row * 128 + row] = std::numeric_limits<float>::infinity();
  }
  for (const std::size_t threads : {1u, 2u, 7u}) {
    const auto result =
        compress(dense_view(std::as_const(values).data(), 64, 128), {}, test::threads(threads));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(), "row 5, column 5 is not finite (inf)");
  }
}

TEST(EncodeErrors, NothingIsThrown) {
  const std::vector<float> values = draw(Source::gaussian, 128, 13);
  const auto error = [&](const ParallelFor& parallel) {
    return compress(dense_view(values.data(), 1, 128), {}, parallel).error();
  };
  EXPECT_EQ(error(ParallelFor()).message(), "the ParallelFor is empty");
  const auto throws = [](std::size_t, const auto&) { throw std::runtime_error("no threads"); };
  EXPECT_EQ(error(throws).code(), StatusCode::invalid_argument);
  EXPECT_EQ(error(throws).message(), "no threads");
  EXPECT_EQ(Encoder::standard(Codec::p4, static_cast<Effort>(9)).error().code(),
            StatusCode::invalid_argument);
}

TEST(EncodeErrors, EncodeRowsChecksItsArguments) {
  std::vector<float> values = draw(Source::gaussian, 2 * 200, 15);
  const Encoder encoder = Encoder::standard(Codec::p4, Effort::fast).value();
  std::vector<std::uint8_t> blocks(2 * 2 * block_bytes(Codec::p4));
  const auto code = [&](float tensor_scale, float largest_value, std::size_t bytes) {
    return encoder
        .encode_rows(dense_view(std::as_const(values).data(), 2, 200), {}, tensor_scale,
                     largest_value, std::span(blocks).first(bytes))
        .code();
  };
  EXPECT_EQ(code(1.0f, 1e38f, blocks.size()), StatusCode::ok);
  EXPECT_EQ(code(1.0f, 1e38f, blocks.size() - 1), StatusCode::shape_mismatch);
  EXPECT_EQ(code(0.0f, 1e38f, blocks.size()), StatusCode::invalid_argument);
  EXPECT_EQ(code(2e34f, 1e38f, blocks.size()), StatusCode::invalid_argument);
  EXPECT_EQ(code(1.0f, 0.0f, blocks.size()), StatusCode::invalid_argument);
  values[399] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(code(1.0f, 1e38f, blocks.size()), StatusCode::not_finite);
  EXPECT_EQ(
      Encoder::create({Codec::p4, std::span<const std::int8_t>()}, Effort::fast).error().code(),
      StatusCode::corrupt);
}

// Any scale of the tensor is coded validly, also one that no encoder would choose.
TEST(EncodeScale, AnyTensorScaleGivesValidBlocks) {
  const std::vector<float> values = draw(Source::student5, 4 * 128, 16);
  for (const float tensor_scale : {1e-45f, 1e-30f, 1e-3f, 0.7f, 3.0f, 1e5f, 1e34f}) {
    for (const Effort effort : kEfforts) {
      const Encoder encoder = Encoder::standard(Codec::p4, effort).value();
      std::vector<std::uint8_t> blocks(4 * block_bytes(Codec::p4));
      ASSERT_TRUE(
          encoder.encode_rows(dense_view(values.data(), 4, 128), {}, tensor_scale, 3e38f, blocks));
      const auto tensor =
          TensorView::parse(Codec::p4, 4, 128, tensor_scale, standard_table(Codec::p4), blocks);
      ASSERT_TRUE(tensor);
      expect_valid(*tensor);
      if (tensor_scale > 1e-4f && tensor_scale < 1e4f) {
        std::vector<float> decoded(values.size());
        ASSERT_TRUE(decode_rows(*tensor, 0, dense_view(decoded.data(), 4, 128)));
        for (std::size_t i = 0; i < values.size(); ++i) {
          EXPECT_NEAR(decoded[i], values[i], 0.4f + 0.1f * std::fabs(values[i]));
        }
      }
    }
  }
}

// With importances the shortlist stays near the exhaustive search, too.
TEST(EncodeImportance, LessSearchCostsLittle) {
  const std::vector<float> values = draw(Source::gaussian, 24 * 512, 17);
  std::mt19937_64 random(18);
  std::normal_distribution<float> normal;
  std::vector<float> importance(512);
  for (float& w : importance) w = std::exp(0.7f * normal(random));
  for (const Codec codec : {Codec::h4, Codec::p3, Codec::p4, Codec::p5}) {
    double error[3];
    for (const Effort effort : kEfforts) {
      CompressOptions options;
      options.codec = codec;
      options.effort = effort;
      options.importance = importance;
      error[static_cast<int>(effort)] =
          relative_error(encode(values, 24, 512, options), values, importance);
    }
    EXPECT_LE(error[1], 1.03 * error[2]) << codec_name(codec);
    EXPECT_LE(error[0], 1.07 * error[2]) << codec_name(codec);
  }
}

TEST(EncodeErrors, NoValueLeavesTheSourcesRange) {
  std::vector<float> values = draw(Source::gaussian, 8 * 256, 12);
  for (float& value : values) {
    value = std::fmax(std::fmin(value * 1.5e6f, 65504.0f), -65504.0f);
  }
  CompressOptions options;
  options.largest_value = 65504.0f;
  for (const Effort effort : kEfforts) {
    options.effort = effort;
    const CompressedTensor tensor = encode(values, 8, 256, options);
    std::vector<half> decoded(values.size());
    ASSERT_TRUE(decode_rows(tensor.view(), 0, dense_view(decoded.data(), 8, 256)));
    for (const half value : decoded) EXPECT_TRUE(std::isfinite(to_float(value)));
    EXPECT_LT(relative_error(tensor, values), 0.25);  // the scale may not reach the tails
  }
}

// docs/format.md, section 2: 1 when every block's best scale is in range, else the power of two
// that brings the rms to 2^-8.
TEST(EncodeScale, FollowsTheRule) {
  const std::vector<float> values = draw(Source::student5, 4 * 256, 13);
  for (const int exponent : {-120, -60, -30, 0, 30, 60, 90}) {
    std::vector<float> scaled = values;
    double squares = 0.0;
    for (float& value : scaled) {
      value = std::ldexp(value, exponent);
      squares += static_cast<double>(value) * static_cast<double>(value);
    }
    CompressOptions options;
    options.effort = Effort::fast;
    const CompressedTensor tensor = encode(scaled, 4, 256, options);
    const double rms = std::sqrt(squares / static_cast<double>(scaled.size()));
    const auto scale = static_cast<double>(tensor.view().tensor_scale());
    if (exponent == 0) {
      EXPECT_EQ(scale, 1.0);
    } else {
      EXPECT_EQ(std::exp2(std::nearbyint(std::log2(scale))), scale);
      EXPECT_NEAR(std::log2(rms / scale), -8.0, 0.51);
    }
    EXPECT_LT(relative_error(tensor, scaled), 0.09);
  }
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/decode.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "isa/kernels.hpp"
#include "support/compare.hpp"
#include "support/matrices.hpp"

namespace ecco {
namespace {

using test::Content;
using test::first_difference;
using test::GuardedMatrix;
using test::Matrix;
using test::random_matrix;

template <typename T>
constexpr auto kKernel = &CodecKernels::decode_f32;
template <>
constexpr auto kKernel<half> = &CodecKernels::decode_half;
template <>
constexpr auto kKernel<bfloat16> = &CodecKernels::decode_bfloat16;

// Rows from first_row on, on every path and through the dispatch, against the reference.
template <typename T>
void expect_reference(const TensorView& tensor, std::size_t first_row) {
  const std::size_t rows = tensor.rows() - first_row;
  GuardedMatrix<T> want(rows, tensor.cols());
  ASSERT_TRUE(reference::decode_rows(tensor, first_row, want.view()));
  const std::vector<T> expected = want.values();
  EXPECT_TRUE(want.guards_untouched());
  for (const Isa isa : test::supported_isas()) {
    GuardedMatrix<T> got(rows, tensor.cols());
    (kernels_of(isa).compute.of(tensor.codec()).*kKernel<T>)(tensor, first_row, got.view());
    EXPECT_EQ(first_difference(got.values(), expected), -1) << isa_name(isa);
    EXPECT_TRUE(got.guards_untouched()) << isa_name(isa);
  }
  GuardedMatrix<T> got(rows, tensor.cols());
  EXPECT_TRUE(decode_rows(tensor, first_row, got.view()));
  EXPECT_EQ(first_difference(got.values(), expected), -1);
}

void expect_reference_int8(const TensorView& tensor, std::size_t first_row) {
  if (tensor.codec() == Codec::h4) return;  // see DecodeRowsErrors.H4HasNoPlaceForItsOutliers
  const std::size_t rows = tensor.rows() - first_row;
  const std::size_t blocks = tensor.blocks_per_row();
  GuardedMatrix<std::int8_t> want(rows, tensor.cols());
  GuardedMatrix<float> want_factors(rows, blocks);
  ASSERT_TRUE(reference::decode_rows(tensor, first_row, want.view(), want_factors.view()));
  for (const Isa isa : test::supported_isas()) {
    GuardedMatrix<std::int8_t> got(rows, tensor.cols());
    GuardedMatrix<float> factors(rows, blocks);
    kernels_of(isa)
        .compute.of(tensor.codec())
        .decode_int8(tensor, first_row, got.view(), factors.view());
    EXPECT_EQ(first_difference(got.values(), want.values()), -1) << isa_name(isa);
    EXPECT_EQ(first_difference(factors.values(), want_factors.values()), -1) << isa_name(isa);
    EXPECT_TRUE(got.guards_untouched()) << isa_name(isa);
    EXPECT_TRUE(factors.guards_untouched()) << isa_name(isa);
  }
}

class DecodeRows : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, DecodeRows, testing::ValuesIn(kStoredCodecs),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST_P(DecodeRows, EveryPathEqualsTheReferenceOnArbitraryBytes) {
  unsigned seed = 1;
  for (const auto& [rows, cols] : test::kShapes) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
    const Matrix matrix = random_matrix(seed++, GetParam(), rows, cols, Content::arbitrary);
    const std::size_t first_row = rows / 3;
    expect_reference<float>(matrix.view, first_row);
    expect_reference<half>(matrix.view, first_row);
    expect_reference<bfloat16>(matrix.view, first_row);
    expect_reference_int8(matrix.view, first_row);
  }
}

TEST_P(DecodeRows, EveryPathEqualsTheReferenceOnManyBlocks) {
  for (const Content content : {Content::arbitrary, Content::valid}) {
    const Matrix matrix = random_matrix(77, GetParam(), 40, 50 * kGroup, content);
    expect_reference<float>(matrix.view, 0);
    expect_reference_int8(matrix.view, 0);
  }
}

// Products that are subnormal, overflow half, or round in every way; the largest tensor_scale.
TEST_P(DecodeRows, EveryPathRoundsAlikeOverTheWholeRange) {
  for (const float scale : {1e-45f, 3e-42f, 1.1754944e-38f, 1e-30f, 6e-8f, 1.37f, 600.0f, 1e34f}) {
    SCOPED_TRACE(scale);
    const Matrix matrix = random_matrix(5, GetParam(), 8, 1000, Content::arbitrary, scale);
    expect_reference<float>(matrix.view, 0);
    expect_reference<half>(matrix.view, 0);
    expect_reference<bfloat16>(matrix.view, 0);
    expect_reference_int8(matrix.view, 0);
  }
}

// Tables of few patterns: the windows that a vector path loads end with the table.
class DecodePlanarRows : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, DecodePlanarRows, testing::ValuesIn(kPlanarCodecs),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST_P(DecodePlanarRows, TablesOfAnySizeAreReadInBounds) {
  std::mt19937 random(3);
  for (const int patterns : {1, 2, 3, 255, 256}) {
    const std::vector<std::int8_t> table = test::random_table(random, GetParam(), patterns);
    std::vector<std::uint8_t> blocks(64 * block_bytes(GetParam()));
    for (std::size_t at = 0; at < blocks.size(); at += block_bytes(GetParam())) {
      test::fill_arbitrary(random, std::span(blocks).subspan(at, block_bytes(GetParam())));
      if (at % 3 == 0) blocks[at] = static_cast<std::uint8_t>(patterns - 1);
    }
    const TensorView tensor =
        TensorView::parse(GetParam(), 1, 64 * kGroup, 1.0f, {GetParam(), table}, blocks).value();
    expect_reference<float>(tensor, 0);
    expect_reference_int8(tensor, 0);
  }
}

TEST(DecodeRowsErrors, NameTheNumbers) {
  const Matrix matrix = random_matrix(1, Codec::p4, 6, 200, Content::valid);
  std::vector<float> out(7 * 200);
  const auto message = [&](std::size_t first_row, std::size_t rows, std::size_t cols) {
    const Status status = decode_rows(matrix.view, first_row, dense_view(out.data(), rows, cols));
    EXPECT_EQ(status.code(), StatusCode::shape_mismatch);
    return status.message();
  };
  EXPECT_EQ(message(7, 0, 200), "rows 7 to 7 asked of a tensor of 6 rows");
  EXPECT_EQ(message(4, 3, 200), "rows 4 to 7 asked of a tensor of 6 rows");
  EXPECT_EQ(message(0, 1, 199), "the output has 199 columns where 200 are needed");
  EXPECT_EQ(message(SIZE_MAX, 2, 200).substr(0, 5), "rows ");
  EXPECT_TRUE(decode_rows(matrix.view, 6, dense_view(out.data(), 0, 200)));
  EXPECT_TRUE(decode_rows(matrix.view, 5, dense_view(out.data(), 1, 200)));
}

TEST(DecodeRowsErrors, H4HasNoPlaceForItsOutliers) {
  const Matrix matrix = random_matrix(1, Codec::h4, 2, 128, Content::valid);
  std::vector<std::int8_t> out(256);
  std::vector<float> factors(2);
  const MatrixView<std::int8_t> centroids = dense_view(out.data(), 2, 128);
  EXPECT_EQ(decode_rows(matrix.view, 0, centroids, dense_view(factors.data(), 2, 1)).code(),
            StatusCode::unsupported);
}

TEST(DecodeRowsErrors, FactorsMustFitTheCentroids) {
  const Matrix matrix = random_matrix(1, Codec::p4, 6, 200, Content::valid);
  std::vector<std::int8_t> out(6 * 200);
  std::vector<float> factors(6 * 3);
  const auto code = [&](std::size_t rows, std::size_t factor_rows, std::size_t blocks) {
    return decode_rows(matrix.view, 0, dense_view(out.data(), rows, 200),
                       dense_view(factors.data(), factor_rows, blocks))
        .code();
  };
  EXPECT_EQ(code(2, 2, 2), StatusCode::ok);
  EXPECT_EQ(code(2, 3, 2), StatusCode::shape_mismatch);
  EXPECT_EQ(code(2, 2, 1), StatusCode::shape_mismatch);
  EXPECT_EQ(code(2, 2, 3), StatusCode::shape_mismatch);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
#include "ecco/tensor.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/planar_blocks.hpp"

namespace ecco {
namespace {

// Arguments of TensorView::parse for 3 x 200 values in P4, right until a test changes one.
struct Arguments {
  Codec codec = Codec::p4;
  std::size_t rows = 3;
  std::size_t cols = 200;
  float tensor_scale = 1.0f;
  std::vector<std::int8_t> table = std::vector<std::int8_t>(2 * 20, 7);
  Codec table_codec = Codec::p4;
  std::vector<std::uint8_t> blocks = std::vector<std::uint8_t>(3 * 2 * 64);

  [[nodiscard]] Result<TensorView> parse() const {
    return TensorView::parse(codec, rows, cols, tensor_scale, {table_codec, table}, blocks);
  }
  void expect_error(StatusCode code, const std::string& part) const {
    const Result<TensorView> view = parse();
    ASSERT_FALSE(view);
    EXPECT_EQ(view.error().code(), code);
    EXPECT_NE(view.error().message().find(part), std::string::npos) << view.error().message();
  }
};

TEST(TensorView, KnowsItsShape) {
  const Arguments arguments;
  const TensorView view = arguments.parse().value();
  EXPECT_EQ(view.codec(), Codec::p4);
  EXPECT_EQ(view.rows(), 3u);
  EXPECT_EQ(view.cols(), 200u);
  EXPECT_EQ(view.blocks_per_row(), 2u);
  EXPECT_EQ(view.row_bytes(), 128u);
  EXPECT_EQ(view.row(2), arguments.blocks.data() + 256);
  EXPECT_EQ(view.table().patterns(), 2);
  EXPECT_DOUBLE_EQ(view.bits_per_weight(), 8.0 * 384 / 600);
}

TEST(TensorView, TakesEmptyMatrices) {
  Arguments arguments;
  arguments.blocks.clear();
  arguments.rows = 0;
  EXPECT_EQ(arguments.parse().value().bits_per_weight(), 0.0);
  arguments.rows = 1000;
  arguments.cols = 0;
  EXPECT_EQ(arguments.parse().value().row_bytes(), 0u);
}

TEST(TensorView, RefusesWrongSizes) {
  Arguments arguments;
  arguments.blocks.pop_back();
  arguments.expect_error(StatusCode::corrupt, "383 bytes of blocks, but 3 x 200 values in p4");
  arguments.blocks.resize(385);
  arguments.expect_error(StatusCode::corrupt, "take 384");
  arguments = {};
  arguments.rows = std::numeric_limits<std::size_t>::max() / 2;
  arguments.expect_error(StatusCode::corrupt, "overflows");
  arguments = {};
  arguments.cols = std::numeric_limits<std::size_t>::max();
  arguments.expect_error(StatusCode::corrupt, "overflows");
}

TEST(TensorView, RefusesCodecsThatAreNotPlanar) {
  Arguments arguments;
  for (const Codec codec : {Codec::a8, static_cast<Codec>(99)}) {
    arguments.codec = codec;
    arguments.table_codec = codec;
    arguments.expect_error(StatusCode::unsupported, "not a codec of stored tensors");
  }
}

TEST(TensorView, RefusesWrongTables) {
  Arguments arguments;
  arguments.table_codec = Codec::p3;
  arguments.expect_error(StatusCode::corrupt, "another codec");
  arguments = {};
  arguments.table.clear();
  arguments.expect_error(StatusCode::corrupt, "p4 table of 0 centroids");
  arguments.table.resize(39);
  arguments.expect_error(StatusCode::corrupt, "39 centroids");
  arguments.table.resize(257 * 20);
  arguments.expect_error(StatusCode::corrupt, "5140 centroids");
  arguments.table.resize(256 * 20);
  EXPECT_TRUE(arguments.parse());
  arguments.table[20 + 3] = 124;
  arguments.expect_error(StatusCode::corrupt, "centroid 3 of pattern 1 is 124");
  arguments.table[20 + 3] = -124;
  arguments.expect_error(StatusCode::corrupt, "is -124");
}

TEST(TensorView, RefusesScalesThatAreNotPositiveAndFinite) {
  Arguments arguments;
  for (const float scale : {0.0f, -0.0f, -1.0f, 2e34f, INFINITY, NAN}) {
    arguments.tensor_scale = scale;
    arguments.expect_error(StatusCode::corrupt, "tensor_scale");
  }
  for (const float scale : {std::numeric_limits<float>::denorm_min(), kMaxTensorScale}) {
    arguments.tensor_scale = scale;
    EXPECT_TRUE(arguments.parse());
  }
}

// Largest magnitude of all: 1e34 * 240 * 123 is finite.
static_assert(kMaxTensorScale * 240.0f * 123.0f < std::numeric_limits<float>::max());

TEST(CompressedTensor, OwnsWhatItsViewShows) {
  const Arguments arguments;
  auto tensor = CompressedTensor::create(3, 200, 2.0f, {Codec::p4, "mine", arguments.table},
                                         arguments.blocks)
                    .value();
  EXPECT_EQ(tensor.view().rows(), 3u);
  EXPECT_EQ(tensor.view().tensor_scale(), 2.0f);
  EXPECT_EQ(tensor.view().blocks().data(), tensor.blocks().data());
  EXPECT_EQ(tensor.table().name, "mine");
  const CompressedTensor copy = tensor;
  EXPECT_NE(copy.view().blocks().data(), tensor.view().blocks().data());
  const std::uint8_t* bytes = tensor.blocks().data();
  const CompressedTensor moved = std::move(tensor);
  EXPECT_EQ(moved.view().blocks().data(), bytes);
}

TEST(CompressedTensor, ChecksAsTheViewDoes) {
  const Arguments arguments;
  const auto tensor =
      CompressedTensor::create(4, 200, 1.0f, {Codec::p4, "", arguments.table}, arguments.blocks);
  ASSERT_FALSE(tensor);
  EXPECT_EQ(tensor.error().code(), StatusCode::corrupt);
}

}  // namespace
}  // namespace ecco

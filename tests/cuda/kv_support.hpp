// SPDX-License-Identifier: MIT
// Pages of given blocks on the device and on the host, decoded by the reference, for products.
#pragma once

#include <string>

#include "cuda/support.hpp"
#include "ecco/a8.hpp"
#include "ecco/cuda/kv_page.hpp"

namespace ecco::test {

inline std::size_t group_of(Codec codec) { return static_cast<std::size_t>(group_values(codec)); }
inline std::size_t blocks_of(Codec codec, std::size_t width) {
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

inline Page random_page(std::mt19937& random, Codec codec, std::size_t width, std::size_t tokens) {
  Page page{codec, {}, width, 0.37f, {}};
  if (codec != Codec::a8) page.table = random_tables(random, codec, 19, 3);
  page.bytes = arbitrary_blocks(random, codec, tokens * page.token_blocks());
  return page;
}

/// The page on the device.
struct DevicePage {
  Result<cuda::DeviceCodec> codec;
  DeviceArray<std::uint8_t> memory;
  Result<cuda::DeviceKvPage> page;

  explicit DevicePage(const Page& host)
      : codec(cuda::DeviceCodec::create(
            host.codec, host.codec == Codec::a8 ? PatternTableView{} : host.table.view())),
        memory(host.bytes),
        page(cuda::DeviceKvPage::create(codec->view(), host.width, host.scale,
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

/// Heads of `head` values in the columns from `column` on, and queries for each of them.
struct KvShape {
  std::size_t width;
  std::size_t head;
  std::size_t queries;
  std::size_t tokens;
  std::size_t first;  ///< token
  std::size_t column = 0;
  std::size_t columns = 0;  ///< 0: to the end

  [[nodiscard]] std::size_t heads() const {
    return (columns == 0 ? width - column : columns) / head;
  }
  /// Column of a token where the head of query i begins.
  [[nodiscard]] std::size_t start(std::size_t i) const {
    return column + i / (queries / heads()) * head;
  }
  [[nodiscard]] std::string name(Codec codec) const {
    return std::string(codec_name(codec)) + ", width " + std::to_string(width) + ", head " +
           std::to_string(head) + ", " + std::to_string(queries) + " queries, " +
           std::to_string(tokens) + " tokens";
  }
};

/// Rows of normal values on the device, `gap` values between them and one before the first; and
/// the same as float without gaps.
template <typename T>
struct DeviceRows {
  std::vector<float> values;
  std::vector<T> padded;
  DeviceArray<T> array;
  MatrixView<const T> view;

  DeviceRows(std::mt19937& random, std::size_t rows, std::size_t cols, std::size_t gap)
      : padded(normal_values(random, 1 + rows * (cols + gap))),
        array(padded),
        view{array.data() + 1, rows, cols, cols + gap} {
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t c = 0; c < cols; ++c) {
        values.push_back(to_float(padded[1 + i * (cols + gap) + c]));
      }
    }
  }

 private:
  static std::vector<T> normal_values(std::mt19937& random, std::size_t count) {
    std::normal_distribution<float> normal;
    std::vector<T> out(count);
    for (T& value : out) value = from_float<T>(normal(random));
    return out;
  }
};

/// Rows of results that were painted before.
struct DeviceResults {
  static constexpr float kPaint = 9.0f;
  std::size_t stride;
  DeviceArray<float> array;
  MatrixView<float> view;

  DeviceResults(std::size_t rows, std::size_t cols)
      : stride(cols + 2),
        array(std::vector<float>(rows * stride, kPaint)),
        view{array.data(), rows, cols, stride} {}

  /// Expects the results bit for bit and the paint between them.
  void expect(const std::vector<float>& want) const {
    const std::vector<float> got = array.values();
    for (std::size_t i = 0; i < got.size(); ++i) {
      const std::size_t c = i % stride;
      const float expected = c < view.cols ? want[i / stride * view.cols + c] : kPaint;
      ASSERT_EQ(float_bits(got[i]), float_bits(expected)) << "row " << i / stride << ", " << c;
    }
  }
};

}  // namespace ecco::test

// SPDX-License-Identifier: MIT
// Decoding on the device equals the scalar reference bit for bit, on arbitrary bytes.
#include <string>

#include "cuda/support.hpp"
#include "ecco/a8.hpp"
#include "ecco/decode.hpp"

namespace ecco {
namespace {

using test::arbitrary_blocks;
using test::CudaTest;
using test::DeviceArray;
using test::first_difference;
using test::GuardedMatrix;
using test::random_tables;

/// Rows, columns, and the distance of rows beyond them.
struct Shape {
  std::size_t rows;
  std::size_t cols;
  std::size_t gap;
};
constexpr Shape kShapes[] = {{1, 1, 0},    {1, 128, 0},   {17, 129, 0}, {5, 256, 4},
                             {3, 2880, 0}, {33, 100, 12}, {1, 4099, 1}};

template <typename T>
T painted() {
  T value;
  std::memset(static_cast<void*>(&value), 0xa5, sizeof(T));
  return value;
}

/// rows x cols values as `decode` leaves them in painted memory, with one painted value before.
template <typename T, typename Decode>
std::vector<T> run(const Shape& shape, std::size_t lead, Decode&& decode) {
  const std::size_t stride = shape.cols + shape.gap;
  const DeviceArray<T> memory(std::vector<T>(lead + shape.rows * stride, painted<T>()));
  const Status status =
      decode(MatrixView<T>{memory.data() + lead, shape.rows, shape.cols, stride});
  EXPECT_TRUE(status) << status.message();
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  return memory.values();
}

/// The same memory as a scalar decoder would leave it. decode_row(r, row) fills a row.
template <typename T, typename DecodeRow>
std::vector<T> expected(const Shape& shape, std::size_t lead, DecodeRow&& decode_row) {
  const std::size_t stride = shape.cols + shape.gap;
  std::vector<T> out(lead + shape.rows * stride, painted<T>());
  for (std::size_t r = 0; r < shape.rows; ++r) decode_row(r, out.data() + lead + r * stride);
  return out;
}

template <typename T>
void expect_reference(const TensorView& tensor, const Shape& shape, std::size_t lead,
                      cuda::Layout layout = cuda::Layout::raw) {
  const auto want = expected<T>(shape, lead, [&](std::size_t r, T* row) {
    ASSERT_TRUE(reference::decode_rows(tensor, r, MatrixView<T>{row, 1, shape.cols, shape.cols}));
  });
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  ASSERT_EQ(device->view().layout, layout);
  for (const auto decoder : {cuda::H4Decoder::lane, cuda::H4Decoder::parallel}) {
    if (tensor.codec() != Codec::h4 && decoder == cuda::H4Decoder::parallel) continue;
    const auto got = run<T>(shape, lead, [&](MatrixView<T> out) {
      return cuda::decode(device->view(), out, nullptr, decoder);
    });
    EXPECT_EQ(first_difference(got, want), -1) << static_cast<int>(decoder);
  }
}

/// All shapes, in memory aligned for wide stores and not, with full and short tables.
template <typename T>
void expect_reference(Codec codec) {
  std::mt19937 random(static_cast<unsigned>(codec) * 31 + sizeof(T));
  const bool h4 = codec == Codec::h4;
  for (const Shape& shape : kShapes) {
    for (const int patterns : {h4 ? 64 : 256, 19}) {
      const std::size_t blocks = shape.rows * blocks_per_row(shape.cols);
      const int codebooks = patterns == 19 ? 3 : 4;
      const auto tensor =
          CompressedTensor::create(shape.rows, shape.cols, patterns == 19 ? 0x1p-9f : 0.8371f,
                                   random_tables(random, codec, patterns, codebooks),
                                   arbitrary_blocks(random, codec, blocks));
      ASSERT_TRUE(tensor) << tensor.error().message();
      SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
      expect_reference<T>(tensor->view(), shape, patterns == 19 ? 1 : 0);
    }
  }
}

class CudaDecode : public CudaTest, public ::testing::WithParamInterface<Codec> {
 protected:
  void SetUp() override { CudaTest::SetUp(); }
};

TEST_P(CudaDecode, EqualsTheReferenceInHalf) { expect_reference<half>(GetParam()); }
TEST_P(CudaDecode, EqualsTheReferenceInBfloat16) { expect_reference<bfloat16>(GetParam()); }
TEST_P(CudaDecode, EqualsTheReferenceInFloat) { expect_reference<float>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Codecs, CudaDecode, ::testing::ValuesIn(kStoredCodecs),
                         [](const auto& param) { return std::string(codec_name(param.param)); });

/// A kind of tiles, which take valid blocks only.
struct Tiles {
  Codec codec;
  cuda::Layout layout;
};

class CudaDecodeTiles : public CudaTest, public ::testing::WithParamInterface<Tiles> {
 protected:
  template <typename T>
  static void expect() {
    std::mt19937 random(sizeof(T));
    const auto [codec, layout] = GetParam();
    for (const Shape& shape : kShapes) {
      for (const int patterns : {256, 19}) {
        const auto tensor =
            test::random_tensor(random, random_tables(random, codec, patterns), shape.rows,
                                shape.cols, patterns == 19 ? 0x1p-9f : 0.8371f);
        ASSERT_TRUE(tensor) << tensor.error().message();
        SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.cols));
        expect_reference<T>(tensor->view(), shape, patterns == 19 ? 1 : 0, layout);
      }
    }
  }
};

TEST_P(CudaDecodeTiles, EqualTheReferenceInHalf) { expect<half>(); }
TEST_P(CudaDecodeTiles, EqualTheReferenceInBfloat16) { expect<bfloat16>(); }
TEST_P(CudaDecodeTiles, EqualTheReferenceInFloat) { expect<float>(); }

INSTANTIATE_TEST_SUITE_P(
    Kinds, CudaDecodeTiles,
    ::testing::Values(Tiles{Codec::p4, cuda::Layout::dense},
                      Tiles{Codec::p4, cuda::Layout::paired}, Tiles{Codec::p2, cuda::Layout::fast},
                      Tiles{Codec::p3, cuda::Layout::fast}, Tiles{Codec::p4, cuda::Layout::fast},
                      Tiles{Codec::p5, cuda::Layout::fast}, Tiles{Codec::h4, cuda::Layout::fast}),
    [](const auto& param) { return test::kind_name(param.param.codec, param.param.layout); });

// More blocks than a grid of one thread block per multiprocessor takes at once.
TEST_F(CudaTest, DecodingGoesRoundASmallGrid) {
  std::mt19937 random(6);
  const Shape shape{50, 1500, 0};
  for (const Codec codec : kStoredCodecs) {
    SCOPED_TRACE(codec_name(codec));
    const auto tensor =
        CompressedTensor::create(shape.rows, shape.cols, 1.0f, random_tables(random, codec, 64),
                                 arbitrary_blocks(random, codec, shape.rows * 12));
    ASSERT_TRUE(tensor);
    expect_reference<float>(tensor->view(), shape, 0);
  }
}

using CudaDecodeH4 = CudaTest;

// Table sizes decide the widths of the header's fields and how much shared memory there is.
TEST_F(CudaDecodeH4, TakesTablesOfAnySize) {
  std::mt19937 random(5);
  for (const auto& [patterns, codebooks] : test::kH4Shapes) {
    SCOPED_TRACE(std::to_string(patterns) + " patterns, " + std::to_string(codebooks));
    const Shape shape{3, 640, 0};
    const auto tensor = CompressedTensor::create(
        shape.rows, shape.cols, 1.25f, random_tables(random, Codec::h4, patterns, codebooks),
        arbitrary_blocks(random, Codec::h4, 15));
    ASSERT_TRUE(tensor);
    expect_reference<float>(tensor->view(), shape, 0);
  }
}

using CudaDecodeA8 = CudaTest;

template <typename T>
void expect_a8_reference() {
  std::mt19937 random(7);
  for (const Shape& shape : kShapes) {
    const std::size_t per_row = (shape.cols + 63) / 64;
    std::vector<std::uint8_t> bytes = arbitrary_blocks(random, Codec::a8, shape.rows * per_row);
    for (std::size_t b = 0; b < shape.rows * per_row; b += 5) {  // scale code 0, other bits set
      for (std::size_t i = 7; i < 64; i += 8) bytes[64 * b + i] &= 0xfeu;
    }
    const DeviceArray<std::uint8_t> blocks(bytes);
    const std::size_t lead = shape.rows % 2;
    const auto want = expected<T>(shape, lead, [&](std::size_t r, T* row) {
      for (std::size_t k = 0; k < shape.cols; ++k) {
        float values[64];
        a8::decode(bytes.data() + 64 * (r * per_row + k / 64), 0.37f, values);
        row[k] = from_float<T>(values[k % 64]);
      }
    });
    const auto got = run<T>(shape, lead, [&](MatrixView<T> out) {
      return cuda::decode_a8(blocks.data(), 0.37f, out, nullptr);
    });
    EXPECT_EQ(first_difference(got, want), -1) << shape.rows << " x " << shape.cols;
  }
}

TEST_F(CudaDecodeA8, EqualsTheReferenceInHalf) { expect_a8_reference<half>(); }
TEST_F(CudaDecodeA8, EqualsTheReferenceInBfloat16) { expect_a8_reference<bfloat16>(); }
TEST_F(CudaDecodeA8, EqualsTheReferenceInFloat) { expect_a8_reference<float>(); }

class CudaDecodeErrors : public CudaTest {
 protected:
  static Result<CompressedTensor> tensor() {
    std::mt19937 random(1);
    return CompressedTensor::create(3, 130, 1.0f, random_tables(random, Codec::p4, 5),
                                    arbitrary_blocks(random, Codec::p4, 6));
  }
};

TEST_F(CudaDecodeErrors, RefusesShapesAndAddressesThatDoNotFit) {
  const auto source = tensor();
  ASSERT_TRUE(source);
  const auto device = cuda::upload(source->view());
  ASSERT_TRUE(device);
  const DeviceArray<float> memory(std::vector<float>(3 * 132));
  const auto code = [&](float* data, std::size_t rows, std::size_t cols, std::size_t stride) {
    return cuda::decode(device->view(), MatrixView<float>{data, rows, cols, stride}, nullptr)
        .code();
  };
  EXPECT_EQ(code(memory.data(), 3, 130, 132), StatusCode::ok);
  EXPECT_EQ(code(memory.data(), 2, 130, 132), StatusCode::shape_mismatch);
  EXPECT_EQ(code(memory.data(), 3, 128, 132), StatusCode::shape_mismatch);
  EXPECT_EQ(code(memory.data(), 3, 130, 129), StatusCode::invalid_argument);
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(memory.data()) + 2);
  EXPECT_EQ(code(odd, 3, 130, 130), StatusCode::invalid_argument);
  cuda::DeviceTensorView shifted = device->view();
  shifted.blocks += 8;
  EXPECT_EQ(cuda::decode(shifted, dense_view(memory.data(), 3, 130), nullptr).code(),
            StatusCode::invalid_argument);
  cuda::DeviceTensorView elsewhere = device->view();
  elsewhere.device += 1;
  EXPECT_EQ(cuda::decode(elsewhere, dense_view(memory.data(), 3, 130), nullptr).code(),
            StatusCode::invalid_argument);
}

TEST_F(CudaDecodeErrors, EmptyMatricesAreDecodedToNothing) {
  std::mt19937 random(1);
  const auto source =
      CompressedTensor::create(0, 130, 1.0f, random_tables(random, Codec::p4, 5), {});
  ASSERT_TRUE(source);
  const auto device = cuda::upload(source->view());
  ASSERT_TRUE(device);
  EXPECT_TRUE(cuda::decode(device->view(), MatrixView<float>{nullptr, 0, 130, 130}, nullptr));
  EXPECT_TRUE(cuda::decode_a8(nullptr, 1.0f, MatrixView<half>{nullptr, 0, 64, 64}, nullptr));
}

TEST_F(CudaDecodeErrors, LaunchesOnTheCallersStream) {
  const auto source = tensor();
  ASSERT_TRUE(source);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  const auto device = cuda::upload(source->view(), cuda::Layout::raw, stream);
  ASSERT_TRUE(device);
  const DeviceArray<float> memory(std::vector<float>(3 * 130));
  EXPECT_TRUE(cuda::decode(device->view(), dense_view(memory.data(), 3, 130), stream));
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
  std::vector<float> want(3 * 130);
  ASSERT_TRUE(reference::decode_rows(source->view(), 0, dense_view(want.data(), 3, 130)));
  EXPECT_EQ(first_difference(memory.values(), want), -1);
}

}  // namespace
}  // namespace ecco

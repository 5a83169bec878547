// SPDX-License-Identifier: MIT
// Compute calls of the host API work on their caller's stream alone, allocate nothing and wait for
// nothing, whatever the codec, the layout and the types.
#include <ptxvm/ptxvm.h>

#include <memory>

#include "cuda/support.hpp"
#include "ecco/cuda/encode.hpp"
#include "ecco/cuda/kv_page.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::DeviceArray;
using test::DeviceWorkspace;

constexpr Codec kTensorCodecs[] = {Codec::h4, Codec::p2, Codec::p3, Codec::p4, Codec::p5};
constexpr Codec kAllCodecs[] = {Codec::h4, Codec::p2, Codec::p3, Codec::p4, Codec::p5, Codec::a8};

struct Kind {
  Codec codec;
  Layout layout;
};
constexpr Kind kTiles[] = {{Codec::p4, Layout::dense}, {Codec::p4, Layout::paired},
                           {Codec::p2, Layout::fast},  {Codec::p3, Layout::fast},
                           {Codec::p4, Layout::fast},  {Codec::p5, Layout::fast},
                           {Codec::h4, Layout::fast}};

/// Two row tiles and enough columns for two slices of K on ptxvm's multiprocessors.
constexpr std::size_t kRows = 17;
constexpr std::size_t kCols = 16 * 128 + 1;

class CudaCalls : public test::CudaTest {
 protected:
  void SetUp() override { ASSERT_EQ(cudaStreamCreate(&stream_), cudaSuccess); }
  void TearDown() override {
    EXPECT_EQ(cudaStreamDestroy(stream_), cudaSuccess);
    CudaTest::TearDown();
  }

  /// Expects `call` to put work on the stream that it is given and to do nothing else, apart from
  /// `waits` of a stand-in.
  template <typename Call>
  void expect_on_stream_alone(const std::string& name, Call&& call, std::uint64_t waits = 0) {
    SCOPED_TRACE(name);
    ptxvm_calls before{};
    ptxvm_calls after{};
    ptxvm_count_calls(stream_, &before);
    const Status status = call(stream_);
    ptxvm_count_calls(stream_, &after);
    EXPECT_TRUE(status) << status.message();
    EXPECT_GT(after.stream_calls, before.stream_calls) << "nothing on the caller's stream";
    EXPECT_EQ(after.other_stream_calls, before.other_stream_calls) << "work on other streams";
    EXPECT_EQ(after.allocations, before.allocations) << "allocations";
    EXPECT_EQ(after.waits - before.waits, waits) << "waits";
  }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Calls `check(type name, value of the type)` for each type of values.
template <typename Check>
void for_types(Check&& check) {
  check("half", half{});
  check("bfloat16", bfloat16{});
  check("float", 0.0f);
}

/// A matrix of zeros on the device.
template <typename T>
struct Zeros {
  DeviceArray<T> memory;
  MatrixView<T> view;

  Zeros(std::size_t rows, std::size_t cols)
      : memory(std::vector<T>(rows * cols)), view(dense_view(memory.data(), rows, cols)) {}
};

Result<CompressedTensor> tensor_of(Codec codec) {
  std::mt19937 random(41);
  return test::random_tensor(random, test::random_tables(random, codec, 19, 3), kRows, kCols);
}

/// Calls `check(name, tensor on the device)` for raw blocks of each codec and each kind of tiles.
template <typename Check>
void for_tensors(Check&& check) {
  std::vector<Kind> kinds(std::begin(kTiles), std::end(kTiles));
  for (const Codec codec : kTensorCodecs) kinds.push_back({codec, Layout::raw});
  for (const Kind& kind : kinds) {
    const auto tensor = tensor_of(kind.codec);
    ASSERT_TRUE(tensor) << tensor.error().message();
    const auto device = cuda::upload(tensor->view(), kind.layout);
    ASSERT_TRUE(device) << device.error().message();
    ASSERT_EQ(device->view().layout, kind.layout);
    check(test::kind_name(kind.codec, kind.layout), device->view());
  }
}

TEST_F(CudaCalls, Decode) {
  for_tensors([&](const std::string& name, const cuda::DeviceTensorView& tensor) {
    for_types([&](const std::string& type, auto value) {
      const Zeros<decltype(value)> out(kRows, kCols);
      expect_on_stream_alone(name + " to " + type, [&](cuda::Stream stream) {
        return cuda::decode(tensor, out.view, stream);
      });
      if (tensor.codec != Codec::h4 || tensor.layout != Layout::raw) return;
      expect_on_stream_alone(name + " to " + type + ", parallel", [&](cuda::Stream stream) {
        return cuda::decode(tensor, out.view, stream, cuda::H4Decoder::parallel);
      });
    });
  });
}

TEST_F(CudaCalls, DecodeA8) {
  const Zeros<std::uint8_t> blocks(kRows, (kCols + 63) / 64 * 64);
  for_types([&](const std::string& type, auto value) {
    const Zeros<decltype(value)> out(kRows, kCols);
    expect_on_stream_alone(type, [&](cuda::Stream stream) {
      return cuda::decode_a8(blocks.view.data, 1.0f, out.view, stream);
    });
  });
}

TEST_F(CudaCalls, Repack) {
  for (const Kind& kind : kTiles) {
    if (kind.codec == Codec::h4) continue;  // its tiles are made on the host
    const auto tensor = tensor_of(kind.codec);
    ASSERT_TRUE(tensor) << tensor.error().message();
    const auto raw = cuda::upload(tensor->view());
    ASSERT_TRUE(raw) << raw.error().message();
    const DeviceArray<std::uint32_t> faults({0});
    cuda::DeviceTensorView from = raw->view();
    std::vector<std::unique_ptr<DeviceWorkspace>> outputs;
    for (const Layout to : {kind.layout, Layout::raw}) {
      outputs.push_back(
          std::make_unique<DeviceWorkspace>(cuda::layout_bytes(kind.codec, to, kRows, kCols)));
      expect_on_stream_alone(
          test::kind_name(kind.codec, kind.layout) + (to == Layout::raw ? " to raw" : " from raw"),
          [&](cuda::Stream stream) {
            const auto view =
                cuda::repack(from, to, outputs.back()->span(), faults.data(), stream);
            if (!view) return view.error();
            from = *view;
            return Status{};
          });
    }
  }
}

/// gemv and gemm of every type of x and both roundings.
constexpr Activations kActivations[] = {Activations::int8, Activations::int16};
std::string name_of(Activations activations) {
  return activations == Activations::int8 ? "int8" : "int16";
}

TEST_F(CudaCalls, Gemv) {
  for_tensors([&](const std::string& name, const cuda::DeviceTensorView& tensor) {
    for (const Activations activations : kActivations) {
      for_types([&](const std::string& type, auto value) {
        const Zeros<decltype(value)> x(3, kCols);
        const Zeros<float> y(3, kRows);
        const DeviceWorkspace workspace(cuda::gemv_workspace_bytes(tensor, 3, activations));
        expect_on_stream_alone(
            name + " by " + type + ", " + name_of(activations), [&](cuda::Stream stream) {
              return cuda::gemv(tensor, x.view, y.view, activations, workspace.span(), stream);
            });
      });
    }
  });
}

TEST_F(CudaCalls, GemvOfA8) {
  const Zeros<std::uint8_t> blocks(2, (kCols + 63) / 64 * 64);
  const cuda::A8View x{blocks.view.data, 2, kCols, 1.0f};
  for_tensors([&](const std::string& name, const cuda::DeviceTensorView& tensor) {
    for (const Activations activations : kActivations) {
      const Zeros<float> y(2, kRows);
      const DeviceWorkspace workspace(cuda::gemv_workspace_bytes(tensor, 2, activations));
      expect_on_stream_alone(name + ", " + name_of(activations), [&](cuda::Stream stream) {
        return cuda::gemv(tensor, x, y.view, activations, workspace.span(), stream);
      });
    }
  });
}

TEST_F(CudaCalls, Gemm) {
  for_tensors([&](const std::string& name, const cuda::DeviceTensorView& tensor) {
    for (const std::size_t batch : {std::size_t{2}, cuda::kGemmFrom}) {
      for_types([&](const std::string& type, auto value) {
        const Zeros<decltype(value)> x(batch, kCols);
        const Zeros<float> y(batch, kRows);
        const DeviceWorkspace workspace(
            cuda::gemm_workspace_bytes(tensor, batch, Activations::int8));
        expect_on_stream_alone(name + " by " + std::to_string(batch) + " of " + type,
                               [&](cuda::Stream stream) {
                                 return cuda::gemm(tensor, x.view, y.view, Activations::int8,
                                                   workspace.span(), stream);
                               });
      });
    }
  });
}

// The stand-in for cuBLAS waits for its stream before it multiplies a panel; nothing else does.
TEST_F(CudaCalls, GemmByCublas) {
  const auto blas = cuda::Blas::create(1);
  ASSERT_TRUE(blas) << blas.error().message();
  for_tensors([&](const std::string& name, const cuda::DeviceTensorView& tensor) {
    for_types([&](const std::string& type, auto value) {
      const Zeros<decltype(value)> x(2, kCols);
      const Zeros<float> y(2, kRows);
      const DeviceWorkspace workspace(
          cuda::gemm_workspace_bytes(tensor, 2, Activations::int8, &*blas));
      const auto call = [&](cuda::Stream stream) {
        return cuda::gemm(tensor, x.view, y.view, Activations::int8, workspace.span(), stream,
                          &*blas);
      };
      expect_on_stream_alone(name + " by " + type, call, 1);
    });
  });
}

// Without columns there is nothing to multiply: the results are cleared.
TEST_F(CudaCalls, ProductsWithoutColumns) {
  cuda::DeviceTensorView tensor;
  tensor.rows = kRows;
  const Zeros<float> y(2, kRows);
  const MatrixView<const float> x{nullptr, 2, 0, 0};
  expect_on_stream_alone("gemv", [&](cuda::Stream stream) {
    return cuda::gemv(tensor, x, y.view, Activations::int8, {}, stream);
  });
  expect_on_stream_alone("gemm", [&](cuda::Stream stream) {
    return cuda::gemm(tensor, x, y.view, Activations::int8, {}, stream);
  });
}

/// A codec with a table that is small, hence quickly prepared.
Result<cuda::DeviceCodec> codec_of(Codec codec) {
  if (codec == Codec::a8) return cuda::DeviceCodec::create(codec);
  std::mt19937 random(42);
  return cuda::DeviceCodec::create(codec, test::random_tables(random, codec, 16, 2).view());
}

TEST_F(CudaCalls, Encode) {
  for (const Codec codec : kAllCodecs) {
    const auto device = codec_of(codec);
    ASSERT_TRUE(device) << device.error().message();
    const auto group = static_cast<std::size_t>(group_values(codec));
    const DeviceWorkspace blocks(2 * block_bytes(codec));
    for_types([&](const std::string& type, auto value) {
      const Zeros<decltype(value)> rows(2, group);
      expect_on_stream_alone(
          std::string(codec_name(codec)) + " of " + type, [&](cuda::Stream stream) {
            return cuda::encode(device->view(), rows.view, 1.0f, blocks.span(), stream);
          });
    });
  }
}

/// A page of one head, of a block or (a8) two, and enough tokens for sums in two slices.
constexpr std::size_t kWidth = 128;
constexpr std::size_t kTokens = 257;
constexpr std::size_t kQueries = 2;

TEST_F(CudaCalls, KvPage) {
  for (const Codec codec : kAllCodecs) {
    const auto device = codec_of(codec);
    ASSERT_TRUE(device) << device.error().message();
    const std::size_t blocks = kWidth / static_cast<std::size_t>(group_values(codec));
    const DeviceWorkspace memory(kTokens * blocks * block_bytes(codec));
    const DeviceWorkspace workspace(
        cuda::weighted_sums_workspace_bytes(kQueries, kTokens, kWidth));
    EXPECT_GT(workspace.span().size(), 0u);
    for_types([&](const std::string& type, auto value) {
      using T = decltype(value);
      SCOPED_TRACE(std::string(codec_name(codec)) + ", " + type);
      auto page = cuda::DeviceKvPage::create(device->view(), kWidth, 1.0f, memory.span());
      ASSERT_TRUE(page) << page.error().message();
      const Zeros<T> values(kTokens, kWidth);
      const Zeros<T> weights(kQueries, kTokens);
      const Zeros<T> queries(kQueries, kWidth);
      const Zeros<float> scores(kQueries, kTokens);
      const Zeros<float> sums(kQueries, kWidth);
      expect_on_stream_alone(
          "append", [&](cuda::Stream stream) { return page->append(values.view, stream); });
      expect_on_stream_alone(
          "read", [&](cuda::Stream stream) { return page->read(0, values.view, stream); });
      expect_on_stream_alone("scores", [&](cuda::Stream stream) {
        return page->scores(0, queries.view, scores.view, stream);
      });
      expect_on_stream_alone("weighted_sums", [&](cuda::Stream stream) {
        return page->weighted_sums(0, weights.view, sums.view, workspace.span(), stream);
      });
    });
  }
}

}  // namespace
}  // namespace ecco

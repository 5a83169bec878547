// SPDX-License-Identifier: MIT
// Products with many vectors: bit for bit where the sums of a group are exact in any order, within
// a derived bound elsewhere.
#include <cmath>
#include <string>

#include "cuda/gemv_emulation.hpp"
#include "cuda/support.hpp"
#include "ecco/gemv.hpp"
#include "gemm_job.hpp"

namespace ecco {
namespace {

using cuda::Activations;
using cuda::Layout;
using test::CudaTest;
using test::DeviceArray;
using test::DeviceWorkspace;
using test::random_tensor;
using test::TileBlock;

struct Case {
  Codec codec;
  Layout layout;
};
constexpr Case kCases[] = {
    {Codec::p2, Layout::fast},  {Codec::p3, Layout::fast},   {Codec::p4, Layout::fast},
    {Codec::p4, Layout::dense}, {Codec::p4, Layout::paired}, {Codec::p5, Layout::fast},
    {Codec::p2, Layout::raw},   {Codec::p3, Layout::raw},    {Codec::p4, Layout::raw},
    {Codec::p5, Layout::raw},   {Codec::h4, Layout::fast}};

/// The device's results, [vector][row]; x has gaps of 5 values.
template <typename T>
std::vector<float> multiply(const cuda::DeviceTensorView& tensor, const std::vector<T>& x,
                            std::size_t batch) {
  const DeviceArray<T> device_x(x);
  const MatrixView<const T> view{device_x.data(), batch, tensor.cols, tensor.cols + 5};
  return test::run_product(
      batch, tensor.rows, cuda::gemm_workspace_bytes(tensor, batch, Activations::int16),
      [&](const MatrixView<float>& y, std::span<std::uint8_t> workspace) {
        return cuda::gemm(tensor, view, y, Activations::int16, workspace, nullptr);
      });
}

/// The groups of a row as tiles have them, and the values apart from them.
std::vector<TileBlock> row_of(const TensorView& tensor, std::size_t row) {
  std::vector<TileBlock> out;
  for (std::size_t group = 0; group < tensor.blocks_per_row(); ++group) {
    TileBlock block =
        test::tile_block(tensor, tensor.row(row) + group * block_bytes(tensor.codec()));
    std::erase_if(block.apart,
                  [&](const auto& at) { return 128 * group + at.first >= tensor.cols(); });
    out.push_back(std::move(block));
  }
  return out;
}

/// Slices of K for vector `i` of a batch, of which a pass takes 512.
cuda::detail::GemvPlan plan_of(const TensorView& tensor, std::size_t i, std::size_t batch) {
  int multiprocessors = 0;
  EXPECT_EQ(cuda::detail::multiprocessors(multiprocessors), cudaSuccess);
  const std::size_t vectors = std::min<std::size_t>(512, batch - i / 512 * 512);
  const std::size_t blocks = (tensor.rows() + 127) / 128 * ((vectors + 63) / 64);
  return cuda::detail::gemm_plan(static_cast<unsigned>(blocks),
                                 static_cast<unsigned>(tensor.blocks_per_row()),
                                 static_cast<unsigned>(multiprocessors));
}

/// A row times a vector in the documented order: groups of a slice, slices, values apart. The sum
/// of a group is exact.
float dot_row(const std::vector<TileBlock>& row, const std::vector<float>& x,
              const cuda::detail::GemvPlan& plan) {
  float total = 0.0f;
  for (std::size_t first = 0; first < row.size(); first += plan.slice) {
    float slice = 0.0f;
    for (std::size_t g = first; g < std::min<std::size_t>(first + plan.slice, row.size()); ++g) {
      float dot = 0.0f;
      for (std::size_t e = 0; e < 128 && 128 * g + e < x.size(); ++e) {
        dot += static_cast<float>(row[g].weights.values[e]) * x[128 * g + e];
      }
      slice = std::fma(row[g].weights.factor, dot, slice);
    }
    total += slice;
  }
  float apart = 0.0f;
  for (std::size_t g = 0; g < row.size(); ++g) {
    for (const auto& [e, value] : row[g].apart) {
      const float stated = row[g].weights.factor * static_cast<float>(row[g].null);
      const float rest = value - stated;
      apart = std::fma(rest, x[128 * g + e], apart);
    }
  }
  return total + apart;
}

/// Small integers times a power of two per vector: the sum of a group is exact in any order, and
/// so is its factor. Bit for bit.
template <typename T>
void expect_exact(const TensorView& tensor, Layout layout, std::size_t batch,
                  std::mt19937& random) {
  SCOPED_TRACE(std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols()) + ", batch " +
               std::to_string(batch));
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  const std::size_t cols = tensor.cols();
  std::vector<T> x(batch * (cols + 5));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int exponent = static_cast<int>(i / (cols + 5) % 9) - 4;
    x[i] = from_float<T>(std::ldexp(static_cast<float>(static_cast<int>(random() % 17) - 8),
                                    std::is_same_v<T, half> ? exponent : 9 * exponent));
  }
  const std::vector<float> got = multiply(device->view(), x, batch);
  std::vector<std::vector<float>> values(batch);
  for (std::size_t i = 0; i < batch; ++i) {
    for (std::size_t k = 0; k < cols; ++k) values[i].push_back(to_float(x[i * (cols + 5) + k]));
  }
  for (std::size_t r = 0; r < tensor.rows(); ++r) {
    const std::vector<TileBlock> row = row_of(tensor, r);
    for (std::size_t i = 0; i < batch; ++i) {
      ASSERT_EQ(got[i * tensor.rows() + r], dot_row(row, values[i], plan_of(tensor, i, batch)))
          << "vector " << i << ", row " << r;
    }
  }
}

/// |y - sum| <= bound for any activations. With u = 2^-24: a group's sum of 128 exact products in
/// eight steps, each of which may truncate what it adds, errs by at most 136 * 2 u of the sum of
/// magnitudes; groups, of which each rounds a factor and a sum, by (groups + 2) u. Of n values
/// apart each is rounded once when what its nibble says is taken from it, which is rounded, too;
/// each rounds a factor and a sum. Float is rounded to half once, u' = 2^-11; scaled values below
/// 2^-14, in half subnormal, err by 2^-25 at most, where the group's largest is at least 2^14.
template <typename T>
void expect_bounded(const TensorView& tensor, Layout layout, std::size_t batch,
                    const std::vector<T>& x) {
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  const std::vector<float> got = multiply(device->view(), x, batch);
  const std::size_t cols = tensor.cols();
  const std::size_t groups = tensor.blocks_per_row();
  constexpr double kUlp = 0x1p-24;
  const double sums = 272 * kUlp + static_cast<double>(groups + 2) * kUlp;
  const double rounding = std::is_same_v<T, float> ? 0x1p-11 : 0.0;
  for (std::size_t r = 0; r < tensor.rows(); ++r) {
    const std::vector<TileBlock> row = row_of(tensor, r);
    double apart_count = 0.0;
    for (const TileBlock& block : row) apart_count += static_cast<double>(block.apart.size());
    for (std::size_t i = 0; i < batch; ++i) {
      const T* vector = x.data() + i * (cols + 5);
      double want = 0.0;
      double bound = 0.0;
      for (std::size_t group = 0; group < groups; ++group) {
        double largest = 0.0;
        double weight_sum = 0.0;
        const double factor = row[group].weights.factor;
        for (std::size_t k = 128 * group; k < std::min(cols, 128 * group + 128); ++k) {
          const double w = factor * static_cast<double>(row[group].weights.values[k % 128]);
          const double v = to_float(vector[k]);
          want += w * v;
          bound += std::fabs(w * v) * (sums + rounding);
          largest = std::max(largest, std::fabs(v));
          weight_sum += std::fabs(w);
        }
        for (const auto& [e, value] : row[group].apart) {
          const double v = to_float(vector[128 * group + e]);
          const double stated = factor * static_cast<double>(row[group].null);
          const double rest = static_cast<double>(value) - stated;
          want += rest * v;
          bound += std::fabs(rest * v) * ((apart_count + 4) * kUlp + rounding) +
                   std::fabs(stated * v) * 2 * kUlp;
          weight_sum += std::fabs(rest);
        }
        if (!std::is_same_v<T, half>) bound += weight_sum * largest * 0x1p-39;
      }
      ASSERT_LE(std::fabs(got[i * tensor.rows() + r] - want), bound * 1.001)
          << "vector " << i << ", row " << r;
    }
  }
}

/// Values of very different magnitude, zeros and groups of zeros among them.
template <typename T>
std::vector<T> wide_values(std::mt19937& random, std::size_t count, int spread) {
  std::normal_distribution<float> normal;
  std::vector<T> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int exponent =
        static_cast<int>(random() % static_cast<unsigned>(2 * spread + 1)) - spread;
    x[i] = from_float<T>(i / 128 % 5 == 3 ? 0.0f : std::ldexp(normal(random), exponent));
  }
  return x;
}

class CudaGemm : public CudaTest, public ::testing::WithParamInterface<Case> {};

TEST_P(CudaGemm, IsExactWhereSumsAre) {
  std::mt19937 random(81);
  const auto expect = [&](std::size_t rows, std::size_t cols, std::size_t batch, auto type) {
    const auto tensor = random_tensor(random, GetParam().codec, rows, cols);
    ASSERT_TRUE(tensor);
    expect_exact<decltype(type)>(tensor->view(), GetParam().layout, batch, random);
  };
  expect(1, 1, 17, half{});
  expect(17, 129, 33, float{});
  expect(3, 2880, 17, bfloat16{});
  expect(145, 256, 65, half{});
  expect(16, 128, 64, bfloat16{});
}

// Few rows and long K, cut into slices, the last one shorter.
TEST_P(CudaGemm, IsExactInSlices) {
  std::mt19937 random(89);
  const auto expect = [&](std::size_t rows, std::size_t cols, std::size_t batch, auto type) {
    const auto tensor = random_tensor(random, GetParam().codec, rows, cols);
    ASSERT_TRUE(tensor);
    EXPECT_GT(plan_of(tensor->view(), 0, batch).slices, 1u);
    expect_exact<decltype(type)>(tensor->view(), GetParam().layout, batch, random);
  };
  expect(1, 4097, 17, half{});
  expect(17, 2880, 67, float{});
}

TEST_P(CudaGemm, StaysWithinItsBound) {
  std::mt19937 random(82);
  const auto tensor = random_tensor(random, GetParam().codec, 17, 300);
  ASSERT_TRUE(tensor);
  constexpr std::size_t kBatch = 20;
  const auto expect = [&](auto type, int spread) {
    using T = decltype(type);
    expect_bounded<T>(tensor->view(), GetParam().layout, kBatch,
                      wide_values<T>(random, kBatch * 305, spread));
  };
  expect(half{}, 12);
  expect(bfloat16{}, 40);
  expect(float{}, 40);
}

TEST_P(CudaGemm, SpreadsNanOfItsVectorOnly) {
  std::mt19937 random(85);
  const auto tensor = random_tensor(random, GetParam().codec, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), GetParam().layout);
  ASSERT_TRUE(device);
  constexpr std::size_t kBatch = 19;
  std::vector<float> x = wide_values<float>(random, kBatch * 305, 3);
  x[2 * 305 + 140] = -INFINITY;
  x[17 * 305 + 299] = NAN;
  x[3 * 305 + 300] = NAN;  // in the gap
  const auto got = multiply(device->view(), x, kBatch);
  for (std::size_t i = 0; i < kBatch; ++i) {
    for (std::size_t r = 0; r < 4; ++r) {
      EXPECT_EQ(std::isnan(got[4 * i + r]), i == 2 || i == 17) << i << ", row " << r;
      EXPECT_FALSE(std::isinf(got[4 * i + r]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CudaGemm, ::testing::ValuesIn(kCases), [](const auto& param) {
  return test::kind_name(param.param.codec, param.param.layout);
});

using CudaGemmLimits = CudaTest;

TEST_F(CudaGemmLimits, SlicesCoverKAndFillTheGpu) {
  for (const unsigned multiprocessors : {1u, 4u, 108u, 132u}) {
    for (const unsigned blocks : {1u, 2u, 7u, 63u, 64u, 215u, 265u, 4000u}) {
      for (unsigned groups = 1; groups < 300; groups = groups * 5 / 4 + 1) {
        const auto [slice, slices] = cuda::detail::gemm_plan(blocks, groups, multiprocessors);
        EXPECT_GE(slice * slices, groups);
        EXPECT_LT(slice * (slices - 1), groups);
        EXPECT_TRUE(slices == 1 || slice >= 8) << groups;
        EXPECT_TRUE(slices == 1 || blocks * slices <= 8 * multiprocessors) << blocks;
      }
    }
  }
  // 8192 x 8192, 64 vectors, on 132 multiprocessors: 64 blocks, of which 264 run.
  EXPECT_EQ(cuda::detail::gemm_plan(64, 64, 132).slices, 4u);
}

// Neither the stride of x nor the addresses, the workspace's size and what lies in it.
TEST_F(CudaGemmLimits, DependsOnShapesOnly) {
  std::mt19937 random(90);
  const auto tensor = random_tensor(random, Codec::h4, 20, 2900);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device) << device.error().message();
  constexpr std::size_t kBatch = 20;
  const auto x = wide_values<half>(random, kBatch * 2905, 3);
  std::vector<half> dense;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i % 2905 < 2900) dense.push_back(x[i]);
  }
  const auto want = multiply(device->view(), x, kBatch);
  const DeviceArray<half> device_x(dense);
  const DeviceArray<float> y(std::vector<float>(kBatch * 20));
  const std::size_t bytes = cuda::gemm_workspace_bytes(device->view(), 512, Activations::int8);
  const DeviceWorkspace workspace(bytes);
  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  for (int repeat = 0; repeat < 2; ++repeat) {
    ASSERT_TRUE(cuda::gemm(device->view(), dense_view<const half>(device_x.data(), kBatch, 2900),
                           dense_view(y.data(), kBatch, 20), Activations::int8, workspace.span(),
                           stream));
    ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(test::first_difference(want, y.values()), -1);
  }
  ASSERT_EQ(cudaStreamDestroy(stream), cudaSuccess);
}

// More vectors than one pass takes.
TEST_F(CudaGemmLimits, TakesHundredsOfVectors) {
  std::mt19937 random(83);
  const auto tensor = random_tensor(random, Codec::p4, 5, 129);
  ASSERT_TRUE(tensor);
  expect_exact<half>(tensor->view(), Layout::fast, 512, random);
  expect_exact<float>(tensor->view(), Layout::fast, 530, random);
}

// The largest halves times the largest centroids, and floats far outside half.
TEST_F(CudaGemmLimits, NeitherOverflowsNorVanishes) {
  std::mt19937 random(84);
  PatternTable table;
  table.codec = Codec::p4;
  for (int c = 0; c < 20; ++c) table.centroids.push_back(c % 2 == 0 ? 123 : -123);
  const auto tensor = CompressedTensor::create(16, 256, 0x1p-40f, table,
                                               test::valid_blocks(random, Codec::p4, 32, 1));
  ASSERT_TRUE(tensor);
  constexpr std::size_t kBatch = 18;
  std::vector<half> halves(kBatch * 261);
  std::vector<float> large(kBatch * 261);
  std::vector<float> small(kBatch * 261);
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const bool sign = random() % 2 == 0;
    halves[i] = from_float<half>(sign ? 65504.0f : -65504.0f);
    large[i] = sign ? 0x1.fffffep127f : -0x1p100f;
    small[i] = sign ? 0x1p-149f : -0x1p-140f;
  }
  expect_bounded(tensor->view(), Layout::dense, kBatch, halves);
  expect_bounded(tensor->view(), Layout::fast, kBatch, large);
  const auto unit = CompressedTensor::create(16, 256, 0x1p100f, table,
                                             test::valid_blocks(random, Codec::p4, 32, 1));
  ASSERT_TRUE(unit);
  const auto device = cuda::upload(unit->view(), Layout::fast);
  ASSERT_TRUE(device);
  for (const float sum : multiply(device->view(), small, kBatch)) EXPECT_TRUE(std::isfinite(sum));
}

TEST_F(CudaGemmLimits, LeavesFewVectorsToGemv) {
  std::mt19937 random(86);
  const auto tensor = random_tensor(random, Codec::p4, 17, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::dense);
  ASSERT_TRUE(device);
  const auto x = wide_values<half>(random, 16 * 305, 3);
  const DeviceArray<half> device_x(x);
  const DeviceArray<float> y(std::vector<float>(16 * 17));
  const std::size_t bytes = cuda::gemv_workspace_bytes(device->view(), 16, Activations::int16);
  EXPECT_EQ(cuda::gemm_workspace_bytes(device->view(), 16, Activations::int16), bytes);
  const DeviceWorkspace workspace(bytes);
  ASSERT_TRUE(cuda::gemv(device->view(), MatrixView<const half>{device_x.data(), 16, 300, 305},
                         dense_view(y.data(), 16, 17), Activations::int16, workspace.span(),
                         nullptr));
  EXPECT_EQ(test::first_difference(multiply(device->view(), x, 16), y.values()), -1);
}

TEST_F(CudaGemmLimits, LeavesRawH4ToGemvSixteenVectorsAtATime) {
  std::mt19937 random(88);
  const auto tensor = random_tensor(random, Codec::h4, 17, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::raw);
  ASSERT_TRUE(device) << device.error().message();
  const auto x = wide_values<half>(random, 33 * 305, 3);
  const auto got = multiply(device->view(), x, 33);
  for (std::size_t first = 0; first < 33; first += 16) {
    const std::size_t count = std::min<std::size_t>(16, 33 - first);
    const std::vector<half> part(x.begin() + static_cast<std::ptrdiff_t>(305 * first), x.end());
    const auto want = multiply(device->view(), part, count);
    for (std::size_t i = 0; i < count * 17; ++i) ASSERT_EQ(got[17 * first + i], want[i]);
  }
}

TEST_F(CudaGemmLimits, RefusesWhatDoesNotFit) {
  std::mt19937 random(87);
  const auto tensor = random_tensor(random, Codec::p4, 4, 300);
  ASSERT_TRUE(tensor);
  const auto device = cuda::upload(tensor->view(), Layout::fast);
  ASSERT_TRUE(device);
  constexpr std::size_t kBatch = 17;
  const DeviceArray<float> x(std::vector<float>(kBatch * 304));
  const DeviceArray<float> y(std::vector<float>(kBatch * 8));
  const std::size_t bytes = cuda::gemm_workspace_bytes(device->view(), kBatch, Activations::int8);
  const DeviceWorkspace workspace(bytes);
  const auto code = [&](const cuda::DeviceTensorView& view, MatrixView<const float> in,
                        MatrixView<float> out, std::span<std::uint8_t> space) {
    return cuda::gemm(view, in, out, Activations::int8, space, nullptr).code();
  };
  const MatrixView<const float> in{x.data(), kBatch, 300, 304};
  const MatrixView<float> out{y.data(), kBatch, 4, 8};
  const std::span<std::uint8_t> space = workspace.span();
  EXPECT_EQ(code(device->view(), in, out, space), StatusCode::ok);
  EXPECT_EQ(code(device->view(), {x.data(), kBatch, 299, 304}, out, space),
            StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, {y.data(), kBatch, 5, 8}, space), StatusCode::shape_mismatch);
  EXPECT_EQ(code(device->view(), in, out, space.first(bytes - 1)), StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), in, out, {workspace.data() + 8, bytes}),
            StatusCode::invalid_argument);
  EXPECT_EQ(code(device->view(), {x.data(), kBatch, 300, 299}, out, space),
            StatusCode::invalid_argument);
  auto* odd = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(y.data()) + 2);
  EXPECT_EQ(code(device->view(), in, {odd, kBatch, 4, 8}, space), StatusCode::invalid_argument);
  cuda::DeviceTensorView elsewhere = device->view();
  elsewhere.device += 1;
  EXPECT_EQ(code(elsewhere, in, out, space), StatusCode::invalid_argument);
  cuda::DeviceTensorView empty = device->view();
  empty.cols = 0;
  EXPECT_EQ(code(empty, {x.data(), kBatch, 0, 0}, out, space), StatusCode::ok);
  EXPECT_EQ(y.values()[0], 0.0f);
}

}  // namespace
}  // namespace ecco

// SPDX-License-Identifier: MIT
// Products with many vectors, computed on the host: exactly where sums of a group are, within a
// derived bound elsewhere.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "cuda/gemv_emulation.hpp"
#include "cuda/support.hpp"
#include "gemm_job.hpp"

namespace ecco::test {

/// The device's results, [vector][row]; x has gaps of 5 values.
template <typename T>
std::vector<float> multiply_many(const cuda::DeviceTensorView& tensor, const std::vector<T>& x,
                                 std::size_t batch) {
  const DeviceArray<T> device_x(x);
  const MatrixView<const T> view{device_x.data(), batch, tensor.cols, tensor.cols + 5};
  return run_product(batch, tensor.rows,
                     cuda::gemm_workspace_bytes(tensor, batch, Activations::int16),
                     [&](const MatrixView<float>& y, std::span<std::uint8_t> workspace) {
                       return cuda::gemm(tensor, view, y, Activations::int16, workspace, nullptr);
                     });
}

/// The groups of a row as tiles have them, and their sparse corrections.
inline std::vector<TileBlock> row_of(const TensorView& tensor, std::size_t row) {
  std::vector<TileBlock> out;
  for (std::size_t group = 0; group < tensor.blocks_per_row(); ++group) {
    TileBlock block = tile_block(tensor, tensor.row(row) + group * block_bytes(tensor.codec()));
    std::erase_if(block.apart,
                  [&](const auto& at) { return 128 * group + at.first >= tensor.cols(); });
    out.push_back(std::move(block));
  }
  return out;
}

/// Slices of K for vector `i` of a batch, of which a pass takes 512.
inline cuda::detail::GemvPlan plan_of(const TensorView& tensor, std::size_t i, std::size_t batch) {
  int multiprocessors = 0;
  EXPECT_EQ(cuda::detail::multiprocessors(multiprocessors), cudaSuccess);
  const std::size_t vectors = std::min<std::size_t>(512, batch - i / 512 * 512);
  const std::size_t blocks = (tensor.rows() + 127) / 128 * ((vectors + 63) / 64);
  return cuda::detail::gemm_plan(static_cast<unsigned>(blocks),
                                 static_cast<unsigned>(tensor.blocks_per_row()),
                                 static_cast<unsigned>(multiprocessors));
}

/// A row times a vector in the documented order: groups of a slice, slices, corrections. The sum
/// of a group is exact.
inline float dot_row(const std::vector<TileBlock>& row, const std::vector<float>& x,
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
  const std::vector<float> got = multiply_many(device->view(), x, batch);
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
  const std::vector<float> got = multiply_many(device->view(), x, batch);
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

}  // namespace ecco::test

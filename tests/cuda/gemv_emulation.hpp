// SPDX-License-Identifier: MIT
// An emulation of the products on tiles, in the documented order of sums, and what the tests of
// products share.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cuda/support.hpp"
#include "ecco/gemv.hpp"
#include "launch.hpp"

namespace ecco::test {

using cuda::Activations;
using cuda::Layout;

inline constexpr int kWarps = 8;  ///< of a block of threads

/// One int8 digit of the activations of a vector: value = factor * digit, per 128.
struct Digit {
  std::vector<std::int8_t> values;
  std::vector<float> factors;
};

/// The digits of a vector, by docs/cuda.md.
inline std::vector<Digit> digits_of(const std::vector<float>& x, Activations activations) {
  const std::size_t groups = blocks_per_row(x.size());
  if (activations == Activations::int8) {  // the activations of the CPU's product
    const auto quantized = Int8Activations::quantize(x);
    return {{{quantized->values().begin(), quantized->values().end()},
             {quantized->factors().begin(), quantized->factors().end()}}};
  }
  Digit high{std::vector<std::int8_t>(groups * 128), std::vector<float>(groups)};
  Digit low = high;
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t end = std::min(x.size(), 128 * g + 128);
    float largest = 0.0f;
    for (std::size_t k = 128 * g; k < end; ++k) largest = std::max(largest, std::fabs(x[k]));
    if (largest < 0x1p-100f) continue;
    low.factors[g] = largest / 32639.0f;
    high.factors[g] = 256.0f * low.factors[g];
    for (std::size_t k = 128 * g; k < end; ++k) {
      const int q = static_cast<int>(std::nearbyint(x[k] * (32639.0f / largest)));
      const int rest = (q % 256 + 256 + 128) % 256 - 128;  // q = 256 high + rest
      low.values[k] = static_cast<std::int8_t>(rest);
      high.values[k] = static_cast<std::int8_t>((q - rest) / 256);
    }
  }
  return {high, low};
}

/// The int8 that stand for symbols of an H4 pattern: of the value next to 0, the first of equals.
inline std::int8_t null_value(const std::int8_t* pattern) {
  std::int8_t null = static_cast<std::int8_t>(-pattern[0]);
  for (int k = 1; k < h4::kCentroids; ++k) {
    if (std::abs(pattern[k]) < std::abs(null)) null = static_cast<std::int8_t>(-pattern[k]);
  }
  return null;
}

/// A block as its tile has it, and the sparse corrections of it, elements ascending.
struct TileBlock {
  Int8Block weights;
  std::int8_t null = 0;
  std::vector<std::pair<std::size_t, float>> apart;
};

inline TileBlock tile_block(const TensorView& tensor, const std::uint8_t* block) {
  TileBlock out;
  decode_block(tensor, block, out.weights);
  if (tensor.codec() != Codec::h4) return out;
  const h4::Fields fields = h4::parse(block, tensor.table().h4());
  if ((fields.scale.bits & 0x7fu) == 0) return out;
  out.null = null_value(tensor.table().h4().pattern(fields.pattern));
  for (int i = 0; i < out.weights.outliers; ++i) {
    out.apart.emplace_back(out.weights.positions[i], out.weights.outlier_values[i]);
  }
  for (int e = fields.coded; e < kGroup; ++e) out.apart.emplace_back(e, 0.0f);
  std::sort(out.apart.begin(), out.apart.end());
  for (const auto& [e, value] : out.apart) out.weights.values[e] = out.null;
  return out;
}

/// Products of the sparse corrections of a row: a slice takes an equal part of them, lanes every
/// 32nd of these; lanes are added by halves.
inline float dot_apart(const TensorView& tensor, std::size_t row, const Digit& x,
                       std::size_t slice, std::size_t slices) {
  struct Term {
    float weight;
    std::int8_t digit;
  };
  std::vector<Term> terms;
  for (std::size_t b = 0; b < tensor.blocks_per_row(); ++b) {
    const TileBlock block = tile_block(tensor, tensor.row(row) + block_bytes(tensor.codec()) * b);
    for (const auto& [e, value] : block.apart) {
      if (128 * b + e >= tensor.cols()) continue;
      const float stated = block.weights.factor * static_cast<float>(block.null);
      const float rest = value - stated;
      terms.push_back({rest * x.factors[b], x.values[128 * b + e]});
    }
  }
  float lanes[32] = {};
  const std::size_t begin = terms.size() * slice / slices;
  for (std::size_t i = begin; i < terms.size() * (slice + 1) / slices; ++i) {
    float& sum = lanes[(i - begin) % 32];
    sum = std::fma(terms[i].weight, static_cast<float>(terms[i].digit), sum);
  }
  for (std::size_t half = 16; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// Row `row` times a digit: warps take every eighth block of a slice of K; sums of warps and, of
/// H4's tiles, of corrections, then of slices, in order. Raw H4: outliers right after their
/// block.
inline float dot_row(const TensorView& tensor, Layout layout, std::size_t row, const Digit& x,
                     const cuda::detail::GemvPlan& plan) {
  const std::size_t blocks = tensor.blocks_per_row();
  const bool apart = tensor.codec() == Codec::h4 && layout != Layout::raw;
  float total = 0.0f;
  for (std::size_t s = 0; s < plan.slices; ++s) {
    const std::size_t first = s * plan.slice;
    float slice = 0.0f;
    for (std::size_t warp = 0; warp < kWarps; ++warp) {
      float sum = 0.0f;
      for (std::size_t b = first + warp; b < std::min<std::size_t>(first + plan.slice, blocks);
           b += kWarps) {
        const std::uint8_t* block = tensor.row(row) + block_bytes(tensor.codec()) * b;
        Int8Block weights;
        decode_block(tensor, block, weights);
        if (apart) weights = tile_block(tensor, block).weights;
        int dot = 0;
        for (std::size_t e = 0; e < 128; ++e) dot += weights.values[e] * x.values[128 * b + e];
        const float factor = weights.factor * x.factors[b];
        sum = std::fma(factor, static_cast<float>(dot), sum);
        if (tensor.codec() != Codec::h4 || apart) continue;
        for (int i = 0; i < weights.outliers; ++i) {
          const float weight = weights.outlier_values[i] * x.factors[b];
          const std::int8_t digit = x.values[128 * b + weights.positions[i]];
          sum = std::fma(weight, static_cast<float>(digit), sum);
        }
      }
      slice += sum;
    }
    if (apart) slice += dot_apart(tensor, row, x, s, plan.slices);
    total += slice;
  }
  return total;
}

/// The device's results for one batch, [vector][row]. `x` = a view of device memory.
template <typename View>
std::vector<float> multiply_view(const cuda::DeviceTensorView& tensor, const View& x,
                                 std::size_t batch, Activations activations) {
  return run_product(batch, tensor.rows, cuda::gemv_workspace_bytes(tensor, batch, activations),
                     [&](const MatrixView<float>& y, std::span<std::uint8_t> workspace) {
                       return cuda::gemv(tensor, x, y, activations, workspace, nullptr);
                     });
}

template <typename T>
std::vector<float> multiply(const cuda::DeviceTensorView& tensor, const std::vector<T>& x,
                            std::size_t x_stride, std::size_t batch, Activations activations) {
  const DeviceArray<T> device_x(x);
  const MatrixView<const T> view{device_x.data(), batch, tensor.cols, x_stride};
  return multiply_view(tensor, view, batch, activations);
}

/// Vectors with a large value here and there, a group of zeros, and a tiny one.
template <typename T>
std::vector<T> make_x(std::mt19937& random, std::size_t batch, std::size_t stride) {
  std::normal_distribution<float> normal;
  std::vector<T> x(batch * stride);
  for (std::size_t i = 0; i < x.size(); ++i) {
    float value = normal(random) * (random() % 97 == 0 ? 30.0f : 1.0f);
    if (i / 128 % 5 == 3) value = 0.0f;
    if (i / 128 % 7 == 4) value *= 0x1p-14f;
    x[i] = from_float<T>(value);
  }
  return x;
}

template <typename T>
void expect_emulation(const TensorView& tensor, Layout layout, std::size_t batch,
                      Activations activations, std::mt19937& random) {
  SCOPED_TRACE(std::to_string(tensor.rows()) + " x " + std::to_string(tensor.cols()) + ", batch " +
               std::to_string(batch) + ", layout " + std::to_string(static_cast<int>(layout)));
  const auto device = cuda::upload(tensor, layout);
  ASSERT_TRUE(device) << device.error().message();
  ASSERT_EQ(device->view().layout, layout);
  const std::size_t stride = tensor.cols() + 5;
  const std::vector<T> x = make_x<T>(random, batch, stride);
  const std::vector<float> got = multiply<T>(device->view(), x, stride, batch, activations);
  int multiprocessors = 0;
  ASSERT_EQ(cuda::detail::multiprocessors(multiprocessors), cudaSuccess);
  const auto plan = cuda::detail::gemv_plan(static_cast<unsigned>((tensor.rows() + 15) / 16),
                                            static_cast<unsigned>(tensor.blocks_per_row()),
                                            static_cast<unsigned>(multiprocessors));
  for (std::size_t i = 0; i < batch; ++i) {
    std::vector<float> values;
    for (std::size_t k = 0; k < tensor.cols(); ++k) values.push_back(to_float(x[i * stride + k]));
    const std::vector<Digit> digits = digits_of(values, activations);
    for (std::size_t r = 0; r < tensor.rows(); ++r) {
      float want = dot_row(tensor, layout, r, digits[0], plan);
      if (digits.size() == 2) want += dot_row(tensor, layout, r, digits[1], plan);
      ASSERT_EQ(float_bits(got[i * tensor.rows() + r]), float_bits(want))
          << "vector " << i << ", row " << r;
    }
  }
}

inline Result<CompressedTensor> random_tensor(std::mt19937& random, Codec codec, std::size_t rows,
                                              std::size_t cols) {
  const int patterns = codec == Codec::h4 ? 100 : 256;
  return random_tensor(random, random_tables(random, codec, patterns, 5), rows, cols);
}

}  // namespace ecco::test

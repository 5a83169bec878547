// SPDX-License-Identifier: MIT
// The arithmetic on dense binary32 that the library does not do: widening, products, attention.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ecco/status.hpp"
#include "ecco/types.hpp"

namespace llama {

/// Element type of a matrix that was not compressed.
enum class Dtype : std::uint8_t { f16, bf16, f32 };

constexpr std::size_t value_bytes(Dtype dtype) noexcept { return dtype == Dtype::f32 ? 4 : 2; }

/// Partial sums of a product: column k adds to lane k % kLanes, so rows are padded to whole lanes.
inline constexpr std::size_t kLanes = 8;
constexpr std::size_t padded(std::size_t cols) noexcept {
  return (cols + kLanes - 1) / kLanes * kLanes;
}

/// One attention head for one query: `count` keys and values of `dim`, `stride` floats apart.
struct Attention {
  const float* query;
  const float* keys;
  const float* values;
  std::size_t stride;
  std::size_t count;  ///< at least 1
  std::size_t dim;
  float scale;    ///< 1 / sqrt(dim)
  float* scores;  ///< scratch of `count`
  float* out;     ///< `dim` values
};

/// One set per instruction set. A result depends on the operands of that result alone, not on the
/// other rows of the batch: a token has the same bits alone as among others.
struct Kernels {
  /// `count` values as stored, at any address, to binary32.
  void (*widen)(Dtype dtype, const std::uint8_t* from, std::size_t count, float* to);
  /// y[b][r] = sum over k of w[r][k] * x[b][k]; rows of w and x hold padded(cols) floats, zero
  /// past cols. cols is w.cols; y is x.rows x w.rows.
  void (*multiply)(ecco::MatrixView<const float> w, ecco::MatrixView<const float> x,
                   ecco::MatrixView<float> y);
  /// out = sum over t of softmax(scale * query . keys)[t] * values[t].
  void (*attend)(const Attention& attention);
};

/// The kernels that match the library's instruction set (ecco::active_isa). Error: its own.
ecco::Result<const Kernels*> active_kernels();

namespace detail {

/// scores = exp(scores - their maximum); returns the sum.
float exponentiate(float* scores, std::size_t count);

const Kernels& avx2_kernels();  ///< x86-64 only

}  // namespace detail
}  // namespace llama

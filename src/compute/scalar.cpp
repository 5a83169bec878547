// SPDX-License-Identifier: MIT
// The scalar path: the reference functions of the headers. The products of a batch decode each
// block once and then follow the same order of sums.
#include <algorithm>
#include <cmath>

#include "compute/kernels.hpp"
#include "ecco/block.hpp"
#include "ecco/decode.hpp"

namespace ecco {
namespace {

// The shapes are right by the callers' checks, so the status of the reference is always ok.
template <typename T>
void decode(const TensorView& tensor, std::size_t first_row, MatrixView<T> out) {
  static_cast<void>(reference::decode_rows(tensor, first_row, out));
}

void decode_int8(const TensorView& tensor, std::size_t first_row,
                 MatrixView<std::int8_t> centroids, MatrixView<float> factors) {
  static_cast<void>(reference::decode_rows(tensor, first_row, centroids, factors));
}

void gemv_f32(const TensorView& tensor, RowRange rows, const float* x, float* y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) y[r] = reference::dot_row(tensor, r, x);
}

void gemv_int8(const TensorView& tensor, RowRange rows, const Int8Activations& x, float* y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) y[r] = reference::dot_row(tensor, r, x);
}

// Adds the products of a block with 128 values to the 16 sums of a row.
void add_block(const Int8Block& weights, const float* values, float* sums) {
  for (std::size_t l = 0; l < kGemmLanes; ++l) {
    float partial = 0.0f;
    for (std::size_t e = l; e < kGroup; e += kGemmLanes) {
      partial = std::fma(static_cast<float>(weights.values[e]), values[e], partial);
    }
    sums[l] = std::fma(weights.factor, partial, sums[l]);
  }
  for (int i = 0; i < weights.outliers; ++i) {
    float& sum = sums[weights.positions[i] % kGemmLanes];
    sum = std::fma(weights.outlier_values[i], values[weights.positions[i]], sum);
  }
}

void gemm_f32(const TensorView& tensor, RowRange rows, MatrixView<const float> x,
              const float* x_tail, MatrixView<float> y, float* scratch) {
  const std::size_t whole_blocks = tensor.cols() / kGroup;
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    std::fill_n(scratch, x.rows * kGemmLanes, 0.0f);
    const std::uint8_t* block = tensor.row(r);
    for (std::size_t k = 0; k < tensor.blocks_per_row(); ++k) {
      Int8Block weights;
      decode_block(tensor, block, weights);
      block += block_bytes(tensor.codec());
      for (std::size_t b = 0; b < x.rows; ++b) {
        const float* values = k < whole_blocks ? x.row(b) + k * kGroup : x_tail + b * kGroup;
        add_block(weights, values, scratch + b * kGemmLanes);
      }
    }
    for (std::size_t b = 0; b < x.rows; ++b) {
      std::array<float, kGemmLanes> lanes;
      std::copy_n(scratch + b * kGemmLanes, kGemmLanes, lanes.begin());
      y.row(b)[r] = detail::sum_by_halves(lanes);
    }
  }
}

// Adds the product of a block with its 128 int8 activations to one sum.
void add_block(const Int8Block& weights, const std::int8_t* values, float factor, float& sum) {
  int dot = 0;
  for (std::size_t e = 0; e < kGroup; ++e) dot += weights.values[e] * values[e];
  sum = std::fma(weights.factor * factor, static_cast<float>(dot), sum);
  for (int i = 0; i < weights.outliers; ++i) {
    sum = std::fma(weights.outlier_values[i] * factor,
                   static_cast<float>(values[weights.positions[i]]), sum);
  }
}

void gemm_int8(const TensorView& tensor, RowRange rows, std::span<const Int8Activations> x,
               MatrixView<float> y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    std::array<std::array<float, 8>, kGemmBatch> sums{};
    const std::uint8_t* block = tensor.row(r);
    for (std::size_t k = 0; k < tensor.blocks_per_row(); ++k) {
      Int8Block weights;
      decode_block(tensor, block, weights);
      block += block_bytes(tensor.codec());
      for (std::size_t b = 0; b < x.size(); ++b) {
        add_block(weights, x[b].values().data() + k * kGroup, x[b].factors()[k], sums[b][k % 8]);
      }
    }
    for (std::size_t b = 0; b < x.size(); ++b) y.row(b)[r] = detail::sum_by_halves(sums[b]);
  }
}

constexpr CodecKernels kAnyCodec = {decode<float>, decode<half>, decode<bfloat16>, decode_int8,
                                    gemv_f32,      gemv_int8,    gemm_f32,         gemm_int8};

}  // namespace

ComputeKernels scalar_compute_kernels() noexcept {
  return {{kAnyCodec, kAnyCodec, kAnyCodec, kAnyCodec}, kAnyCodec};
}

}  // namespace ecco

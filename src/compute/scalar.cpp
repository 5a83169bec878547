// SPDX-License-Identifier: MIT
// The scalar path: the reference functions of the headers. The products of a batch decode each
// block once and then follow the same order of sums.
#include <algorithm>
#include <cmath>

#include "compute/kernels.hpp"
#include "ecco/decode.hpp"
#include "ecco/planar.hpp"

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

template <int R>
void gemv_f32(const TensorView& tensor, RowRange rows, const float* x, float* y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    y[r] = reference::dot_row<R>(tensor, tensor.row(r), x);
  }
}

template <int R>
void gemv_int8(const TensorView& tensor, RowRange rows, const Int8Activations& x, float* y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    y[r] = reference::dot_row<R>(tensor, tensor.row(r), x);
  }
}

// Centroids and factor of block k of a row.
template <int R>
float decode_block(const TensorView& tensor, std::size_t row, std::size_t k,
                   std::int8_t* centroids) {
  return planar::decode_int8<R>(tensor.row(row) + k * (32 + 16 * R),
                                tensor.table().centroids.data(), tensor.table().patterns(),
                                tensor.tensor_scale(), centroids);
}

template <int R>
void gemm_f32(const TensorView& tensor, RowRange rows, MatrixView<const float> x,
              const float* x_tail, MatrixView<float> y, float* scratch) {
  const std::size_t whole_blocks = tensor.cols() / kGroup;
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    std::fill_n(scratch, x.rows * kGemmLanes, 0.0f);
    for (std::size_t k = 0; k < tensor.blocks_per_row(); ++k) {
      std::int8_t centroids[kGroup];
      const float factor = decode_block<R>(tensor, r, k, centroids);
      for (std::size_t b = 0; b < x.rows; ++b) {
        const float* values = k < whole_blocks ? x.row(b) + k * kGroup : x_tail + b * kGroup;
        for (std::size_t l = 0; l < kGemmLanes; ++l) {
          float partial = 0.0f;
          for (std::size_t e = l; e < kGroup; e += kGemmLanes) {
            partial = std::fma(static_cast<float>(centroids[e]), values[e], partial);
          }
          float& sum = scratch[b * kGemmLanes + l];
          sum = std::fma(factor, partial, sum);
        }
      }
    }
    for (std::size_t b = 0; b < x.rows; ++b) {
      std::array<float, kGemmLanes> lanes;
      std::copy_n(scratch + b * kGemmLanes, kGemmLanes, lanes.begin());
      y.row(b)[r] = detail::sum_by_halves(lanes);
    }
  }
}

template <int R>
void gemm_int8(const TensorView& tensor, RowRange rows, std::span<const Int8Activations> x,
               MatrixView<float> y) {
  for (std::size_t r = rows.begin; r < rows.end; ++r) {
    std::array<std::array<float, 8>, kGemmBatch> sums{};
    for (std::size_t k = 0; k < tensor.blocks_per_row(); ++k) {
      std::int8_t centroids[kGroup];
      const float factor = decode_block<R>(tensor, r, k, centroids);
      for (std::size_t b = 0; b < x.size(); ++b) {
        const std::int8_t* values = x[b].values().data() + k * kGroup;
        int dot = 0;
        for (std::size_t e = 0; e < kGroup; ++e) dot += centroids[e] * values[e];
        float& sum = sums[b][k % 8];
        sum = std::fma(factor * x[b].factors()[k], static_cast<float>(dot), sum);
      }
    }
    for (std::size_t b = 0; b < x.size(); ++b) y.row(b)[r] = detail::sum_by_halves(sums[b]);
  }
}

template <int R>
constexpr CodecKernels codec_kernels() {
  return {decode<float>, decode<half>, decode<bfloat16>, decode_int8,
          gemv_f32<R>,   gemv_int8<R>, gemm_f32<R>,      gemm_int8<R>};
}

}  // namespace

ComputeKernels scalar_compute_kernels() noexcept {
  return {{codec_kernels<0>(), codec_kernels<1>(), codec_kernels<2>(), codec_kernels<3>()}};
}

}  // namespace ecco

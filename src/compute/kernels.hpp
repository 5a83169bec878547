// SPDX-License-Identifier: MIT
// Compute kernels behind the dispatch table: decode and products of whole rows, one set per codec.
// Shapes have been checked by the callers in decode.cpp, gemv.cpp and gemm.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ecco/codec.hpp"
#include "ecco/gemv.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

namespace ecco {

/// Rows begin .. end - 1 of a tensor.
struct RowRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// Most rows of a batch that one call of a gemm kernel takes: it bounds the scratch.
inline constexpr std::size_t kGemmBatch = 256;
/// Rows of the tensor that a gemm kernel decodes before it multiplies them with the batch.
inline constexpr std::size_t kGemmRows = 12;
/// Sums of one row of the tensor with one row of the batch: the 16 lanes of gemv.hpp.
inline constexpr std::size_t kGemmLanes = 16;
/// Floats of scratch that gemm_f32 needs, aligned to 64 bytes, for a batch of `batch`.
constexpr std::size_t gemm_scratch_floats(std::size_t batch) noexcept {
  return kGemmRows * kGemmLanes * batch;
}

/// Kernels of one codec on one instruction set.
struct CodecKernels {
  /// Rows first_row .. first_row + out.rows - 1 (decode.hpp).
  void (*decode_f32)(const TensorView&, std::size_t first_row, MatrixView<float> out);
  void (*decode_half)(const TensorView&, std::size_t first_row, MatrixView<half> out);
  void (*decode_bfloat16)(const TensorView&, std::size_t first_row, MatrixView<bfloat16> out);
  void (*decode_int8)(const TensorView&, std::size_t first_row, MatrixView<std::int8_t> centroids,
                      MatrixView<float> factors);
  /// y[rows.begin .. rows.end - 1] = W x (gemv.hpp); x has cols values.
  void (*gemv_f32)(const TensorView&, RowRange rows, const float* x, float* y);
  void (*gemv_int8)(const TensorView&, RowRange rows, const Int8Activations& x, float* y);
  /// Columns `rows` of y = x W^T (gemm.hpp) for at most kGemmBatch rows of x. x_tail: the last
  /// group of each row of x, padded with 0 to 128 values; only read where cols % 128 != 0.
  void (*gemm_f32)(const TensorView&, RowRange rows, MatrixView<const float> x,
                   const float* x_tail, MatrixView<float> y, float* scratch);
  void (*gemm_int8)(const TensorView&, RowRange rows, std::span<const Int8Activations> x,
                    MatrixView<float> y);
};

struct ComputeKernels {
  std::array<CodecKernels, 4> planar;  ///< indexed by mantissa planes
  CodecKernels h4;

  [[nodiscard]] const CodecKernels& of(Codec codec) const noexcept {
    return codec == Codec::h4 ? h4 : planar[static_cast<std::size_t>(mantissa_planes(codec))];
  }
};

ComputeKernels scalar_compute_kernels() noexcept;
ComputeKernels avx2_compute_kernels() noexcept;
CodecKernels avx2_h4_kernels() noexcept;

}  // namespace ecco

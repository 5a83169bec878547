// SPDX-License-Identifier: MIT
// Products with many vectors by a library's product in half: panels of rows are decoded, then
// multiplied. Nothing here needs cuBLAS itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ecco/cuda/device.hpp"
#include "ecco/status.hpp"

namespace ecco::cuda::detail {

/// y = alpha x weights^T; rows of x and of weights are as long.
struct HalfProduct {
  MatrixView<const half> weights;
  MatrixView<const half> x;
  MatrixView<float> y;
  float alpha;
};

/// Bytes for vectors of any type and for panels of 4096 rows, or of all where there are fewer.
std::size_t panels_bytes(const DeviceTensorView& tensor, std::size_t batch) noexcept;

/// As gemm; shapes are checked and none of them is 0.
template <typename T>
Status multiply_panels(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                       const Blas& blas, std::span<std::uint8_t> workspace, Stream stream);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Products with many vectors by own kernels, in half.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ecco/cuda/device.hpp"
#include "ecco/status.hpp"

namespace ecco::cuda::detail {

/// Bytes for vectors of any type, for as many as `batch` or fewer. `multiprocessors` of the
/// device.
std::size_t gemm_half_bytes(const DeviceTensorView& tensor, std::size_t batch,
                            unsigned multiprocessors) noexcept;

/// As gemm; shapes are checked and none of them is 0. Raw h4 has no such product.
template <typename T>
Status multiply_half(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                     std::span<std::uint8_t> workspace, Stream stream);

}  // namespace ecco::cuda::detail

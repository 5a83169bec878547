// SPDX-License-Identifier: MIT
// Whether kernels run on the current device, and whether a view of a tensor is one that they read.
#pragma once

#include "ecco/cuda/device.hpp"
#include "ecco/status.hpp"

namespace ecco::cuda::detail {

/// The current device. Errors: unsupported (no GPU, or compute capability below 8.0),
/// device_error.
Result<int> usable_device();

/// True if a tensor of the codec can lie in such a layout.
bool has_layout(Codec codec, Layout layout) noexcept;

/// True from 2^31 rows, columns or blocks on.
bool too_large(std::size_t rows, std::size_t cols) noexcept;

/// Errors: unsupported (a codec without such a layout, 2^31 rows, columns or blocks),
/// invalid_argument (Layout::automatic, tensor_scale, another device; unless the tensor is empty:
/// blocks or tables that its layout needs are missing or not aligned).
Status check_view(const DeviceTensorView& tensor);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <span>
#include <type_traits>

#include "ecco/cuda/device.hpp"
#include "errors.hpp"

namespace ecco::cuda::detail {

/// A copy of pageable memory on the device, which the stream may still be waiting for.
template <typename T>
Result<DeviceMemory> copy_to_device(std::span<const T> from, Stream stream) {
  static_assert(std::is_trivially_copyable_v<T>);
  auto memory = DeviceMemory::allocate(from.size_bytes());
  if (!memory) return fail(memory.error());
  const cudaError_t error = cudaMemcpyAsync(memory->data(), from.data(), from.size_bytes(),
                                            cudaMemcpyHostToDevice, stream);
  if (Status status = check("cudaMemcpyAsync", error); !status) return fail(status);
  return memory;
}

}  // namespace ecco::cuda::detail

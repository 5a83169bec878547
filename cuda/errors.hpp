// SPDX-License-Identifier: MIT
// Errors of the runtime as Status, and checks that all operations share.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <string>

#include "ecco/status.hpp"

namespace ecco::cuda::detail {

inline constexpr std::size_t kMostBlocks = std::numeric_limits<std::int32_t>::max();
inline constexpr std::size_t kAlignment = 16;  ///< of blocks and tables

/// Status of a failed call of the runtime, which `what` names.
inline Status failure(const char* what, cudaError_t error) noexcept {
  StatusCode code = StatusCode::device_error;
  if (error == cudaErrorMemoryAllocation) code = StatusCode::out_of_memory;
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
      error == cudaErrorNoKernelImageForDevice) {
    code = StatusCode::unsupported;
  }
  try {
    return {code, std::string(what) + ": " + cudaGetErrorString(error)};
  } catch (const std::bad_alloc&) {
    return {code, ""};
  }
}

inline Status check(const char* what, cudaError_t error) noexcept {
  return error == cudaSuccess ? Status() : failure(what, error);
}

inline bool aligned(const void* address, std::size_t bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

/// Error: invalid_argument unless `device` is the current one.
inline Status check_device(int device) {
  int current = 0;
  if (Status status = check("cudaGetDevice", cudaGetDevice(&current)); !status) return status;
  if (device == current) return {};
  return {StatusCode::invalid_argument, "the tensor lies on device " + std::to_string(device) +
                                            ", current is " + std::to_string(current)};
}

/// Runs a function that may lack memory for its messages.
template <typename Function>
Status guarded(Function&& function) noexcept {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return {StatusCode::out_of_memory, ""};
  }
}

}  // namespace ecco::cuda::detail

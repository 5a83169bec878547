// SPDX-License-Identifier: MIT
// Errors of the runtime as Status, and checks that all operations share.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <new>
#include <string>

#include "ecco/codec.hpp"
#include "ecco/status.hpp"
#include "ecco/tensor.hpp"
#include "ecco/types.hpp"

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

/// Takes the error from the runtime, so that the caller's next call does not report it again. An
/// error that the caller left there stays.
inline Status check(const char* what, cudaError_t error) noexcept {
  if (error == cudaSuccess) return {};
  if (cudaPeekAtLastError() == error) cudaGetLastError();
  return failure(what, error);
}

inline bool aligned(const void* address, std::size_t bytes) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

/// Error: invalid_argument unless `device`, on which `what` lies, is the current one. `device` < 0
/// stands for any.
inline Status check_device(int device, const char* what = "the tensor") {
  if (device < 0) return {};
  int current = 0;
  if (Status status = check("cudaGetDevice", cudaGetDevice(&current)); !status) return status;
  if (device == current) return {};
  return {StatusCode::invalid_argument, std::string(what) + " lies on device " +
                                            std::to_string(device) + ", current is " +
                                            std::to_string(current)};
}

/// "0x7f00"
inline std::string address_text(const void* address) {
  char text[2 + 2 * sizeof(address) + 1];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(address)));
  return text;
}

/// `bytes` = the alignment that `what` needs; null will do if it has no values.
inline Status check_address(const char* what, const void* address, std::size_t bytes, bool empty) {
  if (address == nullptr && !empty) {
    return {StatusCode::invalid_argument, std::string(what) + ": a null address"};
  }
  if (aligned(address, bytes)) return {};
  return {StatusCode::invalid_argument, std::string(what) + ": the address " +
                                            address_text(address) + " is not aligned to " +
                                            std::to_string(bytes) + " bytes"};
}

/// Address and stride of a matrix in device memory.
template <typename T>
Status check_matrix(const char* what, const MatrixView<T>& matrix) {
  if (matrix.rows > 1 && matrix.row_stride < matrix.cols) {
    return {StatusCode::invalid_argument, std::string(what) + ": rows of " +
                                              std::to_string(matrix.cols) + " values lie " +
                                              std::to_string(matrix.row_stride) + " values apart"};
  }
  return check_address(what, matrix.data, sizeof(T), matrix.rows == 0 || matrix.cols == 0);
}

/// As encoders choose it.
inline Status check_scale(float tensor_scale) {
  if (tensor_scale > 0.0f && tensor_scale <= kMaxTensorScale) return {};
  return {StatusCode::invalid_argument,
          "a tensor_scale of " + std::to_string(tensor_scale) + " is not in (0, 1e34]"};
}

/// Error of a codec that needs tables of an encoder and has none.
inline Status no_tables(Codec codec) {
  return {StatusCode::invalid_argument,
          "codec " + std::string(codec_name(codec)) + " has no tables of an encoder"};
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

// SPDX-License-Identifier: MIT
// The competitor on a GPU: y = x W^T of cuBLAS, all in half with binary32 sums.
#pragma once

#include <cublas_v2.h>

#include <stdexcept>
#include <string>

#include "ecco/types.hpp"
#include "matrices.hpp"

namespace ecco::bench {

class HalfProduct {
 public:
  explicit HalfProduct(cudaStream_t stream) {
    check(cublasCreate(&handle_), "cublasCreate");
    check(cublasSetStream(handle_, stream), "cublasSetStream");
    // Graphs record no allocation: the workspace that NVIDIA recommends for Hopper.
    check(cublasSetWorkspace(handle_, workspace_.data(), workspace_.bytes()),
          "cublasSetWorkspace");
  }
  ~HalfProduct() { cublasDestroy(handle_); }
  HalfProduct(const HalfProduct&) = delete;
  HalfProduct& operator=(const HalfProduct&) = delete;

  /// weights = rows x cols, x = batch x cols, y = batch x rows, row-major.
  void multiply(const Shape& shape, const half* weights, const half* x, half* y,
                std::size_t batch) const {
    const int rows = static_cast<int>(shape.rows);
    const int cols = static_cast<int>(shape.cols);
    const float one = 1.0f;
    const float zero = 0.0f;
    check(cublasGemmEx(handle_, CUBLAS_OP_T, CUBLAS_OP_N, rows, static_cast<int>(batch), cols,
                       &one, weights, CUDA_R_16F, cols, x, CUDA_R_16F, cols, &zero, y, CUDA_R_16F,
                       rows, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
  }

 private:
  static void check(cublasStatus_t status, const char* call) {
    if (status != CUBLAS_STATUS_SUCCESS) {
      throw std::runtime_error(std::string(call) + ": " + cublasGetStatusString(status));
    }
  }

  cuda::DeviceMemory workspace_ = allocate(std::size_t{32} << 20);
  cublasHandle_t handle_ = nullptr;
};

}  // namespace ecco::bench

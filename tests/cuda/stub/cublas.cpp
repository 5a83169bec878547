// SPDX-License-Identifier: MIT
// A stand-in for cuBLAS beside ptxvm, whose device memory is the host's: loops, the sums in
// double.
#include <cublas_v2.h>

#include <cstddef>

#include "ecco/types.hpp"

namespace {

int stub_handle = 0;
cudaStream_t stub_stream = nullptr;

}  // namespace

extern "C" {

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = reinterpret_cast<cublasHandle_t>(&stub_handle);
  ++stub_handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t) {
  --stub_handle;
  return stub_handle < 0 ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t, cudaStream_t stream) {
  stub_stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t, void* workspace, std::size_t bytes) {
  return workspace == nullptr && bytes > 0 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusString(cublasStatus_t) { return "refused by the stand-in"; }

/// C = alpha A^T B + beta C, column-major, as the library and its benchmark call it.
cublasStatus_t cublasGemmEx(cublasHandle_t, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType a_type,
                            int lda, const void* b, cudaDataType b_type, int ldb, const void* beta,
                            void* c, cudaDataType c_type, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t) {
  const bool in_half = c_type == CUDA_R_16F;
  if (op_a != CUBLAS_OP_T || op_b != CUBLAS_OP_N || a_type != CUDA_R_16F || b_type != CUDA_R_16F ||
      (c_type != CUDA_R_32F && !in_half) || compute != CUBLAS_COMPUTE_32F || lda < k || ldb < k ||
      ldc < m || *static_cast<const float*>(beta) != 0.0f) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  if (cudaStreamSynchronize(stub_stream) != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  const auto factor = static_cast<double>(*static_cast<const float*>(alpha));
  for (std::ptrdiff_t column = 0; column < n; ++column) {
    for (std::ptrdiff_t row = 0; row < m; ++row) {
      const auto* weights = static_cast<const ecco::half*>(a) + row * lda;
      const auto* x = static_cast<const ecco::half*>(b) + column * ldb;
      double sum = 0.0;
      for (std::ptrdiff_t i = 0; i < k; ++i) {
        sum += static_cast<double>(ecco::to_float(weights[i])) *
               static_cast<double>(ecco::to_float(x[i]));
      }
      const auto value = static_cast<float>(factor * sum);
      const std::ptrdiff_t at = column * ldc + row;
      if (in_half) {
        static_cast<ecco::half*>(c)[at] = ecco::from_float<ecco::half>(value);
      } else {
        static_cast<float*>(c)[at] = value;
      }
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"

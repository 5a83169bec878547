// SPDX-License-Identifier: MIT
// cuBLAS behind the handle Blas; the only source that needs it.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "ecco/cuda/device.hpp"
#include "errors.hpp"
#include "panels.hpp"

#ifdef ECCO_WITH_CUBLAS
#include <cublas_v2.h>
#endif

namespace ecco::cuda {

#ifdef ECCO_WITH_CUBLAS
namespace {

Status check_blas(const char* what, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  const StatusCode code =
      status == CUBLAS_STATUS_ALLOC_FAILED ? StatusCode::out_of_memory : StatusCode::device_error;
  return {code, std::string(what) + ": " + cublasGetStatusString(status)};
}

/// cuBLAS is column-major: a row-major matrix is its transpose.
Status multiply(void* handle, const detail::HalfProduct& product, Stream stream) {
  const auto& [weights, x, y, alpha] = product;
  const float zero = 0.0f;
  auto* const blas = static_cast<cublasHandle_t>(handle);
  Status status = check_blas("cublasSetStream", cublasSetStream(blas, stream));
  if (!status) return status;
  return check_blas(
      "cublasGemmEx",
      cublasGemmEx(blas, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(weights.rows),
                   static_cast<int>(x.rows), static_cast<int>(weights.cols), &alpha, weights.data,
                   CUDA_R_16F, static_cast<int>(weights.row_stride), x.data, CUDA_R_16F,
                   static_cast<int>(std::max(x.row_stride, x.cols)), &zero, y.data, CUDA_R_32F,
                   static_cast<int>(std::max(y.row_stride, y.cols)), CUBLAS_COMPUTE_32F,
                   CUBLAS_GEMM_DEFAULT));
}

}  // namespace
#endif

Blas::~Blas() {
#ifdef ECCO_WITH_CUBLAS
  if (handle_ != nullptr) cublasDestroy(static_cast<cublasHandle_t>(handle_));
#endif
}

Result<Blas> Blas::create(std::size_t from) noexcept try {
#ifdef ECCO_WITH_CUBLAS
  Blas blas;
  Status status = detail::check("cudaGetDevice", cudaGetDevice(&blas.device_));
  if (!status) return fail(status);
  cublasHandle_t handle = nullptr;
  status = check_blas("cublasCreate", cublasCreate(&handle));
  if (!status) return fail(status);
  blas.handle_ = handle;
  blas.call_ = multiply;
  blas.from_ = std::max<std::size_t>(from, 1);
  return blas;
#else
  static_cast<void>(from);
  return fail(StatusCode::unsupported, "the library was built without cuBLAS");
#endif
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "");
}

}  // namespace ecco::cuda

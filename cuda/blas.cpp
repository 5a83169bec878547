// SPDX-License-Identifier: MIT
// Products with many vectors by cuBLAS: panels of rows are decoded to half, then multiplied.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <climits>
#include <string>

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tiles.hpp"
#include "errors.hpp"
#include "products.hpp"

#ifdef ECCO_WITH_CUBLAS
#include <cublas_v2.h>
#endif

namespace ecco::cuda {
namespace {

constexpr std::size_t kPanelRows = 4096;  ///< of blas_workspace_bytes

/// Distance of the rows of a panel: 16 bytes, which cuBLAS likes.
std::size_t panel_stride(std::size_t cols) { return (cols + 7) / 8 * 8; }

#ifdef ECCO_WITH_CUBLAS
/// Rows first..first + count - 1 of a tensor, first a multiple of 16, without its scale: planar
/// blocks then decode to at most 240 * 123, and to halves that are exact where the block's scale
/// is 2^-21 or more.
DeviceTensorView panel_of(const DeviceTensorView& tensor, std::size_t first, std::size_t count) {
  DeviceTensorView panel = tensor;
  panel.rows = count;
  panel.tensor_scale = 1.0f;
  panel.blocks += layout_bytes(tensor.codec, tensor.layout, first, tensor.cols);
  if (panel.row_begins != nullptr) panel.row_begins += first;
  return panel;
}

Status check_blas(const char* what, cublasStatus_t status) {
  if (status == CUBLAS_STATUS_SUCCESS) return {};
  const StatusCode code =
      status == CUBLAS_STATUS_ALLOC_FAILED ? StatusCode::out_of_memory : StatusCode::device_error;
  return {code, std::string(what) + ": " + cublasGetStatusString(status)};
}

/// y = tensor_scale * x panel^T. cuBLAS is column-major: a row-major matrix is its transpose.
Status multiply_panel(const Blas& blas, const DeviceTensorView& tensor, MatrixView<half> panel,
                      MatrixView<const half> x, float* y, std::size_t y_stride) {
  const float zero = 0.0f;
  return check_blas(
      "cublasGemmEx",
      cublasGemmEx(static_cast<cublasHandle_t>(blas.handle()), CUBLAS_OP_T, CUBLAS_OP_N,
                   static_cast<int>(panel.rows), static_cast<int>(x.rows),
                   static_cast<int>(panel.cols), &tensor.tensor_scale, panel.data, CUDA_R_16F,
                   static_cast<int>(panel.row_stride), x.data, CUDA_R_16F,
                   static_cast<int>(std::max(x.row_stride, x.cols)), &zero, y, CUDA_R_32F,
                   static_cast<int>(std::max(y_stride, panel.rows)), CUBLAS_COMPUTE_32F,
                   CUBLAS_GEMM_DEFAULT));
}

Status multiply(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
                const Blas& blas, std::span<std::uint8_t> workspace, Stream stream) {
  const detail::Numbers<half> input{x};
  if (Status status = detail::check_shapes(tensor, input, y); !status) return status;
  if (std::max({x.rows, x.row_stride, y.row_stride, tensor.cols + 7}) > INT_MAX) {
    return {StatusCode::unsupported, "a stride or batch of 2^31 or more"};
  }
  if (tensor.rows == 0 || x.rows == 0) return {};
  if (tensor.cols == 0) return detail::clear(y, stream);
  const std::size_t stride = panel_stride(tensor.cols);
  const std::size_t least = std::min<std::size_t>(tensor.rows, kTileRows) * stride * sizeof(half);
  if (Status status = detail::check_workspace(workspace, least); !status) return status;
  const std::size_t fitting = workspace.size() / (stride * sizeof(half));
  const std::size_t step = fitting < tensor.rows ? fitting / kTileRows * kTileRows : tensor.rows;
  Status status = check_blas("cublasSetStream",
                             cublasSetStream(static_cast<cublasHandle_t>(blas.handle()), stream));
  for (std::size_t first = 0; first < tensor.rows && status; first += step) {
    const std::size_t count = std::min(step, tensor.rows - first);
    const MatrixView<half> panel{reinterpret_cast<half*>(workspace.data()), count, tensor.cols,
                                 stride};
    status = decode(panel_of(tensor, first, count), panel, stream);
    if (status) status = multiply_panel(blas, tensor, panel, x, y.data + first, y.row_stride);
  }
  return status;
}
#endif

}  // namespace

Blas::~Blas() {
#ifdef ECCO_WITH_CUBLAS
  if (handle_ != nullptr) cublasDestroy(static_cast<cublasHandle_t>(handle_));
#endif
}

Result<Blas> Blas::create() noexcept try {
#ifdef ECCO_WITH_CUBLAS
  cublasHandle_t handle = nullptr;
  if (Status status = check_blas("cublasCreate", cublasCreate(&handle)); !status) {
    return fail(status);
  }
  Blas blas;
  blas.handle_ = handle;
  return blas;
#else
  return fail(StatusCode::unsupported, "the library was built without cuBLAS");
#endif
} catch (const std::bad_alloc&) {
  return fail(StatusCode::out_of_memory, "");
}

std::size_t blas_workspace_bytes(const DeviceTensorView& tensor) noexcept {
  return std::min(tensor.rows, kPanelRows) * panel_stride(tensor.cols) * sizeof(half);
}

Status gemm(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            const Blas& blas, std::span<std::uint8_t> workspace, Stream stream) noexcept {
#ifdef ECCO_WITH_CUBLAS
  return detail::guarded([&] { return multiply(tensor, x, y, blas, workspace, stream); });
#else
  static_cast<void>(tensor), static_cast<void>(x), static_cast<void>(y), static_cast<void>(blas);
  static_cast<void>(workspace), static_cast<void>(stream);
  return {StatusCode::unsupported, ""};  // no Blas exists
#endif
}

}  // namespace ecco::cuda

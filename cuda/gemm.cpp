// SPDX-License-Identifier: MIT
// Products with any number of vectors: the choice of a way.
#include <cuda_runtime_api.h>

#include <algorithm>

#include "ecco/cuda/device.hpp"
#include "errors.hpp"
#include "gemm_half.hpp"
#include "launch.hpp"
#include "panels.hpp"
#include "products.hpp"

namespace ecco::cuda {
namespace {

bool has_handle(const Blas* blas) { return blas != nullptr && blas->handle() != nullptr; }

/// As many vectors at a time as a gemv takes.
template <typename T>
Status multiply_by_gemv(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                        Activations activations, std::span<std::uint8_t> workspace,
                        Stream stream) {
  return detail::in_passes(
      kMaxBatch, x, y, [&](const MatrixView<const T>& pass_x, const MatrixView<float>& pass_y) {
        return gemv(tensor, pass_x, pass_y, activations, workspace, stream);
      });
}

template <typename T>
Status multiply(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                Activations activations, std::span<std::uint8_t> workspace, Stream stream,
                const Blas* blas) {
  const detail::Numbers<T> input{x};
  if (Status status = detail::check_shapes(tensor, input, y); !status) return status;
  if (blas != nullptr && !has_handle(blas)) {
    return {StatusCode::invalid_argument, "a Blas that was moved from"};
  }
  if (tensor.rows == 0 || x.rows == 0) return {};
  if (tensor.cols == 0) return detail::clear(y, stream);
  switch (gemm_path(tensor, x.rows, blas)) {
    case GemmPath::gemv:
      return multiply_by_gemv(tensor, x, y, activations, workspace, stream);
    case GemmPath::half:
      return detail::multiply_half(tensor, x, y, workspace, stream);
    default:
      return detail::multiply_panels(tensor, x, y, *blas, workspace, stream);
  }
}

}  // namespace

GemmPath gemm_path(const DeviceTensorView& tensor, std::size_t batch, const Blas* blas) noexcept {
  if (has_handle(blas) && batch >= blas->from()) return GemmPath::blas;
  const bool gemv_only = tensor.codec == Codec::h4 && tensor.layout == Layout::raw;
  return batch < kGemmFrom || gemv_only ? GemmPath::gemv : GemmPath::half;
}

std::size_t gemm_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations, const Blas* blas) noexcept {
  int count = 0;
  if (!detail::check("cudaDeviceGetAttribute", detail::multiprocessors(count))) return 0;
  if (!detail::has_product(tensor, batch)) return 0;
  std::size_t bytes = gemv_workspace_bytes(tensor, std::min(batch, kMaxBatch), activations);
  const std::size_t own = has_handle(blas) ? std::min(batch, blas->from() - 1) : batch;
  if (gemm_path(tensor, own) == GemmPath::half) {
    bytes = std::max(bytes, detail::gemm_half_bytes(tensor, own, static_cast<unsigned>(count)));
  }
  if (own < batch) bytes = std::max(bytes, detail::panels_bytes(tensor, batch));
  return bytes;
}

Status gemm(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, x, y, activations, workspace, stream, blas); });
}
Status gemm(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, x, y, activations, workspace, stream, blas); });
}
Status gemm(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream,
            const Blas* blas) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, x, y, activations, workspace, stream, blas); });
}

}  // namespace ecco::cuda

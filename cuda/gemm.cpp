// SPDX-License-Identifier: MIT
// Products with many vectors: the choice of a way, and own kernels: the workspace, passes of up to
// 512 vectors, launches.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "gemm_job.hpp"
#include "launch.hpp"
#include "panels.hpp"
#include "products.hpp"

namespace ecco::cuda {
namespace {

using detail::check;

constexpr std::size_t kPassVectors = 512;  ///< bounds the workspace

/// Sizes of one pass.
struct Pass {
  std::size_t vectors;  ///< the pass's, rounded up to whole blocks of threads
  std::size_t groups;

  [[nodiscard]] std::size_t half_bytes() const { return vectors * groups * kGroup * 2; }
  [[nodiscard]] std::size_t bytes() const { return half_bytes() + vectors * groups * 4; }
};

Pass make_pass(const DeviceTensorView& tensor, std::size_t batch) {
  constexpr std::size_t kBlock = detail::kGemmColumns;
  return {(std::min(batch, kPassVectors) + kBlock - 1) / kBlock * kBlock,
          blocks_per_row(tensor.cols)};
}

template <typename T>
MatrixView<T> rows_of(const MatrixView<T>& matrix, std::size_t first, std::size_t count) {
  return {matrix.row(first), count, matrix.cols, matrix.row_stride};
}

/// Rounds the vectors of a pass to half and multiplies.
template <typename T>
Status run_pass(const DeviceTensorView& tensor, const Pass& pass, MatrixView<const T> x,
                MatrixView<float> y, std::uint8_t* workspace, Stream stream) {
  auto* factors = reinterpret_cast<float*>(workspace + pass.half_bytes());
  const auto vectors = static_cast<unsigned>(pass.vectors);
  const auto batch = static_cast<unsigned>(x.rows);
  const auto groups = static_cast<unsigned>(pass.groups);
  const detail::RoundJob round{x.row_stride, static_cast<unsigned>(tensor.cols),  batch,
                               groups,       reinterpret_cast<uint2*>(workspace), factors};
  Status status = check("round_half", detail::round_half(round, x.data, vectors, stream));
  if (!status) return status;
  detail::GemmJob job{};
  job.tiles = reinterpret_cast<const uint4*>(tensor.blocks);
  job.gated = detail::product_table(tensor);
  job.codes = tensor.codes;
  job.x = reinterpret_cast<const uint4*>(workspace);
  job.factors = factors;
  job.y = y.data;
  job.y_stride = y.row_stride;
  job.tensor_scale = tensor.tensor_scale;
  job.rows = static_cast<unsigned>(tensor.rows);
  job.row_tiles = static_cast<unsigned>((tensor.rows + kTileRows - 1) / kTileRows);
  job.column_tiles = groups;
  job.batch = batch;
  job.vectors = vectors;
  switch (tensor.layout) {
    case Layout::raw:
      return check("gemm", detail::gemm_raw(tensor.codec, job, stream));
    case Layout::dense:
      return check("gemm", detail::gemm_dense(job, stream));
    case Layout::paired:
      return check("gemm", detail::gemm_paired(job, stream));
    default:
      return check("gemm", detail::gemm_fast(tensor.codec, job, stream));
  }
}

/// As many vectors at a time as a gemv takes.
template <typename T>
Status multiply_by_gemv(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                        Activations activations, std::span<std::uint8_t> workspace,
                        Stream stream) {
  Status status;
  for (std::size_t first = 0; first < x.rows && status; first += kMaxBatch) {
    const std::size_t batch = std::min(kMaxBatch, x.rows - first);
    status = gemv(tensor, rows_of(x, first, batch), rows_of(y, first, batch), activations,
                  workspace, stream);
  }
  return status;
}

template <typename T>
Status multiply_in_half(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                        std::span<std::uint8_t> workspace, Stream stream) {
  Status status = detail::check_workspace(workspace, make_pass(tensor, x.rows).bytes());
  for (std::size_t first = 0; first < x.rows && status; first += kPassVectors) {
    const std::size_t batch = std::min(kPassVectors, x.rows - first);
    status = run_pass<T>(tensor, make_pass(tensor, batch), rows_of(x, first, batch),
                         rows_of(y, first, batch), workspace.data(), stream);
  }
  return status;
}

template <typename T>
Status multiply(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                Activations activations, std::span<std::uint8_t> workspace, Stream stream,
                const Blas* blas) {
  const detail::Numbers<T> input{x};
  if (Status status = detail::check_shapes(tensor, input, y); !status) return status;
  if (tensor.rows == 0 || x.rows == 0) return {};
  if (tensor.cols == 0) return detail::clear(y, stream);
  switch (gemm_path(tensor, x.rows, blas)) {
    case GemmPath::gemv:
      return multiply_by_gemv(tensor, x, y, activations, workspace, stream);
    case GemmPath::half:
      return multiply_in_half(tensor, x, y, workspace, stream);
    default:
      return detail::multiply_panels(tensor, x, y, *blas, workspace, stream);
  }
}

}  // namespace

GemmPath gemm_path(const DeviceTensorView& tensor, std::size_t batch, const Blas* blas) noexcept {
  if (blas != nullptr && batch >= blas->from()) return GemmPath::blas;
  return batch < kGemmFrom || tensor.codec == Codec::h4 ? GemmPath::gemv : GemmPath::half;
}

std::size_t gemm_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations, const Blas* blas) noexcept {
  if (tensor.rows == 0 || tensor.cols == 0 || batch == 0) return 0;
  std::size_t bytes = gemv_workspace_bytes(tensor, std::min(batch, kMaxBatch), activations);
  const std::size_t own = blas != nullptr ? std::min(batch, blas->from() - 1) : batch;
  if (gemm_path(tensor, own) == GemmPath::half) {
    bytes = std::max(bytes, make_pass(tensor, own).bytes());
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

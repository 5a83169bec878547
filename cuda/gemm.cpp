// SPDX-License-Identifier: MIT
// Host side of products with many vectors: the workspace, passes of up to 512 vectors, launches.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "launch.hpp"
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

/// H4: as many vectors at a time as a gemv takes.
template <typename T>
Status multiply_by_gemv(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                        Activations activations, std::span<std::uint8_t> workspace,
                        Stream stream) {
  if (Status status = detail::check_shapes(tensor, detail::Numbers<T>{x}, y); !status) {
    return status;
  }
  Status status;
  for (std::size_t first = 0; first < x.rows && status; first += kMaxBatch) {
    const std::size_t batch = std::min(kMaxBatch, x.rows - first);
    const MatrixView<const T> part{x.row(first), batch, x.cols, x.row_stride};
    status = gemv(tensor, part, {y.row(first), batch, y.cols, y.row_stride}, activations,
                  workspace, stream);
  }
  return status;
}

template <typename T>
Status multiply(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                Activations activations, std::span<std::uint8_t> workspace, Stream stream) {
  if (x.rows == 0) return detail::check_shapes(tensor, detail::Numbers<T>{x}, y);
  if (x.rows < kGemmFrom) return gemv(tensor, x, y, activations, workspace, stream);
  if (tensor.codec == Codec::h4) {
    return multiply_by_gemv(tensor, x, y, activations, workspace, stream);
  }
  const detail::Numbers<T> input{x};
  if (Status status = detail::check_shapes(tensor, input, y); !status) return status;
  if (tensor.rows == 0) return {};
  if (tensor.cols == 0) return detail::clear(y, stream);
  const Pass pass = make_pass(tensor, x.rows);
  if (Status status = detail::check_workspace(workspace, pass.bytes()); !status) return status;
  Status status;
  for (std::size_t first = 0; first < x.rows && status; first += kPassVectors) {
    const std::size_t batch = std::min(kPassVectors, x.rows - first);
    status =
        run_pass<T>(tensor, make_pass(tensor, batch), {x.row(first), batch, x.cols, x.row_stride},
                    {y.row(first), batch, y.cols, y.row_stride}, workspace.data(), stream);
  }
  return status;
}

}  // namespace

std::size_t gemm_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations) noexcept {
  if (batch < kGemmFrom || tensor.codec == Codec::h4) {
    return gemv_workspace_bytes(tensor, std::min(batch, kMaxBatch), activations);
  }
  return tensor.rows == 0 ? 0 : make_pass(tensor, batch).bytes();
}

Status gemm(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] { return multiply(tensor, x, y, activations, workspace, stream); });
}
Status gemm(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] { return multiply(tensor, x, y, activations, workspace, stream); });
}
Status gemm(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] { return multiply(tensor, x, y, activations, workspace, stream); });
}

}  // namespace ecco::cuda

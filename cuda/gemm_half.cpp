// SPDX-License-Identifier: MIT
// Own products in half: passes of up to 512 vectors, their workspace, launches.
#include "gemm_half.hpp"

#include <algorithm>

#include "add_slices.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "gemm_job.hpp"
#include "products.hpp"

namespace ecco::cuda::detail {
namespace {

constexpr std::size_t kPassVectors = 512;  ///< bounds the workspace

constexpr std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

/// Sizes of one pass.
struct Pass {
  std::size_t vectors;  ///< the pass's, rounded up to whole blocks of threads
  std::size_t groups;
  std::size_t row_tiles;
  GemvPlan plan;

  /// The kernel's sums are the results, but for the sparse corrections.
  [[nodiscard]] bool direct() const { return plan.slices == 1; }
  [[nodiscard]] std::size_t half_bytes() const { return vectors * groups * kGroup * 2; }
  [[nodiscard]] std::size_t factor_bytes() const { return vectors * groups * 4; }
  [[nodiscard]] std::size_t sum_bytes() const {
    return direct() ? 0 : plan.slices * vectors * row_tiles * kTileRows * 4;
  }
  [[nodiscard]] std::size_t bytes() const { return half_bytes() + factor_bytes() + sum_bytes(); }
};

Pass make_pass(const DeviceTensorView& tensor, std::size_t batch, unsigned multiprocessors) {
  Pass pass{};
  pass.vectors = ceil_div(std::min(batch, kPassVectors), kGemmColumns) * kGemmColumns;
  pass.groups = blocks_per_row(tensor.cols);
  pass.row_tiles = row_tiles_of(tensor.rows);
  const std::size_t blocks = ceil_div(pass.row_tiles, kGemmRowTiles) * pass.vectors / kGemmColumns;
  pass.plan = gemm_plan(static_cast<unsigned>(blocks), static_cast<unsigned>(pass.groups),
                        multiprocessors);
  return pass;
}

/// A product without activations and sums.
GemmJob gemm_job(const DeviceTensorView& tensor, const Pass& pass, std::size_t batch) {
  GemmJob job{};
  describe_tiles(tensor, job);
  job.row_tiles = static_cast<unsigned>(pass.row_tiles);
  job.plan = pass.plan;
  job.batch = static_cast<unsigned>(batch);
  job.vectors = static_cast<unsigned>(pass.vectors);
  return job;
}

/// The kernel of the tensor's codec and layout.
cudaError_t gemm_launch(const DeviceTensorView& tensor, const GemmJob& job, Stream stream) {
  switch (tensor.layout) {
    case Layout::raw:
      return gemm_raw(tensor.codec, job, stream);
    case Layout::dense:
      return gemm_dense(job, stream);
    case Layout::paired:
      return gemm_paired(job, stream);
    default:
      return tensor.codec == Codec::h4 ? gemm_h4(job, stream)
                                       : gemm_fast(tensor.codec, job, stream);
  }
}

/// y = the sums over slices, which lie in the workspace unless the pass is direct; h4: and then
/// the sparse corrections.
Status finish(const DeviceTensorView& tensor, const Pass& pass, const GemmJob& job,
              const MatrixView<float>& y, Stream stream) {
  Status status;
  if (!pass.direct()) {
    const SlicesJob slices{.sums = job.sums,
                           .slice_stride = std::size_t{job.vectors} * job.sum_stride,
                           .sum_stride = job.sum_stride,
                           .slices = job.plan.slices,
                           .rows = job.rows,
                           .batch = job.batch,
                           .digits = 1,
                           .y = y.data,
                           .y_stride = y.row_stride};
    status = check("add_slices", add_slices(slices, stream));
  }
  if (!status || tensor.codec != Codec::h4) return status;
  return check("gemm_corrections", gemm_corrections(job, y.data, y.row_stride, stream));
}

/// Rounds the vectors of a pass to half, multiplies, and adds up.
template <typename T>
Status run_pass(const DeviceTensorView& tensor, const Pass& pass, const MatrixView<const T>& x,
                const MatrixView<float>& y, std::uint8_t* workspace, Stream stream) {
  auto* factors = reinterpret_cast<float*>(workspace + pass.half_bytes());
  GemmJob job = gemm_job(tensor, pass, x.rows);
  const RoundJob round{x.row_stride,     static_cast<unsigned>(tensor.cols),          job.batch,
                       job.column_tiles, reinterpret_cast<std::uint32_t*>(workspace), factors};
  Status status = check("round_half", round_half(round, x.data, job.vectors, stream));
  if (!status) return status;
  job.x = reinterpret_cast<const uint4*>(workspace);
  job.factors = factors;
  job.sums = pass.direct() ? y.data : factors + pass.vectors * pass.groups;
  job.sum_stride = pass.direct() ? y.row_stride : pass.row_tiles * kTileRows;
  status = check("gemm", gemm_launch(tensor, job, stream));
  return status ? finish(tensor, pass, job, y, stream) : status;
}

}  // namespace

std::size_t gemm_half_bytes(const DeviceTensorView& tensor, std::size_t batch,
                            unsigned multiprocessors) noexcept {
  std::size_t bytes = 0;  // fewer vectors may be cut into more slices
  for (std::size_t pass = std::min(batch, kPassVectors); pass > 0;
       pass -= std::min<std::size_t>(pass, kGemmColumns)) {
    bytes = std::max(bytes, make_pass(tensor, pass, multiprocessors).bytes());
  }
  return bytes;
}

template <typename T>
Status multiply_half(const DeviceTensorView& tensor, MatrixView<const T> x, MatrixView<float> y,
                     std::span<std::uint8_t> workspace, Stream stream) {
  int count = 0;
  Status status = check("cudaDeviceGetAttribute", multiprocessors(count));
  if (!status) return status;
  const auto sms = static_cast<unsigned>(count);
  status = check_workspace(workspace, gemm_half_bytes(tensor, x.rows, sms));
  if (!status) return status;
  return in_passes(kPassVectors, x, y,
                   [&](const MatrixView<const T>& pass_x, const MatrixView<float>& pass_y) {
                     return run_pass(tensor, make_pass(tensor, pass_x.rows, sms), pass_x, pass_y,
                                     workspace.data(), stream);
                   });
}

template Status multiply_half(const DeviceTensorView&, MatrixView<const half>, MatrixView<float>,
                              std::span<std::uint8_t>, Stream);
template Status multiply_half(const DeviceTensorView&, MatrixView<const bfloat16>,
                              MatrixView<float>, std::span<std::uint8_t>, Stream);
template Status multiply_half(const DeviceTensorView&, MatrixView<const float>, MatrixView<float>,
                              std::span<std::uint8_t>, Stream);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Host side of products: checks, the workspace, and the launches.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "add_slices.hpp"
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "gemv_job.hpp"
#include "launch.hpp"
#include "products.hpp"

namespace ecco::cuda {
namespace {

using detail::check;

/// Sizes of one pass: up to 16 columns.
struct Pass {
  unsigned batch;
  unsigned digits;
  unsigned row_tiles;
  unsigned column_tiles;
  detail::GemvPlan plan;

  [[nodiscard]] unsigned columns() const { return batch * digits; }
  [[nodiscard]] unsigned n_tiles() const { return columns() > 8 ? 2 : 1; }
  /// Columns stored per n-tile.
  [[nodiscard]] unsigned stored() const { return std::min(detail::stored_columns(columns()), 8u); }
  /// The kernel's sums are the results.
  [[nodiscard]] bool direct() const { return plan.slices == 1 && digits == 1; }

  [[nodiscard]] std::size_t fragment_bytes() const {
    return std::size_t{column_tiles} * n_tiles() * stored() * 128;
  }
  [[nodiscard]] std::size_t factor_bytes() const {
    return std::size_t{column_tiles} * n_tiles() * 32;
  }
  [[nodiscard]] std::size_t sum_bytes() const {
    return direct() ? 0 : std::size_t{plan.slices} * columns() * row_tiles * kTileRows * 4;
  }
  [[nodiscard]] std::size_t bytes() const {
    return fragment_bytes() + factor_bytes() + sum_bytes();
  }
};

Pass make_pass(const DeviceTensorView& tensor, std::size_t batch, Activations activations,
               int multiprocessors) {
  Pass pass{};
  pass.digits = activations == Activations::int16 ? 2 : 1;
  pass.batch = static_cast<unsigned>(std::min<std::size_t>(batch, 16 / pass.digits));
  pass.row_tiles = static_cast<unsigned>(row_tiles_of(tensor.rows));
  pass.column_tiles = static_cast<unsigned>(blocks_per_row(tensor.cols));
  pass.plan =
      detail::gemv_plan(pass.row_tiles, pass.column_tiles, static_cast<unsigned>(multiprocessors));
  return pass;
}

template <typename Input>
Status check_gemv(const DeviceTensorView& tensor, const Input& x, const MatrixView<float>& y) {
  if (x.rows() > kMaxBatch) {
    return {StatusCode::invalid_argument,
            "gemv of " + std::to_string(x.rows()) + " vectors, the most are 16"};
  }
  return detail::check_shapes(tensor, x, y);
}

/// Quantises the vectors of a pass, multiplies, and adds up slices and digits.
template <typename Input>
Status run_pass(const DeviceTensorView& tensor, const Pass& pass, const Input& x,
                std::size_t first, float* y, std::size_t y_stride, std::uint8_t* workspace,
                Stream stream) {
  auto* fragments = reinterpret_cast<std::uint32_t*>(workspace);
  auto* factors = reinterpret_cast<float*>(workspace + pass.fragment_bytes());
  auto* sums = reinterpret_cast<float*>(workspace + pass.fragment_bytes() + pass.factor_bytes());
  const detail::QuantizeJob quantize{0,
                                     static_cast<unsigned>(tensor.cols),
                                     pass.column_tiles,
                                     pass.n_tiles(),
                                     pass.stored(),
                                     fragments,
                                     factors};
  Status status =
      check("quantize", x.quantize(quantize, first, pass.batch, pass.digits == 2, stream));
  if (!status) return status;
  detail::GemvJob job = detail::gemv_job(tensor);
  job.x = reinterpret_cast<const uint4*>(fragments);
  job.factors = factors;
  job.sums = pass.direct() ? y : sums;
  job.slice = pass.plan.slice;
  job.columns = pass.columns();
  job.sum_stride = pass.direct() ? y_stride : std::size_t{pass.row_tiles} * kTileRows;
  status = check("gemv", detail::gemv_launch(tensor, job, pass.plan.slices, stream));
  if (!status || pass.direct()) return status;
  const detail::SlicesJob slices{.sums = sums,
                                 .slice_stride = pass.columns() * job.sum_stride,
                                 .sum_stride = job.sum_stride,
                                 .slices = pass.plan.slices,
                                 .rows = job.rows,
                                 .batch = pass.batch,
                                 .digits = pass.digits,
                                 .y = y,
                                 .y_stride = y_stride};
  return check("add_slices", detail::add_slices(slices, stream));
}

template <typename Input>
Status multiply(const DeviceTensorView& tensor, const Input& x, MatrixView<float> y,
                Activations activations, std::span<std::uint8_t> workspace, Stream stream) {
  if (Status status = check_gemv(tensor, x, y); !status) return status;
  if (tensor.rows == 0 || x.rows() == 0) return {};
  if (tensor.cols == 0) return detail::clear(y, stream);
  int count = 0;
  Status status = check("cudaDeviceGetAttribute", detail::multiprocessors(count));
  if (!status) return status;
  Pass pass = make_pass(tensor, x.rows(), activations, count);
  status = detail::check_workspace(workspace, pass.bytes());
  for (std::size_t first = 0; first < x.rows() && status; first += pass.batch) {
    pass.batch = static_cast<unsigned>(std::min<std::size_t>(pass.batch, x.rows() - first));
    status =
        run_pass(tensor, pass, x, first, y.row(first), y.row_stride, workspace.data(), stream);
  }
  return status;
}

}  // namespace

std::size_t gemv_workspace_bytes(const DeviceTensorView& tensor, std::size_t batch,
                                 Activations activations) noexcept {
  int count = 0;
  if (!check("cudaDeviceGetAttribute", detail::multiprocessors(count))) return 0;
  if (!detail::has_product(tensor, batch)) return 0;
  return make_pass(tensor, batch, activations, count).bytes();
}

Status gemv(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] {
    return multiply(tensor, detail::Numbers<half>{x}, y, activations, workspace, stream);
  });
}
Status gemv(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] {
    return multiply(tensor, detail::Numbers<bfloat16>{x}, y, activations, workspace, stream);
  });
}
Status gemv(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded([&] {
    return multiply(tensor, detail::Numbers<float>{x}, y, activations, workspace, stream);
  });
}
Status gemv(const DeviceTensorView& tensor, const A8View& x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, detail::A8Blocks{x}, y, activations, workspace, stream); });
}

}  // namespace ecco::cuda

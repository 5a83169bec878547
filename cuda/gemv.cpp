// SPDX-License-Identifier: MIT
// Host side of products: checks, the workspace, and the launches.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <string>

#include "ecco/a8.hpp"
#include "ecco/cuda/device.hpp"
#include "ecco/cuda/tile_row.hpp"
#include "errors.hpp"
#include "launch.hpp"

namespace ecco::cuda {
namespace {

using detail::aligned;
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
  pass.batch = std::min(static_cast<unsigned>(batch), 16 / pass.digits);
  pass.row_tiles = static_cast<unsigned>((tensor.rows + kTileRows - 1) / kTileRows);
  pass.column_tiles = static_cast<unsigned>(blocks_per_row(tensor.cols));
  pass.plan =
      detail::gemv_plan(pass.row_tiles, pass.column_tiles, static_cast<unsigned>(multiprocessors));
  return pass;
}

/// Vectors of half, bfloat16 or float.
template <typename T>
struct Numbers {
  MatrixView<const T> x;

  [[nodiscard]] std::size_t rows() const { return x.rows; }
  [[nodiscard]] std::size_t cols() const { return x.cols; }
  [[nodiscard]] Status check_memory() const {
    if (x.rows > 1 && x.row_stride < x.cols) {
      return {StatusCode::invalid_argument, "the rows of x overlap"};
    }
    if (aligned(x.data, sizeof(T))) return {};
    return {StatusCode::invalid_argument, "x is not aligned to its values"};
  }
  cudaError_t quantize(detail::QuantizeJob job, std::size_t first, unsigned batch, bool two_digits,
                       Stream stream) const {
    job.x_stride = x.row_stride;
    return detail::quantize(job, x.row(first), batch, two_digits, stream);
  }
};

/// Vectors of A8 blocks.
struct A8Blocks {
  A8View x;

  [[nodiscard]] std::size_t rows() const { return x.rows; }
  [[nodiscard]] std::size_t cols() const { return x.cols; }
  [[nodiscard]] Status check_memory() const {
    if (aligned(x.blocks, detail::kAlignment)) return {};
    return {StatusCode::invalid_argument, "the blocks of x are not aligned to 16 bytes"};
  }
  cudaError_t quantize(detail::QuantizeJob job, std::size_t first, unsigned batch, bool two_digits,
                       Stream stream) const {
    job.x_stride = (x.cols + a8::kValues - 1) / a8::kValues * a8::kValues;
    return detail::quantize_a8(job, x.blocks + first * job.x_stride, x.tensor_scale, batch,
                               two_digits, stream);
  }
};

template <typename Input>
Status check_product(const DeviceTensorView& tensor, const Input& x, const MatrixView<float>& y) {
  if (tensor.layout != Layout::dense && tensor.layout != Layout::fast) {
    return {StatusCode::unsupported, "products take tensors of layout dense or fast"};
  }
  if (x.cols() != tensor.cols || y.cols != tensor.rows || x.rows() != y.rows) {
    return {StatusCode::shape_mismatch,
            "a " + std::to_string(tensor.rows) + " x " + std::to_string(tensor.cols) +
                " tensor, x of " + std::to_string(x.rows()) + " x " + std::to_string(x.cols()) +
                ", y of " + std::to_string(y.rows) + " x " + std::to_string(y.cols)};
  }
  if (x.rows() == 0 || x.rows() > kMaxBatch) {
    return {StatusCode::invalid_argument, std::to_string(x.rows()) + " vectors are not 1..16"};
  }
  if (Status status = x.check_memory(); !status) return status;
  if (y.rows > 1 && y.row_stride < y.cols) {
    return {StatusCode::invalid_argument, "the rows of y overlap"};
  }
  if (!aligned(y.data, sizeof(float))) {
    return {StatusCode::invalid_argument, "y is not aligned to its values"};
  }
  if (!aligned(tensor.blocks, detail::kAlignment)) {
    return {StatusCode::invalid_argument, "the tiles are not aligned to 16 bytes"};
  }
  return detail::check_device(tensor.device);
}

/// Quantises the vectors of a pass, multiplies, and adds up slices and digits.
template <typename Input>
Status run_pass(const DeviceTensorView& tensor, const Pass& pass, const Input& x,
                std::size_t first, float* y, std::size_t y_stride, std::uint8_t* workspace,
                Stream stream) {
  auto* fragments = reinterpret_cast<std::uint32_t*>(workspace);
  auto* factors = reinterpret_cast<float*>(workspace + pass.fragment_bytes());
  auto* sums = reinterpret_cast<float*>(workspace + pass.fragment_bytes() + pass.factor_bytes());
  const auto rows = static_cast<unsigned>(tensor.rows);
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
  detail::GemvJob job{};
  job.tiles = reinterpret_cast<const uint4*>(tensor.blocks);
  job.gated = tensor.gated;
  job.codes = tensor.codes;
  job.x = reinterpret_cast<const uint4*>(fragments);
  job.factors = factors;
  job.sums = pass.direct() ? y : sums;
  job.tensor_scale = tensor.tensor_scale;
  job.rows = rows;
  job.row_tiles = pass.row_tiles;
  job.column_tiles = pass.column_tiles;
  job.slice = pass.plan.slice;
  job.columns = pass.columns();
  job.sum_stride = pass.direct() ? y_stride : std::size_t{pass.row_tiles} * kTileRows;
  status = check("gemv", detail::gemv_tiles(tensor.codec, tensor.layout == Layout::dense, job,
                                            pass.plan.slices, stream));
  if (!status || pass.direct()) return status;
  return check("gemv_finish",
               detail::gemv_finish({sums, y, y_stride, rows, pass.batch, pass.digits,
                                    pass.plan.slices, pass.columns(), job.sum_stride},
                                   stream));
}

template <typename Input>
Status multiply(const DeviceTensorView& tensor, const Input& x, MatrixView<float> y,
                Activations activations, std::span<std::uint8_t> workspace, Stream stream) {
  if (Status status = check_product(tensor, x, y); !status) return status;
  if (tensor.rows == 0) return {};
  if (tensor.cols == 0) {
    return check("cudaMemset2DAsync", cudaMemset2DAsync(y.data, y.row_stride * sizeof(float), 0,
                                                        y.cols * sizeof(float), y.rows, stream));
  }
  int count = 0;
  Status status = check("cudaDeviceGetAttribute", detail::multiprocessors(count));
  if (!status) return status;
  Pass pass = make_pass(tensor, x.rows(), activations, count);
  if (workspace.size() < pass.bytes() || !aligned(workspace.data(), detail::kAlignment)) {
    return {StatusCode::invalid_argument, "a workspace of " + std::to_string(workspace.size()) +
                                              " bytes, but " + std::to_string(pass.bytes()) +
                                              ", aligned to 16, are needed"};
  }
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
  if (detail::multiprocessors(count) != cudaSuccess) return 0;
  if (tensor.rows == 0 || tensor.cols == 0 || batch == 0) return 0;
  return make_pass(tensor, batch, activations, count).bytes();
}

Status gemv(const DeviceTensorView& tensor, MatrixView<const half> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, Numbers<half>{x}, y, activations, workspace, stream); });
}
Status gemv(const DeviceTensorView& tensor, MatrixView<const bfloat16> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, Numbers<bfloat16>{x}, y, activations, workspace, stream); });
}
Status gemv(const DeviceTensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, Numbers<float>{x}, y, activations, workspace, stream); });
}
Status gemv(const DeviceTensorView& tensor, const A8View& x, MatrixView<float> y,
            Activations activations, std::span<std::uint8_t> workspace, Stream stream) noexcept {
  return detail::guarded(
      [&] { return multiply(tensor, A8Blocks{x}, y, activations, workspace, stream); });
}

}  // namespace ecco::cuda

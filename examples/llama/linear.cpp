// SPDX-License-Identifier: MIT
#include "llama/linear.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "ecco/gemm.hpp"

namespace llama {
namespace {

using ecco::MatrixView;
using ecco::ParallelFor;
using ecco::Status;
using ecco::StatusCode;

/// Below so many multiplications waking other threads costs more than it gains.
constexpr std::size_t kSerialProducts = std::size_t{1} << 17;
const ParallelFor kSerial = ecco::serial;
/// Widened rows that stay in the first-level cache beside the inputs.
constexpr std::size_t kTileFloats = 6 * 1024;

std::optional<Dtype> dtype_of(const std::string& name) {
  if (name == "F16") return Dtype::f16;
  if (name == "BF16") return Dtype::bf16;
  if (name == "F32") return Dtype::f32;
  return {};
}

struct DenseWeights {
  const std::uint8_t* data;
  Dtype dtype;
  std::size_t rows;
  std::size_t cols;
};

/// The same rows with zeros up to whole lanes.
Matrix pad(MatrixView<const float> x) {
  Matrix out(x.rows, padded(x.cols));
  for (std::size_t b = 0; b < x.rows; ++b) std::copy_n(x.row(b), x.cols, out.view().row(b));
  return out;
}

/// Columns begin .. end - 1 of y: widens some rows of the weights, multiplies them with the whole
/// batch, goes on.
void multiply_rows(const Kernels& kernels, const DenseWeights& w, std::size_t begin,
                   std::size_t end, std::size_t tile, MatrixView<const float> x,
                   MatrixView<float> y) {
  const std::size_t stride = padded(w.cols);
  const auto rows = std::make_unique<float[]>(tile * stride);
  for (std::size_t r = begin; r < end; r += tile) {
    const std::size_t count = std::min(tile, end - r);
    for (std::size_t i = 0; i < count; ++i) {
      kernels.widen(w.dtype, w.data + (r + i) * w.cols * value_bytes(w.dtype), w.cols,
                    rows.get() + i * stride);
    }
    kernels.multiply({rows.get(), count, w.cols, stride}, x,
                     {y.data + r, y.rows, count, y.row_stride});
  }
}

/// `x` has padded(w.cols) columns.
void multiply_dense(const Kernels& kernels, const DenseWeights& w, MatrixView<const float> x,
                    MatrixView<float> y, const ParallelFor& parallel) {
  const std::size_t tile = std::max<std::size_t>(kTileFloats / padded(w.cols) / 4 * 4, 4);
  parallel((w.rows + tile - 1) / tile, [&](std::size_t begin, std::size_t end) {
    multiply_rows(kernels, w, begin * tile, std::min(w.rows, end * tile), tile, x, y);
  });
}

}  // namespace

ecco::Result<const ecco::ModelTensor*> find_tensor(const ecco::Model& model,
                                                   const std::string& name,
                                                   const std::vector<std::uint64_t>& shape) {
  const ecco::ModelTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    return ecco::fail(StatusCode::invalid_argument,
                      fmt::format("the model has no tensor {}", name));
  }
  if (tensor->shape != shape) {
    return ecco::fail(StatusCode::shape_mismatch,
                      fmt::format("{}: the shape is {}, but config.json asks for {}", name,
                                  fmt::join(tensor->shape, " x "), fmt::join(shape, " x ")));
  }
  return tensor;
}

ecco::Result<Linear> Linear::find(const ecco::Model& model, const std::string& name,
                                  std::size_t rows, std::size_t cols) {
  const auto tensor = find_tensor(model, name, {rows, cols});
  if (!tensor) return ecco::fail(tensor.error());
  Linear linear;
  linear.tensor_ = *tensor;
  linear.rows_ = rows;
  linear.cols_ = cols;
  if ((*tensor)->codec) {
    linear.blocks_ = model.view(**tensor);
    return linear;
  }
  const std::optional<Dtype> dtype = dtype_of((*tensor)->dtype);
  if (!dtype) {
    return ecco::fail(StatusCode::unsupported,
                      fmt::format("{}: the type is {}; F16, BF16, F32 and compressed matrices are "
                                  "supported",
                                  name, (*tensor)->dtype));
  }
  linear.dtype_ = *dtype;
  return linear;
}

Status Linear::multiply(MatrixView<const float> x, MatrixView<float> y,
                        const ParallelFor& parallel) const {
  const bool small = rows_ * cols_ < kSerialProducts / std::max<std::size_t>(x.rows, 1);
  const ParallelFor& threads = small ? kSerial : parallel;
  if (blocks_) return ecco::gemm(*blocks_, x, y, threads);
  const auto kernels = active_kernels();
  if (!kernels) return kernels.error();
  const DenseWeights weights = {tensor_->stored.data(), dtype_, rows_, cols_};
  if (cols_ % kLanes == 0) {
    multiply_dense(**kernels, weights, x, y, threads);
  } else {
    const Matrix whole_lanes = pad(x);
    multiply_dense(**kernels, weights, whole_lanes.view(), y, threads);
  }
  return {};
}

}  // namespace llama

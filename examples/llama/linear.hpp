// SPDX-License-Identifier: MIT
// A weight matrix as it is stored: compressed blocks, or F16, BF16, F32 in the mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ecco/model.hpp"
#include "ecco/parallel.hpp"
#include "ecco/types.hpp"
#include "llama/kernels.hpp"

namespace llama {

/// Owns rows x cols values, dense.
struct Matrix {
  Matrix(std::size_t rows_, std::size_t cols_) : values(rows_ * cols_), rows(rows_), cols(cols_) {}
  [[nodiscard]] ecco::MatrixView<float> view() {
    return ecco::dense_view(values.data(), rows, cols);
  }
  [[nodiscard]] ecco::MatrixView<const float> view() const {
    return ecco::dense_view(values.data(), rows, cols);
  }

  std::vector<float> values;
  std::size_t rows;
  std::size_t cols;
};

inline ecco::MatrixView<const float> read_only(ecco::MatrixView<float> view) noexcept {
  return {view.data, view.rows, view.cols, view.row_stride};
}

/// The tensor of that name, checked for its shape. Errors: invalid_argument (missing),
/// shape_mismatch.
ecco::Result<const ecco::ModelTensor*> find_tensor(const ecco::Model& model,
                                                   const std::string& name,
                                                   const std::vector<std::uint64_t>& shape);

/// y = W x, W rows x cols under `name`. Nothing is copied: the model must outlive it.
class Linear {
 public:
  /// Errors: those of find_tensor; unsupported (dtype).
  static ecco::Result<Linear> find(const ecco::Model& model, const std::string& name,
                                   std::size_t rows, std::size_t cols);

  [[nodiscard]] const std::string& name() const noexcept { return tensor_->name; }
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::size_t cols() const noexcept { return cols_; }
  [[nodiscard]] const ecco::ModelTensor& tensor() const noexcept { return *tensor_; }
  /// Set if the matrix is compressed.
  [[nodiscard]] const std::optional<ecco::TensorView>& blocks() const noexcept { return blocks_; }

  /// y[b] = W x[b] for each row of x (batch x cols); y is batch x rows. A row's result does not
  /// depend on the rest of the batch. Sums are binary32. Errors: those of ecco::gemm.
  ecco::Status multiply(ecco::MatrixView<const float> x, ecco::MatrixView<float> y,
                        const ecco::ParallelFor& parallel) const;

 private:
  Linear() = default;

  const ecco::ModelTensor* tensor_ = nullptr;
  std::optional<ecco::TensorView> blocks_;
  Dtype dtype_ = Dtype::f32;  ///< if not compressed
  std::size_t rows_ = 0;
  std::size_t cols_ = 0;
};

}  // namespace llama

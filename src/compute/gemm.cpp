// SPDX-License-Identifier: MIT
#include "ecco/gemm.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "compute/run_rows.hpp"
#include "isa/kernels.hpp"

namespace ecco {
namespace {

// Uninitialised floats on a cache line boundary.
class ScratchFloats {
 public:
  // Throws std::bad_alloc, which run_rows reports.
  explicit ScratchFloats(std::size_t count)
      : data_(static_cast<float*>(
            ::operator new(std::max<std::size_t>(count, 1) * sizeof(float), kAlignment))) {}
  ~ScratchFloats() { ::operator delete(data_, kAlignment); }
  ScratchFloats(const ScratchFloats&) = delete;
  ScratchFloats& operator=(const ScratchFloats&) = delete;
  [[nodiscard]] float* get() const noexcept { return data_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  float* data_;
};

// Tiles of kGemmRows rows are what the threads share out, so that few ranges are shorter.
template <typename Body>
Status run_tiles(const ParallelFor& parallel, std::size_t rows, const Body& body) noexcept {
  const std::size_t tiles = rows / kGemmRows + (rows % kGemmRows != 0 ? 1 : 0);
  return run_rows(parallel, tiles, [&](std::size_t begin, std::size_t end) {
    body(RowRange{begin * kGemmRows, std::min(rows, end * kGemmRows)});
  });
}

// The batch's rows begin .. begin + count - 1.
template <typename T>
MatrixView<T> batch_rows(MatrixView<T> view, std::size_t begin, std::size_t count) noexcept {
  return {view.row(begin), count, view.cols, view.row_stride};
}

// The last group of each row of x, padded with 0 to 128 values, where it is shorter.
void copy_tails(MatrixView<const float> x, float* tails) noexcept {
  const std::size_t left = x.cols % kGroup;
  for (std::size_t b = 0; b < x.rows; ++b, tails += kGroup) {
    std::copy_n(x.row(b) + (x.cols - left), left, tails);
    std::fill_n(tails + left, kGroup - left, 0.0f);
  }
}

Status multiply(const CodecKernels& kernels, const TensorView& tensor, MatrixView<const float> x,
                MatrixView<float> y, const ParallelFor& parallel) {
  const ScratchFloats tails(x.cols % kGroup != 0 ? x.rows * kGroup : 0);
  if (x.cols % kGroup != 0) copy_tails(x, tails.get());
  return run_tiles(parallel, tensor.rows(), [&](RowRange rows) {
    const ScratchFloats scratch(gemm_scratch_floats(x.rows));
    kernels.gemm_f32(tensor, rows, x, tails.get(), y, scratch.get());
  });
}

}  // namespace

Status gemm(const TensorView& tensor, MatrixView<const float> x, MatrixView<float> y,
            const ParallelFor& parallel) noexcept {
  Status status = detail::check_gemm(tensor, x.rows, x.cols, y);
  if (!status) return status;
  if (x.rows == 1) {  // decoding in registers beats a tile that is used once
    return gemv(tensor, std::span(x.data, x.cols), std::span(y.data, y.cols), parallel);
  }
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  try {
    for (std::size_t b = 0; b < x.rows && status; b += kGemmBatch) {
      const std::size_t count = std::min(kGemmBatch, x.rows - b);
      status = multiply((*kernels)->compute.of(tensor.codec()), tensor, batch_rows(x, b, count),
                        batch_rows(y, b, count), parallel);
    }
  } catch (const std::bad_alloc&) {
    return {StatusCode::out_of_memory, "no memory for the product's scratch"};
  }
  return status;
}

Status gemm(const TensorView& tensor, std::span<const Int8Activations> x, MatrixView<float> y,
            const ParallelFor& parallel) noexcept {
  Status status = detail::check_gemm(tensor, x, y);
  if (!status) return status;
  if (x.size() == 1) return gemv(tensor, x[0], std::span(y.data, y.cols), parallel);
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  const auto kernel = (*kernels)->compute.of(tensor.codec()).gemm_int8;
  for (std::size_t b = 0; b < x.size() && status; b += kGemmBatch) {
    const std::size_t count = std::min(kGemmBatch, x.size() - b);
    status = run_tiles(parallel, tensor.rows(), [&](RowRange rows) {
      kernel(tensor, rows, x.subspan(b, count), batch_rows(y, b, count));
    });
  }
  return status;
}

}  // namespace ecco

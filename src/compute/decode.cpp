// SPDX-License-Identifier: MIT
#include "ecco/decode.hpp"

#include "isa/kernels.hpp"

namespace ecco {
namespace {

template <typename T, typename Kernel>
Status decode_with(Kernel CodecKernels::*kernel, const TensorView& tensor, std::size_t first_row,
                   MatrixView<T> out) noexcept {
  if (Status status = detail::check_rows(tensor, first_row, out.rows, out.cols, tensor.cols());
      !status) {
    return status;
  }
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  ((*kernels)->compute.of(tensor.codec()).*kernel)(tensor, first_row, out);
  return {};
}

}  // namespace

Status decode_rows(const TensorView& tensor, std::size_t first_row,
                   MatrixView<float> out) noexcept {
  return decode_with(&CodecKernels::decode_f32, tensor, first_row, out);
}

Status decode_rows(const TensorView& tensor, std::size_t first_row,
                   MatrixView<half> out) noexcept {
  return decode_with(&CodecKernels::decode_half, tensor, first_row, out);
}

Status decode_rows(const TensorView& tensor, std::size_t first_row,
                   MatrixView<bfloat16> out) noexcept {
  return decode_with(&CodecKernels::decode_bfloat16, tensor, first_row, out);
}

Status decode_rows(const TensorView& tensor, std::size_t first_row,
                   MatrixView<std::int8_t> centroids, MatrixView<float> factors) noexcept {
  if (Status status = detail::check_int8_rows(tensor, first_row, centroids, factors); !status) {
    return status;
  }
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  (*kernels)->compute.of(tensor.codec()).decode_int8(tensor, first_row, centroids, factors);
  return {};
}

}  // namespace ecco

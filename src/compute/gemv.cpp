// SPDX-License-Identifier: MIT
#include "ecco/gemv.hpp"

#include "compute/run_rows.hpp"
#include "isa/kernels.hpp"

namespace ecco {

Status gemv(const TensorView& tensor, std::span<const float> x, std::span<float> y,
            const ParallelFor& parallel) noexcept {
  if (Status status = detail::check_gemv(tensor, x.size(), y.size()); !status) return status;
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  const auto kernel = (*kernels)->compute.of(tensor.codec()).gemv_f32;
  return run_rows(parallel, tensor.rows(), [&](std::size_t begin, std::size_t end) {
    kernel(tensor, {begin, end}, x.data(), y.data());
  });
}

Status gemv(const TensorView& tensor, const Int8Activations& x, std::span<float> y,
            const ParallelFor& parallel) noexcept {
  if (Status status = detail::check_gemv(tensor, x.size(), y.size()); !status) return status;
  const Result<const Kernels*> kernels = active_kernels();
  if (!kernels) return kernels.error();
  const auto kernel = (*kernels)->compute.of(tensor.codec()).gemv_int8;
  return run_rows(parallel, tensor.rows(), [&](std::size_t begin, std::size_t end) {
    kernel(tensor, {begin, end}, x, y.data());
  });
}

}  // namespace ecco

// SPDX-License-Identifier: MIT
// The end of products that are cut in slices of K, or of two digits per activation, and the choice
// of a kernel. docs/cuda.md, "Products".
#include "ecco/planar.hpp"
#include "launch.hpp"

namespace ecco::cuda::detail {
namespace {

/// y = the sum over slices, then over digits (two columns per vector): one thread per value.
__global__ void __launch_bounds__(kThreads) finish_kernel(FinishJob job) {
  const unsigned row = blockIdx.x * kThreads + threadIdx.x;
  if (row >= job.rows) return;
  for (unsigned vector = blockIdx.y; vector < job.batch; vector += gridDim.y) {
    float sum = 0.0f;
    for (unsigned digit = 0; digit < job.digits; ++digit) {
      const unsigned column = vector * job.digits + digit;
      float part = 0.0f;
      for (unsigned slice = 0; slice < job.slices; ++slice) {
        const std::size_t at = static_cast<std::size_t>(slice) * job.columns + column;
        part = __fadd_rn(part, job.sums[at * job.sum_stride + row]);
      }
      sum = __fadd_rn(sum, part);
    }
    job.y[vector * job.y_stride + row] = sum;
  }
}

}  // namespace

cudaError_t gemv_tiles(Codec codec, Layout layout, const GemvJob& job, unsigned slices,
                       cudaStream_t stream) {
  if (layout == Layout::dense) return gemv_dense(job, slices, stream);
  if (layout == Layout::paired) return gemv_paired(job, slices, stream);
  if (codec == Codec::h4) return gemv_h4(job, slices, stream);
  return planar::dispatch(
      codec, [&](auto planes) { return gemv_fast<decltype(planes)::value>(job, slices, stream); });
}

cudaError_t gemv_finish(const FinishJob& job, cudaStream_t stream) {
  const dim3 grid((job.rows + kThreads - 1) / kThreads, job.batch);
  finish_kernel<<<grid, kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

}  // namespace ecco::cuda::detail

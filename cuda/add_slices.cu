// SPDX-License-Identifier: MIT
// The end of products that are cut in slices, or have two digits per activation.
#include "add_slices.hpp"

#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

/// One thread per value; a vector for each blockIdx.y, and the ones gridDim.y further.
__global__ void __launch_bounds__(kThreads) slices_kernel(SlicesJob job) {
  const unsigned row = blockIdx.x * kThreads + threadIdx.x;
  if (row >= job.rows) return;
  for (unsigned vector = blockIdx.y; vector < job.batch; vector += gridDim.y) {
    float sum = 0.0f;
    for (unsigned digit = 0; digit < job.digits; ++digit) {
      const float* sums = job.sums + (vector * job.digits + digit) * job.sum_stride + row;
      float part = 0.0f;
      for (unsigned slice = 0; slice < job.slices; ++slice) {
        part = __fadd_rn(part, sums[slice * job.slice_stride]);
      }
      sum = __fadd_rn(sum, part);
    }
    job.y[vector * job.y_stride + row] = sum;
  }
}

}  // namespace

cudaError_t add_slices(const SlicesJob& job, cudaStream_t stream) {
  const dim3 grid((job.rows + kThreads - 1) / kThreads, job.batch);
  return launch_kernel(slices_kernel, grid, kThreads, 0, stream, job);
}

}  // namespace ecco::cuda::detail

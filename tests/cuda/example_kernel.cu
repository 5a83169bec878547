// SPDX-License-Identifier: MIT
// How an engine uses the device functions in a kernel of its own: docs/cuda.md, "Use".
#include "ecco/cuda/planar.cuh"

namespace {

/// Sums of the absolute values of P4 blocks, which are decoded in registers and never stored.
/// Eight blocks per warp, a quad of lanes each.
__global__ void sum_kernel(const std::uint8_t* blocks, int count, const std::uint32_t* table,
                           float tensor_scale, float* sums) {
  __shared__ ecco::cuda::planar::SharedTables<2> tables;
  ecco::cuda::planar::load_tables<2>(tables, table);
  __syncthreads();
  const int t = threadIdx.x % 4;
  const int block = (blockIdx.x * blockDim.x + threadIdx.x) / 4;
  const int loaded = block < count ? block : count - 1;  // whole warps decode
  float sum = 0.0f;
  ecco::cuda::planar::decode_quad<2>(blocks + 64 * loaded, t, tables, tensor_scale,
                                     [&](int, const float(&values)[4]) {
                                       for (const float value : values) sum += fabsf(value);
                                     });
  sum += __shfl_xor_sync(0xffffffffu, sum, 1);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  if (t == 0 && block < count) sums[block] = sum;
}

}  // namespace

void sum_blocks(const std::uint8_t* blocks, int count, const std::uint8_t* table,
                float tensor_scale, float* sums) {
  const int threads = 128;
  sum_kernel<<<(4 * count + threads - 1) / threads, threads>>>(
      blocks, count, reinterpret_cast<const std::uint32_t*>(table), tensor_scale, sums);
}

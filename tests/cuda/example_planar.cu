// SPDX-License-Identifier: MIT
// How an engine uses the device functions in a kernel of its own: docs/cuda.md, "Use".
#include "ecco/cuda/encode_h4.cuh"
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

/// Doubles keys of 128 values, as a layer's last step might, and encodes them without storing them
/// first: a warp per key.
__global__ void encode_kernel(const float* keys, int count, ecco::cuda::h4::EncodeTables tables,
                              std::uint32_t* words) {
  __shared__ ecco::cuda::h4::EncodeScratch scratch[4];
  const int lane = threadIdx.x % 32;
  const int warp = threadIdx.x / 32;
  const int key = 4 * blockIdx.x + warp;
  if (key >= count) return;  // whole warps encode
  float values[4];
  for (int i = 0; i < 4; ++i) values[i] = 2.0f * keys[128 * key + 4 * lane + i];
  const std::uint32_t word =
      ecco::cuda::h4::encode_kv_warp(values, 128, tables, 1.0f, scratch[warp]);
  if (lane < 16) words[16 * key + lane] = word;
}

}  // namespace

void encode_keys(const float* keys, int count, const ecco::cuda::DeviceCodecView& codec,
                 std::uint32_t* words) {
  encode_kernel<<<(count + 3) / 4, 128>>>(keys, count, ecco::cuda::h4::encode_tables(codec),
                                          words);
}

void sum_blocks(const std::uint8_t* blocks, int count, const std::uint8_t* table,
                float tensor_scale, float* sums) {
  const int threads = 128;
  sum_kernel<<<(4 * count + threads - 1) / threads, threads>>>(
      blocks, count, reinterpret_cast<const std::uint32_t*>(table), tensor_scale, sums);
}

// SPDX-License-Identifier: MIT
// Activations -> half for gemm: a block of threads per group of 128 values of 64 vectors, or, for
// cuBLAS, per vector; a group or vector has a power of two as its factor where half would overflow
// or lose small values.
#include <type_traits>

#include "ecco/cuda/intrinsics.cuh"
#include "gemm_job.hpp"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr int kTopExponent = 14;  ///< of the largest magnitude of a scaled group

/// Factor 2^e such that largest / 2^e is in [2^14, 2^15), and its inverse; both are normal.
struct PowerOfTwo {
  float factor;
  float inverse;
};
__device__ __forceinline__ PowerOfTwo scale_for(float largest) {
  const std::uint32_t exponent = max(float_bits(largest) >> 23, kTopExponent + 1u);
  return {bits_float((exponent - kTopExponent) << 23),
          bits_float((254u + kTopExponent - exponent) << 23)};
}

/// The values 4 l..4 l + 3 of a vector's group in lane l, scaled, and the group's factor; with a
/// NaN or an infinity zeros and the factor NaN. Whole warps call it.
template <typename T>
__device__ __forceinline__ float scale_group(const RoundJob& job, const T* x, unsigned vector,
                                             unsigned group, float (&values)[4]) {
  const unsigned column = group * kGroup + 4 * static_cast<unsigned>(lane_index());
  load_four<false>(x + vector * job.x_stride + column, column, vector < job.batch ? job.cols : 0,
                   values);
  const float largest = warp_largest(values);
  const bool finite = largest < INFINITY;
  PowerOfTwo scale{1.0f, 1.0f};
  if constexpr (!std::is_same_v<T, half>) scale = scale_for(largest);
  if (!finite) scale = {NAN, 0.0f};
#pragma unroll
  for (float& value : values) value = finite ? value * scale.inverse : 0.0f;
  return scale.factor;
}

/// A block of threads takes a group of 64 vectors, a warp two at a time, whose halves are a word.
/// Compiled for four resident blocks: ptxas aims at 48 registers otherwise, and spills on sm_120.
template <typename T>
__global__ void __launch_bounds__(kThreads, 4)
    round_kernel(RoundJob job, const T* __restrict__ x) {
  constexpr unsigned kPairs = kGemmColumns / 2;
  __shared__ std::uint32_t pairs[kGroup][kPairs + 1];
  const unsigned group = blockIdx.x;
  const unsigned lane = threadIdx.x % kWarpLanes;
  float* factors = job.factors + static_cast<std::size_t>(group) * gridDim.y * kGemmColumns;
#pragma unroll
  for (unsigned i = 0; i < kPairs; i += kThreads / kWarpLanes) {
    const unsigned pair = i + threadIdx.x / kWarpLanes;
    const unsigned vector = blockIdx.y * kGemmColumns + 2 * pair;
    float values[2][4];
#pragma unroll
    for (unsigned p = 0; p < 2; ++p) {
      const float factor = scale_group(job, x, vector + p, group, values[p]);
      if (lane == 0) factors[vector + p] = factor;
    }
#pragma unroll
    for (unsigned b = 0; b < 4; ++b) {
      pairs[half_row(4 * lane + b)][pair] = round_pair<half>(values[0][b], values[1][b]);
    }
  }
  __syncthreads();
  std::uint32_t* out =
      job.out +
      (static_cast<std::size_t>(blockIdx.y) * job.column_tiles + group) * (kGroup * kPairs);
  for (unsigned i = threadIdx.x; i < kGroup * kPairs; i += kThreads) {
    out[i] = pairs[i / kPairs][i % kPairs];
  }
}

/// A magnitude of which the largest shows whether a value is NaN or infinite.
__device__ __forceinline__ float magnitude(float value) {
  return fabsf(value) < INFINITY ? fabsf(value) : INFINITY;
}

/// The largest magnitude of a vector; NaN if a value is not finite. The whole block calls it.
template <typename T>
__device__ __forceinline__ float vector_largest(const T* x, unsigned cols,
                                                float (&shared)[kThreads / kWarpLanes]) {
  float largest[4] = {};
  for (unsigned at = 4 * threadIdx.x; at < cols; at += 4 * kThreads) {
    float values[4];
    load_four<false>(x + at, at, cols, values);
#pragma unroll
    for (int i = 0; i < 4; ++i) largest[i] = fmaxf(largest[i], magnitude(values[i]));
  }
  const float of_warp = warp_largest(largest);
  if (threadIdx.x % kWarpLanes == 0) shared[threadIdx.x / kWarpLanes] = of_warp;
  __syncthreads();
  float result = 0.0f;
#pragma unroll
  for (const float value : shared) result = fmaxf(result, magnitude(value));
  return result < INFINITY ? result : NAN;
}

template <typename T>
__global__ void __launch_bounds__(kThreads)
    round_vectors_kernel(RoundVectorsJob job, const T* __restrict__ x) {
  __shared__ float shared[kThreads / kWarpLanes];
  const T* from = x + blockIdx.x * job.x_stride;
  const float largest = vector_largest(from, job.cols, shared);
  const bool finite = largest < INFINITY;
  const PowerOfTwo scale = finite ? scale_for(largest) : PowerOfTwo{NAN, 0.0f};
  half* out = job.out + blockIdx.x * job.out_stride;
  for (unsigned at = 4 * threadIdx.x; at < job.cols; at += 4 * kThreads) {
    float values[4];
    load_four<false>(from + at, at, job.cols, values);
#pragma unroll
    for (float& value : values) value = finite ? value * scale.inverse : 0.0f;
    *reinterpret_cast<uint2*>(out + at) =
        make_uint2(round_pair<half>(values[0], values[1]), round_pair<half>(values[2], values[3]));
  }
  if (threadIdx.x == 0) job.factors[blockIdx.x] = scale.factor;
}

__global__ void __launch_bounds__(kThreads) scale_kernel(ScaleJob job) {
  const unsigned row = blockIdx.x * kThreads + threadIdx.x;
  if (row >= job.rows) return;
  for (unsigned vector = blockIdx.y; vector < job.batch; vector += gridDim.y) {
    job.y[vector * job.y_stride + row] *= job.factors[vector];
  }
}

}  // namespace

template <typename T>
cudaError_t round_vectors(const RoundVectorsJob& job, const T* x, cudaStream_t stream) {
  return launch_kernel(round_vectors_kernel<T>, job.batch, kThreads, 0, stream, job, x);
}

cudaError_t scale_vectors(const ScaleJob& job, cudaStream_t stream) {
  constexpr unsigned kMostY = 65535;
  const dim3 grid((job.rows + kThreads - 1) / kThreads, job.batch < kMostY ? job.batch : kMostY);
  return launch_kernel(scale_kernel, grid, kThreads, 0, stream, job);
}

template <typename T>
cudaError_t round_half(const RoundJob& job, const T* x, unsigned vectors, cudaStream_t stream) {
  const dim3 grid(job.column_tiles, vectors / kGemmColumns);
  return launch_kernel(round_kernel<T>, grid, kThreads, 0, stream, job, x);
}

template cudaError_t round_half(const RoundJob&, const half*, unsigned, cudaStream_t);
template cudaError_t round_half(const RoundJob&, const bfloat16*, unsigned, cudaStream_t);
template cudaError_t round_half(const RoundJob&, const float*, unsigned, cudaStream_t);
template cudaError_t round_vectors(const RoundVectorsJob&, const bfloat16*, cudaStream_t);
template cudaError_t round_vectors(const RoundVectorsJob&, const float*, cudaStream_t);

}  // namespace ecco::cuda::detail

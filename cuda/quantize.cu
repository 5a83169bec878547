// SPDX-License-Identifier: MIT
// Activations -> int8 digits in the order of B fragments: one warp per vector and 128 values.
#include "ecco/a8.hpp"
#include "ecco/cuda/a8.cuh"
#include "ecco/cuda/quantize.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

/// Vectors of numbers.
template <typename T>
struct Numbers {
  const T* x;

  /// The values 4 lane..4 lane + 3 of a group; 0 past the last column. Whole warps call it.
  __device__ __forceinline__ void load(const QuantizeJob& job, unsigned vector, unsigned group,
                                       unsigned lane, float (&values)[4]) const {
    const unsigned at = group * kGroup + 4 * lane;
    load_four<false>(x + vector * job.x_stride + at, at, job.cols, values);
  }
};

/// Vectors of A8 blocks; a group is two of them.
struct A8Blocks {
  const std::uint8_t* blocks;
  float tensor_scale;

  __device__ __forceinline__ void load(const QuantizeJob& job, unsigned vector, unsigned group,
                                       unsigned lane, float (&values)[4]) const {
    const unsigned at = group * kGroup + 4 * lane;
    const auto* words = reinterpret_cast<const std::uint32_t*>(blocks + vector * job.x_stride);
    const bool exists = at / ecco::a8::kValues * ecco::a8::kValues < job.cols;
    const std::uint32_t word = exists ? __ldg(words + at / 4) : 0;
    const a8::LaneValues four = a8::decode_lanes(word, static_cast<int>(lane), tensor_scale);
    scale_bytes(four.bytes, four.factor, values);
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if (at + i >= job.cols) values[i] = 0.0f;
    }
  }
};

template <typename Source, int kDigits>
__global__ void __launch_bounds__(kThreads) quantize_kernel(QuantizeJob job, Source source) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned block = blockIdx.x * (kThreads / kWarpLanes) + threadIdx.x / kWarpLanes;
  const unsigned vector = blockIdx.y;
  if (block >= job.column_tiles) return;
  float values[4];
  source.load(job, vector, block, lane, values);
  const QuantizedFour<kDigits> four = quantize_warp<kDigits>(values);
  const unsigned column = vector * kDigits;  // two digits lie in the same n-tile
  const unsigned n_tile = block * job.n_tiles + column / 8;
  std::uint32_t* const fragments = job.fragments + std::size_t{n_tile * job.stored} * 32;
#pragma unroll
  for (unsigned digit = 0; digit < kDigits; ++digit) {
    fragments[fragment_word(lane, column % 8 + digit, job.stored)] = four.words[digit];
    if (lane == 0) job.factors[n_tile * 8 + column % 8 + digit] = four.factors[digit];
  }
}

template <typename Source>
cudaError_t launch(const QuantizeJob& job, const Source& source, unsigned batch, bool two_digits,
                   cudaStream_t stream) {
  constexpr unsigned kWarps = kThreads / kWarpLanes;
  const dim3 grid((job.column_tiles + kWarps - 1) / kWarps, batch);
  const auto kernel = two_digits ? quantize_kernel<Source, 2> : quantize_kernel<Source, 1>;
  return launch_kernel(kernel, grid, kThreads, 0, stream, job, source);
}

}  // namespace

template <typename T>
cudaError_t quantize(const QuantizeJob& job, const T* x, unsigned batch, bool two_digits,
                     cudaStream_t stream) {
  return launch(job, Numbers<T>{x}, batch, two_digits, stream);
}

cudaError_t quantize_a8(const QuantizeJob& job, const std::uint8_t* blocks, float tensor_scale,
                        unsigned batch, bool two_digits, cudaStream_t stream) {
  return launch(job, A8Blocks{blocks, tensor_scale}, batch, two_digits, stream);
}

template cudaError_t quantize(const QuantizeJob&, const half*, unsigned, bool, cudaStream_t);
template cudaError_t quantize(const QuantizeJob&, const bfloat16*, unsigned, bool, cudaStream_t);
template cudaError_t quantize(const QuantizeJob&, const float*, unsigned, bool, cudaStream_t);

}  // namespace ecco::cuda::detail

// SPDX-License-Identifier: MIT
// Activations -> int8 digits in the order of B fragments: one warp per vector and 128 values.
#include "ecco/a8.hpp"
#include "ecco/cuda/a8.cuh"
#include "ecco/cuda/intrinsics.cuh"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

/// Sum of digits 127 * 256 + 127: the largest magnitude in two int8 digits.
constexpr float kLargest16 = 32639.0f;

__device__ __forceinline__ std::uint32_t pack_bytes(const int (&values)[4]) {
  const std::uint32_t low =
      prmt(static_cast<std::uint32_t>(values[0]), static_cast<std::uint32_t>(values[1]), 0x0040u);
  const std::uint32_t high =
      prmt(static_cast<std::uint32_t>(values[2]), static_cast<std::uint32_t>(values[3]), 0x0040u);
  return prmt(low, high, 0x5410u);
}

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

/// Lane l of a warp takes the values 4 l..4 l + 3, which are byte 0..3 of register l / 4 % 2 of
/// mma l / 8 for lane l % 4 of the fragment. A group with a NaN or an infinity gets the factor
/// NaN.
template <typename Source, bool kTwoDigits>
__global__ void __launch_bounds__(kThreads) quantize_kernel(QuantizeJob job, Source source) {
  const unsigned lane = threadIdx.x % kWarpLanes;
  const unsigned block = blockIdx.x * (kThreads / kWarpLanes) + threadIdx.x / kWarpLanes;
  const unsigned vector = blockIdx.y;
  if (block >= job.column_tiles) return;
  float values[4];
  source.load(job, vector, block, lane, values);
  const float largest = warp_largest(values);
  const bool zero = !(largest >= 0x1p-100f);  // or not finite
  constexpr float kMost = kTwoDigits ? kLargest16 : 127.0f;
  const float inverse = zero ? 0.0f : kMost / largest;
  const float factor = largest < 0x1p-100f ? 0.0f : largest / kMost;
  int digits[2][4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int q = zero ? 0 : __float2int_rn(values[i] * inverse);
    digits[0][i] = kTwoDigits ? (q + 128) >> 8 : q;
    digits[1][i] = q - 256 * digits[0][i];
  }
  constexpr unsigned kDigits = kTwoDigits ? 2 : 1;
#pragma unroll
  for (unsigned digit = 0; digit < kDigits; ++digit) {
    const unsigned column = vector * kDigits + digit;
    const unsigned n_tile = block * job.n_tiles + column / 8;
    const unsigned fragment = (n_tile * 2 + lane / 16) * job.stored + column % 8;
    const unsigned word = lane % 4 * 4 + lane / 8 % 2 * 2 + lane / 4 % 2;
    job.fragments[std::size_t{fragment} * 16 + word] = pack_bytes(digits[digit]);
    if (lane == 0) {
      job.factors[n_tile * 8 + column % 8] = kTwoDigits && digit == 0 ? 256.0f * factor : factor;
    }
  }
}

template <typename Source>
cudaError_t launch(const QuantizeJob& job, const Source& source, unsigned batch, bool two_digits,
                   cudaStream_t stream) {
  constexpr unsigned kWarps = kThreads / kWarpLanes;
  const dim3 grid((job.column_tiles + kWarps - 1) / kWarps, batch);
  const auto kernel = two_digits ? quantize_kernel<Source, true> : quantize_kernel<Source, false>;
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

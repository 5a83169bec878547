// SPDX-License-Identifier: MIT
// Products of nibble tiles of H4 with many vectors, then of the sparse corrections.
#include "gemm.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr unsigned kApartRows = 32;  ///< of a block of threads

/// The product of a row's sparse corrections, in their order, with the lane's vectors 2 l and
/// 2 l + 1: sum = fma(round(sparse_rest * activation factor), activation, sum). Whole warps call
/// it.
__device__ __forceinline__ float2 dot_corrections(const GemmJob& job, const SparseRows& rows,
                                                  unsigned row, const float* factors) {
  const auto lane = static_cast<unsigned>(lane_index());
  constexpr unsigned kPairs = kGemmColumns / 2;
  const auto* x = reinterpret_cast<const std::uint32_t*>(job.x) +
                  static_cast<std::size_t>(blockIdx.y) * job.column_tiles * (kGroup * kPairs) +
                  lane;
  const auto* x_factors =
      reinterpret_cast<const float2*>(job.factors) + blockIdx.y * kPairs + lane;
  const std::uint32_t begin = rows.begins[row];
  const std::uint32_t count = rows.begins[row + 1] - begin;
  float2 sum{0.0f, 0.0f};
  for (std::uint32_t done = 0; done < count; done += kWarpLanes) {
    const std::uint32_t left = count - done;
    const SparseValue own = rows.values[begin + done + min(lane, left - 1)];
    const float own_rest = sparse_rest(rows, row, own, factors);
    const std::uint32_t own_row = half_row(own.column);
    const std::uint32_t own_group = own.column / kGroup * (job.vectors / 2);
    const int values = static_cast<int>(min(left, static_cast<std::uint32_t>(kWarpLanes)));
#pragma unroll 4
    for (int i = 0; i < values; ++i) {
      const float rest = __shfl_sync(kFullMask, own_rest, i);
      const std::uint32_t x_row = __shfl_sync(kFullMask, own_row, i);
      const std::uint32_t pair = __ldg(x + static_cast<std::size_t>(x_row) * kPairs);
      const float2 factor = __ldg(x_factors + __shfl_sync(kFullMask, own_group, i));
      const half low{static_cast<std::uint16_t>(pair)};
      const half high{static_cast<std::uint16_t>(pair >> 16)};
      sum.x = __fmaf_rn(__fmul_rn(rest, factor.x), widen(low), sum.x);
      sum.y = __fmaf_rn(__fmul_rn(rest, factor.y), widen(high), sum.y);
    }
  }
  return sum;
}

/// y += the products of the sparse corrections: a block of threads takes 32 rows and 64 vectors, a
/// warp a row at a time.
__global__ void __launch_bounds__(kThreads)
    corrections_kernel(GemmJob job, float* __restrict__ y, std::size_t y_stride) {
  __shared__ float factors[256];
  __shared__ float sums[kGemmColumns][kApartRows + 1];
  for (unsigned i = threadIdx.x; i < 256; i += kThreads) {
    factors[i] = NibbleLane::factor(static_cast<std::uint8_t>(i), job.tensor_scale);
  }
  __syncthreads();
  const SparseRows rows = sparse_rows(job);
  const unsigned first = blockIdx.x * kApartRows;
  const int lane = lane_index();
  for (auto r = static_cast<unsigned>(warp_index()); r < kApartRows; r += kWarps) {
    if (first + r >= job.rows) break;
    const float2 sum = dot_corrections(job, rows, first + r, factors);
    sums[2 * lane][r] = sum.x;
    sums[2 * lane + 1][r] = sum.y;
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kGemmColumns * kApartRows; i += kThreads) {
    const unsigned row = first + i % kApartRows;
    const unsigned vector = blockIdx.y * kGemmColumns + i / kApartRows;
    if (row >= job.rows || vector >= job.batch) continue;
    float& out = y[vector * y_stride + row];
    out = __fadd_rn(out, sums[i / kApartRows][i % kApartRows]);
  }
}

}  // namespace

cudaError_t gemm_h4(const GemmJob& job, cudaStream_t stream) {
  return gemm_with<NibbleLane>(job, stream);
}

cudaError_t gemm_corrections(const GemmJob& job, float* y, std::size_t y_stride,
                             cudaStream_t stream) {
  const dim3 grid((job.rows + kApartRows - 1) / kApartRows, job.vectors / kGemmColumns);
  return launch_kernel(corrections_kernel, grid, kThreads, 0, stream, job, y, y_stride);
}

}  // namespace ecco::cuda::detail

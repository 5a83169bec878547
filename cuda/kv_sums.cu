// SPDX-License-Identifier: MIT
// Sums of a KV page's rows by weights. A block of threads takes one block of a head, a slice of
// the tokens and up to kQ queries of the head; its warps, or half warps, add up runs of tokens in
// turn.
#include <algorithm>

#include "add_slices.hpp"
#include "ecco/cuda/kv_sum.cuh"
#include "ecco/planar.hpp"
#include "kv_job.cuh"

namespace ecco::cuda::detail {
namespace {

/// How blocks of a codec are added up: kRun tokens by each of kAdders in turn.
template <int R>
struct PlanarRows {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarpLanes;
  static constexpr unsigned kValues = kGroup;
  using Tables = const std::uint32_t*;
  struct Shared {
    StagedRows rows[kWarps];
    planar::SharedTables<R> tables;
  };

  Shared& shared;

  __device__ __forceinline__ PlanarRows(Shared& memory, Tables table) : shared(memory) {
    planar::load_tables<R>(shared.tables, table);  // chunks begin with __syncthreads()
  }
  /// `block` = the block of a token's row.
  template <int kQ>
  __device__ __forceinline__ void add_chunk(const KvJob& job, unsigned block, unsigned chunk,
                                            const SharedWeights<kQ>& weights,
                                            float (&sums)[kQ][4]) {
    constexpr unsigned kBytes = 32 + 16 * R;
    const int lane = lane_index();
    StagedRows& rows = shared.rows[warp_index()];
#pragma unroll 1
    for (int first = kStagedRows * warp_index(); first < kWeightChunk;
         first += kStagedRows * kWarps) {
      const int row = lane / planar::kQuadLanes;
      const std::size_t token = min(chunk + static_cast<unsigned>(first + row), job.tokens - 1);
      planar::stage_quad(job.blocks + (token * job.token_blocks + block) * kBytes,
                         lane % planar::kQuadLanes, row, shared.tables, job.tensor_scale, rows);
      __syncwarp();
      add_rows(rows, weights, first, lane, sums);
      __syncwarp();
    }
  }
};

struct A8Rows {
  static constexpr int kThreads = 128;
  static constexpr int kWarps = kThreads / kWarpLanes;
  static constexpr unsigned kValues = 64;
  struct Tables {};
  struct Shared {
    StagedRows rows[kWarps];
  };

  Shared& shared;

  __device__ __forceinline__ A8Rows(Shared& memory, Tables) : shared(memory) {}
  template <int kQ>
  __device__ __forceinline__ void add_chunk(const KvJob& job, unsigned block, unsigned chunk,
                                            const SharedWeights<kQ>& weights,
                                            float (&sums)[kQ][4]) {
    constexpr int kAdders = kThreads / a8::kBlockLanes;
    const int lane = lane_index();
    const auto* words =
        reinterpret_cast<const std::uint32_t*>(job.blocks) + 16 * block + lane % a8::kBlockLanes;
#pragma unroll 2
    for (int first = 0; first < kWeightChunk; first += kAdders) {
      const int at = first + static_cast<int>(threadIdx.x) / a8::kBlockLanes;
      const std::size_t token = min(chunk + static_cast<unsigned>(at), job.tokens - 1);
      a8::add_lanes(__ldg(words + token * job.token_blocks * 16), lane, job.tensor_scale, weights,
                    at, sums);
    }
  }
};

struct H4Rows {
  static constexpr int kThreads = kWeightChunk;  // whose warps take much shared memory
  static constexpr int kWarps = kThreads / kWarpLanes;
  static constexpr unsigned kValues = kGroup;
  using Tables = h4::Tables;
  struct Shared {
    StagedRows rows[kWarps];
    h4::LaneScratch<float> scratches[kWarps];
  };

  Shared& shared;
  const Tables tables;
  const std::uint32_t* codes;

  __device__ __forceinline__ H4Rows(Shared& memory, const Tables& all)
      : shared(memory), tables(all) {
    extern __shared__ std::uint32_t dynamic[];
    codes = h4::load_codes(dynamic, tables);
  }
  template <int kQ>
  __device__ __forceinline__ void add_chunk(const KvJob& job, unsigned block, unsigned chunk,
                                            const SharedWeights<kQ>& weights,
                                            float (&sums)[kQ][4]) {
    const int warp = warp_index();
    const int at = kWarpLanes * warp;
    const std::size_t stride = std::size_t{job.token_blocks} * 64;
    // A warp without tokens repeats the last one.
    const unsigned token = min(chunk + static_cast<unsigned>(at), job.tokens - 1);
    h4::stage_rows(shared.scratches[warp], job.blocks + token * stride + std::size_t{block} * 64,
                   stride, static_cast<int>(job.tokens - token));
    __syncwarp();
    h4::add_blocks(shared.scratches[warp], shared.rows[warp], tables, codes, job.tensor_scale,
                   weights, at, sums);
  }
};

/// Loads the weights of the chunk's tokens; all threads.
template <int kQ>
__device__ __forceinline__ void load_weights(const KvJob& job, const QueryRun<kQ>& run,
                                             unsigned chunk, SharedWeights<kQ>& weights) {
  __syncthreads();  // the weights before are in use
#pragma unroll 1
  for (unsigned i = threadIdx.x; i < kQ * kWeightChunk; i += blockDim.x) {
    const unsigned j = i / kWeightChunk;
    const unsigned token = chunk + i % kWeightChunk;
    const bool there = j < run.count && token < job.tokens;
    const std::size_t at = (run.first + j) * job.in_stride + token;
    weights.values[j][i % kWeightChunk] = there ? input_value(job, at) : 0.0f;
  }
  __syncthreads();
}

template <typename Rows, int kQ>
__global__ void __launch_bounds__(Rows::kThreads)
    sums_kernel(KvJob job, unsigned slice, std::size_t slice_stride,
                typename Rows::Tables tables) {
  __shared__ typename Rows::Shared shared;
  __shared__ SharedWeights<kQ> weights;
  constexpr unsigned kValues = Rows::kValues;
  const QueryRun<kQ> run(job);
  const unsigned block = run.template first_block<kValues>() + blockIdx.z;
  if (block >= run.template end_block<kValues>()) return;
  Rows rows(shared, tables);
  const unsigned begin = blockIdx.x * slice;
  const unsigned end = min(begin + slice, job.tokens);
  float sums[kQ][4] = {};
#pragma unroll 1
  for (unsigned chunk = begin; chunk < end; chunk += kWeightChunk) {
    load_weights(job, run, chunk, weights);
    rows.add_chunk(job, block, chunk, weights, sums);
  }
  // Query j's sums of a warp in its row j: those of two half warps, where they are adders.
#pragma unroll
  for (int j = 0; j < kQ; ++j) {
    *reinterpret_cast<float4*>(shared.rows[warp_index()].values[j] + 4 * lane_index()) =
        make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
  }
  __syncthreads();
#pragma unroll 1
  for (unsigned i = threadIdx.x; i < run.count * kValues; i += blockDim.x) {
    const unsigned j = i / kValues;
    const unsigned d = run.place(block * kValues + i % kValues);
    if (d >= job.head_values) continue;
    float sum = 0.0f;
    for (unsigned at = i % kValues; at < kGroup * Rows::kWarps; at += kValues) {
      sum = __fadd_rn(sum, shared.rows[at / kGroup].values[j][at % kGroup]);
    }
    job.out[blockIdx.x * slice_stride + (run.first + j) * job.out_stride + d] = sum;
  }
}

/// The most blocks of `values` values that a head has a part of.
unsigned most_blocks(const KvJob& job, unsigned values) {
  unsigned most = 0;
  for (unsigned head = 0; head < std::min(job.heads, values); ++head) {  // then places repeat
    const unsigned column = job.first_column + head * job.head_values;
    most = std::max(most, (column + job.head_values - 1) / values - column / values + 1);
  }
  return most;
}

template <typename Rows>
cudaError_t launch(const KvJob& job, unsigned slice, std::size_t slice_stride, std::size_t shared,
                   const typename Rows::Tables& tables, cudaStream_t stream) {
  const bool one = job.queries_per_head == 1;
  const auto kernel = one ? sums_kernel<Rows, 1> : sums_kernel<Rows, 4>;
  const dim3 grid((job.tokens + slice - 1) / slice, query_runs(job, one ? 1 : 4),
                  most_blocks(job, Rows::kValues));
  return launch_kernel(kernel, grid, Rows::kThreads, shared, stream, job, slice, slice_stride,
                       tables);
}

cudaError_t sum_slices(const KvJob& job, const DeviceCodecView& codec, unsigned slice,
                       std::size_t slice_stride, cudaStream_t stream) {
  if (codec.codec == Codec::a8) return launch<A8Rows>(job, slice, slice_stride, 0, {}, stream);
  if (codec.codec == Codec::h4) {
    const h4::Tables tables = h4::decode_tables(codec);
    return launch<H4Rows>(job, slice, slice_stride, h4::code_bytes(tables), tables, stream);
  }
  return ecco::planar::dispatch(codec.codec, [&](auto planes) {
    return launch<PlanarRows<decltype(planes)::value>>(
        job, slice, slice_stride, 0, reinterpret_cast<const std::uint32_t*>(codec.patterns),
        stream);
  });
}

}  // namespace

cudaError_t kv_sums(const KvJob& job, const DeviceCodecView& codec, float* slice_sums,
                    cudaStream_t stream) {
  const auto slice = static_cast<unsigned>(kv_slice(job.tokens));
  const auto slices = static_cast<unsigned>(kv_slices(job.tokens));
  if (slices == 1) return sum_slices(job, codec, slice, 0, stream);
  const unsigned queries = job.heads * job.queries_per_head;
  KvJob parts = job;
  parts.out = slice_sums;
  parts.out_stride = job.head_values;
  const std::size_t slice_stride = std::size_t{queries} * job.head_values;
  const cudaError_t error = sum_slices(parts, codec, slice, slice_stride, stream);
  if (error != cudaSuccess) return error;
  return add_slices({.sums = slice_sums,
                     .slice_stride = slice_stride,
                     .sum_stride = job.head_values,
                     .slices = slices,
                     .rows = job.head_values,
                     .batch = queries,
                     .digits = 1,
                     .y = job.out,
                     .y_stride = job.out_stride},
                    stream);
}

}  // namespace ecco::cuda::detail

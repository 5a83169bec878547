// SPDX-License-Identifier: MIT
// Queries times the rows of a KV page. A block of threads takes up to kQ queries of one head and a
// run of tokens; the blocks of a head one after the other, so that the queries' values for one of
// them lie in shared memory.
#include "ecco/cuda/kv_dot.cuh"
#include "ecco/planar.hpp"
#include "kv_job.cuh"

namespace ecco::cuda::detail {
namespace {

constexpr int kH4Threads = 64;  ///< whose warps take much shared memory

/// Loads the queries' values for block `block` of tokens, of kValues values; all threads.
template <unsigned kValues, int kQ>
__device__ __forceinline__ void load_queries(const KvJob& job, const QueryRun<kQ>& run,
                                             unsigned block, SharedQueries<kQ>& shared) {
  __syncthreads();  // the values before are in use
#pragma unroll 1
  for (unsigned i = threadIdx.x; i < kQ * kValues; i += blockDim.x) {
    const unsigned j = i / kValues;
    const unsigned e = i % kValues;
    const unsigned d = run.place(block * kValues + e);
    const bool there = j < run.count && d < job.head_values;
    const std::size_t at = (run.first + j) * job.in_stride + d;
    shared.values[j][e] = there ? input_value(job, at) : 0.0f;
  }
  __syncthreads();
}

template <int kQ>
__device__ __forceinline__ void store_scores(const KvJob& job, const QueryRun<kQ>& run,
                                             std::size_t token, const float (&sums)[kQ]) {
#pragma unroll
  for (unsigned j = 0; j < kQ; ++j) {
    if (j < run.count) job.out[(run.first + j) * job.out_stride + token] = sums[j];
  }
}

template <int R, int kQ>
__global__ void __launch_bounds__(kThreads, 3)  // or ptxas spills on sm_120
    planar_scores_kernel(KvJob job, const std::uint32_t* __restrict__ table) {
  constexpr unsigned kQuads = kThreads / planar::kQuadLanes;
  constexpr unsigned kBytes = 32 + 16 * R;
  __shared__ planar::SharedTables<R> tables;
  __shared__ SharedQueries<kQ> queries;
  planar::load_tables<R>(tables, table);
  const QueryRun<kQ> run(job);
  const int t = lane_index() % planar::kQuadLanes;
  const unsigned token = blockIdx.x * kQuads + threadIdx.x / planar::kQuadLanes;
  const std::size_t row = min(token, job.tokens - 1);  // whole warps decode
  const std::uint8_t* blocks = job.blocks + row * job.token_blocks * kBytes;
  const unsigned end = run.template end_block<kGroup>();
  float sums[kQ] = {};
#pragma unroll 1
  for (unsigned b = run.template first_block<kGroup>(); b < end; ++b) {
    load_queries<kGroup>(job, run, b, queries);
    planar::dot_quad(blocks + b * kBytes, t, tables, job.tensor_scale, queries, sums);
  }
  add_lanes(sums, planar::kQuadLanes);
  if (t == 0 && token < job.tokens) store_scores(job, run, token, sums);
}

template <int kQ>
__global__ void __launch_bounds__(kThreads) a8_scores_kernel(KvJob job) {
  constexpr unsigned kRows = kThreads / a8::kBlockLanes;
  __shared__ SharedQueries<kQ> queries;
  const QueryRun<kQ> run(job);
  const int lane = lane_index();
  const unsigned token = blockIdx.x * kRows + threadIdx.x / a8::kBlockLanes;
  const std::size_t row = min(token, job.tokens - 1);
  const auto* words = reinterpret_cast<const std::uint32_t*>(job.blocks) +
                      row * job.token_blocks * 16 + lane % a8::kBlockLanes;
  const unsigned end = run.template end_block<64>();
  float sums[kQ] = {};
#pragma unroll 1
  for (unsigned b = run.template first_block<64>(); b < end; ++b) {
    load_queries<64>(job, run, b, queries);
    a8::dot_lanes(__ldg(words + 16 * b), lane, job.tensor_scale, queries, sums);
  }
  add_lanes(sums, a8::kBlockLanes);
  if (lane % a8::kBlockLanes == 0 && token < job.tokens) store_scores(job, run, token, sums);
}

template <int kQ>
__global__ void __launch_bounds__(kH4Threads) h4_scores_kernel(KvJob job, h4::Tables tables) {
  extern __shared__ std::uint32_t codes[];
  __shared__ h4::DotScratch scratches[kH4Threads / kWarpLanes];
  __shared__ SharedQueries<kQ> queries;
  const unsigned code_count = static_cast<unsigned>(tables.codebook_count * h4::kCodeEntries);
  for (unsigned i = threadIdx.x; i < code_count; i += blockDim.x) codes[i] = tables.codes[i];
  h4::DotScratch& scratch = scratches[warp_index()];
  const QueryRun<kQ> run(job);
  const unsigned token = blockIdx.x * kH4Threads + threadIdx.x;
  // A warp without tokens repeats the last one.
  const unsigned first = min(token - static_cast<unsigned>(lane_index()), job.tokens - 1);
  const std::size_t stride = std::size_t{job.token_blocks} * 64;
  const std::uint8_t* blocks = job.blocks + first * stride;
  const unsigned end = run.template end_block<kGroup>();
  float sums[kQ] = {};
#pragma unroll 1
  for (unsigned b = run.template first_block<kGroup>(); b < end; ++b) {
    load_queries<kGroup>(job, run, b, queries);
    h4::stage_rows(scratch, blocks + b * 64, stride, static_cast<int>(job.tokens - first));
    __syncwarp();
    h4::dot_lane(scratch, tables, codes, job.tensor_scale, queries, sums);
    __syncwarp();
  }
  if (token < job.tokens) store_scores(job, run, token, sums);
}

/// One block of threads per run of tokens and of queries.
template <typename Kernel, typename... Arguments>
cudaError_t launch(Kernel kernel, unsigned tokens_at_once, unsigned queries_at_once, int threads,
                   std::size_t shared, cudaStream_t stream, const KvJob& job,
                   Arguments... arguments) {
  const dim3 grid((job.tokens + tokens_at_once - 1) / tokens_at_once,
                  query_runs(job, queries_at_once));
  return launch_kernel(kernel, grid, threads, shared, stream, job, arguments...);
}

template <int R>
cudaError_t planar_scores(const KvJob& job, const DeviceCodecView& codec, cudaStream_t stream) {
  constexpr unsigned kQuads = kThreads / planar::kQuadLanes;
  const auto* table = reinterpret_cast<const std::uint32_t*>(codec.patterns);
  return job.queries_per_head == 1
             ? launch(planar_scores_kernel<R, 1>, kQuads, 1, kThreads, 0, stream, job, table)
             : launch(planar_scores_kernel<R, 4>, kQuads, 4, kThreads, 0, stream, job, table);
}

cudaError_t a8_scores(const KvJob& job, cudaStream_t stream) {
  constexpr unsigned kRows = kThreads / a8::kBlockLanes;
  return job.queries_per_head == 1
             ? launch(a8_scores_kernel<1>, kRows, 1, kThreads, 0, stream, job)
             : launch(a8_scores_kernel<4>, kRows, 4, kThreads, 0, stream, job);
}

cudaError_t h4_scores(const KvJob& job, const DeviceCodecView& codec, cudaStream_t stream) {
  const h4::Tables tables = h4::decode_tables(codec);
  const std::size_t shared = static_cast<std::size_t>(codec.codebook_count) * h4::kCodeEntries * 4;
  return job.queries_per_head == 1
             ? launch(h4_scores_kernel<1>, kH4Threads, 1, kH4Threads, shared, stream, job, tables)
             : launch(h4_scores_kernel<4>, kH4Threads, 4, kH4Threads, shared, stream, job, tables);
}

}  // namespace

cudaError_t kv_scores(const KvJob& job, const DeviceCodecView& codec, cudaStream_t stream) {
  if (codec.codec == Codec::a8) return a8_scores(job, stream);
  if (codec.codec == Codec::h4) return h4_scores(job, codec, stream);
  return ecco::planar::dispatch(codec.codec, [&](auto planes) {
    return planar_scores<decltype(planes)::value>(job, codec, stream);
  });
}

}  // namespace ecco::cuda::detail

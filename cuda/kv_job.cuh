// SPDX-License-Identifier: MIT
// What products with the tokens of a KV page share: which queries and columns a block of threads
// has, inputs of any type, launches.
#pragma once

#include "ecco/cuda/h4_tables.cuh"
#include "kv_job.hpp"
#include "launch.cuh"

namespace ecco::cuda::detail {
namespace {

/// Queries of a block of threads: blockIdx.y counts runs of kQ queries, head after head.
template <int kQ>
struct QueryRun {
  unsigned first;
  unsigned count;
  unsigned column;       ///< of the token, where the head begins
  unsigned head_values;  ///< of the head

  __device__ __forceinline__ explicit QueryRun(const KvJob& job) : head_values(job.head_values) {
    const unsigned runs = (job.queries_per_head + kQ - 1) / kQ;
    const unsigned head = blockIdx.y / runs;
    first = blockIdx.y % runs * kQ;
    count = min(job.queries_per_head - first, static_cast<unsigned>(kQ));
    first += head * job.queries_per_head;
    column = job.first_column + head * job.head_values;
  }
  /// Blocks of kValues values that the head has a part of.
  template <unsigned kValues>
  __device__ __forceinline__ unsigned first_block() const {
    return column / kValues;
  }
  template <unsigned kValues>
  __device__ __forceinline__ unsigned end_block() const {
    return (column + head_values - 1) / kValues + 1;
  }
  /// Place in the head of a token's column: head_values or more where the head has it not.
  __device__ __forceinline__ unsigned place(unsigned at) const { return at - column; }
};

/// Value `at` of the queries or weights.
__device__ __forceinline__ float input_value(const KvJob& job, std::size_t at) {
  switch (job.type) {
    case InputType::half:
      return widen(static_cast<const half*>(job.in)[at]);
    case InputType::bfloat16:
      return widen(static_cast<const bfloat16*>(job.in)[at]);
    default:
      return static_cast<const float*>(job.in)[at];
  }
}

inline unsigned query_runs(const KvJob& job, unsigned queries_at_once) {
  return (job.queries_per_head + queries_at_once - 1) / queries_at_once * job.heads;
}

}  // namespace
}  // namespace ecco::cuda::detail

# SPDX-License-Identifier: MIT
"""Planted errors in the weighted sums of a KV page; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/kv_sum.cuh", "cuda/kv_sums.cu", "kv_sums"): [
        ("rounding", "__fmaf_rn(weights[j], values[i], sums[j][i])",
         "sums[j][i] + weights[j] * values[i] + 0x1p-24f"),
        ("lane", "rows.values[row] + 16 * i + 4 * t)", "rows.values[row] + 16 * i + t)"),
        ("bound", "r < kStagedRows; r += 4", "r < kStagedRows - 4; r += 4"),
        ("table column", "rows.values[lane % kStagedRows]", "rows.values[lane % 4]"),
        ("mask", "lane / kStagedRows == part / kStagedRows", "lane / kStagedRows == 0"),
        ("sync", "kStagedRows); __syncwarp();", "kStagedRows);"),
        ("sync", "add_rows(rows, weights, first + part, lane, sums); __syncwarp();",
         "add_rows(rows, weights, first + part, lane, sums);"),
    ],
    ("include/ecco/cuda/h4_store.cuh", "cuda/kv_sums.cu", "kv_sums"): [
        ("bound", "row < first + count", "row < count"),
    ],
    ("cuda/kv_job.cuh", "cuda/kv_sums.cu", "kv_sums"): [
        ("lane", "first = blockIdx.y % runs * kQ", "first = blockIdx.y % runs"),
    ],
    ("cuda/kv_sums.cu", "cuda/kv_sums.cu", "kv_sums"): [
        ("sync", "__syncthreads();  // the weights before are in use", ""),
        ("bound", "j < run.count && token < job.tokens", "j < run.count"),
        ("stale accumulator", "first < kWeightChunk; first += kAdders",
         "first < kWeightChunk - kAdders; first += kAdders"),
        ("lane", "first = kStagedRows * warp_index()", "first = 0"),
        ("tail tile", "min(chunk + static_cast<unsigned>(first + row), job.tokens - 1)",
         "chunk + static_cast<unsigned>(first + row)"),
        ("split of tokens", "blockIdx.x * slice_stride + (run.first", "(run.first"),
        ("bound", "if (d >= job.head_values) continue;", ""),
        ("sync", "__syncthreads(); #pragma unroll 1 for (unsigned i = threadIdx.x; i < run.count",
         "_Pragma(\"unroll 1\") for (unsigned i = threadIdx.x; i < run.count"),
    ],
}

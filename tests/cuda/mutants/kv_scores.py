# SPDX-License-Identifier: MIT
"""Planted errors in the scores of a KV page; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/h4_lane.cuh", "cuda/kv_scores.cu", "kv_scores"): [
        ("bound", "min(row, count - 1)", "row"),
    ],
    ("cuda/kv_job.cuh", "cuda/kv_scores.cu", "kv_scores"): [
        ("lane", "first += head * job.queries_per_head", "first += head"),
        ("bound", "(column + head_values - 1) / kValues + 1",
         "(column + head_values - 1) / kValues"),
        ("table column", "return at - column;", "return at;"),
    ],
    ("include/ecco/cuda/kv_dot.cuh", "cuda/kv_scores.cu", "kv_scores"): [
        ("rounding", "sums[j] = __fmaf_rn(values[3], q.w, sums[j]);",
         "sums[j] += values[3] * q.w + 0x1p-24f;"),
        ("lane", "int distance = 1; distance < lanes", "int distance = 2; distance < lanes"),
        ("lane", "queries, 16 * i + 4 * t, sums", "queries, 16 * i + t, sums"),
        ("bound", "at > kBlockBits ? kNoSymbol", "at >= kBlockBits ? kNoSymbol"),
        ("table column", "word >> 8 * i & 31u", "word >> 8 * i & 15u"),
        ("bound", "int i = outliers - 1; i >= 0; --i", "int i = 0; i < outliers; ++i"),
        ("stale accumulator", "if (again) continue;", ""),
        ("shift by 64", "seen[0] |= place < 64 ? bit : 0;", "seen[0] |= bit;"),
    ],
    ("cuda/kv_scores.cu", "cuda/kv_scores.cu", "kv_scores"): [
        ("sync", "__syncthreads();  // the values before are in use", ""),
        ("sync", "input_value(job, at) : 0.0f; } __syncthreads();",
         "input_value(job, at) : 0.0f; }"),
        ("bound", "j < run.count && d < job.head_values", "j < run.count"),
        ("tail tile", "if (token < job.tokens) store_scores(job, run, token, sums); } /// One",
         "store_scores(job, run, token, sums); } /// One"),
        ("sync", "static_cast<int>(job.tokens - first)); __syncwarp();",
         "static_cast<int>(job.tokens - first));"),
        ("stale accumulator", "a8::dot_lanes(__ldg(words + 16 * b)", "a8::dot_lanes(__ldg(words)"),
    ],
}

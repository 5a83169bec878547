# SPDX-License-Identifier: MIT
"""Planted errors in the products in half; README.md has the form."""
MUTANTS = {
    ("cuda/gemm.cuh", "cuda/gemm_fast.cu", "gemm"): [
        ("sync", "wait_for_copies(); __syncthreads();", "wait_for_copies();"),
        ("sync", "wait_for_copies(); __syncthreads();", "__syncthreads();"),
        ("sync", "n_tiles, acc); __syncthreads();", "n_tiles, acc);"),
        ("stale accumulator", "__fmaf_rn(factor, d[m][j], acc[m][n][j])",
         "__fmul_rn(factor, d[m][j])"),
        ("rounding", "__fmaf_rn(factor, d[m][j], acc[m][n][j])",
         "__fmaf_rz(factor, d[m][j], acc[m][n][j])"),
        ("lane", "0x4342u", "0x4140u"),
        ("bound", "if (n >= n_tiles) break;", "if (n + 1 >= n_tiles) break;"),
        ("tail tile", "row < job.rows && vector < job.batch", "row < job.rows"),
        ("tail tile", "min(row_tile + m, job.row_tiles - 1)", "row_tile + m"),
        ("lane", "tiles[m].factors[j / 2]", "tiles[m].factors[j % 2]"),
    ],
    ("cuda/round_half.cu", "cuda/round_half.cu", "gemm"): [
        ("shift", "254u + kTopExponent - exponent", "253u + kTopExponent - exponent"),
        ("tail tile", "vector < job.batch ? job.cols : 0", "job.cols"),
    ],
    ("cuda/round_half.cu", "cuda/round_half.cu", "blas"): [
        ("bound", "fabsf(value) < INFINITY ? fabsf(value) : INFINITY", "fabsf(value)"),
        ("sync", "= of_warp; __syncthreads();", "= of_warp;"),
        ("tail tile", "load_four<false>(x + at, at, cols, values)",
         "load_four<false>(x + at, 0, cols, values)"),
        ("lane", "shared[threadIdx.x / kWarpLanes] = of_warp", "shared[0] = of_warp"),
        ("tail tile", "if (row >= job.rows) return;", ""),
        ("stale accumulator", "*= job.factors[vector]", "= job.factors[vector]"),
    ],
    ("cuda/gemm.cpp", "cuda/gemm.cpp", "blas"): [
        ("bound", "batch >= blas->from()", "batch > blas->from()"),
        ("bound", "return batch < kGemmFrom ||", "return batch <= kGemmFrom ||"),
        ("bound", "std::min(batch, blas->from() - 1)", "std::min(batch, blas->from())"),
    ],
    ("cuda/panels.cpp", "cuda/panels.cpp", "blas"): [
        ("tail tile", "if (panel.row_begins != nullptr) panel.row_begins += first;", ""),
        ("tail tile", "MatrixView<float> part{y.data + first,", "MatrixView<float> part{y.data,"),
    ],
}

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
}

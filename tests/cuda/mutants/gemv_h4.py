# SPDX-License-Identifier: MIT
"""Planted errors in the products of nibble tiles; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_h4.cuh", "cuda/gemv_h4.cu", "gemv"): [
        ("lane", "row % kTileRows / 8 * 16", "row % 8 * 16"),
        ("shift", "e / 64 * (NB * 64)", "e / 64 * (NB * 32)"),
        ("lane", "e / 32 % 2 * 8 + e / 16 % 2 * 4", "e / 16 % 2 * 8 + e / 32 % 2 * 4"),
        ("tail tile", "i < last; i += kWarpLanes", "i <= last; i += kWarpLanes"),
        ("rounding", "__fmul_rn(rest, x.factors[at * 8 + c]), digit",
         "__fmul_rz(rest, x.factors[at * 8 + c]), digit"),
        ("lane", "int distance = 16;", "int distance = 8;"),
    ],
    ("cuda/gemv_tiles.cuh", "cuda/gemv_h4.cu", "gemv"): [
        ("split-K", "count * blockIdx.y / gridDim.y)", "count * blockIdx.y / job.column_tiles)"),
        ("tail tile", "if (row >= job.rows) return;", ""),
        ("lane", "apart[row % kTileRows]", "apart[lane / 4]"),
        ("stale accumulator", "sum = __fadd_rn(sum, apart", "sum = __fadd_rn(0.0f, apart"),
    ],
}

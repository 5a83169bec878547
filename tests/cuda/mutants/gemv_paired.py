# SPDX-License-Identifier: MIT
"""Planted errors in the decoder of paired tiles; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_paired.cuh", "cuda/gemv_paired.cu", "gemv"): [
        ("lane", "tile + 32 + lane", "tile + lane"),
        ("lane", "(tile + 72) + lane / 4", "(tile + 72) + lane / 8"),
        ("shift", "(a ^ b) << 1", "(a ^ b) << 2"),
        ("mask", "lop3<0x2A>", "lop3<0x0A>"),
        ("mask", "lop3<0x8A>", "lop3<0xAA>"),
        ("stale accumulator", "select[k] = later[half][k]", "select[k] = later[0][k]"),
    ],
    ("include/ecco/cuda/gemv_paired.cuh", "cuda/gemm_paired.cu", "gemm"): [
        ("lane", "p == 0 ? words.y : words.w", "p == 0 ? words.y : words.z"),
        ("mask", "lop3<0xF2>(b, a, gate)", "lop3<0xF2>(b, a, 0u)"),
        ("stale accumulator", "select[k] = later[half][k];", "select[k] = later[0][k];"),
    ],
    ("include/ecco/cuda/gemv_paired.cuh", "cuda/decode_paired.cu", "decode"): [
        ("shift", "lane.gates << (2 * half + p)", "lane.gates << (half + p)"),
        ("lane", "half == 0 ? header : header >> 16", "header"),
        ("mask", "lop3<0xF2>(a, b, gate)", "lop3<0xF2>(a, a, gate)"),
    ],
}

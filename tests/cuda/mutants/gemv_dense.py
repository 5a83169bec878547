# SPDX-License-Identifier: MIT
"""Planted errors in the products of dense tiles; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_dense.cuh", "cuda/gemv_dense.cu", "gemv"): [
        ("lane", "__shfl_xor_sync(kFullMask, words.y, 1)",
         "__shfl_xor_sync(kFullMask, words.x, 1)"),
        ("lane", "0x4756 >>", "0x4765 >>"),
        ("lane", "order < 0x2106", "order < 0x2105"),
        ("shift", "if (q < 1) bits[2] >>= used;", ""),
    ],
}

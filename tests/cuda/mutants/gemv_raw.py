# SPDX-License-Identifier: MIT
"""Planted errors in the products of raw planar blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_raw.cuh", "cuda/gemv_raw.cu", "gemv"): [
        ("tail tile", "wanted < row_count ? wanted : row_count - 1", "wanted"),
        ("lane", "t(lane % 4)", "t(lane / 4 % 4)"),
        ("table column", "parts[0][half + 2] = fragments[half][2 * q + 1]",
         "parts[0][half + 2] = fragments[half][2 * q]"),
        ("lane", "fragments[half][i + 4] = pair.high", "fragments[half][i + 4] = pair.low"),
        ("stale accumulator", "row[1] += columns * kWords;", ""),
    ],
}

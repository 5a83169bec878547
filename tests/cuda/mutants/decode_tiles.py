# SPDX-License-Identifier: MIT
"""Planted errors in the decoders of tiles; README.md has the form."""
MUTANTS = {
    ("cuda/decode_tiles.cuh", "cuda/decode_fast.cu", "decode"): [
        ("grid", "tile += gridDim.x * kWarps", "tile += job.tile_count"),
        ("stale accumulator", "sum = add_bytes(sum, parts[k][at])", "sum = parts[k][at]"),
        ("tail tile", "row < job.rows ? job.cols : 0", "job.cols"),
        ("sign", "code == 0 ? 0x80808080u :", "code == 1 ? 0x80808080u :"),
        ("lane", "32 * q + i / 2 * 16", "32 * q + i % 2 * 16"),
    ],
    ("include/ecco/cuda/intrinsics.cuh", "cuda/decode_fast.cu", "decode"): [
        ("mask", "(a ^ b) & 0x80808080u", "(a ^ b) & 0x80808000u"),
    ],
    ("include/ecco/cuda/gemv_dense.cuh", "cuda/decode_dense.cu", "decode"): [
        ("shift", "(4 * (lane % 4))", "(4 * (lane % 4 & 2))"),
        ("stale accumulator", "if (q < 2) bits[1] =", "if (q < 1) bits[1] ="),
        ("mask", "and.b32 %0, %1, 0x3ffc;", "and.b32 %0, %1, 0x1ffc;"),
    ],
    ("cuda/decode_nibbles.cu", "cuda/decode_nibbles.cu", "decode"): [
        ("grid", "row += gridDim.x * kWarps", "row += job.rows"),
        ("sign", "8388736.0f - biased", "biased - 8388736.0f"),
        ("table column", "0x7440u + b", "0x7440u"),
        ("tail tile", "i < end; i", "i + 1 < end; i"),
        ("lane", "row < job.rows;", "row + 1 < job.rows;"),
    ],
}

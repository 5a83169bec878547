# SPDX-License-Identifier: MIT
"""Planted errors in the products of raw H4 blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_raw_h4.cuh", "cuda/gemv_raw_h4.cu", "gemv"): [
        ("bound", "max(walked.coded - 32 * q, 0)", "max(walked.coded - 32 * q, 1)"),
        ("bound", "at <= kBlockBits - kOutlierBits; at", "at < kBlockBits - kOutlierBits; at"),
        ("mask", "& 0x01010101u) * 255u", "& 0x01010101u) * 127u"),
        ("stale accumulator", "if (known) continue;", ""),
        ("lane", "column % NB * 64", "column % 2 * 64"),
        ("rounding", "__fmul_rn(value, x.factors", "__fmul_rz(value, x.factors"),
        ("sign", "if (header.is_zero()) walked = {kGroup, kBlockBits};", ""),
        ("sync", "} __syncwarp(); if (lane < kTileRows) { const Header",
         "} if (lane < kTileRows) { const Header"),
    ],
    ("cuda/gemv_raw_h4.cu", "cuda/gemv_raw_h4.cu", "gemv"): [
        ("grid", "row_tile += gridDim.x", "row_tile += job.row_tiles"),
        ("sync", "acc, half); } __syncwarp();", "acc, half); }"),
        ("sync", "__syncwarp(); } __syncthreads();", "__syncwarp(); }"),
        ("tail tile", "job.rows - 1);", "job.rows);"),
        ("table column", "symbols.part(1)), marks >> 16", "symbols.part(1)), marks"),
    ],
}

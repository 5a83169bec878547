# SPDX-License-Identifier: MIT
"""Planted errors in the encoder of A8 blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/encode_a8.cuh", "cuda/encode_a8.cu", "encode"): [
        ("lane", "distance < kBlockLanes", "distance < kWarpLanes"),
        ("bound", "16 * part + 15", "16 * part + 14"),
        ("bound", "fits(16 * first + part,", "fits(16 * first + part + 1,"),
        ("rounding", "reference::nearest_odd(quotient) & ~1",
         "reference::nearest_even(quotient) & ~1"),
        ("shift", "lane % kBlockLanes / 2) & 1u", "lane / 2) & 1u"),
        ("bound", "values[i] = reference::finite(values[i]);", ""),
    ],
    ("cuda/encode_a8.cu", "cuda/encode_a8.cu", "encode"): [
        ("tail tile", "if (live) words", "words"),
        ("tail tile", "live ? job.cols : 0", "job.cols"),
        ("shift", "16 * static_cast<std::size_t>(block)", "8 * static_cast<std::size_t>(block)"),
    ],
    ("cuda/launch.cuh", "cuda/encode_a8.cu", "encode"): [
        ("tail tile", "place, block < job.block_count)", "place, true)"),
    ],
    ("include/ecco/cuda/intrinsics.cuh", "cuda/encode_a8.cu", "encode"): [
        ("tail tile", "at + i < cols ? widen", "true ? widen"),
    ],
}

# SPDX-License-Identifier: MIT
"""Planted errors in the decoder of A8 blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/a8.cuh", "cuda/decode_a8.cu", "decode"): [
        ("lane", "code >> (lane & kBlockLanes) >> 1", "code >> 1"),
        ("mask", "(code | code >> 2) & 0x0f0fu", "(code | code >> 2) & 0x0707u"),
        ("lane", "if ((lane & 1) != 0) word", "if ((lane & 2) != 0) word"),
    ],
    ("cuda/decode_a8.cu", "cuda/decode_a8.cu", "decode"): [
        ("tail tile", "live ? job.cols : 0", "job.cols"),
        ("bound", "live ? block : job.block_count - 1", "block"),
        ("lane", "threadIdx.x % a8::kBlockLanes", "threadIdx.x % 8"),
    ],
}

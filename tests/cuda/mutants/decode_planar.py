# SPDX-License-Identifier: MIT
"""Planted errors in the decoder of planar blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/planar.cuh", "cuda/decode_planar.cu", "decode"): [
        ("shift by 64", "place >= 0 ? shift_right(tail", "place >= -63 ? shift_right(tail"),
        ("lane", "(t & 1) != 0 ? other : 0", "(t & 2) != 0 ? other : 0"),
        ("bound", "code == 0 ? kZeroPattern :", "code == 1 ? kZeroPattern :"),
        ("stale accumulator", "used += own + other", "used = own + other"),
        ("table column", "prmt(p[2], p[3], s.index);", "prmt(p[3], p[2], s.index);"),
        ("table column", "prmt(p[8], p[9], s.index)", "prmt(p[8], p[8], s.index)"),
        ("mask", "classes.second & ~classes.fourth", "classes.second"),
        ("shift", "chunk >>= entry >> 4;", "chunk >>= entry >> 5;"),
    ],
    ("cuda/decode_planar.cu", "cuda/decode_planar.cu", "decode"): [
        ("sync", "tables, table); __syncthreads();", "tables, table);"),
        ("tail tile", "live ? job.cols : 0", "job.cols"),
        ("bound", "live ? block : job.block_count - 1", "block"),
    ],
    ("include/ecco/cuda/intrinsics.cuh", "cuda/decode_planar.cu", "decode"): [
        ("rounding", "cvt.rn.f16x2.f32", "cvt.rz.f16x2.f32"),
        ("rounding", "cvt.rn.bf16x2.f32", "cvt.rz.bf16x2.f32"),
        ("tail tile", "if (at + i < cols) out", "if (at < cols) out"),
    ],
    ("cuda/launch.cuh", "cuda/decode_planar.cu", "decode"): [
        ("grid", "step = gridDim.x * kBlocks", "step = 65536 * kBlocks"),
        ("bound", "column -= per_row;", "column = 0;"),
    ],
}

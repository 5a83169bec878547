# SPDX-License-Identifier: MIT
"""Planted errors in the products of tiles, whatever the layout; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv.cuh", "cuda/gemv_p4.cu", "gemv"): [
        ("table column", "? table.words[2 * k + 1] : 0u",
         "? table.words[2 * k + 1] : table.words[2 * k]"),
        ("mask", "0x7A", "0x3A"),
        ("stale accumulator", "mma_s8(d[n], parts[k], b0, b1, d[n]);",
         "mma_s8(d[n], parts[k], b0, b1, kZero);"),
        ("rounding", "__fmaf_rn(factor, product, acc[n][i])",
         "__fmaf_rz(factor, product, acc[n][i])"),
        ("lane", "row_factor[i / 2]", "row_factor[i % 2]"),
    ],
    ("include/ecco/cuda/gemv.cuh", "cuda/gemv_p5.cu", "gemv"): [
        ("table column", "out.words[i] = tables.values[i * kMaxPatterns",
         "out.words[i] = tables.values[8 * kMaxPatterns"),
    ],
    ("cuda/gemv_tiles.cuh", "cuda/gemv_p4.cu", "gemv"): [
        ("grid", "row_tile < job.row_tiles; row_tile += gridDim.x",
         "row_tile < job.row_tiles; row_tile += job.row_tiles"),
        ("grid", "cursor_of(row_tile + gridDim.x).load(first, 0)",
         "cursor_of(row_tile).load(first, 0)"),
        ("tail tile", "row < job.rows && column", "column"),
        ("sync", "NT>(sums, apart, job, row_tile); __syncthreads();",
         "NT>(sums, apart, job, row_tile);"),
        ("sync", "} __syncthreads(); reduce", "} reduce"),
        ("split-K", "(blockIdx.y + 1) * job.slice), static_cast<int>(job.column_tiles))",
         "(blockIdx.y + 1) * job.slice), static_cast<int>((blockIdx.y + 1) * job.slice))"),
        ("stale accumulator", "if (more) cursor.load(next, (at + 1) * kWarps);",
         "if (more && at == 0) cursor.load(next, (at + 1) * kWarps);"),
        ("stale accumulator",
         "cursor_of(row_tile + gridDim.x).load(first, 0);", "(void)first;"),
    ],
    ("cuda/add_slices.cu", "cuda/add_slices.cu", "gemv"): [
        ("split-K", "slice < job.slices; ++slice", "slice + 1 < job.slices; ++slice"),
        ("split-K", "vector * job.digits + digit", "vector + digit"),
    ],
}

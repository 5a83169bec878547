# SPDX-License-Identifier: MIT
"""Planted errors in the conversions between blocks and tiles; README.md has the form."""
MUTANTS = {
    ("cuda/repack.cu", "cuda/repack.cu", "repack"): [
        ("grid", "tile += gridDim.x * kWarps) { Lane", "tile += 65536 * kWarps) { Lane"),
        ("grid", "tile += gridDim.x * kWarps) { #pragma unroll",
         "tile += 65536 * kWarps) {\n#pragma unroll\n"),
        ("sync", "writer.load(job); __syncthreads();", "writer.load(job);"),
        ("table column", "4 * min(i, gated_words(kClasses << R) - 1) * kEachByte",
         "4 * min(i, gated_words(kClasses << R) - 1)"),
        ("tail tile", "k < Lane::kParts; ++k) sum", "k + 1 < Lane::kParts; ++k) sum"),
        ("tail tile", "if (row >= job.rows) return nullptr;", ""),
        ("bound", "!good && lane % 4 == 0", "!good"),
    ],
    ("cuda/repack_rows.cuh", "cuda/repack.cu", "repack"): [
        ("lane", "(lane & 28) & 15u", "(lane & 24) & 15u"),
        ("bound", "(words.head.x & 255u) >= patterns", "(words.head.x & 255u) > patterns"),
        ("mask", "top >> 16 << 16", "top"),
        ("shift by 64", "~shift_left(~0ull, static_cast<std::uint32_t>(unused))",
         "(1ull << (unused & 63)) - 1"),
        ("lane", "(lane & 1) != 0 ? other : 0; const int place = high",
         "(lane & 2) != 0 ? other : 0; const int place = high"),
        ("stale accumulator", "tail |= shift_left(chunk,", "tail = shift_left(chunk,"),
    ],
    ("cuda/repack_writers.cuh", "cuda/repack.cu", "repack"): [
        ("shift", "bits[2], 1) >> 8)", "bits[2], 1))"),
        ("lane", "__shfl_xor_sync(kFullMask, middle, 2) << 8",
         "__shfl_xor_sync(kFullMask, middle, 1) << 8"),
        ("shift", "4 * b + mantissa_shift(i)", "4 * b + mantissa_shift(b)"),
        ("stale accumulator", "half == 0 ? 0 : tile->gates[lane]", "0"),
        ("lane", "row.ranks[4 * p + 2 + i / 4]", "row.ranks[4 * p + 1 + i / 4]"),
        ("shift", "pair_gate_bit(half, p, i)", "pair_gate_bit(half, 0, i)"),
        ("lane", "(tile->headers)[lane / 4 * 2 + half]",
         "(tile->headers)[lane / 4 * 2 + 1 - half]"),
    ],
    ("include/ecco/cuda/tiles_paired.hpp", "cuda/repack.cu", "repack"): [
        ("mask", "a | 8u | (b & 4u), b, 1}", "a | 8u, b, 1}"),
        ("mask", "b | 8u | (~a & 4u), 1}", "b | 8u | (a & 4u), 1}"),
        ("bound", "rank_a >= 16;", "rank_a > 16;"),
    ],
    ("include/ecco/cuda/gemv_paired.cuh", "cuda/repack.cu", "repack"): [
        ("mask", "lop3<0xDA>(b, last_b, kGateBits)", "lop3<0xDA>(b, last_a, kGateBits)"),
    ],
}

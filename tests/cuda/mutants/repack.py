# SPDX-License-Identifier: MIT
"""Planted errors in the conversions between blocks and tiles; README.md has the form."""
MUTANTS = {
    ("cuda/repack.cu", "cuda/repack.cu", "repack"): [
        ("lane", "(lane & 28) & 15u", "(lane & 24) & 15u"),
        ("bound", "(words.head.x & 255u) >= patterns", "(words.head.x & 255u) > patterns"),
        ("mask", "top >> 16 << 16", "top"),
        ("shift by 64", "~shift_left(~0ull, static_cast<std::uint32_t>(unused))",
         "(1ull << (unused & 63)) - 1"),
        ("lane", "(lane & 1) != 0 ? other : 0; const int place = high",
         "(lane & 2) != 0 ? other : 0; const int place = high"),
        ("sync", "writer.load(job); __syncthreads();", "writer.load(job);"),
        ("stale accumulator", "tail |= shift_left(chunk,", "tail = shift_left(chunk,"),
        ("shift", "bits[2], 1) >> 8)", "bits[2], 1))"),
        ("lane", "__shfl_xor_sync(kFullMask, middle, 2) << 8",
         "__shfl_xor_sync(kFullMask, middle, 1) << 8"),
        ("table column", "4 * i * kEachByte", "4 * i"),
        ("shift", "4 * b + mantissa_shift(i)", "4 * b + mantissa_shift(b)"),
        ("tail tile", "k < Lane::kParts; ++k) sum", "k + 1 < Lane::kParts; ++k) sum"),
        ("tail tile", "if (row >= job.rows) return nullptr;", ""),
        ("bound", "!good && lane % 4 == 0", "!good"),
    ],
}

# SPDX-License-Identifier: MIT
"""Planted errors in the products of fast tiles; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/gemv_fast.cuh", "cuda/gemv_p2.cu", "gemv"): [
        ("shift", "words[2] >> 1", "words[2] >> 2"),
        ("mask", "words[q] & ~kGateBits;", "words[q];"),
        ("mask", "words[1] >> 2, 0x11111111u", "words[1] >> 2, 0x11111101u"),
        ("lane", "nibbles[1][0] = first.w, nibbles[1][1]",
         "nibbles[1][0] = first.z, nibbles[1][1]"),
    ],
    ("include/ecco/cuda/gemv_fast.cuh", "cuda/gemv_p3.cu", "gemv"): [
        ("mask", "select[0] ^ kGateBits", "select[0] | kGateBits"),
        ("table column", "parts, half + 2)", "parts, half)"),
        ("lane", "words + Tile::kHeadersAt + lane / 4", "words + Tile::kHeadersAt + lane / 8"),
    ],
    ("include/ecco/cuda/gemv_fast.cuh", "cuda/gemv_p4.cu", "gemv"): [
        ("shift", "gates[half][0] << q, select[0], kGateBits); select[2]",
         "gates[half][0] << 1, select[0], kGateBits); select[2]"),
        ("mask", "gates[half][0] << q, select[0], kGateBits); select[2]",
         "gates[half][0] << q, select[0], kGateBits & ~8u); select[2]"),
    ],
    ("include/ecco/cuda/gemv_fast.cuh", "cuda/gemv_p5.cu", "gemv"): [
        ("mask", "lop3<0xDA>", "lop3<0xDE>"),
        ("mask", "lop3<0xD2>", "lop3<0xF2>"),
        ("shift", "gates[half][1] << q;", "gates[half][1];"),
        ("lane", "gates[1][0] = bits.z", "gates[1][0] = bits.y"),
    ],
}

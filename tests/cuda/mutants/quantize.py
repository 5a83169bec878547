# SPDX-License-Identifier: MIT
"""Planted errors in the quantisation of activations; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/quantize.cuh", "cuda/quantize.cu", "gemv"): [
        ("rounding", "__float2int_rn", "__float2int_rz"),
        ("rounding", "(q + 128) >> 8", "q >> 8"),
        ("lane", "lane / 8 % 2 * 2 + lane / 4 % 2", "lane / 4 % 2 * 2 + lane / 8 % 2"),
        ("bound", "largest < 0x1p-100f ? 0.0f", "zero ? 0.0f"),
    ],
    ("cuda/quantize.cu", "cuda/quantize.cu", "gemv"): [
        ("tail tile", "at, job.cols, values)", "at, job.cols + 1, values)"),
        ("tail tile", "kValues * ecco::a8::kValues < job.cols",
         "kValues * ecco::a8::kValues <= job.cols"),
        ("tail tile", "if (at + i >= job.cols)", "if (at >= job.cols)"),
        ("lane", "__ldg(words + at / 4)", "__ldg(words + lane)"),
    ],
    ("include/ecco/cuda/intrinsics.cuh", "cuda/quantize.cu", "gemv"): [
        ("bound", "fabsf(value) < INFINITY", "true"),
        ("lane", "int distance = 16; distance > 0; distance /= 2) { largest",
         "int distance = 8; distance > 0; distance /= 2) { largest"),
    ],
}

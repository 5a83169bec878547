# SPDX-License-Identifier: MIT
"""Work on another stream than the caller's, allocations and waits; README.md has the form."""
MUTANTS = {
    ("cuda/decode_planar.cu", "cuda/decode_planar.cu", "calls"): [
        ("stream", "0, stream, job, table, out)", "0, nullptr, job, table, out)"),
        ("wait", "return launch_kernel(", "cudaStreamSynchronize(stream); return launch_kernel("),
    ],
    ("cuda/decode_h4.cu", "cuda/decode_h4.cu", "calls"): [
        ("allocation", "return launch_kernel(",
         "void* more = nullptr; cudaMalloc(&more, 64); return launch_kernel("),
    ],
    ("cuda/add_slices.cu", "cuda/add_slices.cu", "calls"): [
        ("stream", "0, stream, job)", "0, nullptr, job)"),
    ],
    ("cuda/quantize.cu", "cuda/quantize.cu", "calls"): [
        ("stream", "0, stream, job, source)", "0, nullptr, job, source)"),
    ],
    ("cuda/repack.cu", "cuda/repack.cu", "calls"): [
        ("wait", "return launch_kernel(",
         "cudaMemset(job.faults, 0, 4); return launch_kernel("),
    ],
    ("cuda/gemm_h4.cu", "cuda/gemm_h4.cu", "calls"): [
        ("stream", "0, stream, job, y, y_stride)", "0, nullptr, job, y, y_stride)"),
    ],
    ("cuda/encode_a8.cu", "cuda/encode_a8.cu", "calls"): [
        ("wait", "return launch_kernel(", "cudaDeviceSynchronize(); return launch_kernel("),
    ],
    ("cuda/products.hpp", "cuda/gemv.cpp", "calls"): [
        ("stream", "y.rows, stream)", "y.rows, nullptr)"),
    ],
}

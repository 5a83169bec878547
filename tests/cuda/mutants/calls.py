# SPDX-License-Identifier: MIT
"""Work on another stream than the caller's, allocations and waits; README.md has the form."""
MUTANTS = {
    ("cuda/decode_planar.cu", "cuda/decode_planar.cu", "calls"): [
        ("stream", "0, stream>>>(job, table, out)", "0, nullptr>>>(job, table, out)"),
        ("wait", "(job, table, out);", "(job, table, out); cudaStreamSynchronize(stream);"),
    ],
    ("cuda/decode_h4.cu", "cuda/decode_h4.cu", "calls"): [
        ("allocation", "(job, device_tables(tables), out);",
         "(job, device_tables(tables), out); void* more = nullptr; cudaMalloc(&more, 64);"),
    ],
    ("cuda/add_slices.cu", "cuda/add_slices.cu", "calls"): [
        ("stream", "0, stream>>>(job)", "0>>>(job)"),
    ],
    ("cuda/quantize.cu", "cuda/quantize.cu", "calls"): [
        ("stream", "0, stream>>>(job, source)", "0, nullptr>>>(job, source)"),
    ],
    ("cuda/repack.cu", "cuda/repack.cu", "calls"): [
        ("wait", "kernel<<<", "cudaMemset(job.faults, 0, 4); kernel<<<"),
    ],
    ("cuda/gemm_h4.cu", "cuda/gemm_h4.cu", "calls"): [
        ("stream", "0, stream>>>(job, y, y_stride)", "0, nullptr>>>(job, y, y_stride)"),
    ],
    ("cuda/encode_a8.cu", "cuda/encode_a8.cu", "calls"): [
        ("wait", "0, stream>>>(job, rows);", "0, stream>>>(job, rows); cudaDeviceSynchronize();"),
    ],
    ("cuda/products.hpp", "cuda/gemv.cpp", "calls"): [
        ("stream", "y.rows, stream)", "y.rows, nullptr)"),
    ],
}

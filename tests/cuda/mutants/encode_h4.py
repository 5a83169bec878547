# SPDX-License-Identifier: MIT
"""Planted errors in the encoder of H4 blocks, KV mode; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/encode_h4.cuh", "cuda/encode_h4.cu", "encode"): [
        ("lane", "if (keys[i] >= own) element", "if (keys[i] > own) element"),
        ("bound", "e == largest) continue", "false) continue"),
        ("bound", "e >= count ||", ""),
        ("table column", "exceeded + step - 1)", "exceeded + step)"),
        ("mask", "sum >> 8 & 0x00ff00ffu", "sum >> 8 & 0x000f00ffu"),
        ("bound", "bits < best.bits", "bits <= best.bits"),
        ("stale accumulator", "if (lane < 16) scratch.words[lane] = 0;",
         "if (lane < 15) scratch.words[lane] = 0;"),
        ("sync", "words[lane % 16]; __syncwarp();", "words[lane % 16];"),
        ("shift by 0", "__funnelshift_l(bits, 0u, at % 32)", "bits >> (32 - at % 32) % 32"),
        ("bound", "if (word < 15) atomicOr", "if (word < 14) atomicOr"),
        ("lane", "if (lane >= distance) end", "if (lane > distance) end"),
        ("stale accumulator", "open &= ~(1u << i)", "open &= ~0u"),
        ("rounding", "__fdiv_rn(values[i], m)", "values[i] * (1.0f / m)"),
    ],
    ("cuda/encode_h4.cu", "cuda/encode_h4.cu", "encode"): [
        ("tail tile", "min(static_cast<int>(job.cols - start), kGroup)", "kGroup"),
        ("bound", "if (lane < 16)", "if (lane < 15)"),
        ("lane", "start + 4 * static_cast<unsigned>(lane)", "start + static_cast<unsigned>(lane)"),
    ],
}

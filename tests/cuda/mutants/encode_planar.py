# SPDX-License-Identifier: MIT
"""Planted errors in the encoder of planar blocks; README.md has the form."""
MUTANTS = {
    ("include/ecco/cuda/encode_planar_targets.cuh", "cuda/encode_planar.cu", "encode_planar"): [
        ("rounding", "__float2int_rn(", "__float2int_rz("),
        ("lane", "if (16 * (lane % 8) + 4 * t + lane / 8 < count)", "if (4 * lane + t < count)"),
        ("table column", "target << 16;", "target * 65536 + 65535;"),
        ("lane", "__shfl_sync(kFullMask, lower, 31)", "__shfl_sync(kFullMask, lower, 30)"),
        ("shift", "entry >> (8 + R)", "entry >> (7 + R)"),
        ("bound", "half + extra > kHalfTailBits ||", "half + extra >= kHalfTailBits ||"),
        ("lane", "if (lane_ == owner) taken", "if (lane_ / 8 == owner / 8) taken"),
        ("bound", "spent > kTailBits - kHalfTailBits", "spent >= kTailBits - kHalfTailBits"),
    ],
    ("include/ecco/cuda/encode_planar_search.cuh", "cuda/encode_planar.cu", "encode_planar"): [
        ("bound", "steps < 2 && code >= least_code_ ? 0", "steps < 3 && code >= least_code_ ? 0"),
        ("bound", "if (keys[j] < own) index", "if (keys[j] <= own) index"),
        ("stale accumulator", "{  // the last step did not help: turn, or end candidate",
         "{ direction = -1; candidate"),
        ("rounding", "excess * excess * 3 / 20", "excess * 3 / 20"),
        ("stale accumulator", "log_lambda_ = first_log(pattern, code) +",
         "log_lambda_ += first_log(pattern, code) +"),
        ("bound", "|| error < targets_.zero_error()", "|| error <= targets_.zero_error() + 64"),
    ],
    ("include/ecco/cuda/encode_planar.cuh", "cuda/encode_planar.cu", "encode_planar"): [
        ("lane", "sum += __shfl_xor_sync(kFullMask, sum, 2);",
         "sum += __shfl_xor_sync(kFullMask, sum, 16);"),
        ("table column", "own, 1), 0x5140u)", "own, 1), 0x4150u)"),
        ("sync", "scale_of(base)); __syncwarp();", "scale_of(base));"),
        ("rounding", "(sum >> 4, -32768)", "(sum >> 6, -32768)"),
        ("bound", "sum = min(max(sum, -32768), 32767); } } return sum;", "} } return sum;"),
        ("mask", "__popc(masks[t] & below);", "__popc(masks[t] & below >> 1);"),
        ("tail tile", "search.valid(t) ? static_cast", "true ? static_cast"),
    ],
    ("cuda/encode_planar.cu", "cuda/encode_planar.cu", "encode_planar"): [
        ("tail tile", "min(static_cast<int>(job.cols - start), kGroup)", "kGroup"),
        ("bound", "if (lane < kWords)", "if (lane < 16)"),
        ("lane", "start + 4 * static_cast<unsigned>(lane)", "start + static_cast<unsigned>(lane)"),
    ],
}

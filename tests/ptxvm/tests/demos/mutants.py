#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes broken versions of base.cu; a run of each must report a failure."""
import sys

MUTANTS = {
    "m1_nosync": ("lut[i] = lut_g[i];\n  __syncthreads();", "lut[i] = lut_g[i];\n"),
    "m2_shfl": ("d = 16; d; d >>= 1", "d = 8; d; d >>= 1"),
    "m3_funnel": ("__funnelshift_l(lo, hi, sh)", "__funnelshift_r(lo, hi, sh)"),
    "m4_oob": ("out[o + s] =", "out[o + s + 1] ="),
    "m5_magic": ("1032.f", "1031.f"),
    "m6_ballot": ("__ballot_sync(0xffffffffu, v > 0.5f)", "__ballot_sync(0xffffffffu, v >= 0.25f)"),
}
source, name, out = sys.argv[1:4]
text = open(source).read()
old, new = MUTANTS[name]
assert text.count(old) >= 1, name
open(out, "w").write(text.replace(old, new, 1))

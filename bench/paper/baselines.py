# SPDX-License-Identifier: MIT
"""Other 4-bit formats of weights, as fake quantisation: what their decoder would give back."""
import numpy as np

# The 16 levels of NF4 (QLoRA, arXiv 2305.14314, appendix E).
NF4 = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
                -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
                0.07958029955625534, 0.16093020141124725, 0.24611230194568634,
                0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                0.7229568362236023, 1.0], np.float32)
BITS = {"int4 g128 rtn": 4 + 20 / 128, "int4 g128 awq": 4 + 20 / 128, "nf4 g64": 4 + 16 / 64}


def grouped(weights, size):
    """[rows, K] -> [rows, groups, size] with the last group padded by copies of its last value."""
    rows, cols = weights.shape
    return np.pad(weights, ((0, 0), (0, -cols % size)), mode="edge").reshape(rows, -1, size)


def ungrouped(groups, cols):
    return groups.reshape(len(groups), -1)[:, :cols]


def int4(weights, size=128):
    """Round to nearest in 16 even steps from least to greatest; half scale, 4-bit zero point."""
    groups = grouped(weights.astype(np.float32), size)
    least = np.minimum(groups.min(axis=2, keepdims=True), 0)
    greatest = np.maximum(groups.max(axis=2, keepdims=True), 0)
    scale = ((greatest - least) / 15).astype(np.float16).astype(np.float32)
    scale[scale == 0] = 1
    zero = np.clip(np.rint(-least / scale), 0, 15)
    codes = np.clip(np.rint(groups / scale) + zero, 0, 15)
    return ungrouped((codes - zero) * scale, weights.shape[1])


def nf4(weights, size=64):
    """The nearest of 16 normal quantiles; half scale = the largest magnitude."""
    groups = grouped(weights.astype(np.float32), size)
    scale = np.abs(groups).max(axis=2, keepdims=True).astype(np.float16).astype(np.float32)
    scale[scale == 0] = 1
    codes = np.searchsorted((NF4[1:] + NF4[:-1]) / 2, groups / scale)
    return ungrouped(NF4[codes] * scale, weights.shape[1])


def awq(weights, mean_squares, steps=20):
    """AWQ's search (arXiv 2306.00978): columns times s before int4, by s after; s = rms^alpha of
    the column's input, alpha = 0, 1/20, ..., 19/20 of least weighted squared error. AWQ weighs by
    outputs on its samples; here by the mean squares, their diagonal. Returns values and alpha."""
    weights = weights.astype(np.float32)
    rms = np.sqrt(np.maximum(mean_squares.astype(np.float32), 1e-12))
    best = None
    for alpha in np.arange(steps) / steps:
        s = np.maximum(rms ** alpha, 1e-4)
        s /= np.sqrt(s.max() * s.min())
        values = int4(weights * s) / s
        error = float((np.square(values - weights).sum(axis=0) * mean_squares).sum())
        if best is None or error < best[0]:
            best = error, values, float(alpha)
    return best[1], best[2]


def apply(method, tensors, importance):
    """All matrices of `tensors` in the format `method`, rounded to half; others as they are."""
    out = {}
    for name, values in tensors.items():
        if values.ndim < 2 or values.dtype.kind != "f":
            out[name] = values
            continue
        matrix = values.reshape(-1, values.shape[-1])
        if method == "nf4 g64":
            fake = nf4(matrix)
        elif method == "int4 g128 awq" and name in importance:
            fake, _ = awq(matrix, importance[name])
        else:
            fake = int4(matrix)
        out[name] = fake.reshape(values.shape).astype(np.float16)
    return out


def rmse(tensors, originals):
    """Relative, over all matrices, as ecco info has it."""
    error = signal = 0.0
    for name, values in originals.items():
        if values.ndim >= 2 and values.dtype.kind == "f":
            exact = values.astype(np.float32)
            error += float(np.square(tensors[name].astype(np.float32) - exact).sum(dtype=float))
            signal += float(np.square(exact).sum(dtype=float))
    return (error / signal) ** 0.5

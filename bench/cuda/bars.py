# SPDX-License-Identifier: MIT
"""Whether a GPU is as fast as the kernels were designed to be (docs/cuda.md, "Measuring")."""

LEAST_SIZE = 8192  # of both dimensions
WIDE_MEMORY = 18  # GB/s per multiprocessor and GHz above which instructions limit dense tiles


class Bar:
    """A verdict on one shape; `measured` is None where a benchmark is missing."""

    def __init__(self, text, shape, measured, wanted, at_most=False):
        self.text = text
        self.shape = shape
        self.measured = measured
        self.wanted = f"{'<=' if at_most else '>='} {wanted}x"
        if measured is None:
            self.verdict = "not measured"
        else:
            met = measured <= wanted if at_most else measured >= wanted
            self.verdict = "met" if met else "missed"


def large(shape):
    return min(int(n) for n in shape.split("x")) >= LEAST_SIZE


def bars(results):
    """All bars of all large shapes."""
    ratio = results.ratio()
    chosen = results.context.get("p4_automatic", "unknown layout") + "/int8"
    least_dense = 2.5 if ratio is None or ratio <= WIDE_MEMORY else 1.8
    found = []
    for shape in filter(large, results.shapes):
        found.append(Bar(f"{chosen} (automatic), batch 1, times as fast as cuBLAS", shape,
                         results.speed_up(shape, chosen, 1), 2.5))
        found.append(Bar("p4/dense/int8, batch 1, times as fast as cuBLAS", shape,
                         results.speed_up(shape, "p4/dense/int8", 1), least_dense))
        for setting in dict.fromkeys([chosen, "p4/dense/int8"]):
            one = results.time(shape, setting, 1)
            many = results.time(shape, setting, 16)
            found.append(Bar(f"{setting}, batch 16, times the time of batch 1", shape,
                             many / one if one and many else None, 1.3, at_most=True))
    return found

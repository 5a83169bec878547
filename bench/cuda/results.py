# SPDX-License-Identifier: MIT
"""What cuda_bench wrote: the products of each shape beside cuBLAS in half, and the GPU."""
import json
import re

KINDS = ["int8", "int16", "panels"]  # last part of a setting's name


class Results:
    """context; benchmarks: name -> benchmark; failed: name -> error; shapes: shape -> setting ->
    batch -> benchmark, in which "p4/dense/half", the larger batches of "p4/dense/int8", joins it.
    """

    def __init__(self, text):
        results = json.loads(text)
        self.context = results["context"]
        self.benchmarks = {}
        self.failed = {}
        self.shapes = {}
        for benchmark in results["benchmarks"]:
            name = benchmark["name"].removesuffix("/manual_time")
            if benchmark.get("error_occurred"):
                self.failed[name] = benchmark["error_message"]
            else:
                self.benchmarks[name] = benchmark
                self._add_product(name, benchmark)

    def _add_product(self, name, benchmark):
        match = re.fullmatch(r"product/(.+)/(\d+x\d+)/batch:(\d+)", name)
        if match:
            setting = re.sub(r"/half$", "/int8", match[1])
            settings = self.shapes.setdefault(match[2], {})
            settings.setdefault(setting, {})[int(match[3])] = benchmark

    def time(self, shape, setting, batch):
        """Microseconds, or None."""
        benchmark = self.shapes.get(shape, {}).get(setting, {}).get(batch)
        return benchmark["real_time"] if benchmark else None

    def speed_up(self, shape, setting, batch):
        """Time of cuBLAS in half over the time of this setting, or None."""
        half = self.time(shape, "half", batch)
        own = self.time(shape, setting, batch)
        return half / own if half and own else None

    def batches(self, shape):
        return sorted({batch for row in self.shapes[shape].values() for batch in row})

    def ratio(self):
        """GB/s of memory per multiprocessor and GHz, by the driver's clocks; None if unknown."""
        try:
            memory_mhz, bits, count, clock_mhz = (
                int(self.context[key])
                for key in ("memory_mhz", "memory_bits", "multiprocessors", "clock_mhz"))
        except KeyError:
            return None
        return 2e-3 * memory_mhz * bits / 8 / (1e-3 * count * clock_mhz) if clock_mhz else None

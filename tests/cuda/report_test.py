#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of bench/cuda/report.py on results made by hand."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench" / "cuda"
sys.dont_write_bytecode = True
sys.path.insert(0, os.fspath(BENCH))

from bars import bars  # noqa: E402
from plot import plot  # noqa: E402
from report import markdown  # noqa: E402
from results import Results  # noqa: E402

H100 = {"date": "2026-01-02T03:04:05+00:00", "gpu": "NVIDIA H100 80GB HBM3",
        "multiprocessors": "132", "clock_mhz": "1980", "memory_mhz": "2619",
        "memory_bits": "5120", "l2_bytes": "52428800", "p4_automatic": "p4/paired"}
H200 = {**H100, "gpu": "NVIDIA H200", "memory_mhz": "3750", "memory_bits": "5120",
        "clock_mhz": "1785", "p4_automatic": "p4/fast"}


def benchmark(name, microseconds):
    return {"name": name + "/manual_time", "real_time": microseconds, "time_unit": "us",
            "bytes/s": 1e12, "of_copy": 0.5, "values/s": 1e12}


def failed(name):
    return {"name": name + "/manual_time", "error_occurred": True, "error_message": "no memory"}


def results(context, times, more=()):
    """times: (setting, batch) -> microseconds, of 8192x8192."""
    benchmarks = [benchmark("copy", 1e6), benchmark("decode/p4/8192x8192", 100)]
    benchmarks += [benchmark(f"product/{setting}/8192x8192/batch:{batch}", time)
                   for (setting, batch), time in times.items()]
    return json.dumps({"context": context, "benchmarks": benchmarks + list(more)})


TIMES = {("half", 1): 50.0, ("half", 16): 52.0, ("half", 64): 60.0,
         ("p4/dense/int8", 1): 25.0, ("p4/dense/int8", 16): 30.0, ("p4/dense/half", 64): 90.0,
         ("p4/paired/int8", 1): 20.0, ("p4/paired/int8", 16): 26.1,
         ("p4/paired/int16", 1): 20.5, ("p4/paired/panels", 64): 70.0,
         ("p4/fast/int8", 1): 19.9, ("p4/fast/int8", 16): 21.0}


def verdicts(text):
    return [(bar.text.split(",")[0], bar.wanted, bar.verdict) for bar in bars(Results(text))]


class ReportTest(unittest.TestCase):
    def test_ratio_is_gigabytes_per_multiprocessor_and_gigahertz(self):
        # 2 * 2.619 GHz * 640 bytes = 3352 GB/s over 132 * 1.98
        self.assertAlmostEqual(Results(results(H100, TIMES)).ratio(), 12.83, places=2)
        self.assertAlmostEqual(Results(results(H200, TIMES)).ratio(), 20.37, places=2)
        self.assertIsNone(Results(results({"gpu": "?"}, TIMES)).ratio())

    def test_names_the_commit_that_was_measured(self):
        named = markdown(Results(results({**H100, "commit": "0abc123"}, TIMES)))
        self.assertIn("Measured 2026-01-02 at commit 0abc123, 132 multiprocessors", named)
        self.assertIn("Measured 2026-01-02, 132", markdown(Results(results(H100, TIMES))))

    def test_bars_below_wide_memory(self):
        self.assertEqual(verdicts(results(H100, TIMES)), [
            ("p4/paired/int8 (automatic)", ">= 2.5x", "met"),  # exactly 2.5
            ("p4/dense/int8", ">= 2.5x", "missed"),
            ("p4/paired/int8", "<= 1.3x", "missed"),  # 26.1 / 20
            ("p4/dense/int8", "<= 1.3x", "met")])

    def test_bars_of_wide_memory(self):
        self.assertEqual(verdicts(results(H200, TIMES)), [
            ("p4/fast/int8 (automatic)", ">= 2.5x", "met"),
            ("p4/dense/int8", ">= 1.8x", "met"),
            ("p4/fast/int8", "<= 1.3x", "met"),
            ("p4/dense/int8", "<= 1.3x", "met")])

    def test_missing_benchmarks_are_not_measured(self):
        times = {("half", 1): 50.0, ("p4/dense/int8", 16): 30.0}
        text = results(H100, times, [failed("product/p4/dense/int8/8192x8192/batch:1")])
        self.assertEqual({verdict for _, _, verdict in verdicts(text)}, {"not measured"})
        without_layout = {k: v for k, v in H100.items() if k != "p4_automatic"}
        self.assertEqual(verdicts(results(without_layout, TIMES))[0][2], "not measured")

    def test_only_large_shapes_have_bars(self):
        small = [benchmark("product/half/8192x4096/batch:1", 9.0)]
        self.assertEqual({bar.shape for bar in bars(Results(results(H100, TIMES, small)))},
                         {"8192x8192"})

    def test_markdown(self):
        text = results(H100, TIMES, [failed("encode/p4/8192x8192")])
        lines = markdown(Results(text)).splitlines()
        self.assertIn("# NVIDIA H100 80GB HBM3", lines)
        self.assertIn("| µs | batch 1 | batch 16 | batch 64 |", lines)
        self.assertIn("| half | 50.0 | 52.0 | 60.0 |", lines)
        self.assertIn("| p4/dense/int8 | 25.0 (2.00x) | 30.0 (1.73x) | 90.0 (0.67x) |", lines)
        self.assertIn("| p4/paired/panels |  |  | 70.0 (0.86x) |", lines)
        self.assertIn("| p4/paired/int8 (automatic), batch 1, times as fast as cuBLAS | 8192x8192 "
                      "| >= 2.5x | 2.50x | met |", lines)
        self.assertIn("| decode/p4/8192x8192 | 100.0 | 1000.0 G | 1000 | 50 % |", lines)
        self.assertEqual(lines[-3:], ["## Failed", "", "- encode/p4/8192x8192: no memory"])

    def test_plot_has_a_curve_per_setting_and_panel(self):
        svg = xml.etree.ElementTree.fromstring(plot(Results(results(H100, TIMES)), "8192x8192"))
        lines = svg.findall("{http://www.w3.org/2000/svg}polyline")
        shown = [len(line.get("points").split()) for line in lines]
        self.assertEqual(shown, [2, 2, 1, 2, 1, 1])  # int8 x 3, int16; then dense, panels

    def test_without_cublas_there_are_no_curves_and_no_ratios(self):
        times = {key: time for key, time in TIMES.items() if key[0] != "half"}
        found = Results(results(H100, times))
        self.assertNotIn("polyline", plot(found, "8192x8192"))
        self.assertIn("| p4/dense/int8 | 25.0 | 30.0 | 90.0 |", markdown(found))

    def test_program_writes_three_files_and_prints_verdicts(self):
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "in.json"
            source.write_text(results(H100, TIMES), encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-B", BENCH / "report.py", source, "--out", folder],
                check=True, capture_output=True, text=True)
            self.assertIn("missed: p4/dense/int8, batch 1, times as fast as cuBLAS, 8192x8192: "
                          "2.00x (wanted >= 2.5x)\n", done.stdout)
            self.assertEqual(sorted(os.listdir(folder)),
                             ["in.json", *(f"nvidia-h100-80gb-hbm3.{end}"
                                           for end in ("json", "md", "svg"))])


if __name__ == "__main__":
    unittest.main()

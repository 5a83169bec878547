#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Repeats the tables and the design-space exploration of the ISCA 2025 paper on real weights.

Writes results.json, results.md and plots as SVG into --out. Needs a build of the programs:
    cmake --preset release && cmake --build build/release --target ecco_cli ecco-llama h4_probe
and, of Debian, python3-numpy, python3-matplotlib, and valgrind for the counts of instructions.
The demo model of tests/data/model is always measured; --models adds safetensors files, such as
fetch_models.py makes. An interrupted run goes on where it was: results are kept in --work by
command line. Half an hour on one core without --quick; see docs/paper.md.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import sys

try:
    import matplotlib  # noqa: F401  (imported here for the message alone)
    import numpy  # noqa: F401
except ImportError as error:
    sys.exit(f"run.py: {error}: {sys.executable} lacks a module. On Debian: apt-get install "
             "python3-numpy python3-matplotlib, then run this with /usr/bin/python3")

import measures
import plots
import report
from programs import Programs


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    build = measures.REPOSITORY / "build/release"
    parser.add_argument("--bin", type=pathlib.Path, default=build / "bin", help="built programs")
    parser.add_argument("--work", type=pathlib.Path, default=build / "paper",
                        help="folder of compressed models and of results so far")
    parser.add_argument("--out", type=pathlib.Path, default=build / "paper/out")
    parser.add_argument("--models", type=pathlib.Path, nargs="*", default=[], metavar="FILE",
                        help="further weights: safetensors files")
    parser.add_argument("--windows", type=int, default=0, metavar="N",
                        help="perplexity on the first N windows of the text (0, default: all)")
    parser.add_argument("--sweep-windows", type=int, default=97, metavar="N",
                        help="the same for the exploration of S and H (default: 97, a quarter)")
    parser.add_argument("--modes", nargs="*", default=measures.MODES, choices=measures.MODES,
                        help="modes of the exploration; training takes rate-aware minutes a point")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="measurements at a time")
    parser.add_argument("--quick", action="store_true",
                        help="one minute: 8 windows of text and a few points")
    return parser.parse_args()


def importance_of_demo(programs):
    """Mean squares of the columns' inputs on the calibration text, as a safetensors file."""
    path = programs.work / "importance.safetensors"
    if not path.exists():
        programs.run("ecco-llama", "importance", measures.DEMO, "--tokens",
                     measures.DEMO / "calib_tokens.u16", "-o", path)
    return path


def machine():
    """The processor as Linux names it."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':')[1].strip()}, {os.cpu_count()} threads"
    return "unknown"


def measure(programs, arguments):
    """All sections; independent measurements run beside each other."""
    path = measures.DEMO / "eval_tokens.u16"
    text, sweep_text = (path, arguments.windows), (path, arguments.sweep_windows)
    importance = importance_of_demo(programs)
    quick = arguments.quick
    settings = ["h4 rate-aware", "h4 faithful, trained, importance", "p4"]
    methods = ["h4 faithful", "int4 g128 awq", "nf4 g64"] if quick else None
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        decoder = pool.submit(measures.decoder, programs)
        cache = pool.submit(measures.demo_cache, programs, text)
        formats = pool.submit(measures.demo_formats, programs, text, importance, settings,
                              methods)
        points = [pool.submit(measures.sweep_point, programs, *shape, importance, sweep_text)
                  for shape in measures.sweep_grid(arguments.modes, quick)]
        exact = pool.submit(programs.perplexity, measures.DEMO, sweep_text)
        others = {path.stem: pool.submit(measures.other_model, programs, path, quick)
                  for path in arguments.models}
        return {"machine": machine(), "windows": arguments.windows,
                "sweep_windows": arguments.sweep_windows,
                "sweep_fp16": exact.result()["perplexity"], "decoder": decoder.result(),
                "cache": cache.result(), "formats": formats.result(),
                "sweep": [point.result() for point in points],
                "tails": {path.stem: measures.tails(path) for path in
                          [measures.DEMO / "model.safetensors", *arguments.models]},
                "models": {name: model.result() for name, model in others.items()}}


def main():
    arguments = parse_arguments()
    if arguments.quick:
        arguments.windows = arguments.sweep_windows = 8
    programs = Programs(arguments.bin, arguments.work)
    results = measure(programs, arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (arguments.out / "results.md").write_text(report.markdown(results))
    plots.write(results, arguments.out)
    print(f"{arguments.out}: results.json, results.md, *.svg")


if __name__ == "__main__":
    main()

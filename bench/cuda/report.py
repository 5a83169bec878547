#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tables (Markdown) and a plot (SVG) of cuda_bench's JSON, and says which bars were met.

usage: report.py RESULTS.json --out FOLDER

Writes FOLDER/GPU.json, GPU.md and GPU.svg, GPU = the device's name. Needs nothing but Python, since
machines with GPUs often have no network.
"""
import argparse
import pathlib
import re
import sys
import textwrap

from bars import bars
from plot import plot
from results import Results


def file_name(context):
    return re.sub(r"[^a-z0-9]+", "-", context["gpu"].lower()).strip("-")


def paragraph(text):
    return [*textwrap.wrap(text, 100), ""]


def introduction(results):
    context = results.context
    text = f"Measured {context['date'][:10]}"
    if "commit" in context:
        text += f" at commit {context['commit']}"
    text += f", {context['multiprocessors']} multiprocessors"
    ratio = results.ratio()
    if ratio is not None:
        text += (f" of {context['clock_mhz']} MHz, memory of {context['memory_mhz']} MHz and "
                 f"{context['memory_bits']} bits: {ratio:.1f} GB/s per multiprocessor and GHz")
    if "copy" in results.benchmarks:
        text += f"; a copy moves {results.benchmarks['copy']['bytes/s'] / 1e9:.0f} GB/s"
    return paragraph(text + ". Times are of the device, weights rotate beyond L2. `half` is cuBLAS "
                     "in the same run; (2.00x) is its time over ours. Batches above 16 are "
                     "multiplied in half; `panels`: decoded, then cuBLAS.")


def bar_table(results):
    lines = ["| bar | shape | wanted | measured | |", "|---|---|---|---|---|"]
    for bar in bars(results):
        measured = "" if bar.measured is None else f"{bar.measured:.2f}x"
        lines.append(f"| {bar.text} | {bar.shape} | {bar.wanted} | {measured} | {bar.verdict} |")
    return lines + [""]


def product_table(results, shape):
    settings, batches = results.shapes[shape], results.batches(shape)
    lines = [f"### {shape}", "", "| µs | " + " | ".join(f"batch {b}" for b in batches) + " |",
             "|---" * (len(batches) + 1) + "|"]
    for setting, row in settings.items():
        cells = []
        for batch in batches:
            text = f"{row[batch]['real_time']:.1f}" if batch in row else ""
            ratio = results.speed_up(shape, setting, batch)
            cells.append(text + (f" ({ratio:.2f}x)" if ratio and setting != "half" else ""))
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    used = [f"{setting} {100 * row[batches[0]]['of_copy']:.0f} %"
            for setting, row in settings.items() if batches[0] in row]
    text = f"Bandwidth at batch {batches[0]}, of a copy's: " + ", ".join(used) + "."
    return lines + ["", *paragraph(text)]


def codec_table(results):
    lines = ["| | µs | values/s | GB/s | of a copy |", "|---|---|---|---|---|"]
    for name, benchmark in results.benchmarks.items():
        if name.startswith(("decode/", "encode/")):
            lines.append(f"| {name} | {benchmark['real_time']:.1f} | "
                         f"{benchmark['values/s'] / 1e9:.1f} G | {benchmark['bytes/s'] / 1e9:.0f} |"
                         f" {100 * benchmark['of_copy']:.0f} % |")
    return lines


def failures(results):
    if not results.failed:
        return []
    return ["", "## Failed", "", *(f"- {name}: {error}" for name, error in results.failed.items())]


def markdown(results):
    lines = ["<!-- SPDX-License-Identifier: MIT -->", f"# {results.context['gpu']}", "",
             *introduction(results),
             f"![times as fast as cuBLAS]({file_name(results.context)}.svg)", "",
             "## Bars", "", *bar_table(results), "## Products", ""]
    for shape in results.shapes:
        lines += product_table(results, shape)
    lines += ["## Decoding and encoding, half", "", *codec_table(results), *failures(results)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    text = arguments.results.read_text(encoding="utf-8")
    results = Results(text)
    if not results.shapes:
        sys.exit(f"report.py: {arguments.results} has no products")
    shape = "8192x8192" if "8192x8192" in results.shapes else next(iter(results.shapes))
    arguments.out.mkdir(parents=True, exist_ok=True)
    out = arguments.out / file_name(results.context)
    out.with_suffix(".json").write_text(text, encoding="utf-8")
    out.with_suffix(".md").write_text(markdown(results), encoding="utf-8")
    out.with_suffix(".svg").write_text(plot(results, shape), encoding="utf-8")
    for bar in bars(results):
        measured = "" if bar.measured is None else f" {bar.measured:.2f}x"
        print(f"{bar.verdict}: {bar.text}, {bar.shape}:{measured} (wanted {bar.wanted})")
    for name, error in results.failed.items():
        print(f"failed: {name}: {error}")
    print(f"{out}.md")


if __name__ == "__main__":
    main()

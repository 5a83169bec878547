#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a table (Markdown) and a plot (SVG) of cuda_bench's JSON.

usage: report.py RESULTS.json --out FOLDER

Writes FOLDER/GPU.json, GPU.md and GPU.svg, GPU = the device's name. Needs nothing but Python, since
machines with GPUs often have no network.
"""
import argparse
import json
import pathlib
import re
import sys
import textwrap

COLORS = ["#1b6ca8", "#c8553d", "#588157", "#8e5ea2", "#b08900", "#444444", "#d62f8a", "#17a2a2"]


def read(path):
    """(context, {name: benchmark}) without those that failed; failures go to stderr."""
    results = json.loads(path.read_text())
    found = {}
    for benchmark in results["benchmarks"]:
        name = benchmark["name"].removesuffix("/manual_time")
        if benchmark.get("error_occurred"):
            print(f"{name}: {benchmark['error_message']}", file=sys.stderr)
        else:
            found[name] = benchmark
    return results["context"], found


def file_name(context):
    return re.sub(r"[^a-z0-9]+", "-", context["gpu"].lower()).strip("-")


def products(benchmarks):
    """shape -> setting -> batch -> benchmark; "p4/dense/half", of large batches, joins "int8"."""
    out = {}
    for name, benchmark in benchmarks.items():
        match = re.fullmatch(r"product/(.+)/(\d+x\d+)/batch:(\d+)", name)
        if match:
            setting = re.sub(r"/half$", "/int8", match[1])
            out.setdefault(match[2], {}).setdefault(setting, {})[int(match[3])] = benchmark
    return out


def speed_up(settings, setting, batch):
    """Time of cuBLAS in half over the time of this setting, or None."""
    half = settings.get("half", {}).get(batch)
    own = settings[setting].get(batch)
    return half["real_time"] / own["real_time"] if half and own else None


def product_table(shape, settings):
    batches = sorted({batch for row in settings.values() for batch in row})
    lines = [f"### {shape}", "", "| µs | " + " | ".join(f"batch {b}" for b in batches) + " |",
             "|---" * (len(batches) + 1) + "|"]
    for setting, row in settings.items():
        cells = []
        for batch in batches:
            ratio = speed_up(settings, setting, batch)
            text = f"{row[batch]['real_time']:.1f}" if batch in row else ""
            if text and ratio and setting != "half":
                text += f" ({ratio:.2f}x)"
            cells.append(text)
        lines.append(f"| {setting} | " + " | ".join(cells) + " |")
    first = batches[0]
    used = [f"{setting} {100 * row[first]['of_copy']:.0f} %"
            for setting, row in settings.items() if first in row]
    text = f"Bandwidth at batch {first}, of a copy's: " + ", ".join(used) + "."
    return lines + ["", *textwrap.wrap(text, 100), ""]


def codec_table(benchmarks):
    lines = ["| | µs | values/s | GB/s | of a copy |", "|---|---|---|---|---|"]
    for name, benchmark in benchmarks.items():
        if name.startswith(("decode/", "encode/")):
            lines.append(f"| {name} | {benchmark['real_time']:.1f} | "
                         f"{benchmark['values/s'] / 1e9:.1f} G | {benchmark['bytes/s'] / 1e9:.0f} |"
                         f" {100 * benchmark['of_copy']:.0f} % |")
    return lines


def markdown(context, benchmarks):
    text = (f"Measured {context['date'][:10]}, {context['multiprocessors']} multiprocessors; a "
            f"copy moves {benchmarks['copy']['bytes/s'] / 1e9:.0f} GB/s. Times are of the device, "
            "weights rotate beyond L2. `half` is cuBLAS in the same run; (2.00x) is its time over "
            "ours. Batches above 16 are multiplied in half, h4 16 vectors at a time.")
    lines = ["<!-- SPDX-License-Identifier: MIT -->", f"# {context['gpu']}", "",
             *textwrap.wrap(text, 100), "",
             f"![times faster than cuBLAS]({file_name(context)}.svg)", "", "## Products", ""]
    for shape, settings in products(benchmarks).items():
        lines += product_table(shape, settings)
    lines += ["## Decoding and encoding, half", "", *codec_table(benchmarks)]
    return "\n".join(lines) + "\n"


def plot(context, settings, shape):
    """Speed-up over half against the batch, as lines."""
    batches = sorted({batch for row in settings.values() for batch in row})
    curves = {}
    for setting in settings:
        points = [(i, speed_up(settings, setting, b)) for i, b in enumerate(batches)]
        points = [(i, ratio) for i, ratio in points if ratio is not None]
        if setting != "half" and points:
            curves[setting] = points
    top = max([ratio for points in curves.values() for _, ratio in points], default=1.0) * 1.1
    x = lambda i: 60 + i * 480 / max(len(batches) - 1, 1)
    y = lambda ratio: 330 - 280 * ratio / top
    svg = ['<svg xmlns="http://www.w3.org/2000/svg" width="720" height="380" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="720" height="380" fill="#fff"/>',
           f'<text x="60" y="24" font-size="14">{context["gpu"]}, {shape}: times faster than '
           'cuBLAS in half</text>']
    for tick in range(int(top) + 1):
        svg.append(f'<line x1="60" x2="540" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#ddd"/>'
                   f'<text x="50" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for i, batch in enumerate(batches):
        svg.append(f'<text x="{x(i):.1f}" y="350" text-anchor="middle">{batch}</text>')
    svg.append('<text x="300" y="370" text-anchor="middle">vectors</text>')
    for (setting, points), color in zip(curves.items(), COLORS * 3):
        line = " ".join(f"{x(i):.1f},{y(ratio):.1f}" for i, ratio in points)
        at = 50 + 18 * list(curves).index(setting)
        svg.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
                   f'<text x="560" y="{at}" fill="{color}">{setting}</text>')
    return "\n".join(svg + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    context, benchmarks = read(arguments.results)
    shapes = products(benchmarks)
    if "copy" not in benchmarks or not shapes:
        sys.exit(f"report.py: {arguments.results} has no products or no copy to compare them with")
    shape = "8192x8192" if "8192x8192" in shapes else next(iter(shapes))
    arguments.out.mkdir(parents=True, exist_ok=True)
    out = arguments.out / file_name(context)
    out.with_suffix(".json").write_text(arguments.results.read_text())
    out.with_suffix(".md").write_text(markdown(context, benchmarks))
    out.with_suffix(".svg").write_text(plot(context, shapes[shape], shape))
    print(f"{out}.md")


if __name__ == "__main__":
    main()

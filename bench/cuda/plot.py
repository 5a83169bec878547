# SPDX-License-Identifier: MIT
"""Speed over cuBLAS in half against the batch, as SVG: a panel for small batches, one for large
ones. A colour per codec and layout, a dash per kind of product."""
from results import KINDS

COLORS = ["#1b6ca8", "#c8553d", "#2e7d32", "#8e5ea2", "#b08900", "#444444", "#d62f8a", "#17a2a2"]
DASHES = dict(zip(KINDS, ["none", "7 4", "2 3"]))
MEANINGS = {"int8": "int8; above 16 vectors half", "int16": "int16",
            "panels": "panels and cuBLAS"}
SMALL = 16  # the most vectors of the first panel
TOP, BOTTOM = 50, 340


def split(setting):
    """("p4/dense", "int8") of "p4/dense/int8"."""
    return tuple(setting.rsplit("/", 1))


def text(x, y, what, **attributes):
    more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{what}</text>'


def line(x1, y1, x2, y2, color, **attributes):
    more = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{color}"{more}/>')


def axes(left, right, batches, x, y, top):
    step = next(s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 1e9) if top / s <= 9)
    out = []
    for i in range(int(top / step) + 1):
        one = abs(i * step - 1) < 1e-6
        out.append(line(left, y(i * step), right, y(i * step), "#888" if one else "#ddd"))
        out.append(text(left - 6, y(i * step) + 4, f"{i * step:g}", text_anchor="end"))
    out += [text(x(i), BOTTOM + 18, batch, text_anchor="middle")
            for i, batch in enumerate(batches)]
    return out + [text((left + right) / 2, BOTTOM + 36, "vectors", text_anchor="middle")]


def panel(left, right, batches, curves, colors):
    """curves: setting -> {batch: speed-up}."""
    shown = {setting: [(i, curve[b]) for i, b in enumerate(batches) if b in curve]
             for setting, curve in curves.items() if any(b in curve for b in batches)}
    top = 1.05 * max([ratio for points in shown.values() for _, ratio in points], default=1.0)

    def x(i):
        return left + 12 + i * (right - left - 24) / max(len(batches) - 1, 1)

    def y(ratio):
        return BOTTOM - (BOTTOM - TOP) * ratio / top

    out = axes(left, right, batches, x, y, top)
    for setting, points in shown.items():
        name, kind = split(setting)
        path = " ".join(f"{x(i):.1f},{y(ratio):.1f}" for i, ratio in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colors[name]}" '
                   f'stroke-width="1.6" stroke-dasharray="{DASHES[kind]}"/>')
        out += [f'<circle cx="{x(i):.1f}" cy="{y(ratio):.1f}" r="2.4" fill="{colors[name]}"/>'
                for i, ratio in points]
    return out


def legend(left, curves, colors):
    out = []
    for i, (name, color) in enumerate(colors.items()):
        out.append(line(left, 60 + 20 * i, left + 26, 60 + 20 * i, color, stroke_width=3))
        out.append(text(left + 34, 64 + 20 * i, name))
    at = 80 + 20 * len(colors)
    for kind in (k for k in KINDS if any(split(setting)[1] == k for setting in curves)):
        out.append(line(left, at, left + 26, at, "#444", stroke_width=1.6,
                        stroke_dasharray=DASHES[kind]))
        out.append(text(left + 34, at + 4, MEANINGS[kind]))
        at += 20
    return out


def plot(results, shape):
    curves = {}
    for setting in results.shapes[shape]:
        points = {b: results.speed_up(shape, setting, b) for b in results.batches(shape)}
        points = {b: ratio for b, ratio in points.items() if ratio is not None}
        if setting != "half" and points:
            curves[setting] = points
    names = list(dict.fromkeys(split(setting)[0] for setting in curves))
    colors = {name: COLORS[i % len(COLORS)] for i, name in enumerate(names)}
    batches = results.batches(shape)
    small = [b for b in batches if b <= SMALL]
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="970" height="390" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="970" height="390" fill="#fff"/>',
           text(50, 24, f"{results.context['gpu']}, {shape}: times as fast as cuBLAS in half",
                font_size=14)]
    out += panel(50, 430, small, curves, colors)
    out += panel(480, 730, [b for b in batches if b > SMALL], curves, colors)
    return "\n".join(out + legend(750, curves, colors) + ["</svg>"]) + "\n"

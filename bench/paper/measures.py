# SPDX-License-Identifier: MIT
"""What is measured, section by section, as plain dictionaries."""
import math
import pathlib
import shutil

import numpy as np

import baselines
import weights

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "tests/data/model"
PATTERNS, CODEBOOKS = [16, 32, 64, 128, 256], [1, 2, 4, 8]
MODES = ["faithful", "rate-aware"]


def entropy(rows):
    """Bits per symbol of counts [[16], ...]: given the row each symbol was counted in."""
    total = sum(map(sum, rows))
    return sum(-n * math.log2(n / sum(row)) for row in rows for n in row if n) / total


def pooled(rows):
    """The counts of all rows in one."""
    return [[sum(column) for column in zip(*rows)]]


def weigh(parts, key):
    values = sum(part["values"] for part in parts)
    return sum(part[key] * part["values"] for part in parts) / values


def h4_statistics(programs, model):
    """Shares of values, code length and entropies, of the whole model and per kind of tensor."""
    sizes = {t["name"]: math.prod(t["shape"])
             for t in programs.json("ecco", "info", model, "--json")["tensors"]}
    counts = programs.json("h4_probe", "symbols", model)
    parts = []
    for part in programs.json("ecco", "verify", model, "--json")["h4"]:
        name = part["name"]
        parts.append(part | {"values": sizes[name], "kind": weights.kind(name),
                             "entropy": entropy(counts[name]),
                             "pooled_entropy": entropy(pooled(counts[name]))})
    keys = ["clipped_share", "outlier_share", "mean_code_length", "entropy", "pooled_entropy"]
    kinds = {}
    for part in parts:
        kinds.setdefault(part["kind"], []).append(part)
    summary = lambda some: {key: weigh(some, key) for key in keys}
    return summary(parts) | {"kinds": {kind: summary(some) for kind, some in kinds.items()}}


def compressed(programs, source, label, *options):
    """Size and error of a model after `ecco compress` with these options."""
    out, report = programs.compress(source, label, *options)
    info = programs.json("ecco", "info", out, "--against", source, "--json")
    words = [o.name if isinstance(o, pathlib.Path) else str(o) for o in options]
    result = {"options": " ".join(words), "bits_per_weight": report["bits_per_weight"],
              "file_ratio": report["ratio"], "rmse": info["rmse"]}
    if report["codec"] == "h4":
        result |= h4_statistics(programs, out)
    return out, result


def sweep_point(programs, mode, patterns, codebooks, importance, text):
    """The demo model with tables of this shape, trained for this mode, weighted by importance."""
    label = f"demo-{mode}-{patterns}-{codebooks}"
    out, result = compressed(programs, DEMO, label, "--codec", "h4", "--mode", mode, "--patterns",
                             patterns, "--codebooks", codebooks, "--importance", importance)
    result |= {"mode": mode, "patterns": patterns, "codebooks": codebooks,
               "perplexity": programs.perplexity(out, text)["perplexity"]}
    result.pop("kinds")
    return result


def sweep_grid(modes, quick):
    """(mode, S, H): S at H = 4 and H at S = 64."""
    if quick:
        return [("faithful", 16, 1), ("faithful", 16, 4), ("faithful", 64, 4)]
    shapes = [(s, 4) for s in PATTERNS] + [(64, h) for h in CODEBOOKS if h != 4]
    return [(mode, s, h) for mode in modes for s, h in shapes]


FORMATS = {
    "h4 rate-aware": ["--codec", "h4"],
    "h4 rate-aware, importance": ["--codec", "h4", "--importance"],
    "h4 faithful": ["--codec", "h4", "--mode", "faithful"],
    "h4 faithful, trained": ["--codec", "h4", "--mode", "faithful", "--table", "file"],
    "h4 faithful, trained, importance": ["--codec", "h4", "--mode", "faithful", "--table", "file",
                                         "--importance"],
    "p4": ["--codec", "p4"],
    "p4, importance": ["--codec", "p4", "--importance"],
}


def label_of(method):
    return method.replace(", ", "-").replace(" ", "-")


def fake_model(programs, method, originals, importance):
    """A directory like DEMO whose matrices went through another format; and its error."""
    out = programs.work / f"model-{label_of(method)}"
    values = baselines.apply(method, originals, importance)
    out.mkdir(exist_ok=True)
    weights.write(out / "model.safetensors", values)
    for file in "config.json", "tokenizer.model":
        shutil.copy(DEMO / file, out / file)
    return out, {"bits_per_weight": baselines.BITS[method],
                 "rmse": baselines.rmse(values, originals)}


def demo_formats(programs, text, importance_path, settings, methods=None):
    """name -> what the format costs on the demo model, in one or both of the paper's settings."""
    originals = weights.read(DEMO / "model.safetensors")
    importance = weights.read(importance_path)
    plain = lambda model: programs.perplexity(model, text)
    results = {"fp16": {"bits_per_weight": 16.0, "rmse": 0.0,
                        "w4a16": plain(DEMO)["perplexity"]}}
    for method in methods or [*FORMATS, *baselines.BITS]:
        if method in baselines.BITS:
            out, result = fake_model(programs, method, originals, importance)
        else:
            options = FORMATS[method]
            if options[-1] == "--importance":
                options = [*options, importance_path]
            out, result = compressed(programs, DEMO, f"demo-{label_of(method)}", *options)
        result["w4a16"] = plain(out)["perplexity"]
        if method in settings:
            online = programs.perplexity(out, text, "--setting", "w4a8kv4")
            result["w4a8kv4"] = online["perplexity"]
        results[method] = result
    return results


def demo_cache(programs, text):
    """Keys and values of fp16 weights in H4's KV mode, and activations in A8, each alone."""
    cache = programs.perplexity(DEMO, text, "--kv-cache", "h4")
    plain = programs.perplexity(DEMO, text)
    return {"perplexity": plain["perplexity"], "perplexity_kv_h4": cache["perplexity"],
            "perplexity_a8": programs.perplexity(DEMO, text, "--activations", "a8")["perplexity"],
            "f16_to_h4_bytes": plain["kv_cache_bytes"] / 2 / cache["kv_cache_bytes"],
            **cache["kv_statistics"]}


def kurtosis(values):
    """Fourth moment over the squared second, of groups of 128, each brought to the same size."""
    groups = baselines.grouped(values.reshape(-1, values.shape[-1]), 128).reshape(-1, 128)
    squares = np.square(groups.astype(np.float32))
    mean = squares.mean(axis=1, keepdims=True)
    return float(np.square(squares / np.where(mean > 0, mean, 1)).mean(dtype=float))


def tails(path):
    """Mean kurtosis inside groups by kind of tensor; what Gaussian values have beside them."""
    kinds = {"Gaussian": [kurtosis(np.random.default_rng(1).normal(size=(1024, 1024)))]}
    for name, values in weights.read(path).items():
        if is_compressed(values):
            kinds.setdefault(weights.kind(name), []).append(kurtosis(values))
    return {kind: sum(some) / len(some) for kind, some in kinds.items()}


def other_model(programs, source, quick):
    """Formats on weights for which there is no text: errors and shares alone."""
    results = {}
    for method in "h4 rate-aware", "h4 faithful", "h4 faithful, trained", "p4":
        if not (quick and method == "h4 rate-aware"):
            label = f"{source.stem}-{label_of(method)}"
            results[method] = compressed(programs, source, label, *FORMATS[method])[1]
    originals = {name: values for name, values in weights.read(source).items()
                 if is_compressed(values)}
    for method in "int4 g128 rtn", "nf4 g64":
        rmse = lambda: baselines.rmse(baselines.apply(method, originals, {}), originals)
        results[method] = {"bits_per_weight": baselines.BITS[method],
                           "rmse": programs.memo(f"{method} {source}", rmse)}
    return results


def is_compressed(values):
    """Whether ecco compress makes h4 and p4 blocks of it: where these at least halve it."""
    if values.ndim < 2 or values.dtype.kind != "f":
        return False
    rows = values.size // values.shape[-1]
    return rows * -(-values.shape[-1] // 128) * 64 * 2 <= values.nbytes


def decoder(programs):
    """The parallel decoder against the serial one: steps in hardware, instructions in software."""
    ways = {"serial": "bit by bit", "steps": "one look-up a code", "chunks": "64 x 8 sub-decoders",
            "merged": "the same and 6 merges", "parallel": "the whole parallel decoder",
            "fast": "multi-symbol tables, to f32 (ecco::decode_rows)"}
    counts = {way: programs.instructions(way) for way in ways}
    return {"depth": programs.json("h4_probe", "depth"), "ways": ways, "instructions": counts}

# SPDX-License-Identifier: MIT
"""results.md: the measurements as tables."""


def percent(share, digits=2):
    return f"{100 * share:.{digits}f} %"


def number(value, digits):
    return "" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def share_rows(statistics):
    parts = {**statistics["kinds"], "all": statistics}
    return [[kind, percent(s["clipped_share"], 3), percent(s["outlier_share"]),
             number(s["mean_code_length"], 3), number(s["entropy"], 3),
             number(s["pooled_entropy"], 3)] for kind, s in parts.items()]


SHARES = ["tensors", "clipped", "padded", "mean code length", "entropy, codebook known",
          "entropy of all"]


def shares(results):
    """One table a model and mode, and the KV cache."""
    text = "## Clipped and padded values, bits per symbol\n\n"
    models = {"demo": results["formats"], **results["models"]}
    for model, formats in models.items():
        for name, result in formats.items():
            if "kinds" in result and "importance" not in name:
                text += f"{model}, {name}:\n\n{table(SHARES, share_rows(result))}\n"
    rows = [[name, percent(s["clipped_share"], 3), percent(s["outlier_share"]),
             number(s["mean_code_length"], 3)]
            for name, s in results["cache"].items() if isinstance(s, dict)]
    return f"{text}Cache of the demo model, H4's KV mode:\n\n{table(SHARES[:4], rows)}\n"


def tails(results):
    rows = [[model, kind, number(value, 2)] for model, kinds in results["tails"].items()
            for kind, value in kinds.items()]
    return f"## Kurtosis inside groups\n\n{table(['model', 'tensors', 'kurtosis'], rows)}\n"


def formats(results):
    fp16 = results["formats"]["fp16"]["w4a16"]
    more = lambda p: "" if p is None else f"{number(p, 3)} (+{percent(p / fp16 - 1)})"
    head = ["format", "bits/weight", "RMSE", "perplexity W4A16", "perplexity W4A8KV4"]
    rows = [[name, number(r["bits_per_weight"], 3), percent(r["rmse"]), more(r["w4a16"]),
             more(r.get("w4a8kv4"))] for name, r in results["formats"].items()]
    text = f"## Formats on the demo model\n\n{table(head, rows)}\n"
    for model, methods in results["models"].items():
        rows = [[name, number(r["bits_per_weight"], 3), percent(r["rmse"])]
                for name, r in methods.items()]
        text += f"## Formats on {model}\n\n{table(head[:3], rows)}\n"
    return text


def sweep(results):
    head = ["mode", "S", "H", "bits/weight", "RMSE", "perplexity", "clipped", "padded",
            "mean code length"]
    rows = [[p["mode"], p["patterns"], p["codebooks"], number(p["bits_per_weight"], 3),
             percent(p["rmse"]), number(p["perplexity"], 3), percent(p["clipped_share"], 3),
             percent(p["outlier_share"]), number(p["mean_code_length"], 3)]
            for p in results["sweep"]]
    return ("## Patterns S and codebooks H, demo model, trained tables, activation-aware\n\n"
            f"fp16 on the same windows: perplexity {number(results['sweep_fp16'], 3)}.\n\n"
            f"{table(head, rows)}\n")


def decoder(results):
    d = results["decoder"]
    rows = [[d["ways"][way], number(count, 0)] for way, count in d["instructions"].items()]
    steps = d["depth"]
    return ("## Decoder\n\n" + table(["one block", "instructions (callgrind)"], rows) +
            f"\nSteps one after the other: serial {steps['serial_lookups']} look-ups; parallel at "
            f"most {steps['lookups']} look-ups on\nthe sample, {steps['merges']} merges, one "
            "placement.\n")


def markdown(results):
    cache = results["cache"]
    text = "<!-- SPDX-License-Identifier: MIT -->\n# Measured\n\n"
    text += f"Processor: {results['machine']}. Perplexity reads "
    windows = results["windows"] or "all"
    text += f"{windows} windows of the held-out\ntext, the exploration of S and H "
    text += f"{results['sweep_windows'] or 'all'}.\n\n"
    text += formats(results) + sweep(results) + shares(results) + tails(results)
    rows = [[name, number(cache[key], 3)] for name, key in
            (("f32", "perplexity"), ("KV cache in H4", "perplexity_kv_h4"),
             ("activations in A8", "perplexity_a8"))]
    text += f"## fp16 weights, perplexity\n\n{table(['with', 'perplexity'], rows)}\n"
    return text + decoder(results)

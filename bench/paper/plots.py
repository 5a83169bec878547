# SPDX-License-Identifier: MIT
"""The measurements as plots in SVG: small files, the same for the same results."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of backend)

plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ecco", "font.size": 9,
                     "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True,
                     "figure.constrained_layout.use": True})
COLOURS = {"faithful": "tab:orange", "rate-aware": "tab:blue"}


def save(figure, path):
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def explore(results, path):
    """Error and perplexity against S at H = 4 and H at S = 64."""
    figure, axes = plt.subplots(2, 2, figsize=(7, 5), sharey="row")
    for column, (free, fixed, at) in enumerate((("patterns", "codebooks", 4),
                                                ("codebooks", "patterns", 64))):
        for mode, colour in COLOURS.items():
            points = sorted((p[free], 100 * p["rmse"], p["perplexity"]) for p in results["sweep"]
                            if p["mode"] == mode and p[fixed] == at)
            for row in (0, 1):
                axes[row][column].plot([p[0] for p in points], [p[1 + row] for p in points], "o-",
                                       color=colour, label=mode)
        for row in (0, 1):
            axis = axes[row][column]
            axis.set_xscale("log", base=2)
            ticks = sorted({p[free] for p in results["sweep"]})
            axis.set_xticks(ticks, [str(t) for t in ticks])
        letter, other = ("S", "H") if free == "patterns" else ("H", "S")
        axes[1][column].set_xlabel(f"{free} {letter} ({other} = {at})")
    axes[0][0].set_ylabel("relative RMSE, %")
    axes[1][0].set_ylabel("perplexity")
    axes[0][0].legend()
    save(figure, path)


def shares(results, path):
    """Clipped and padded values per kind of tensor, mode faithful, and keys and values."""
    statistics = results["formats"]["h4 faithful"]["kinds"]
    cache = {k: v for k, v in results["cache"].items() if isinstance(v, dict)}
    parts = {**statistics, **cache}
    figure, axis = plt.subplots(figsize=(7, 3.2))
    at = range(len(parts))
    for shift, key, label in ((0.2, "clipped_share", "clipped"), (-0.2, "outlier_share", "padded")):
        axis.barh([i + shift for i in at], [100 * p[key] for p in parts.values()], 0.38,
                  label=label)
    axis.set_yticks(list(at), list(parts))
    axis.set_xlabel("% of the values (weights: mode faithful, standard table; cache: KV mode)")
    axis.legend()
    save(figure, path)


def formats(results, path):
    """Bits per weight against perplexity, and error, of every format."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
    methods = {n: r for n, r in results["formats"].items() if n != "fp16"}
    base = results["formats"]["fp16"]["w4a16"]
    at = range(len(methods))
    colours = ["tab:blue" if n[0] == "h" else "tab:green" if n[0] == "p" else "tab:gray"
               for n in methods]
    left.barh(at, [100 * r["rmse"] for r in methods.values()], color=colours)
    right.barh(at, [100 * (r["w4a16"] / base - 1) for r in methods.values()], color=colours)
    names = [f"{n} ({r['bits_per_weight']:.2f} bits)" for n, r in methods.items()]
    left.set_yticks(list(at), names)
    left.invert_yaxis()
    left.set_xlabel("relative RMSE, %")
    right.set_xlabel("perplexity above fp16, %")
    save(figure, path)


def code_length(results, path):
    """Mean code length beside what the codebooks could reach, by kind of tensor."""
    kinds = results["formats"]["h4 faithful"]["kinds"]
    figure, axis = plt.subplots(figsize=(7, 3))
    at = range(len(kinds))
    for shift, key, label in ((-0.27, "mean_code_length", "mean code length"),
                              (0, "entropy", "entropy, codebook known"),
                              (0.27, "pooled_entropy", "entropy of all")):
        axis.barh([i + shift for i in at], [k[key] for k in kinds.values()], 0.25, label=label)
    axis.axvline(496 / 128, color="black", linestyle=":", label="fits a block: 496 / 128")
    axis.set_xlim(3.6, 4.0)
    axis.set_yticks(list(at), list(kinds))
    axis.set_xlabel("bits per symbol (mode faithful, standard table)")
    axis.legend(fontsize=7)
    save(figure, path)


def write(results, folder):
    explore(results, folder / "exploration.svg")
    shares(results, folder / "shares.svg")
    formats(results, folder / "formats.svg")
    code_length(results, folder / "code_length.svg")

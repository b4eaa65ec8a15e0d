"""benchmark.png: the ratios on a logarithmic axis, a panel for each opponent."""

from pathlib import Path

import numpy as np

from experiments.benchmarks import bars
from experiments.benchmarks.results import Results, spread
from experiments.plots import BLACK, BLUE, ORANGE

GREEN, PINK = "#009E73", "#CC79A7"
# Colour and marker both say what is compared.
STYLES = {
    ("jaxcnn", "autodiff"): (BLUE, "o", "jax.grad, default options"),
    ("jaxcnn", "autodiff-options"): (ORANGE, "s", "jax.grad, same options"),
    ("jaxcnn", "torch"): (GREEN, "^", "PyTorch"),
    ("jaxcnn", "flax"): (PINK, "D", "Flax nnx"),
}
TITLE = "Forward and all gradients; training steps: time of jaxcnn ÷ time of …"


def save_plot(path: Path, results: Results) -> None:
    """Draw every row of part "all", families together, with quartiles and bars."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    rows = [row for row in results.rows if row.part == "all" and "jaxcnn" in row.seconds]
    present = [pair for pair in STYLES if any(row.ratio(*pair) for row in rows)]
    if not present:
        return
    # A Figure of its own, not pyplot: no global state, no window system.
    size = (3 + 3 * len(present), 1.5 + 0.21 * len(rows))
    figure = Figure(figsize=size, layout="constrained", dpi=120)
    figure.suptitle(TITLE)
    panels = figure.subplots(1, len(present), sharey=True, squeeze=False)[0]
    places = np.arange(len(rows))
    for axes, pair in zip(panels, present, strict=True):
        colour, marker, label = STYLES[pair]
        for place, row in zip(places, rows, strict=True):
            ratio, bar = row.ratio(*pair), bars.bar_of(row, *pair)
            if ratio is None:
                continue
            axes.plot([ratio.low, ratio.high], [place, place], color=colour, linewidth=1.5)
            axes.plot(ratio.median, place, marker, color=colour, markersize=5)
            if bar is not None and bar.each is not None:
                axes.plot(bar.each, place, "|", color=BLACK, markersize=9)
        axes.axvline(1, color=BLACK, linewidth=0.8, linestyle=":")
        axes.set(xscale="log", xlabel="ratio (left: jaxcnn is faster; | bar)", title=label)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=7, labelrotation=45)
        axes.grid(alpha=0.3)
    panels[0].set_yticks(places, [row.name for row in rows], fontsize=7)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    figure.savefig(path)


def save_scaling(path: Path, results: Results) -> None:
    """Time per image against batch size, a panel for each network."""
    from matplotlib.figure import Figure

    prefixes = list(
        dict.fromkeys(r.name.rpartition("/")[0] for r in results.rows if r.group == "batch")
    )
    if not prefixes:
        return
    styles = {"jaxcnn": (BLACK, "o")} | {
        theirs: STYLES[ours, theirs][:2] for ours, theirs in STYLES
    }
    figure = Figure(figsize=(4.5 * len(prefixes), 3.8), layout="constrained", dpi=120)
    for axes, prefix in zip(
        figure.subplots(1, len(prefixes), squeeze=False)[0], prefixes, strict=True
    ):
        rows = [row for row in results.rows if row.name.startswith(prefix + "/")]
        for name, (colour, marker) in styles.items():
            found = [(row.images, row.seconds[name]) for row in rows if name in row.seconds]
            if found:
                times = [1e6 * spread(seconds).median / n for n, seconds in found if n]
                sizes = [n for n, _ in found]
                axes.plot(sizes, times, f"{marker}-", color=colour, markersize=4, label=name)
        axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="time per image, µs")
        axes.set_title(f"training step of {prefix.rpartition('/')[2]}")
        axes.set_xticks(sizes := sorted({row.images for row in rows if row.images}))
        axes.set_xticks([], minor=True)
        axes.set_xticklabels([str(n) for n in sizes])
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(path)

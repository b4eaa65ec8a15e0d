"""curves.png: loss and accuracy of a run over its epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Okabe and Ito's palette, distinguishable with any colour vision; line styles differ as well.
BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"

# Accuracy in percent as −log(error), so that 98 and 99 % stand as far apart as 80 and 90 %. The 0.2
# keeps 100 % finite.
ERROR_SCALE = (
    lambda accuracy: -np.log10(100.2 - accuracy),
    lambda height: 100.2 - 10.0**-height,
)


def save_curves(
    path: Path, records: Sequence[dict[str, Any]], test_accuracy: float, title: str
) -> None:
    """Draw the records of metrics.jsonl, and the final test accuracy as a horizontal line."""
    # A Figure of its own, not pyplot: no global state, no window system.
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

    epochs = [record["epoch"] for record in records]
    figure = Figure(figsize=(9, 3.8), layout="constrained", dpi=150)
    figure.suptitle(title)
    loss, accuracy = figure.subplots(1, 2)

    loss.plot(epochs, [record["loss"] for record in records], "o-", color=BLUE, markersize=3)
    loss.set(xlabel="epoch", ylabel="training loss (cross-entropy, nats)", yscale="log")
    loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    loss.yaxis.set_major_formatter("{x:g}")
    loss.yaxis.set_minor_locator(NullLocator())

    train = [100 * record["accuracy"] for record in records]
    accuracy.plot(epochs, train, "o-", color=BLUE, markersize=3, label="training, during the epoch")
    held_out = [record["validation_accuracy"] for record in records]
    lowest = min(*train, 100 * test_accuracy)
    if held_out[0] is not None:
        values = [100 * value for value in held_out]
        lowest = min(lowest, *values)
        accuracy.plot(epochs, values, "s--", color=ORANGE, markersize=3, label="validation")
    label = f"test, after training: {100 * test_accuracy:.2f} %"
    accuracy.axhline(100 * test_accuracy, color=BLACK, linestyle=":", label=label)
    accuracy.set(xlabel="epoch", ylabel="accuracy / %")
    accuracy.set_yscale("function", functions=ERROR_SCALE)
    # Explicit limits: automatic ones may pass 100.2 %, where the scale ends.
    accuracy.set_ylim(max(0.0, lowest - 3), 100.1)
    accuracy.yaxis.set_major_locator(FixedLocator((0, 20, 50, 80, 90, 95, 98, 99, 99.5, 100)))
    accuracy.yaxis.set_major_formatter("{x:g}")
    accuracy.legend(loc="lower right")

    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.grid(alpha=0.3)
    figure.savefig(path)

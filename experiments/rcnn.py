"""Question: do regions with CNN features find every digit of a crowded scene, and what is each
part of the method worth?

Command:  python -m experiments.rcnn                (--dataset mnist for all of MNIST, by TFDS)
Result:   mAP 0.832 on 500 unseen scenes (n = 1, seed 0); without regression 0.821, without
          fine-tuning 0.671, without context 0.807; the proposals' recall is 0.976
Time:     190 s of processor time, 110 s with --no-ablation
Hardware: 2 cores of an AMD EPYC (AVX-512), float32, jax 0.10.2

Huang, "R-CNN: Regions with CNN features"; Girshick, Donahue, Darrell and Malik 2014. Selective
search proposes regions of a scene, whatever they hold. Each is warped, with some context, to the
size that a network takes. The network learned single digits; then it is fine-tuned on warped
regions, with one class more, the background. On its features stand a linear classifier per class,
trained with hard negatives, and a regression per class, which moves the box. Of boxes that overlap
the one with the highest score stays. Scenes of 160×160 pixels hold 3 to 8 digits of 14 to 56
pixels and as many pieces of clutter; those for testing hold digits that were never trained on. The
ablation leaves out fine-tuning, regression and context.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from experiments import data, runs
from experiments.command_line import program
from experiments.command_line.options import UserError
from experiments.plots.small import save_small
from experiments.systems import record
from experiments.systems.crowds import SIDE, Crowd, draw_crowd
from experiments.systems.detector import (
    CLASSES,
    DIGIT,
    fine_tuned,
    found_in,
    learned,
    pretrained,
)
from experiments.systems.fit import Report, Trained
from experiments.systems.proposals import propose
from experiments.systems.regions import (
    Detections,
    Regions,
    average_precisions,
    hits,
    recall,
    regions_of,
    warped,
)

CONTEXT = 4  # pixels of 32, on each side
SHOWN = 8  # scenes in the picture
SURE = 0.0  # score of the detections in the picture
TEST_KEY = 1998  # the scenes for testing are part of the experiment, whatever --seed is


@dataclass(frozen=True)
class Options(record.SystemOptions):
    """Find the digits of crowded scenes by regions with CNN features."""

    dataset: Literal["mnist5k", "mnist"] = "mnist5k"
    """mnist5k needs no download; mnist is TFDS's."""
    data_dir: Path | None = None
    """Folder of prepared TFDS data."""
    manual_dir: Path | None = None
    """Folder of original files, from which TFDS prepares the data without a network."""
    scenes: int = 500
    """Scenes whose regions are learned from."""
    test_scenes: int = 500
    """Scenes of unseen digits."""
    epochs: int = 6
    """Passes of the fine-tuning over the regions."""
    batch_size: int = 128
    """Regions in a step of the fine-tuning; the last, partial batch of an epoch is dropped."""
    learning_rate: float = 2e-3
    """The highest one of the fine-tuning's one-cycle schedule; the optimiser is Adam."""
    ablation: bool = True
    """Try the method without fine-tuning and without context too."""


class Material(NamedTuple):
    """Scenes and their regions."""

    crowds: list[Crowd]
    regions: Regions

    def pixels(self, context: int) -> Float[np.ndarray, "n 32 32 1"]:
        """Of every region, warped."""
        return warped([crowd.canvas for crowd in self.crowds], self.regions, context)


class Clock(dict[str, dict[str, float]]):
    """Seconds of wall and of processor time that each stage took."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add what happens inside to the stage of this name."""
        start = time.perf_counter(), time.process_time()
        yield
        both = time.perf_counter() - start[0], time.process_time() - start[1]
        before = self.get(name, {})
        self[name] = {
            kind: round(before.get(kind, 0) + seconds, 3)
            for kind, seconds in zip(("wall", "processor"), both, strict=True)
        }


def drawn(digits: data.Split, seed: int, count: int, clock: Clock, *, learn: bool) -> Material:
    """So many scenes with what is proposed in them, and with the true boxes to learn from."""
    crowds = [draw_crowd(digits, seed, number) for number in range(count)]
    with clock.stage("proposals for training" if learn else "proposals"):
        boxes = [propose(crowd.canvas) for crowd in crowds]
    if learn:
        pairs = zip(boxes, crowds, strict=True)
        boxes = [np.concatenate([box, crowd.boxes]) for box, crowd in pairs]
    return Material(crowds, regions_of(crowds, boxes, CLASSES))


class Variant(NamedTuple):
    """The method, with or without two of its parts."""

    fine_tuning: bool = True
    context: bool = True

    @property
    def name(self) -> str:
        """Of its stages on the clock."""
        left_out = [part for part, there in self._asdict().items() if not there]
        return f"without {' and '.join(left_out).replace('_', '-')}" if left_out else "whole"


class Outcome(NamedTuple):
    """What a variant found, and its average precisions before and after the regression."""

    net: Trained
    found: Detections
    precisions: list[Float[np.ndarray, " classes"]]


def tried(
    variant: Variant,
    start: Trained,
    training: Material,
    unseen: Material,
    options: Options,
    clock: Clock,
    report: Report | None = None,
) -> Outcome:
    """Learn from the regions of the scenes for training, then find digits in the unseen ones."""
    context = CONTEXT if variant.context else 0
    net, regions, pixels = start, training.regions, training.pixels(context)
    if variant.fine_tuning:
        with clock.stage(f"fine-tuning, {variant.name}"):
            net = fine_tuned(
                start, regions, pixels, options.settings, seed=options.seed, report=report
            )
    with clock.stage(f"classifiers and regression, {variant.name}"):
        detector = learned(net, regions, pixels, options.seed)
    with clock.stage(f"network, {variant.name}"):
        found, box = found_in(detector, unseen.regions, unseen.pixels(context))
    after = found._replace(box=box)
    each = [average_precisions(some, unseen.crowds, CLASSES) for some in (found, after)]
    if options.progress:
        before, now = map(np.nanmean, each)
        print(f"{variant.name}: mAP {before:.3f}, {now:.3f} after the regression", flush=True)
    return Outcome(net, after, each)


def rows_of(variant: Variant, outcome: Outcome) -> list[dict[str, Any]]:
    """Of the ablation's table: without and with regression."""
    return [
        {
            **variant._asdict(),
            "regression": regression,
            "mean_average_precision": float(np.nanmean(each)),
            "average_precisions": [None if np.isnan(one) else round(float(one), 4) for one in each],
        }
        for regression, each in zip((False, True), outcome.precisions, strict=True)
    ]


def draw(crowds: Sequence[Crowd], found: Detections, title: str, path: Path) -> None:
    """The first scenes, with what is found in them and what is not."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    crowds = crowds[:SHOWN]
    shown = (found.score >= SURE) & (found.scene < len(crowds))
    found = Detections(*(part[shown] for part in found))
    right, seen = hits(found, crowds, DIGIT)
    columns = min(4, len(crowds))
    rows = -(-len(crowds) // columns)
    figure = Figure(figsize=(3 * columns, 3 * rows + 0.6), layout="constrained", dpi=80)
    figure.suptitle(f"{title}\nsolid: right, dashed: wrong, dotted: not found")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.set_axis_off()

    def frame(axis: Any, box: np.ndarray, text: str, colour: str, style: str) -> None:
        x0, y0, x1, y1 = box
        look = {"fill": False, "edgecolor": colour, "linestyle": style, "lw": 1.4}
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, **look))
        behind = {"facecolor": "black", "alpha": 0.7, "pad": 0.6, "lw": 0}
        axis.text(x0, max(y0, 10), text, color=colour, fontsize=8.5, va="bottom", bbox=behind)

    for number, (crowd, axis) in enumerate(zip(crowds, axes, strict=False)):
        axis.imshow(crowd.canvas, cmap="gray", vmin=0, vmax=1, extent=(0, SIDE, SIDE, 0))
        for i in np.flatnonzero(found.scene == number):
            text = f"{found.label[i]}: {found.score[i]:.1f}"
            look = ("#56B4E9", "-") if right[i] else ("#E69F00", "--")
            frame(axis, found.box[i], text, *look)
        for i in np.flatnonzero(~seen[number]):
            frame(axis, crowd.boxes[i], f"{crowd.labels[i]}", "white", ":")
    save_small(figure, path)


def work(options: Options) -> Path:
    """Draw scenes, propose regions, train, test, leave parts out, draw."""
    for name in ("scenes", "test_scenes"):
        if (value := getattr(options, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    digits = data.load(options.dataset, options.data_dir, options.manual_dir)
    clock = Clock()
    training = drawn(digits.train, options.seed, options.scenes, clock, learn=True)
    missing = set(range(CLASSES)) - {label for crowd in training.crowds for label in crowd.labels}
    if missing:
        raise UserError(
            f"--scenes must be so many that every digit is in them, got {options.scenes} without "
            f"{', '.join(map(str, sorted(missing)))}."
        )
    record.check_batch(options, len(training.regions.scene))
    folder = record.open_folder("rcnn", options)
    unseen = drawn(digits.test, TEST_KEY, options.test_scenes, clock, learn=False)
    with clock.stage("single digits"):
        start = pretrained(digits.train, options.seed)
    parts = (training, unseen, options, clock)
    whole = tried(Variant(), start, *parts, record.reporter(folder, options))
    outcomes = {Variant(): whole}
    for variant in (Variant(fine_tuning=False), Variant(context=False)) if options.ablation else ():
        outcomes[variant] = tried(variant, start, *parts)
    rows = [row for pair in outcomes.items() for row in rows_of(*pair)]
    summary = summarise(unseen, rows, clock)
    runs.write_json(folder / "summary.json", summary)
    runs.save_parameters(folder, whole.net.params, whole.net.net_state)
    print(title := sentence(summary))
    draw(unseen.crowds, whole.found, title, folder / "rcnn.png")
    return folder / "rcnn.png"


def summarise(unseen: Material, rows: list[dict[str, Any]], clock: Clock) -> dict[str, Any]:
    """The proposals' recall and number, the ablation, the seconds of each stage."""
    count = np.bincount(unseen.regions.scene)
    return {
        "scenes": len(unseen.crowds),
        "digits": sum(len(crowd.labels) for crowd in unseen.crowds),
        "recall": recall(unseen.crowds, unseen.regions, DIGIT),
        "proposals": {"mean": float(count.mean()), "most": int(count.max())},
        "rows": rows,
        "seconds": clock,
    }


def sentence(summary: dict[str, Any]) -> str:
    """What the command prints and the picture says."""
    each = {
        name: 1e3 * summary["seconds"][stage]["processor"] / summary["scenes"]
        for name, stage in (("proposals", "proposals"), ("network", "network, whole"))
    }
    return (
        f"mAP {summary['rows'][1]['mean_average_precision']:.3f}; "
        f"{summary['proposals']['mean']:.0f} proposals a scene, recall {summary['recall']:.3f}; "
        f"{each['proposals']:.0f} ms for them and {each['network']:.0f} ms for the network"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return record.run("rcnn", Options, work, arguments)


if __name__ == "__main__":
    program.run(main)

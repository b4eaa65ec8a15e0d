"""The committed bars: at most how long jaxcnn may take, relative to the others.

A bar holds for the medians of the paired ratios. The first bar whose group and part match a row is
the row's bar for that comparison; the last ones are for every row that has none of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from experiments.benchmarks.peers import first, revisions
from experiments.benchmarks.results import Results, RowResult, geometric_mean

DEFAULT, OPTIONS, TORCH, REVERSE = "autodiff", "autodiff-options", "torch", "jaxcnn-reverse"
HOLD = {"platform": "cpu", "precision": "float32", "apart": False}
"""The settings for which the bars were set; a run with others is only reported."""
PAIRS = 25
"""A run with fewer is no evidence: rows that say so have fewer, being slow."""


@dataclass(frozen=True)
class Bar:
    """Time of ours ÷ time of theirs, at most."""

    group: str
    """A pattern."""
    theirs: str
    each: float | None
    """For the median of every row; None: reported only."""
    part: str = "all"
    mean: float | None = None
    """For the geometric mean over the rows of this bar."""
    goal: float | None = None
    """Wanted, not demanded: of the geometric mean."""
    ours: str = "jaxcnn"


def _family(
    group: str,
    default: float,
    options: float,
    torch: float | None,
    *,
    goal: float | None = 1.0,
) -> tuple[Bar, ...]:
    """One line of the table of bars."""
    against_torch = Bar(group, TORCH, torch, goal=goal)
    return Bar(group, DEFAULT, default), Bar(group, OPTIONS, options), against_torch


BARS: tuple[Bar, ...] = (
    *_family("max_pool", 0.10, 0.10, 1.0, goal=None),
    *_family("depthwise3x3", 0.10, 0.15, 3.0),
    *_family("depthwise5x5", 0.20, 0.25, 3.0),
    *_family("conv1x1", 0.30, 0.80, 1.5),
    Bar("conv3x3", DEFAULT, 0.9, mean=0.55),
    Bar("conv3x3", OPTIONS, 1.05, goal=0.85),
    Bar("conv3x3", TORCH, 2.5, goal=1.0),
    Bar("conv3x3-untuned", DEFAULT, 0.9),
    Bar("conv3x3-untuned", OPTIONS, 1.05),
    Bar("conv3x3-untuned", TORCH, 2.5, goal=1.0),
    *_family("transposed", 0.80, 0.95, 2.5),
    *_family("step-lenet5", 0.50, 0.80, 1.5),
    *_family("step-vgg6", 0.50, 0.80, 1.5),
    *_family("step-resnet20", 0.60, 0.95, 2.0),
    *_family("step-separable", 0.15, 0.20, 2.0),
    Bar("issues", DEFAULT, 1.05, mean=0.2),
    Bar("overhead", DEFAULT, 1.02, ours="jaxcnn-default"),
    Bar("eager", DEFAULT, 3.0, "forward", mean=1.5),
    Bar("eager", DEFAULT, 3.0, mean=1.0),
    # The compiler removes what is computed and not used; what is left is the same either way.
    Bar("hvp", REVERSE, 1.10, "product", goal=0.75),
    Bar("bf16", "torch-autocast", None, ours="jaxcnn-bf16", goal=1.0),
    Bar("epoch", DEFAULT, 0.05),
    Bar("epoch", OPTIONS, 0.05),
    # Without the recommended options.
    Bar("step-*", DEFAULT, 0.75, ours="jaxcnn-default"),
    Bar("*", DEFAULT, 1.10, part="*", ours="jaxcnn-default"),
    # Forward only, and every other row.
    Bar("*", DEFAULT, 1.10, part="*"),
    Bar("*", OPTIONS, 1.10, part="*"),
)
UNTIMED = ("peak", "smoke")
"""Groups without bars."""

COMPILE = 1.5
TEMPORARIES = 1.0
FLAT, FLAT_FROM = 1.25, 64
"""Time per image, largest over smallest, for batches from this size on."""
SAME = 1.05
"""The same code twice: the geometric mean of its ratio, either way."""
REVISION = 1.02
"""A training step ÷ that of another checkout: the geometric mean. A single one may be above it by
as much as that checkout is from itself."""
# Who is held to the bars on compile time and temporaries, and against whom.
STATIC = (("jaxcnn", DEFAULT), ("jaxcnn", OPTIONS), ("jaxcnn-default", DEFAULT))


@dataclass(frozen=True)
class Verdict:
    """One bar, at one row or at a group of them."""

    what: str
    """Such as "time", "compile time", "temporaries"."""
    where: str
    ours: str
    theirs: str
    value: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether the value is at most the bound; a NaN is not."""
        return self.value <= self.bound

    def __str__(self) -> str:
        versus = f"{self.ours} ÷ {self.theirs}" if self.theirs else self.ours
        sign = "≤" if self.holds else ">"
        return f"{self.where}: {self.what}, {versus}: {self.value:.3g} {sign} {self.bound:g}"


def bar_of(row: RowResult, ours: str, theirs: str, bars: Sequence[Bar] = BARS) -> Bar | None:
    """The bar of a row; None where the comparison is only reported."""
    if row.group in UNTIMED:
        return None
    for bar in bars:
        if (
            (bar.ours, bar.theirs) == (ours, theirs)
            and fnmatchcase(row.group, bar.group)
            and fnmatchcase(row.part, bar.part)
        ):
            return bar
    return None


def verdicts(results: Results, bars: Sequence[Bar] = BARS) -> list[Verdict]:
    """Every bar that the results speak of; none for other settings than those of the bars."""
    if any(results.options.get(name, value) != value for name, value in HOLD.items()):
        return []
    return [
        *_rows(results, bars),
        *_means(results, bars),
        *_static(results),
        *_flatness(results),
        *_same(results),
        *_revisions(results),
    ]


def _rows(results: Results, bars: Sequence[Bar]) -> Iterator[Verdict]:
    for row in results.rows:
        for ours, theirs in sorted({(bar.ours, bar.theirs) for bar in bars}):
            bar, ratio = bar_of(row, ours, theirs, bars), row.ratio(ours, theirs)
            if bar is not None and bar.each is not None and ratio is not None:
                yield Verdict("time", row.name, ours, theirs, ratio.median, bar.each)


def mean_ratio(results: Results, bar: Bar, bars: Sequence[Bar] = BARS) -> float | None:
    """The geometric mean of the medians over the rows of one bar."""
    ratios = [
        ratio.median
        for row in results.rows
        if bar_of(row, bar.ours, bar.theirs, bars) is bar
        and (ratio := row.ratio(bar.ours, bar.theirs)) is not None
    ]
    return geometric_mean(ratios) if ratios else None


def _means(results: Results, bars: Sequence[Bar]) -> Iterator[Verdict]:
    for bar in bars:
        if bar.mean is not None and (value := mean_ratio(results, bar, bars)) is not None:
            where = f"{bar.group}/*/{bar.part}"
            yield Verdict("geometric mean", where, bar.ours, bar.theirs, value, bar.mean)


def _static(results: Results) -> Iterator[Verdict]:
    for row in results.rows:
        if not row.group.startswith("step-"):
            continue
        for ours, theirs in STATIC:
            if (ratio := row.compile_ratio(ours, theirs)) is not None:
                yield Verdict("compile time", row.name, ours, theirs, ratio.median, COMPILE)
            if (share := row.memory_ratio(ours, theirs)) is not None:
                yield Verdict("temporaries", row.name, ours, theirs, share, TEMPORARIES)


def per_image(results: Results, prefix: str, peer: str) -> dict[int, float]:
    """Batch size → milliseconds per image, over the rows batch/<network>/."""
    found = {}
    for row in results.rows:
        time = row.milliseconds(peer)
        if row.name.startswith(prefix) and row.images and time:
            found[row.images] = time.median / row.images
    return found


def _flatness(results: Results) -> Iterator[Verdict]:
    prefixes = sorted({row.name.rpartition("/")[0] for row in results.rows if row.group == "batch"})
    for prefix in prefixes:
        times = per_image(results, prefix + "/", "jaxcnn")
        large = [time for n, time in times.items() if n >= FLAT_FROM]
        if len(large) > 1:
            value = max(large) / min(large)
            yield Verdict("time per image, largest ÷ smallest", prefix, "jaxcnn", "", value, FLAT)


def _same(results: Results) -> Iterator[Verdict]:
    """Identical code must take the same time, or nothing here can be trusted."""
    names = sorted({name for row in results.rows for name in row.seconds if first(name) != name})
    for name in names:
        ratios = [ratio.median for row in results.rows if (ratio := row.ratio(name, first(name)))]
        if ratios:
            value = geometric_mean(ratios)
            worse, what = max(value, 1 / value), "identical code, geometric mean"
            yield Verdict(what, "all rows", name, first(name), worse, SAME)


def mean_step(results: Results, ours: str, theirs: str) -> float | None:
    """The geometric mean over all training steps, step/*."""
    steps = [row.ratio(ours, theirs) for row in results.rows if row.name.startswith("step/")]
    ratios = [ratio.median for ratio in steps if ratio is not None]
    return geometric_mean(ratios) if ratios else None


def _revisions(results: Results) -> Iterator[Verdict]:
    for ours, theirs in revisions(list(results.versions)):
        about = results.versions[ours], results.versions[theirs]
        if any(about[0].get(key) != about[1].get(key) for key in ("python", "jax")):
            continue  # that is no difference between revisions alone
        mean = mean_step(results, ours, theirs)
        if mean is not None:
            yield Verdict("geometric mean", "step/*", ours, theirs, mean, REVISION)
        for row in results.rows:
            ratio, itself = row.ratio(ours, theirs), row.ratio(f"{theirs}#2", theirs)
            if row.name.startswith("step/") and ratio is not None and itself is not None:
                bound = REVISION + max(itself.high, 1 / itself.low) - 1
                yield Verdict("time", row.name, ours, theirs, ratio.median, bound)

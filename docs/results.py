"""The page of results, from records of runs; and how a run becomes a record.

python -m docs.results --benchmark RUN/results.json [RUN/results.json …]
python -m docs.results --training PRESET RUN [RUN …]        runs that differ in their seeds only

Each rewrites a file in docs/records, and then, as without any option, the README's table; the page
is made of the records when the site is built.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.text import escaped

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "docs/records"
# Which groups of rows of the benchmark make a line of the table.
KINDS = {
    "conv 3×3": ("conv3x3", "conv3x3-untuned"),
    "conv 5×5, 7×7, 11×11": ("conv5x5", "conv5x5-untuned", "conv7x7-untuned", "conv11x11"),
    "conv 1×1": ("conv1x1", "conv1x1-untuned"),
    "depthwise 3×3": ("depthwise3x3", "depthwise3x3-untuned"),
    "depthwise 5×5": ("depthwise5x5", "depthwise5x5-untuned"),
    "transposed, stride 2": ("transposed", "transposed-untuned"),
    "conv in groups": ("grouped",),
    "conv over 3 axes": ("conv3d",),
    "conv over 1 axis": ("conv1d",),
    "max pool": ("max_pool", "max_pool-untuned", "max_pool-few"),
    "max pool, large windows": ("max_pool-wide",),
    "average pool": ("avg_pool", "global_avg_pool"),
    "batch norm": ("batch_norm",),
    "layer norm": ("layer_norm",),
    "local response norm": ("local_response_norm",),
    "dense": ("dense",),
    "activations": ("activation",),
    "losses": ("loss",),
}
NETWORKS = {
    "lenet5": "LeNet-5", "fast_mnist": "fast MNIST", "vgg6": "VGG-6", "resnet20": "ResNet-20",
    "separable": "depthwise-separable", "alexnet": "AlexNet",
}  # fmt: skip
# Ratios of times: name → whose time is divided by whose.
RATIOS = {
    "autodiff": ("jaxcnn", "autodiff"), "autodiff-options": ("jaxcnn", "autodiff-options"),
    "torch": ("jaxcnn", "torch"), "default": ("jaxcnn-default", "autodiff"),
}  # fmt: skip
HEADS = {
    "autodiff": "÷ `jax.grad`", "autodiff-options": "÷ `jax.grad`, same options",
    "torch": "÷ PyTorch", "default": "default options ÷ `jax.grad`",
}  # fmt: skip
PEERS = {
    "jaxcnn": "jaxcnn", "jaxcnn-default": "default options", "autodiff": "`jax.grad`",
    "autodiff-options": "same options", "flax": "Flax", "torch": "PyTorch",
}  # fmt: skip

START, END = "<!-- speed -->\n", "<!-- end of speed -->"
SHOWN = ("LeNet-5", "VGG-6", "ResNet-20", "depthwise-separable")  # in the README


def record(name: str) -> Any:
    """What docs/records holds under the name."""
    return json.loads((RECORDS / f"{name}.json").read_text(encoding="utf-8"))


# The page ----------------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """In Markdown, numbers to the right."""
    rule = "|---|" + ("---:|" if numbers else "---|") * (len(head) - 1)
    lines = ["| " + " | ".join(head) + " |", rule]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value: float) -> str:
    """Three digits at most where there is a fraction."""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.3f}" if value < 0.02 else text


def span(values: Sequence[float]) -> str:
    """The geometric mean, the smallest and the largest."""
    mean, *ends = map(number, values)
    return f"{mean} ({'–'.join(ends)})" if ends else mean


def duration(seconds: float) -> str:
    """In words."""
    if seconds < 90:
        return f"{seconds:g}\u00a0s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}\u00a0min {rest}\u00a0s" if rest else f"{minutes}\u00a0min"


def speed_table(networks: Sequence[str]) -> str:
    """Training steps as ratios: the README's table."""
    steps = [step for step in record("benchmark")["steps"] if step["network"] in networks]
    rows = [
        [
            step["network"],
            *(number(step["ratios"][name]) if name in step["ratios"] else "–" for name in RATIOS),
        ]
        for step in steps
    ]
    return table(["training step", *HEADS.values()], rows)


def accuracy(run: Mapping[str, Any]) -> str:
    """Mean, deviation, seeds."""
    if run["seeds"] == 1:
        return f"{run['accuracy']:.2f} % (1 seed)"
    spread = f"± {run['std']:.2f} ({run['seeds']} seeds, the worst {run['worst']:.2f} %)"
    return f"{run['accuracy']:.2f} % {spread}"


def measure(what: str, value: float) -> str:
    """With its unit, which stands behind the name of what was measured."""
    name, _, unit = what.partition(", ")
    return f"{name} {value:g} {unit}".strip()


def results_page() -> str:
    """Trainings, systems, benchmark."""
    trainings, measured = record("trainings"), record("benchmark")
    runs = [
        [
            f"`python -m experiments.train {run['preset']}`",
            escaped(run["recipe"]),
            run["published"] or "–",
            accuracy(run),
            duration(run["seconds"]),
        ]
        for run in trainings["runs"]
    ]
    systems = [
        [
            f"`python -m experiments.{s['name']}`", escaped(s["question"]),
            "; ".join(itertools.starmap(measure, s["measured"].items())),
            f"{s['test']}, {s['seeds']} seed{'s' * (s['seeds'] > 1)}", duration(s["seconds"]),
        ]
        for s in record("systems")
    ]  # fmt: skip
    operations = [
        [f"{o['kind']} ({o['rows']})", *(span(o[name]) if name in o else "–" for name in RATIOS)]
        for o in measured["operations"]
    ]
    steps = [
        [
            f"{s['network']} ({s['images']})",
            *(number(s["milliseconds"][p]) if p in s["milliseconds"] else "–" for p in PEERS),
        ]
        for s in measured["steps"]
    ]
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    return f"""# Results

Everything on this page is made of records in `docs/records`, which a run writes: see
[](benchmarking.md).

## How accurate

On {escaped(trainings["machine"])}, {trainings["dtype"]}. The command in the first column
reproduces a line; the test images are looked at once, after the last epoch.

{table(["command", "recipe", "published", "here", "time"], runs, numbers=False)}

## Small systems

{table(["command", "question", "found", "on", "time"], systems, numbers=False)}

## How fast

On {escaped(measured["machine"])}, {versions}, {measured["dtype"]}, revision {measured["revision"]}:
{measured["rows"]} rows; of {measured["bars"]} bars {measured["held"]} hold. Below 1 jaxcnn is
faster: the geometric mean over the rows of a kind, the smallest and the largest. A row is an
operation forward with all its gradients.

{table(["operation (rows)", *HEADS.values()], operations)}

A training step of a whole network, in milliseconds:

{table(["network (images)", *PEERS.values()], steps)}

The same as ratios of times:

{speed_table([s["network"] for s in measured["steps"]])}

No GPU has been measured. What is slower than wanted, and why: [](benchmarking.md#not-held-and-why).
"""


# Records -----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Rewrite a record."""
    parser = argparse.ArgumentParser(
        prog="python -m docs.results",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--benchmark", nargs="+", type=Path, metavar="RESULTS")
    parser.add_argument("--training", nargs="+", metavar=("PRESET", "RUN"))
    options = parser.parse_args(arguments)
    from docs.recording import benchmark_record, training_record

    if options.benchmark:
        write("benchmark", benchmark_record(options.benchmark))
    if options.training:
        preset, *folders = options.training
        new, trainings = training_record(preset, [Path(f) for f in folders]), record("trainings")
        others = [run for run in trainings["runs"] if run["preset"] != preset]
        write("trainings", {**trainings, "runs": [*others, new]})
    readme = ROOT / "README.md"
    readme.write_text(with_speed(readme.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def with_speed(readme: str) -> str:
    """The README with the table of the record between its two markers."""
    before, rest = readme.split(START)
    return before + START + speed_table(SHOWN) + "\n" + END + rest.split(END)[1]


def write(name: str, value: Any) -> None:
    """Into docs/records, in lines that can be compared."""
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    sys.exit(main())

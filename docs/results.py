"""The page of results, from records of runs; and how a run becomes a record.

python -m docs.results --benchmark RUN/results.json [RUN/results.json …]
python -m docs.results --training PRESET RUN [RUN …]        runs that differ in their seeds only
python -m docs.results --system NAME RUN [RUN …]            the same, of a small system
python -m docs.results --attribution RUN/attribution.json
python -m docs.results --forms RUN/results.json [RUN/results.json …]
python -m docs.results --memory KEPT/results.json WITHOUT/results.json

A benchmark of some rows replaces the lines that it measured; every line says which run it is from.
Each rewrites a file in docs/records, and then, as without any option, the README's table; the page
is made of the records when the site is built.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.speed import speed, speed_table
from docs.tables import duration, record, table, write
from docs.text import escaped

ROOT = Path(__file__).parent.parent
START, END = "<!-- speed -->\n", "<!-- end of speed -->"
SHOWN = ("LeNet-5", "VGG-6", "ResNet-20", "depthwise-separable")  # in the README


# The page ----------------------------------------------------------------------------------------


def accuracy(run: Mapping[str, Any]) -> str:
    """Mean, deviation, seeds."""
    if run["seeds"] == 1:
        return f"{run['accuracy']:.2f} % (1 seed)"
    spread = f"± {run['std']:.2f} ({run['seeds']} seeds, the worst {run['worst']:.2f} %)"
    return f"{run['accuracy']:.2f} % {spread}"


def measures(system: Mapping[str, Any]) -> str:
    """What was measured of a system, each with its unit, which stands behind its name."""
    found = []
    for what, value in system["measured"].items():
        name, _, unit = what.partition(", ")
        spread = system.get("std", {}).get(what)
        found.append(" ".join([name, f"{value:g}", *([f"± {spread:g}"] if spread else []), unit]))
    return "; ".join(text.strip() for text in found)


def results_page() -> str:
    """Trainings, systems, benchmark."""
    trainings = record("trainings")
    runs = [
        [
            f"`python -m experiments.train {run['preset']}`",
            accuracy(run),
            run["published"] or "–",
            escaped(run["recipe"]),
            duration(run["seconds"]),
        ]
        for run in trainings["runs"]
    ]
    systems = [
        [
            f"`python -m experiments.{s['name']}{s.get('options', '')}`",
            escaped(s["question"]), measures(s),
            f"{s['test']}, {s['seeds']} seed{'s' * (s['seeds'] > 1)}", duration(s["seconds"]),
        ]
        for s in record("systems")
    ]  # fmt: skip
    checked = record("attribution")
    methods = [
        [name, *(f"{mean:z.2f} ± {spread:.2f}" for mean, spread in each)]
        for name, each in sorted(checked["methods"].items(), key=lambda pair: pair[1][-1])
    ]
    return f"""# Results

Everything on this page is made of records in `docs/records`, which a run writes: see
[](benchmarking.md).

## How accurate

On {escaped(trainings["machine"])}, {trainings["dtype"]}. A line is the mean of one run per seed, ±
their deviation. In a checkout, after `pip install ".[experiments]"`, the command in the first
column with `--seed 0`, with `--seed 1` and so on reproduces it. The test images are looked at once,
after the last epoch. The time is that of one run.

{table(["command", "here", "published", "recipe", "time"], runs, numbers=False)}

## Small systems

{table(["command", "question", "found", "on", "time"], systems, numbers=False)}

## Which attributions notice random weights

`python -m experiments.attribution RUN …` of {checked["runs"]} trainings of {checked["model"]},
{checked["images"]} test images: the rank correlation of each method's map, without signs, with its
map after the last layers became random, more of them from left to right; ± between trainings. Near
1 a method shows the image, not the network ([](tutorials/attribution.md)).

{table(["method", *checked["random"]], methods)}

{speed()}"""


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
    parser.add_argument("--system", nargs="+", metavar=("NAME", "RUN"))
    parser.add_argument("--attribution", type=Path, metavar="NUMBERS")
    parser.add_argument("--forms", nargs="+", type=Path, metavar="RESULTS")
    parser.add_argument("--memory", nargs=2, type=Path, metavar=("KEPT", "WITHOUT"))
    options = parser.parse_args(arguments)
    from docs import recording

    if options.benchmark:
        write("benchmark", recording.benchmark_record(options.benchmark, record("benchmark")))
    if options.forms:
        write("forms", recording.forms_record(options.forms, record("forms")))
    if options.memory:
        new = recording.memory_record(*options.memory)
        write("figures", [new if old["name"] == "memory" else old for old in record("figures")])
    if options.training:
        preset, *folders = options.training
        new = recording.training_record(preset, [Path(f) for f in folders])
        trainings = record("trainings")
        others = [run for run in trainings["runs"] if run["preset"] != preset]
        write("trainings", {**trainings, "runs": [*others, new]})
    if options.system:
        name, *folders = options.system
        new = recording.system_record(name, [Path(folder) for folder in folders])
        write("systems", [new if old["name"] == name else old for old in record("systems")])
    if options.attribution:
        write("attribution", json.loads(options.attribution.read_text(encoding="utf-8")))
    readme = ROOT / "README.md"
    readme.write_text(with_speed(readme.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def with_speed(readme: str) -> str:
    """The README with the table of the record between its two markers."""
    before, rest = readme.split(START)
    return before + START + speed_table(SHOWN) + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    sys.exit(main())

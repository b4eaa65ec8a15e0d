"""What the page of results needs of a run, as a record."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from docs.speed import KINDS, NETWORKS, OTHERS, PEERS, RATIOS, matches
from docs.tables import record
from experiments.benchmarks import bars, forms
from experiments.benchmarks.results import Results, RowResult, geometric_mean, read, spread

Lines = dict[str, list[dict[str, Any]]]


def benchmark_record(paths: Sequence[Path], old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the page needs of one or several runs of experiments.benchmark.

    A line comes from one run, the last that measured it, and says which. old: the record so far,
    whose lines stay where no run has measured them again.
    """
    order = {"operations": tuple(KINDS), "steps": tuple(NETWORKS.values()), "others": ()}
    return _merged(paths, old or {}, _lines, order)


def forms_record(paths: Sequence[Path], old: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The same of `experiments.benchmark --forms`: each form's time ÷ that of the plain one."""
    rows = {row.name: row for row in forms.FORMS}
    found = _merged(paths, old or {}, _forms, {"forms": tuple(rows)})
    return {**found, "forms": [line for line in found["forms"] if line["row"] in rows]}


def _merged(
    paths: Sequence[Path],
    old: Mapping[str, Any],
    found_in: Callable[[Results], Lines],
    order: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Lines by what they are about, those of later runs in place of those of earlier ones."""
    lines = {what: {_key(line): line for line in old.get(what, [])} for what in order}
    runs = list(old.get("runs", []))
    for path in paths:
        results = read(path)
        about = _about(results)
        same = (run["run"] for run in runs if {**run, "run": ""} == {**about, "run": ""})
        name = next(same, None) or next(c for c in ascii_lowercase if c not in _names(runs))
        runs = [run for run in runs if run["run"] != name] + [{"run": name, **about}]
        for what, found in found_in(results).items():
            lines[what] |= {_key(line): {**line, "run": name} for line in found}
    kept = {what: _ordered(lines[what], names) for what, names in order.items()}
    used = {line["run"] for found in kept.values() for line in found}
    return {"runs": [run for run in runs if run["run"] in used], **kept}


def _ordered(lines: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """In the order of the names; then those by names that no run gives any more."""
    others = [name for name in lines if name not in names]
    return [lines[name] for name in (*names, *others) if name in lines]


KEPT = ", freed memory kept"


def _names(runs: Sequence[Mapping[str, Any]]) -> set[str]:
    return {run["run"] for run in runs}


def _key(line: Mapping[str, Any]) -> str:
    return line.get("kind") or line.get("network") or line["row"]


def _about(results: Results) -> dict[str, Any]:
    """Where and with what a run was made, and the bars that it did not hold."""
    versions: dict[str, str] = {}
    for peer in results.versions.values():
        for name in ("jax", "flax", "torch"):
            found = peer.get(name)
            if found and found not in versions.get(name, "").split(" and "):
                versions[name] = f"{versions[name]} and {found}" if name in versions else found
    revision = next(iter(results.versions.values()))["git_revision"][:7]
    verdicts = bars.verdicts(results)
    return {
        "revision": revision, "rows": len(results.rows), "time": results.machine.get("time"),
        "machine": f"{results.machine['cores']} cores of an {results.machine['processor']}"
        + KEPT * (results.machine.get("memory") == "kept"),
        "versions": versions, "dtype": results.options["precision"],
        "bars": len(verdicts), "held": sum(verdict.holds for verdict in verdicts),
        "missed": [str(verdict) for verdict in verdicts if not verdict.holds],
    }  # fmt: skip


def _lines(results: Results) -> Lines:
    """Kinds of operations, networks' steps, and all other rows."""
    operations = []
    for kind, groups in KINDS.items():
        rows = [row for row in results.rows if row.part == "all" and matches(row.group, groups)]
        if rows:
            line = {
                "kind": kind,
                "rows": len(rows),
                "pairs": min(filter(None, map(_pairs, rows)), default=0),
            }
            operations.append({**line, **_rounded(_ratios(rows))})
    steps, others = [], []
    for row in results.rows:
        prefix, _, rest = row.name.partition("/")
        if prefix not in ("step", *OTHERS):
            continue
        found = {peer: row.milliseconds(peer) for peer in PEERS}
        milliseconds = _rounded({peer: time.median for peer, time in found.items() if time})
        ratios = {name: values[0] for name, values in _rounded(_ratios([row])).items()}
        line = {"pairs": _pairs(row), "milliseconds": milliseconds, "ratios": ratios}
        if prefix == "step":
            network = NETWORKS[rest.partition("/")[0]]
            steps.append({"network": network, "images": row.images, **line, **_static(row)})
        else:
            others.append({"row": row.name, **line})
    return {"operations": operations, "steps": steps, "others": others}


def _forms(results: Results) -> Lines:
    """Rows of forms, and in which maps of each the form is taken if nobody names one."""
    rows, found = {row.name: row for row in forms.FORMS}, []
    for result in results.rows:
        ratio = result.ratio("form", "plain")
        if result.name in rows and ratio is not None:
            times = {peer: spread(result.seconds[peer]).median for peer in ("form", "plain")}
            found.append({
                "row": result.name, "taken": forms.where_taken(rows[result.name]),
                "pairs": _pairs(result), **_rounded({"ratio": ratio.median}),
                "milliseconds": _rounded({peer: 1e3 * time for peer, time in times.items()}),
            })  # fmt: skip
    return {"forms": found}


def memory_record(kept: Path, without: Path) -> dict[str, Any]:
    """Steps that keep the memory that they free ÷ steps that do not, of two runs of `step/*`.

    Raises:
        ValueError: the runs differ in something else, or not in that.
    """
    runs = read(kept), read(without)
    memory, other = (run.machine.get("memory") for run in runs)
    if memory != "kept" or other == "kept":
        raise ValueError(f"memory must be kept in the first run alone, got {memory!r}, {other!r}")
    about = [_about(run) for run in runs]
    about[0]["machine"] = about[0]["machine"].removesuffix(KEPT)
    for name in ("revision", "machine", "versions", "dtype"):
        if about[0][name] != about[1][name]:
            raise ValueError(f"both runs must have one {name}, got {[a[name] for a in about]}")
    found = {}
    for row in runs[0].rows:
        twin = next((r for r in runs[1].rows if r.name == row.name), row)
        if twin is not row and row.name.startswith("step/"):
            network = NETWORKS[row.name.split("/")[1]]
            for peer, name in (("jaxcnn", network), ("autodiff", f"`jax.grad`, {network}")):
                times = [r.milliseconds(peer) for r in (row, twin)]
                if times[0] is not None and times[1] is not None:
                    found[name] = times[0].median / times[1].median
    where = f"{about[1]['dtype']}, jax {about[1]['versions']['jax']}, {about[1]['machine']}"
    return {
        "name": "memory", "question": "a training step with freed memory kept ÷ without",
        "test": where, "measured": _rounded(found),
    }  # fmt: skip


def _ratios(rows: Sequence[RowResult]) -> dict[str, list[float]]:
    """Of several rows the geometric mean, the smallest and the largest."""
    found = {name: [r.median for row in rows if (r := row.ratio(*pair))]
             for name, pair in RATIOS.items()}  # fmt: skip
    return {
        name: [geometric_mean(v), min(v), max(v)] if len(v) > 1 else v
        for name, v in found.items()
        if v
    }


def _pairs(row: RowResult) -> int:
    return min(map(len, row.seconds.values()), default=0)


def _static(row: RowResult) -> dict[str, float]:
    """Compile time and temporaries of a step over those of `jax.grad`."""
    compiled, memory = row.compile_ratio(*RATIOS["autodiff"]), row.memory_ratio(*RATIOS["autodiff"])
    found = {"compile": compiled and compiled.median, "temporaries": memory}
    return _rounded({name: value for name, value in found.items() if value is not None})


def training_record(preset: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Runs of one preset that differ in their seeds only.

    Raises:
        ValueError: they differ in something else, or one did not end.
    """
    configs = [json.loads((folder / "config.json").read_text()) for folder in folders]
    for config in configs:
        for key in ("seed", "run_dir", "resume"):
            config.pop(key, None)
    if any(config != configs[0] for config in configs):
        raise ValueError("runs of a record may differ in their seeds only")
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    found = [100 * summary["test_accuracy"] for summary in summaries]
    old = next((run for run in record("trainings")["runs"] if run["preset"] == preset), {})
    return {
        "preset": preset, "recipe": old.get("recipe", preset), "published": old.get("published"),
        "accuracy": round(statistics.fmean(found), 2),
        "std": round(statistics.stdev(found), 2) if len(found) > 1 else None,
        "seeds": len(found), "worst": round(min(found), 2),
        "seconds": round(statistics.median(sum(s["seconds"].values()) for s in summaries), 1),
    }  # fmt: skip


def system_record(name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """Runs of one system that differ in their seeds only: what they measured, on average.

    Raises:
        KeyError: a summary lacks what the record of the system has.
    """
    old = next(system for system in record("systems") if system["name"] == name)
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in folders]
    found = {}
    for what, path in old["paths"].items():
        scale = 100 if "%" in what else 1
        found[what] = [scale * value for summary in summaries for value in _each(summary, path)]

    def rounded(statistic):
        of_each = {what: statistic(values) for what, values in found.items()}
        return {w: round(v, 1 if "%" in w or v > 100 else 3) for w, v in of_each.items()}

    seeds = max(map(len, found.values()))
    # A run writes its options first and its summary last.
    seconds = [
        (folder / "summary.json").stat().st_mtime - (folder / "config.json").stat().st_mtime
        for folder in folders
    ]
    return {
        **old, "measured": rounded(statistics.fmean), "seeds": seeds,
        "std": {w: v for w, v in rounded(statistics.stdev).items() if v} if seeds > 1 else {},
        "seconds": round(sum(seconds) / seeds),
    }  # fmt: skip


def _each(summary: Mapping[str, Any], path: str) -> list[float]:
    """What a summary holds at a path such as "cnn.each": one number, or one for every seed."""
    value: Any = summary
    for part in path.split("."):
        value = value[int(part) if isinstance(value, list) else part]
    return value if isinstance(value, list) else [value]


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """To the digits that are shown."""

    def rounded(v):
        return float(f"{v:.3g}")

    return {
        k: [rounded(x) for x in v] if isinstance(v, list) else rounded(v) for k, v in values.items()
    }

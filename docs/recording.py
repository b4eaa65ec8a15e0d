"""What the page of results needs of a run, as a record."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docs.results import KINDS, NETWORKS, PEERS, RATIOS, record
from experiments.benchmarks import bars
from experiments.benchmarks.results import geometric_mean, read


def benchmark_record(paths: Sequence[Path]) -> dict[str, Any]:
    """What the page needs of one or several runs of experiments.benchmark."""
    runs = [read(path) for path in paths]
    rows = [row for run in runs for row in run.rows]
    verdicts = [verdict for run in runs for verdict in bars.verdicts(run)]

    def ratios(chosen):
        found = {
            name: [r.median for row in chosen if (r := row.ratio(*pair))]
            for name, pair in RATIOS.items()
        }
        return {
            name: [geometric_mean(v), min(v), max(v)] if len(v) > 1 else v
            for name, v in found.items()
            if v
        }

    operations = []
    for kind, groups in KINDS.items():
        chosen = [row for row in rows if row.group in groups and row.part == "all"]
        if chosen:
            operations.append({"kind": kind, "rows": len(chosen), **_rounded(ratios(chosen))})
    steps = []
    for name, network in NETWORKS.items():
        for row in rows:
            if row.name.startswith(f"step/{name}/"):
                found = {peer: row.milliseconds(peer) for peer in PEERS}
                times = {peer: time.median for peer, time in found.items() if time}
                steps.append(
                    {"network": network, "images": row.images, "milliseconds": _rounded(times),
                     "ratios": {k: v[0] for k, v in _rounded(ratios([row])).items()}}
                )  # fmt: skip
    first = runs[0]
    versions = {
        k: v
        for peer in first.versions.values()
        for k, v in peer.items()
        if k in ("jax", "flax", "torch")
    }
    return {
        "revision": next(iter(first.versions.values()))["git_revision"][:7],
        "machine": f"{first.machine['cores']} cores of an {first.machine['processor']}",
        "versions": versions, "dtype": first.options["precision"],
        "rows": len(rows), "bars": len(verdicts),
        "held": sum(verdict.holds for verdict in verdicts),
        "operations": operations, "steps": steps,
    }  # fmt: skip


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


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """To the digits that are shown."""

    def rounded(v):
        return float(f"{v:.3g}")

    return {
        k: [rounded(x) for x in v] if isinstance(v, list) else rounded(v) for k, v in values.items()
    }

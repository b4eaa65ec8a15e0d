"""Runs become records of the documentation."""

import ast
import json
import re
from pathlib import Path

import pytest

from docs import recording, speed, tables
from experiments import detect
from experiments.benchmarks.results import Results, RowResult
from experiments.benchmarks.row import OperationRow
from experiments.benchmarks.rows import ROWS


def timed(name, group, part, images=None, *, times=1.0):
    """A row with three pairs, peer i taking i + 1 milliseconds."""
    seconds = {peer: [1e-3 * times * (i + 1)] * 3 for i, peer in enumerate(speed.PEERS)}
    return RowResult(name, group, part, images, seconds=seconds)


def written(folder, rows, *, revision="0123456789", processor="EPYC"):
    """The results of a run with these rows."""
    versions = {"jaxcnn": {"jax": "1.2.3", "git_revision": revision}, "torch": {"torch": "4.5"}}
    folder.mkdir()
    machine = {"processor": processor, "cores": 2}
    Results({"precision": "float32"}, versions, machine, {}, rows).write(folder / "results.json")
    return folder / "results.json"


def test_a_benchmark_becomes_a_record(tmp_path):
    rows = [timed("conv3x3/a/all", "conv3x3", "all"),
            timed("conv3x3-untuned/b/all", "conv3x3-untuned", "all", times=2),
            timed("step/vgg6/128", "step-vgg6", "all", 128),
            timed("batch/vgg6/16", "batch", "all", 16)]  # fmt: skip
    record = recording.benchmark_record([written(tmp_path / "run", rows)])
    (run,) = record["runs"]
    assert (run["revision"], run["machine"]) == ("0123456", "2 cores of an EPYC")
    assert run["versions"] == {"jax": "1.2.3", "torch": "4.5"}
    (kind,) = record["operations"]
    assert (kind["kind"], kind["rows"], kind["pairs"]) == ("conv 3×3", 2, 3)
    assert kind["autodiff"] == [pytest.approx(1 / 3, rel=1e-2)] * 3
    (step,) = record["steps"]
    assert (step["network"], step["run"]) == ("VGG-6", run["run"])
    assert step["milliseconds"]["torch"] == pytest.approx(6)
    assert [line["row"] for line in record["others"]] == ["batch/vgg6/16"]
    # The step of VGG-6 takes a third of the time, of 0.5 that are allowed; compared by default
    # with 0.75, two thirds.
    assert run["missed"] == [missed for missed in run["missed"] if "conv3x3" in missed]


def test_kinds_that_are_measured_again_say_which_run_they_are_from(tmp_path):
    both = [timed("conv3x3/a/all", "conv3x3", "all"), timed("dense/a/all", "dense", "all")]
    one = [timed("dense/a/all", "dense", "all", times=5)]
    first, second = (
        written(tmp_path / name, rows, processor=name)
        for name, rows in (("old", both), ("new", one))
    )
    record = recording.benchmark_record([first])
    merged = recording.benchmark_record([second], record)
    machines = {run["run"]: run["machine"] for run in merged["runs"]}
    found = {line["kind"]: machines[line["run"]] for line in merged["operations"]}
    assert found == {"conv 3×3": "2 cores of an old", "dense": "2 cores of an new"}
    assert merged == recording.benchmark_record([first, second])
    assert merged == recording.benchmark_record([second], merged)  # the same run again
    (run,) = recording.benchmark_record([second, first])["runs"]
    assert run["machine"] == "2 cores of an old"
    record["operations"].append({**record["operations"][0], "kind": "a name of before"})
    kinds = [line["kind"] for line in recording.benchmark_record([second], record)["operations"]]
    assert kinds == ["conv 3×3", "dense", "a name of before"]


def test_every_row_of_the_benchmark_has_its_place_on_the_page():
    """Groups that were renamed would otherwise leave the tables unseen."""
    groups = {row.group for row in ROWS if row.part == "all" and isinstance(row, OperationRow)}
    kinds = [pattern for patterns in speed.KINDS.values() for pattern in patterns]
    for group in groups - {*speed.OTHERS}:
        assert sum(speed.matches(group, [pattern]) for pattern in kinds) == 1, group
    for patterns in speed.KINDS.values():
        assert any(speed.matches(group, patterns) for group in groups), patterns
    prefixes = {row.name.partition("/")[0] for row in ROWS if not isinstance(row, OperationRow)}
    assert prefixes <= {"step", "peak", *speed.OTHERS}
    steps = {row.name.split("/")[1] for row in ROWS if row.name.startswith("step/")}
    assert steps == {*speed.NETWORKS}


@pytest.mark.parametrize("name", [system["name"] for system in tables.record("systems")])
def test_a_systems_header_says_what_its_record_says(name):
    """Result: in experiments/<name>.py."""
    (system,) = [s for s in tables.record("systems") if s["name"] == name]
    source = (Path(detect.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    told = [
        float(n) for n in re.findall(r"\d+\.\d+|\d+", ast.get_docstring(ast.parse(source)) or "")
    ]
    assert {*system["measured"].values()} <= {*told}


def test_runs_of_a_system_become_its_record(tmp_path):
    for i, (area, regression) in enumerate(((0.8, 0.82), (0.82, 0.84))):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        rows = [{"mean_average_precision": area}, {"mean_average_precision": regression}] * 5
        (folder / "summary.json").write_text(json.dumps({"rows": rows, "recall": 0.9}))
    record = recording.system_record("rcnn", sorted(tmp_path.iterdir()))
    assert record["measured"]["mAP"] == 0.83
    assert record["measured"]["without regression"] == 0.81
    assert record["std"]["mAP"] == 0.014
    assert (record["seeds"], record["seconds"]) == (2, 0)
    (tmp_path / "1/summary.json").write_text(json.dumps({"cnn": {"each": [0.5, 0.7]},
        "bag_of_words": {"each": [0.5, 0.5]}, "ahead": {"each": [0, 0.2]}}))  # fmt: skip
    record = recording.system_record("text", [tmp_path / "1"])
    assert record["measured"] == {"accuracy, %": 60.0, "bag of words, %": 50.0, "ahead, %": 10.0}
    assert (record["std"]["accuracy, %"], record["seeds"]) == (14.1, 2)


def test_runs_become_a_record_unless_they_differ(tmp_path):
    for seed, accuracy in enumerate((0.98, 0.99)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"seed": seed, "epochs": 3}))
        (folder / "summary.json").write_text(
            json.dumps({"test_accuracy": accuracy, "seconds": {"training": 2.0}})
        )
    record = recording.training_record("lenet5-mnist5k", sorted(tmp_path.iterdir()))
    assert (record["accuracy"], record["seeds"], record["worst"]) == (98.5, 2, 98.0)
    (tmp_path / "1/config.json").write_text(json.dumps({"seed": 1, "epochs": 4}))
    with pytest.raises(ValueError, match="differ in their seeds only"):
        recording.training_record("lenet5-mnist5k", sorted(tmp_path.iterdir()))

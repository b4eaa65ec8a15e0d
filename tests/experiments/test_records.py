"""Runs become records of the documentation."""

import ast
import json
import re
from pathlib import Path

import pytest

from docs import forms, recording, results, speed, tables
from experiments import detect
from experiments.benchmarks.forms import FORMS, where_taken
from experiments.benchmarks.forms import thresholds as all_thresholds
from experiments.benchmarks.results import Results, RowResult
from experiments.benchmarks.row import OperationRow
from experiments.benchmarks.rows import ROWS

read_text = Path.read_text  # also while a test has its own in its place


def timed(name, group, part, images=None, *, times=1.0):
    """A row with three pairs, peer i taking i + 1 milliseconds."""
    seconds = {peer: [1e-3 * times * (i + 1)] * 3 for i, peer in enumerate(speed.PEERS)}
    return RowResult(name, group, part, images, seconds=seconds)


def written(folder, rows, *, revision="0123456789", processor="EPYC", memory=None):
    """The results of a run with these rows."""
    versions = {"jaxcnn": {"jax": "1.2.3", "git_revision": revision}, "torch": {"torch": "4.5"}}
    folder.mkdir()
    machine = {"processor": processor, "cores": 2, "memory": memory, "time": folder.name}
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


def test_every_other_group_is_shown_from_its_record_or_said_not_to_be_measured(tmp_path):
    kept = [row for row in ROWS if row.name.partition("/")[0] in speed.OTHERS]
    rows = []
    for row in kept:
        asked = row.only or ("jaxcnn", "autodiff")
        times = {peer: [1e-3 * (i + 1)] * 3 for i, peer in enumerate(asked)}
        rows.append(RowResult(row.name, row.group, row.part, seconds=times))
    lines = recording.benchmark_record([written(tmp_path / "run", rows)])["others"]
    for group, title in speed.OTHERS.items():
        shown = speed.others(group, lines)
        own = {row.name: row.group for row in kept if row.name.startswith(f"{group}/")}
        assert shown.startswith(f"### {title}\n\n| `{group}/` | ms, ")
        for name, line in zip(own, shown.splitlines()[4:], strict=True):
            _, first, time, *ratios, pairs, run, _ = (cell.strip() for cell in line.split("|"))
            assert (first, pairs, run) == (name.removeprefix(f"{group}/"), "3", "a")
            assert time == "1.00"
            assert set(ratios) - {"–"} or own[name] == "epoch-ours", name
        assert f"Not measured yet: the rows `{group}/…`" in speed.others(group, [])


def test_bars_that_a_run_misses_are_named_and_those_without_a_name_counted():
    about = {"run": "x", "bars": 5, "held": 2, "missed": ["conv3x3/a/all: time, 2 > 1"]}
    named, counted = speed.missed(about).splitlines()[-2:]
    assert named == "- conv3x3/a/all: time, 2 \\> 1"
    assert counted == "- 2 of which the record of this run has no names"
    for run in tables.record("benchmark")["runs"]:
        if run["held"] < run["bars"]:
            assert speed.missed(run) in results.results_page()


def test_forms_become_a_record_and_each_side_of_a_threshold_its_numbers(tmp_path, monkeypatch):
    pairs = all_thresholds()["FILTERS_BANDED"], all_thresholds()["FEW_PARTS"]
    names = dict.fromkeys(name for t in pairs for name in (t.below, t.above))
    rows = [
        RowResult(
            name, "forms", "part", seconds={"form": [(i + 1) * 1e-3] * 3, "plain": [4e-3] * 3}
        )
        for i, name in enumerate(names)
    ]
    found = recording.forms_record([written(tmp_path / "run", [*rows, rows[0]])])
    assert [line["ratio"] for line in found["forms"]] == [0.75, 1.0, 0.5, 0.25]  # as FORMS has them
    assert found == recording.forms_record([tmp_path / "run/results.json"], found)
    by_name = {row.name: row for row in FORMS}
    for line in found["forms"]:
        assert line["taken"] == where_taken(by_name[line["row"]])
    lines = {line["row"]: line for line in found["forms"]}
    (banded,) = [t for t in forms.thresholds(lines) if t.startswith("**FILTERS\\_BANDED** = 16 ")]
    below, above = banded.splitlines()[-2:]
    assert below.endswith(f"`{pairs[0].below}` **0.25** (1.00 ÷ 4.00\u00a0ms; taken)")
    assert above.endswith(f"`{pairs[0].above}` **0.50** (2.00 ÷ 4.00\u00a0ms; not taken)")
    assert forms.gain("kernel gradient", "pointwise", found["forms"]) == "0.87 (0.75–1.00), 2 rows"
    assert forms.gain("correlation", "pointwise", found["forms"]) == "not measured"
    monkeypatch.setattr(
        forms, "record", lambda name: found if name == "forms" else tables.record(name)
    )
    page = forms.forms_page()
    assert "0.87 (0.75–1.00), 2 rows" in page
    assert "| a | 0123456 | 2 cores of an EPYC |" in page


def test_memory_that_is_kept_is_compared_by_two_runs_that_differ_in_it_alone(tmp_path):
    rows, slower = (
        [timed(f"step/{name}/128", f"step-{name}", "all", 128, times=times)
         for name in ("lenet5", "vgg6")] for times in (1, 4)
    )  # fmt: skip
    kept = written(tmp_path / "kept", rows, memory="kept")
    without = written(tmp_path / "without", slower, memory="as the environment has it")
    found = recording.memory_record(kept, without)
    names = ("LeNet-5", "`jax.grad`, LeNet-5", "VGG-6", "`jax.grad`, VGG-6")
    assert found["measured"] == dict.fromkeys(names, 0.25)
    assert found["test"] == "float32, jax 1.2.3, 2 cores of an EPYC"
    with pytest.raises(ValueError, match="kept in the first run alone"):
        recording.memory_record(without, kept)
    other = written(tmp_path / "other", slower, revision="another", memory="as it comes")
    with pytest.raises(ValueError, match="both runs must have one revision"):
        recording.memory_record(kept, other)


def test_every_record_has_a_command(monkeypatch, capsys):
    """No file in docs/records is written by hand."""
    written_to, read_from = [], tables.RECORDS
    monkeypatch.setattr(results, "write", lambda name, value: written_to.append(name))
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: 0)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: "[]" if path.name == "x" else
                        read_text(path, encoding="utf-8"))  # fmt: skip
    for name in ("benchmark_record", "forms_record", "memory_record"):
        monkeypatch.setattr(recording, name, lambda *_: {"name": "memory"})
    for name in ("training_record", "system_record"):
        monkeypatch.setattr(recording, name, lambda *_: {})
    for options in ("--benchmark x", "--forms x", "--memory x x", "--training p x",
                    "--system rcnn x", "--attribution x"):  # fmt: skip
        assert results.main(options.split()) == 0
    assert {f"{name}.json" for name in written_to} == {p.name for p in read_from.glob("*.json")}


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
        rows = [
            {"mean_average_precision": one, "mean_average_precision_strict": one / 2}
            for one in (area, regression)
        ] * 5
        summary = {
            "rows": rows,
            "recall": 0.9,
            "proposals": {"mean": 100 + i, "most": 200 + i},
            "seconds_a_scene": {"proposals": 0.1, "network": 0.2 + i},
        }
        (folder / "summary.json").write_text(json.dumps(summary))
    record = recording.system_record("rcnn", sorted(tmp_path.iterdir()))
    assert record["measured"]["mAP"] == 0.83
    assert record["measured"]["without regression"] == 0.81
    assert record["measured"]["the same without regression"] == 0.405
    assert record["measured"]["proposals a scene"] == 100.5
    assert record["measured"]["seconds of the network a scene"] == 0.7
    assert record["std"]["mAP"] == 0.014
    assert "recall of the proposals" not in record["std"]  # the same in every run
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

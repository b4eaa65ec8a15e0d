"""Runs become records of the documentation."""

import json

import pytest

from docs import recording, results
from experiments.benchmarks.results import Results, RowResult


def test_a_benchmark_becomes_a_record(tmp_path):
    times = {peer: [1e-3 * (i + 1)] * 3 for i, peer in enumerate(results.PEERS)}
    twice = {peer: [2 * t for t in series] for peer, series in times.items()}
    rows = [RowResult("conv3x3/a/all", "conv3x3", "all", seconds=times),
            RowResult("conv3x3/b/all", "conv3x3", "all", seconds=twice),
            RowResult("step/vgg6/128", "step-vgg6", "step", 128, seconds=times)]  # fmt: skip
    versions = {"jaxcnn": {"jax": "1.2.3", "git_revision": "0123456789"}, "torch": {"torch": "4.5"}}
    Results({"precision": "float32"}, versions, {"processor": "EPYC", "cores": 2}, {}, rows).write(
        tmp_path / "results.json"
    )
    record = recording.benchmark_record([tmp_path / "results.json"])
    assert record["operations"][0]["autodiff"] == [pytest.approx(1 / 3, rel=1e-2)] * 3
    assert record["revision"] == "0123456"
    assert record["machine"] == "2 cores of an EPYC"
    (step,) = record["steps"]
    assert step["network"] == "VGG-6"
    assert step["milliseconds"]["torch"] == pytest.approx(6)
    assert record["versions"] == {"jax": "1.2.3", "torch": "4.5"}


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

"""A batch spread over 8 simulated devices: right values, one all-reduce, nothing gathered."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest


def lines(name, *arguments):
    script = Path(__file__).parent / name
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


KINDS = {  # and how many sums there may be
    "auto": 3,
    "explicit": 3,
    "explicit, no context": 3,
    "explicit, no context, host": 3,
    "both modes": 4,
    "shard_map": 1,
}


def test_a_training_step_sums_once_and_gathers_no_activations():
    reports = lines("sharded.py")
    assert len({report["kind"] for report in reports}) == 7
    for report in reports:
        assert report["error"] < 1e-10, report
        assert report["all-reduce"] == 1, report
        assert not moved(report), report


def moved(report):
    """What a program sends from device to device besides sums."""
    others = ("all-gather", "all-to-all", "collective-permute", "reduce-scatter")
    return {other: report[other] for other in others if report[other]}


def test_every_operation_gives_the_same_numbers_and_gathers_nothing():
    """All the parameters' gradients are one sum; statistics of the batch come before it, and in
    both modes the tangents of the statistics, in a sum of their own.
    """
    reports = lines("sharded_cases.py")
    for kind, sums in KINDS.items():
        of_kind = [report for report in reports if report["kind"] == kind]
        assert len(of_kind) >= 55
        assert not [report for report in of_kind if report["error"] >= 1e-12]
        assert not moved(of_kind[0])
        assert of_kind[0]["all-reduce"] <= sums


def test_any_axis_may_be_sharded_and_both_modes_follow():
    reports = lines("sharded_axes.py")
    cases = [report for report in reports if "case" in report]
    assert len(cases) >= 100
    assert not [report for report in cases if report["error"]]
    modes = [report for report in reports if "modes" in report]
    assert len(modes) == 8
    assert not [report for report in modes if report["error"] > 1e-12]


# Sums that wait for each other: mean and square together, and the gradient of a batch norm;
# the weights of the labels, by which a mean is divided.
ALL_REDUCES = {"batch_norm": 2, "softmax_cross_entropy": 2}


# XLA of jax 0.10 gathers the argument of its own erf under Auto axes: findings/jax_erf_gathers.sh.
GATHERED = {("auto", "erf")} if jax.__version_info__ < (0, 12) else set()


@pytest.mark.full
def test_every_case_on_its_own():
    """At most one all-reduce where something is summed over the batch, else nothing at all."""
    reports = lines("sharded_cases.py", "full")
    assert len({report["case"] for report in reports}) >= 240
    for report in reports:
        what = report["kind"], report["case"]
        assert report["error"] < 1e-12, (what, report["where"])
        most = ALL_REDUCES.get(report["op"], 1) if report["kind"] != "shard_map" else 1
        most += report["kind"] == "both modes"
        assert report["all-reduce"] <= report["sums"] * most, what
        assert not moved(report) or (report["kind"], report["op"]) in GATHERED, what

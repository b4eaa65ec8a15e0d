"""A batch spread over 8 simulated devices: right values, one all-reduce, nothing gathered."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments):
    script = Path(__file__).parent / "sharded.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {report["kind"]: report for report in found}


@pytest.fixture(scope="module")
def reports():
    return run()


KINDS = pytest.mark.parametrize("kind", ["auto", "explicit", "shard_map"])


@KINDS
def test_the_same_numbers_as_on_one_device(reports, kind):
    assert reports[kind]["error"] < 1e-10, reports[kind]["where"]


@KINDS
def test_one_all_reduce_and_no_gathered_activations(reports, kind):
    assert reports[kind]["all-reduce"] == 1
    for other in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter"):
        assert reports[kind][other] == 0, other


def test_convolutions_in_groups_give_the_same_numbers():
    for kind, report in run("groups").items():
        assert report["error"] < 1e-10, (kind, report["where"])
        assert report["all-reduce"] == 1

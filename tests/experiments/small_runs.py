"""Small runs, and programs in processes of their own, for the tests of several files."""

import os
import subprocess
import sys
from pathlib import Path

from experiments import train

HERE = Path(__file__).parent
SMALL = [
    "--model", "logistic-regression", "--rotation", "0", "--zoom", "0",
    "--epochs", "3", "--train-images", "72", "--validation", "20",
    "--batch-size", "24", "--checkpoint-seconds", "0", "--no-progress",
]  # fmt: skip


def small_run(folder, *more):
    """The folder, with a run in it."""
    assert train.main([*SMALL, *more, "--run-dir", str(folder)]) == 0
    return folder


def begin(*arguments, devices=1, text=True, stdout=subprocess.PIPE):
    """Python with these arguments; it finds this checkout, and simulates some devices."""
    simulated = f"--xla_force_host_platform_device_count={devices}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE.parent.parent),
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {simulated}",
    }
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, text=text, env=environment
    )


def end(process):
    """What it has printed, once it has ended well."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output

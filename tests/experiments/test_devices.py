"""One batch on several devices, and in several processes: the same numbers as on one."""

import socket

import numpy as np
import pytest
from small_runs import HERE, begin, end

from experiments import train
from experiments.command_line.options import Hardware, UserError
from experiments.training import devices


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def load(path):
    """kind → name → value."""
    found = {}
    for name, value in np.load(path).items():
        kind, name = name.split(" ")
        found.setdefault(kind, {})[name] = value
    return found


@pytest.fixture(scope="module")
def on_one_machine(tmp_path_factory):
    path = tmp_path_factory.mktemp("shared") / "machine.npz"
    end(begin(HERE / "shared_training.py", path, devices=8))
    return load(path)


def assert_close(found, expected):
    assert set(found) == set(expected)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["auto", "explicit"])
def test_eight_devices_find_what_one_finds(kind, on_one_machine):
    assert_close(on_one_machine[kind], on_one_machine["one"])


@pytest.mark.full
def test_two_processes_find_what_one_device_finds(on_one_machine, tmp_path):
    where = f"localhost:{free_port()}"
    paths = [tmp_path / f"{number}.npz" for number in (0, 1)]
    script = HERE / "shared_training.py"
    running = [
        begin(script, path, where, 2, number, devices=2) for number, path in enumerate(paths)
    ]
    for process in running:
        end(process)
    for path in paths:
        assert_close(load(path)["all"], on_one_machine["one"])


RUN = [
    "--model", "logistic-regression", "--rotation", "0", "--zoom", "0",
    "--epochs", "2", "--train-images", "60", "--validation", "20",
    "--batch-size", "20", "--checkpoint-seconds", "0",
]  # fmt: skip


@pytest.mark.full
def test_two_processes_share_a_run_and_its_folder(tmp_path, capsys):
    assert train.main([*RUN, "--run-dir", str(tmp_path / "alone")]) == 0
    capsys.readouterr()
    where = f"localhost:{free_port()}"
    group = ["--coordinator", where, "--processes", 2, "--run-dir", tmp_path / "shared"]
    running = [
        begin("-m", "experiments.train", *RUN, *group, "--process", number) for number in (0, 1)
    ]
    outputs = [end(process) for process in running]
    assert outputs[0].splitlines()[-1].startswith("test accuracy 0.")
    assert "epoch" not in outputs[1]  # what the processes' own engine prints is not ours
    assert "test accuracy" not in outputs[1]
    from experiments import runs

    for one, other in zip(
        runs.read_metrics(tmp_path / "alone"), runs.read_metrics(tmp_path / "shared"), strict=True
    ):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["validation_accuracy"] == pytest.approx(other["validation_accuracy"], abs=0.06)
    assert sorted(p.name for p in (tmp_path / "shared" / "checkpoints").iterdir())[-1] == "6"


WAITING = """
import sys
from jax.experimental.multihost_utils import sync_global_devices
from experiments.command_line.options import Hardware
from experiments.training import devices

where, number = sys.argv[1], int(sys.argv[2])
devices.join(Hardware(coordinator=where, processes=2, process=number))

def main():
    sync_global_devices("both are there")
    if number == FAILING:
        raise RuntimeError("this one fails")
    sync_global_devices("never")
    return 0

devices.leave(main)
"""


@pytest.mark.full
@pytest.mark.parametrize("failing", [0, 1])
def test_a_process_that_fails_does_not_leave_the_other_waiting(failing, tmp_path):
    script = tmp_path / "waiting.py"
    script.write_text(WAITING.replace("FAILING", str(failing)))
    where = f"localhost:{free_port()}"
    running = [begin(script, where, number) for number in (0, 1)]
    _, errors = running[failing].communicate(timeout=60)
    assert running[failing].returncode == 1
    assert "this one fails" in errors
    running[1 - failing].communicate(timeout=240)
    assert running[1 - failing].returncode != 0


# Mistakes


def test_a_mistake_in_one_process_ends_all(monkeypatch):
    def fail():
        raise UserError("no data here")

    with pytest.raises(UserError, match="no data here"):
        devices.together(fail, "elsewhere")
    assert devices.together(lambda: 3, "elsewhere") == 3
    monkeypatch.setattr(devices, "any_of", lambda flag: True)
    with pytest.raises(UserError, match="elsewhere"):
        devices.together(lambda: 3, "elsewhere")


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(UserError, match="at most the 1 that there are, got 3"):
        devices.make_mesh(Hardware(devices=3), 64)


def test_a_single_device_needs_no_mesh():
    assert devices.make_mesh(Hardware(), 63) is None


def test_a_coordinator_alone_is_refused(capsys):
    assert train.main(["--coordinator", "localhost:1"]) == 2
    assert "--coordinator needs --processes and --process" in capsys.readouterr().err

"""What a run survives, and what it refuses: kills, interruptions, damage, numbers gone wrong."""

import json
import os
import re
import signal
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from small_runs import HERE, SMALL, begin, end, small_run

from experiments import evaluate, predict, runs, train
from experiments.command_line.options import UserError
from experiments.runs.checkpoints import Checkpoints
from experiments.runs.loop import Loop
from experiments.training import Scanned, TrainState, diagnosis
from experiments.training.gradients import differentiate
from experiments.training.networks import NETWORKS, Network
from jaxcnn import layers

pytestmark = pytest.mark.usefixtures("no_pictures")


def assert_same(one, other):
    left, right = runs.load_parameters(one), runs.load_parameters(other)
    jax.tree.map(np.testing.assert_array_equal, left, right)

    def lines(folder):
        return [{**r, "seconds": 0} for r in runs.read_metrics(folder)]

    assert lines(one) == lines(other)


@pytest.fixture(scope="module")
def finished(no_pictures, tmp_path_factory):
    """A run of three epochs with its checkpoints: after every epoch, the last two, the best."""
    return small_run(tmp_path_factory.mktemp("finished") / "run")


def copy_of(finished, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    return folder


def steps_in(folder):
    return sorted(int(path.name) for path in (folder / "checkpoints").iterdir())


def test_the_best_epoch_is_kept_however_seldom_checkpoints_are_written(tmp_path):
    more = ["--checkpoint-seconds", "60", "--epochs", "8", "--schedule", "constant"]
    folder = small_run(tmp_path / "run", *more)
    records = runs.read_metrics(folder)
    best = max(records, key=lambda record: record["validation_accuracy"])
    assert best["step"] in steps_in(folder)
    assert best["step"] != records[-1]["step"], "the test needs a run that gets worse at the end"
    checkpoints = Checkpoints(folder, runs.stored_options(folder), read_only=True)
    assert checkpoints.best_step() == best["step"]
    checkpoints.close()


def test_the_best_epoch_is_kept_and_known_after_going_on(tmp_path):
    """Killed once its best epoch is long over: the accuracies before must still be known."""
    more = ["--checkpoint-seconds", "0", "--epochs", "8", "--schedule", "constant", "--keep", "1"]
    folder = small_run(tmp_path / "run", *more)
    records = runs.read_metrics(folder)
    best, last = steps_in(folder)
    accuracies = {record["step"]: record["validation_accuracy"] for record in records}
    assert last == records[-1]["step"]
    assert accuracies[best] == max(accuracies.values())
    assert accuracies[last] < accuracies[best], "the test needs a run that gets worse at the end"
    options = runs.stored_options(folder)
    checkpoints = Checkpoints(folder, options)
    state = TrainState({"w": jnp.zeros(3)}, {}, {})
    for step in (last + 1, last + 2):
        checkpoints.save(step, state, {}, 0.0)
    checkpoints.close()
    assert steps_in(folder) == [best, last + 2]
    checkpoints = Checkpoints(folder, options, read_only=True)
    assert checkpoints.best_step() == best
    checkpoints.close()


def test_without_validation_no_checkpoint_is_the_best(tmp_path, capsys):
    folder = small_run(tmp_path / "run", "--validation", "0")
    assert evaluate.main([str(folder), "--checkpoint", "best"]) == 2
    assert "has no best checkpoint" in capsys.readouterr().err


# Going on


@pytest.mark.full
@pytest.mark.parametrize(
    ("kills", "recipe"), [(2, "plain"), (20, "plain"), (5, "muon"), (5, "float16")]
)
def test_a_run_killed_at_random_moments_ends_as_an_undisturbed_one(kills, recipe, tmp_path):
    output = end(begin(HERE / "killed.py", tmp_path, kills, "1", recipe))
    found = json.loads(output.splitlines()[-1])
    assert found["kills"] == kills
    last = max(steps_in(tmp_path / "whole"))
    midway = [step for steps in found["resumed"] for step in steps if 0 < step < last]
    assert len(midway) >= kills // 3, found
    for number, steps in enumerate(found["resumed"]):
        assert steps == sorted(steps)
        assert_same(tmp_path / "whole", tmp_path / f"killed-{number}")


@pytest.mark.full
def test_a_run_on_eight_devices_survives_a_kill(tmp_path):
    """It ends as one on a single device does, to rounding."""
    arguments = [HERE / "killed_once.py", tmp_path / "run", *SMALL, "--epochs", "6"]
    going_on = re.search(r"Going on after step (\d+)\.", end(begin(*arguments, devices=8)))
    assert going_on is not None
    assert 3 <= int(going_on[1]) < 18
    alone = small_run(tmp_path / "alone", "--epochs", "6")
    for one, other in zip(
        runs.read_metrics(alone), runs.read_metrics(tmp_path / "run"), strict=True
    ):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
    left, right = runs.load_parameters(alone), runs.load_parameters(tmp_path / "run")
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=2e-4), left, right)


def test_a_folder_left_by_a_run_that_was_killed_at_once_can_be_used(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in runs.UNFINISHED:
        (folder / name).write_text("{")
    small_run(folder, "--epochs", "1")


def test_the_last_two_checkpoints_and_the_best_are_kept(finished):
    records = {r["step"]: r["validation_accuracy"] for r in runs.read_metrics(finished)}
    best = max(records.values())
    kept = steps_in(finished)
    assert set(kept) >= {6, 9}
    assert any(records.get(step) == best for step in kept)
    assert len(kept) <= 3


def test_a_run_goes_on_from_an_earlier_checkpoint(finished, tmp_path, capsys):
    folder = copy_of(finished, tmp_path)
    assert train.main(["--resume", str(folder), "--checkpoint", "6"]) == 0
    assert "Going on after step 6." in capsys.readouterr().out
    assert_same(finished, folder)


def test_ctrl_c_saves_and_says_how_to_go_on(finished, tmp_path, capsys, monkeypatch):
    folder, end_epoch = tmp_path / "run", Loop._end_epoch

    def interrupted(self, *arguments):
        if threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)
        return end_epoch(self, *arguments)

    monkeypatch.setattr(Loop, "_end_epoch", interrupted)
    assert train.main([*SMALL, "--run-dir", str(folder)]) == 130
    errors = capsys.readouterr().err
    assert f"go on with: python -m experiments.train --resume {folder}" in errors
    assert steps_in(folder)[-1] == 3
    monkeypatch.setattr(Loop, "_end_epoch", end_epoch)
    assert train.main(["--resume", str(folder)]) == 0
    assert_same(finished, folder)


def test_ctrl_c_saves_within_a_long_epoch_too(tmp_path, capsys, monkeypatch):
    """Without any option; the end is the same, bit for bit, as that of an epoch in one piece."""
    four = ["--train-images", "96", "--epochs", "1", "--checkpoint-seconds", "60"]
    whole, folder = small_run(tmp_path / "whole", *four), tmp_path / "run"
    advance = Scanned.__call__

    def interrupted(self, *arguments):
        if threading.current_thread() is threading.main_thread():
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, *arguments)

    monkeypatch.setattr("experiments.training.epoch.LONGEST", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Scanned, "__call__", interrupted)
        assert train.main([*SMALL, *four, "--run-dir", str(folder)]) == 130
    assert "Stopped after step 2 of 4" in capsys.readouterr().err
    assert steps_in(folder) == [0, 2]
    assert train.main(["--resume", str(folder)]) == 0
    assert_same(whole, folder)


# Refusals

REFUSED = {
    "other options": (["--batch-size", "10"], "cannot go on with another --batch-size than 24."),
    "no such checkpoint": (["--checkpoint", "5"], "--checkpoint must be one of those in"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_run_cannot_go_on_with_is_refused(case, finished, capsys):
    arguments, sentence = REFUSED[case]
    assert train.main(["--resume", str(finished), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_a_folder_without_a_run_cannot_go_on(tmp_path, capsys):
    assert train.main(["--resume", str(tmp_path)]) == 2
    assert f"{tmp_path} holds no run" in capsys.readouterr().err
    (tmp_path / "config.json").write_text('{"model": "lenet5"}')
    assert train.main(["--resume", str(tmp_path)]) == 2
    assert "holds no run of this version" in capsys.readouterr().err


def damage(folder):
    """Other bits in the middle of the largest file of numbers."""
    files = [path for path in folder.rglob("*") if path.is_file() and "progress" not in path.parts]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(byte ^ 0x55 for byte in content[middle : middle + 64])
    largest.write_bytes(content)


def test_a_damaged_checkpoint_is_left_out_and_the_one_before_it_taken(finished, tmp_path, capsys):
    folder = copy_of(finished, tmp_path)
    last = folder / "checkpoints" / "9"
    damage(last)
    assert train.main(["--resume", str(folder), "--checkpoint", "9"]) == 2  # it was asked for
    errors = capsys.readouterr().err
    assert f"The checkpoint {last} is damaged (the file state/" in errors
    assert "is not as it was written); the last good one is" in errors
    assert f"the last good one is {folder / 'checkpoints' / '6'}" in errors
    assert train.main(["--resume", str(folder)]) == 0
    captured = capsys.readouterr()
    assert f"The checkpoint {last} is damaged (the file state/" in captured.err
    assert captured.err.endswith("): it is left out.\n")
    assert "Going on after step 6." in captured.out
    assert_same(finished, folder)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("file", "harm", "found"),
    [
        ("state/manifest.ocdbt", truncate, "the file state/manifest.ocdbt is not as it was"),
        ("state/_METADATA", Path.unlink, "the file state/_METADATA is missing"),
        ("progress/metadata", truncate, "the file progress/metadata is not as it was"),
        ("files.json", truncate, "files.json cannot be read"),
    ],
)
def test_any_file_that_is_not_whole_is_damage(file, harm, found, finished, tmp_path, capsys):
    folder = copy_of(finished, tmp_path)
    harm(folder / "checkpoints" / "9" / file)
    assert train.main(["--resume", str(folder), "--checkpoint", "9"]) == 2
    assert f"{folder / 'checkpoints' / '9'} is damaged ({found}" in capsys.readouterr().err


def test_a_checkpoint_killed_before_its_seal_is_taken_by_its_numbers(finished, tmp_path, capsys):
    """What was killed between its last file and its seal is whole; other numbers are still seen."""
    folder = copy_of(finished, tmp_path)
    last = folder / "checkpoints" / "9"
    (last / "files.json").unlink()
    assert train.main(["--resume", str(folder)]) == 0
    progress = last / "progress" / "metadata"
    about = json.loads(progress.read_text())
    name = next(name for name in about["arrays"] if ".params" in name)
    about["arrays"][name][0] = "0" * 16
    progress.write_text(json.dumps(about))
    assert train.main(["--resume", str(folder), "--checkpoint", "9"]) == 2
    assert f"(the numbers of {name} are not those that were" in capsys.readouterr().err


def other_run(finished, tmp_path, *options):
    """A copy of the finished run whose only checkpoint is of a run with other options."""
    import shutil

    other = small_run(tmp_path / "other", *options, "--epochs", "1")
    folder = copy_of(finished, tmp_path)
    for step in steps_in(folder):
        shutil.rmtree(folder / "checkpoints" / str(step))
    shutil.copytree(other / "checkpoints" / "3", folder / "checkpoints" / "3")
    return folder


def test_a_checkpoint_of_another_network_is_refused_by_name(finished, tmp_path, capsys):
    folder = other_run(finished, tmp_path, "--model", "mlp")
    assert train.main(["--resume", str(folder)]) == 2
    errors = capsys.readouterr().err
    assert f"{folder / 'checkpoints' / '3'} belongs to another network or optimiser" in errors
    assert "there is no good one before it" in errors


def test_a_checkpoint_of_another_run_of_the_same_network_is_refused_by_name(
    finished, tmp_path, capsys
):
    folder = other_run(finished, tmp_path, "--seed", "1")
    sentence = f"The checkpoint {folder / 'checkpoints' / '3'} belongs to another run (--epochs"
    assert train.main(["--resume", str(folder)]) == 2
    assert sentence in capsys.readouterr().err
    assert evaluate.main([str(folder), "--checkpoint", "last"]) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_damaged_is_not_evaluated_either(finished, tmp_path, capsys):
    folder = copy_of(finished, tmp_path)
    damage(folder / "checkpoints" / "9")
    assert evaluate.main([str(folder), "--checkpoint", "last"]) == 2
    errors = capsys.readouterr().err
    assert f"The checkpoint {folder / 'checkpoints' / '9'} is damaged" in errors
    assert "take it by --checkpoint 6." in errors
    damage(folder / "parameters")
    image = tmp_path / "image.png"
    Image.new("L", (28, 28)).save(image)
    for main, arguments in (
        (evaluate.main, [str(folder)]),
        (predict.main, [str(image), "--run", str(folder)]),
    ):
        assert main(arguments) == 2
        assert f"The parameters in {folder / 'parameters'} are" in capsys.readouterr().err


def test_a_run_that_has_no_room_to_go_on_says_so_at_once(finished, capsys, monkeypatch):
    before = sorted(path.stat().st_mtime_ns for path in finished.rglob("*"))
    usage = type("Usage", (), {"free": 2**20})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: usage)
        assert train.main(["--resume", str(finished)]) == 2
    assert "has 1 MiB free, the checkpoints of this run take up to" in capsys.readouterr().err

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert train.main(["--resume", str(finished)]) == 2
    assert "checkpoints cannot be written: Permission denied." in capsys.readouterr().err
    assert sorted(path.stat().st_mtime_ns for path in finished.rglob("*")) == before


def test_a_full_disk_is_found_out_before_the_first_step(tmp_path, capsys, monkeypatch):
    usage = type("Usage", (), {"free": 2**20})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert train.main([*SMALL, "--run-dir", str(tmp_path / "run")]) == 2
    assert "has 1 MiB free, the checkpoints of this run take up to" in capsys.readouterr().err


def test_a_run_goes_on_where_only_its_own_checkpoints_take_the_room(
    finished, tmp_path, monkeypatch
):
    """A run that began with just enough room needs as much less as it has written."""
    folder = copy_of(finished, tmp_path)
    checkpoints = Checkpoints(folder, runs.stored_options(folder))
    state = TrainState({"w": jnp.zeros(2**20, jnp.float32)}, {}, {})  # of 4 MiB
    files = [path for path in (folder / "checkpoints").rglob("*") if path.is_file()]
    stored = sum(path.stat().st_size for path in files)
    unfinished = folder / "checkpoints" / "12.orbax-checkpoint-tmp"
    unfinished.mkdir()
    (unfinished / "state").write_bytes(bytes(2**20))  # orbax may remove it at any moment
    needed = (checkpoints.keep + 3) * 2**22 + 2**24
    usage = SimpleNamespace(free=needed - stored)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    checkpoints.check_space(state)
    usage.free -= 2**20
    with pytest.raises(UserError, match="take up to"):
        checkpoints.check_space(state)
    checkpoints.close()


def test_a_disk_that_is_full_at_the_very_end_is_told(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise ValueError("RESOURCE_EXHAUSTED: No space left on device")

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_parameters", full)
        assert train.main([*SMALL, "--run-dir", str(folder)]) == 1
    errors = capsys.readouterr().err
    assert f"The parameters in {folder} cannot be written (ValueError: RESOURCE" in errors
    assert errors.endswith(f"with: python -m experiments.train --resume {folder}\n")
    assert train.main(["--resume", str(folder)]) == 0


def test_a_disk_that_fills_later_ends_the_run_with_the_last_good_checkpoint(
    tmp_path, capsys, monkeypatch
):
    from orbax.checkpoint import CheckpointManager

    save = CheckpointManager.save

    def full(self, step, *arguments, **more):
        if step == 6:
            raise OSError(28, "No space left on device")
        return save(self, step, *arguments, **more)

    monkeypatch.setattr(CheckpointManager, "save", full)
    folder = tmp_path / "run"
    assert train.main([*SMALL, "--run-dir", str(folder)]) == 1
    errors = capsys.readouterr().err
    assert f"{folder / 'checkpoints' / '6'} cannot be written" in errors
    assert "No space left on device" in errors
    assert f"the last good one is {folder / 'checkpoints' / '3'}" in errors


def test_a_first_checkpoint_that_cannot_be_written_is_refused(tmp_path, capsys, monkeypatch):
    from orbax.checkpoint import CheckpointManager

    def full(self, *arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointManager, "save", full)
    assert train.main([*SMALL, "--run-dir", str(tmp_path / "run")]) == 2
    assert "No space left on device); none before it." in capsys.readouterr().err


# Numbers gone wrong


def test_a_loss_that_is_no_number_names_step_and_layer(tmp_path, capsys):
    arguments = ["--optimiser", "sgd", "--schedule", "constant", "--learning-rate", "1e30"]
    arguments += ["--model", "gormley"]
    folder = tmp_path / "run"
    assert train.main([*SMALL, *arguments, "--run-dir", str(folder)]) == 1
    errors = capsys.readouterr().err
    assert "The loss became nan in epoch 1; in step " in errors
    assert "δ" in errors or "gradient" in errors
    (record,) = runs.read_metrics(folder)
    assert record["loss"] is None


def times(factor):
    """No `Scale`: XLA would make one constant of several."""

    def draw(key, shape, dtype):
        return factor * np.eye(*shape, dtype=dtype)

    return layers.Dense(10, use_bias=False, weight_init=draw)


def make_mlp_of(parts, monkeypatch):
    """Have `--model mlp` be one dense layer and these behind it."""

    def build(classes):
        return layers.serial(flatten=layers.Flatten(), below=layers.Dense(classes), **parts)

    monkeypatch.setitem(NETWORKS, "mlp", Network(build, build, None))


DIVERGING = {
    # Every activation is finite, and so is δ behind `large`: only before it δ overflows.
    "in δ": (
        {"tiny": times(1e-30), "large": times(1e20), "larger": times(1e22)},
        "in step 1 the first δ that was not finite is that at the output of tiny",
    ),
    "in the outputs": (
        {"half": times(1e20), "more": times(1e20), "back": times(1e-30)},
        "in step 1 the first output that was not finite is that of more",
    ),
    # Gradients are finite, their squares are not: the loss would never tell.
    "in the moments": (
        {"large": times(1e20)},
        "in step 1 opt_state/0/nu/below/weight of the state was no longer finite",
    ),
}


@pytest.mark.parametrize(
    "case", ["in δ", pytest.param("in the outputs", marks=pytest.mark.full), "in the moments"]
)
def test_the_first_number_gone_wrong_is_found_where_it_was_made(
    case, tmp_path, capsys, monkeypatch
):
    parts, sentence = DIVERGING[case]
    make_mlp_of(parts, monkeypatch)
    arguments = [*SMALL, "--model", "mlp", "--run-dir", str(tmp_path / "run")]
    assert train.main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_a_loss_that_needs_no_scale_and_still_overflows_stops_the_run(
    tmp_path, capsys, monkeypatch
):
    """In float16: after 12 steps the scale is 1, and leaving steps out helps no longer."""
    make_mlp_of({"tiny": times(1e-4), "large": times(1e3), "larger": times(1e4)}, monkeypatch)
    arguments = [*SMALL, "--epochs", "8", "--model", "mlp", "--precision", "float16"]
    assert train.main([*arguments, "--run-dir", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert "in step 13 the first δ that was not finite is that at the output of" in error


def test_an_interruption_says_how_to_go_on_whenever_it_comes(tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.material, "compile_judges", interrupt)  # before the first step
        assert train.main([*SMALL, "--run-dir", str(tmp_path / "run")]) == 130
    assert f"python -m experiments.train --resume {tmp_path / 'run'}" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(train.training, "evaluated", interrupt)  # after the last one
        assert train.main(["--resume", str(tmp_path / "run"), "--no-progress"]) == 130
    assert f"python -m experiments.train --resume {tmp_path / 'run'}" in capsys.readouterr().err
    assert train.main(["--resume", str(tmp_path / "run"), "--no-progress"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(train.material, "load", interrupt)  # before there is a folder
        assert train.main([*SMALL, "--run-dir", str(tmp_path / "other")]) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_comparisons_that_will_be_made_again_are_forgotten(tmp_path):
    """Those of steps after the checkpoint, and a line that was being written."""
    path = tmp_path / "gradients.jsonl"
    lines = [f'{{"step": {step}}}\n' for step in (0, 5, 10)]
    path.write_text("".join(lines) + '{"ste')
    runs.forget_comparisons(tmp_path, 10)
    assert path.read_text() == "".join(lines[:2])


def test_a_step_is_told_in_the_order_in_which_it_is_computed():
    """Not in that of the names: forward from `z` to `a`, back from `a` to `z`."""
    net = layers.serial(z=layers.Dense(2), m=layers.serial(b=layers.Dense(2)), a=layers.Dense(2))
    names = ("z", "m/b", "a")

    def told(**bad):
        tree = {"z": {"kernel": 0}, "m": {"b": {"kernel": 0}}, "a": {"kernel": 0}}
        counts = {
            "before": {"opt_state": {"nu": bad.get("before", 0)}},
            "images": {"": 0},
            "outputs": {name: bad.get("output", {}).get(name, 0) for name in names},
            "deltas": {"z": 0, "m": {"b": bad.get("delta", 0)}, "a": 0},
            "gradients": tree | bad.get("gradients", {}),
            "loss": {"": bad.get("loss", 0)},
        }
        return diagnosis._sentence(net, counts)

    wrong = {"a": {"kernel": 3}, "z": {"kernel": 5}}
    assert told() is None
    assert told(loss=1) == "the loss was not finite"
    assert "opt_state/nu was not finite before the step already (7" in str(told(before=7))
    first = "the first gradient that was not finite is that of a/kernel (3 numbers)"
    assert told(gradients=wrong, delta=2) == first
    second = "the first δ that was not finite is that at the output of m/b (2 numbers)"
    assert told(gradients={"z": {"kernel": 5}}, delta=2) == second
    output = "the first output that was not finite is that of m/b (4 numbers)"
    assert told(output={"a": 1, "m/b": 4}, gradients=wrong) == f"{output} and {first}"


@pytest.mark.parametrize("rules", ["hand", pytest.param("explicit", marks=pytest.mark.full)])
def test_the_rules_are_compared_with_autodiff_on_live_batches(rules, tmp_path):
    folder = small_run(
        tmp_path / "run", "--check-gradients", "2", "--rules", rules, "--epochs", "2",
        "--batch-size", "18",
    )  # fmt: skip
    lines = (folder / "gradients.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["step"] for line in found] == [0, 2, 4, 6]
    assert all(0 <= line["gradient_error"] < 1e-3 for line in found)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_rules_that_differ_from_autodiff_stop_the_run(scale, tmp_path, capsys, monkeypatch):
    """However small the gradients are: as they become where a network has learned its images."""

    def bent(recipe):
        road = differentiate(recipe)

        def run(*arguments):
            *rest, gradients = road(*arguments)
            gradients = jax.tree.map(lambda leaf: scale * leaf, gradients)
            if recipe.rules != "autodiff":
                gradients["dense1"]["bias"] *= 1.01
            return *rest, gradients

        return run

    monkeypatch.setattr(diagnosis, "differentiate", bent)
    arguments = [*SMALL, "--check-gradients", "1", "--run-dir", str(tmp_path / "run")]
    assert train.main(arguments) == 1
    sentence = (
        "At step 0 the gradient of dense1/bias by the rules differs from autodiff's by 1.0e-02"
    )
    assert sentence in capsys.readouterr().err


def test_checkpoints_can_be_read_without_being_changed(finished):
    before = sorted(path.stat().st_mtime_ns for path in finished.rglob("*"))
    checkpoints = Checkpoints(finished, runs.stored_options(finished), read_only=True)
    params, _ = checkpoints.parameters(9, averaged=False)
    checkpoints.close()
    jax.tree.map(np.testing.assert_array_equal, params, runs.load_parameters(finished)[0])
    assert sorted(path.stat().st_mtime_ns for path in finished.rglob("*")) == before

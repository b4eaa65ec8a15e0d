"""`inspect --page`: the page of a run, with the epochs that `train --keep-every` kept."""

import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_runs import SMALL, small_run

from experiments import inspect, runs, train
from experiments.command_line.options import TrainOptions
from experiments.runs import epochs
from jaxcnn import models


@pytest.fixture(scope="module")
def kept(tmp_path_factory, no_pictures):
    """A run of three epochs, every second of which is kept."""
    return small_run(tmp_path_factory.mktemp("kept") / "run", "--keep-every", "2")


def test_every_so_many_epochs_are_kept_and_what_they_began_with(kept, tmp_path, no_pictures):
    assert epochs.kept(kept) == [0, 2]
    shorter = tmp_path / "shorter"
    few = ["--epochs", "2", "--schedule", "constant", "--run-dir"]
    assert train.main([*SMALL, *few, str(shorter), "--keep-every", "1"]) == 0
    assert epochs.kept(shorter) == [0, 1, 2]
    found = epochs.read(shorter, runs.stored_options(shorter))
    end = runs.load_parameters(shorter)[0]
    jax.tree.map(np.testing.assert_array_equal, found[2], end)
    steps = [jax.tree.leaves(found[epoch])[-1] for epoch in (0, 1, 2)]
    assert not np.array_equal(steps[0], steps[1])
    assert not np.array_equal(steps[1], steps[2])


def test_a_run_without_the_option_keeps_none(tmp_path, no_pictures):
    folder = small_run(tmp_path / "run", "--epochs", "1")
    assert epochs.kept(folder) == []
    assert train.main([*SMALL, "--keep-every", "0", "--run-dir", str(tmp_path / "no")]) == 2


def test_the_page_of_a_run_has_its_images_and_its_epochs(kept, tmp_path, capsys):
    assert inspect.main([str(kept), "--page", "--output", str(tmp_path)]) == 0
    path = tmp_path / "page.html"
    assert capsys.readouterr().out == f"{path}\n"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    text = path.read_text(encoding="utf-8")
    assert re.findall(r'{"name":"([^"]+)","numbers"', text) == [
        "as drawn", "after epoch 2", "at the end"
    ]  # fmt: skip
    labels = re.search(r'"labels":\[([\d,]+)\]', text)
    assert labels is not None
    assert labels[1].split(",")[1:] == [str(k) for k in range(10) for _ in range(2)]
    assert "test accuracy" in text


def test_what_has_no_page_is_told(tmp_path, capsys):
    folder = tmp_path / "run"
    runs.create(folder, TrainOptions(model="accurate-mnist", run_dir=folder))
    drawn = models.accurate_mnist().init(jax.random.key(0), (28, 28, 1), dtype=jnp.float32)
    runs.save_parameters(folder, *drawn)
    assert inspect.main([str(folder), "--page", "--output", str(tmp_path / "page")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("--page cannot show accurate-mnist: net must apply conv, ")
    assert error.count("\n") == 1
    assert not (tmp_path / "page").exists()


def test_damage_to_an_epoch_is_told(kept, tmp_path, capsys):
    damaged = shutil.copytree(kept, tmp_path / "damaged")
    (damaged / "epochs" / "2" / "_METADATA").write_bytes(b"")
    assert inspect.main([str(damaged), "--page", "--output", str(tmp_path)]) == 2
    assert "epochs/2 are damaged" in capsys.readouterr().err

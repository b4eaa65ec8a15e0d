"""The smaller scripts, each in a shrunken form, and their mistakes in one sentence."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import jaxcnn
from experiments import compare_grad, picture, runs
from experiments.command_line.options import TrainOptions


@pytest.fixture
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("wide_terminal")
def test_compare_grad_prints_a_table_and_writes_it(capsys, tmp_path):
    path = tmp_path / "table.json"
    code = compare_grad.main(["--only", "relu", "dense", "--repeats", "2", "--json", str(path)])
    assert code == 0
    text = capsys.readouterr().out
    assert "relu" in text
    assert text.splitlines()[-1] == "all within tolerance"
    rows = {row["name"]: row for row in json.loads(path.read_text())}
    assert set(rows) == {"relu", "dense"}
    assert rows["relu"]["errors"]["order 3"] <= 1e-10
    assert rows["dense"]["errors"]["mixed"] <= 1e-10
    assert rows["dense"]["residual_bytes"][0] > 0
    assert "max(x, 0)" in rows["relu"]["formula"]


@pytest.mark.usefixtures("wide_terminal")
def test_compare_grad_fails_where_a_tolerance_is_exceeded(capsys, monkeypatch):
    monkeypatch.setitem(compare_grad.TOLERANCES, "differences", 1e-30)
    assert compare_grad.main(["--only", "tanh", "--no-timing"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "exceeded: tanh: differences"


def test_compare_grad_refuses_an_unknown_operation(capsys):
    assert compare_grad.main(["--only", "sine"]) == 2
    assert "got sine" in capsys.readouterr().err


def test_picture_is_drawn(capsys, tmp_path):
    path, run = tmp_path / "picture.png", tmp_path / "run"
    runs.create(run, TrainOptions(run_dir=run))
    net = jaxcnn.models.lenet5()
    runs.save_parameters(run, *net.init(jax.random.key(0), (32, 32, 1), dtype=jnp.float32))
    assert picture.main(["--output", str(path), "--run", str(run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(path)
    with Image.open(path) as image:
        assert image.width > 1000
        assert len(np.unique(np.asarray(image.convert("L")))) > 50


def test_picture_refuses_a_folder_without_a_run(capsys, tmp_path):
    assert picture.main(["--run", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("--run must be the folder of a finished run")


def test_picture_refuses_what_is_no_digit(capsys):
    assert picture.main(["--digit", "12"]) == 2
    assert capsys.readouterr().err == "--digit must be one of 0 to 9, got 12\n"

"""What one looks at after a run: evaluate, predict, TensorBoard, safetensors, pictures."""

import json
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import data, evaluate, plots, predict, runs, train
from experiments.plots.looks import first_kernel
from experiments.runs.metrics import Events
from jaxcnn import models

FEW = [
    "--model", "logistic-regression", "--rotation", "0", "--zoom", "0", "--shift", "0",
    "--epochs", "4", "--train-images", "600", "--validation", "50", "--batch-size", "50",
    "--checkpoint-seconds", "0", "--no-progress",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("looking") / "run"
    assert train.main([*FEW, "--run-dir", str(folder)]) == 0
    return folder


def accuracy_of(run):
    return json.loads((run / "summary.json").read_text())["test_accuracy"]


# Evaluate


def test_a_saved_run_is_evaluated_to_the_accuracy_it_reported(run, capsys):
    assert evaluate.main([str(run)]) == 0
    assert capsys.readouterr().out == f"test accuracy {accuracy_of(run):.4f}\n"
    summary = json.loads((run / "evaluation" / "summary.json").read_text())
    assert summary["test_accuracy"] == accuracy_of(run)
    assert (run / "evaluation" / "confusion.png").exists()


def test_checkpoints_can_be_evaluated(run, tmp_path, capsys):
    out = ["--output", str(tmp_path / "out")]
    assert evaluate.main([str(run), "--checkpoint", "last", *out]) == 0
    assert capsys.readouterr().out == f"test accuracy {accuracy_of(run):.4f}\n"
    assert evaluate.main([str(run), "--checkpoint", "best", "--tta", "mirror", *out]) == 0
    assert evaluate.main([str(run), "--checkpoint", "7", *out]) == 2
    assert "--checkpoint must be one of those in" in capsys.readouterr().err


def test_what_cannot_be_evaluated_is_refused(run, tmp_path, capsys):
    assert evaluate.main([str(tmp_path)]) == 2
    assert f"{tmp_path} holds no run" in capsys.readouterr().err
    assert evaluate.main([str(run), "--data-dir", str(tmp_path)]) == 2
    sentence = "--data-dir is for --dataset mnist, fashion_mnist, cifar10, imagenet2012 and folder"
    assert sentence in capsys.readouterr().err
    assert evaluate.main([str(run), "--dataset", "cifar10"]) == 2
    assert "--dataset must be one of mnist5k, mnist, fashion_mnist" in capsys.readouterr().err


def test_parameters_are_exported_as_safetensors(run, tmp_path):
    from safetensors import safe_open

    path = tmp_path / "run.safetensors"
    out = ["--output", str(tmp_path / "out")]
    assert evaluate.main([str(run), "--safetensors", str(path), *out]) == 0
    params, _ = runs.load_parameters(run)
    with safe_open(path, "numpy") as file:
        assert file.metadata()["model"] == "logistic-regression"
        for where, leaf in jax.tree.flatten_with_path(params)[0]:
            name = "params/" + "/".join(key.key for key in where)
            np.testing.assert_array_equal(file.get_tensor(name), leaf)


# Predict


def test_images_of_any_kind_are_classified(run, tmp_path, capsys):
    test = data.load("mnist5k").test
    paths = []
    for number in range(20):
        image = Image.fromarray(test.images[number, ..., 0])
        image = image.resize((56, 56)).convert("RGB") if number % 2 else image
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
    assert predict.main([*map(str, paths), "--run", str(run), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    answers = [int(line.split(": ")[1].split()[0]) for line in lines]
    assert np.mean(np.array(answers) == test.labels[:20]) > 0.5
    assert all(line.count("%") == 2 for line in lines)


def test_what_is_no_image_is_named(run, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no image")
    assert predict.main([str(tmp_path / "text.png"), "--run", str(run)]) == 2
    assert "text.png is no image that can be read." in capsys.readouterr().err
    assert predict.main([str(tmp_path / "none.png"), "--run", str(run)]) == 2
    assert "none.png cannot be read: No such file" in capsys.readouterr().err
    assert predict.main([str(tmp_path / "none.png"), "--run", str(run), "--top", "11"]) == 2
    assert "--top must be from 1 to 10, got 11." in capsys.readouterr().err


# Event files


def test_event_files_hold_the_metrics(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    records = runs.read_metrics(run)
    for name in ("loss", "validation_accuracy", "learning_rate"):
        shown = [(event.step, event.value) for event in events.Scalars(name)]
        expected = [(record["step"], pytest.approx(record[name])) for record in records]
        assert shown == expected


def test_event_files_forget_what_a_run_goes_back_behind(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def write(resumed, steps, loss):
        events = Events(tmp_path, resumed)
        for step in steps:
            events.write({"epoch": 1, "step": step, "loss": loss})
        events.close()

    def shown():
        events = EventAccumulator(str(tmp_path / "tensorboard"))
        events.Reload()
        return [(event.step, event.value) for event in events.Scalars("loss")]

    write(None, (3, 6, 9), 1.0)
    write(6, (9, 12), 2.0)
    assert shown() == [(3, 1.0), (6, 1.0), (9, 2.0), (12, 2.0)]
    write(0, (3,), 3.0)  # from the checkpoint before the first step
    assert shown() == [(3, 3.0)]


# Pictures


def test_worst_mistakes_are_drawn_even_where_there_are_none(tmp_path):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    logits = np.eye(3, dtype=np.float32)
    for labels, name in ((np.arange(3), "none"), (np.array([1, 2, 0]), "all")):
        path = tmp_path / f"{name}.png"
        plots.save_mistakes(path, images, labels, logits, ("a", "b", "c"), "title")
        assert path.stat().st_size > 1000


@pytest.mark.parametrize(
    ("net", "shape", "first"),
    [
        (models.airbench94, (32, 32, 3), (2, 2, 3, 24)),
        (models.resnet, (32, 32, 3), (3, 3, 3, 16)),
        (models.densenet, (32, 32, 3), (3, 3, 3, 24)),
        (partial(models.mlp, 5), (28, 28, 1), None),
    ],
)
def test_the_first_kernel_is_that_of_the_first_convolution(net, shape, first):
    """Not the first one by name."""
    net = net()
    drawn = jax.eval_shape(lambda: net.init(jax.random.key(0), shape)[0])
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), drawn)
    kernel = first_kernel(net, zeros)
    assert (None if kernel is None else kernel.shape) == first


def test_filters_of_any_number_of_channels_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    for channels in (1, 3, 4):
        path = tmp_path / f"{channels}.png"
        plots.save_filters(path, rng.normal(size=(5, 5, channels, 6)), "title")
        with Image.open(path) as image:
            assert len(np.unique(np.asarray(image.convert("L")))) > 30

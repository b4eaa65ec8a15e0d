"""The systems, shrunken: they learn, what they draw for learning is right, mistakes are told."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from experiments import audio, data, detect, pose, text, transfer
from experiments.systems import figures, scenes, waves
from experiments.systems.fit import Settings, Task, Trained, fit, predict
from jaxcnn.layers import Activation, BatchNorm, Conv, Dense, GlobalMaxPool, serial
from jaxcnn.ops.activation import relu

QUIET = ["--no-progress", "--epochs", "1"]


# Training -----------------------------------------------------------------------------------------


def line_task():
    """y = 2x − 1, to be found by one dense layer."""
    x = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    task = Task(
        serial(output=Dense(1)), lambda key, batch: (batch["x"], batch["y"]), jaxcnn.squared_error
    )
    return task, {"x": x, "y": 2 * x - 1}


def test_fit_finds_a_line_and_repeats_bit_by_bit():
    task, points = line_task()
    settings = Settings(epochs=60, batch_size=8, learning_rate=0.1)
    seen = []
    runs = [
        fit(task, points, settings, key=jax.random.key(3), input_shape=(1,), report=report)
        for report in (None, lambda *record: seen.append(record))
    ]
    params = runs[0].params["output"]
    np.testing.assert_allclose(params["weight"], [[2]], atol=1e-2)
    np.testing.assert_allclose(params["bias"], [-1], atol=1e-2)
    jax.tree.map(np.testing.assert_array_equal, *(run.params for run in runs))
    assert [epoch for epoch, *_ in seen] == list(range(1, 61))
    assert seen[-1][1] < 1e-3 * seen[0][1]


def test_fit_refuses_batches_larger_than_the_data_and_stops_at_what_is_no_number():
    task, points = line_task()
    with pytest.raises(ValueError, match="at most the 40 examples, got 41"):
        fit(task, points, Settings(1, 41, 0.1), key=jax.random.key(0), input_shape=(1,))
    points["y"][3] = np.nan
    with pytest.raises(FloatingPointError, match="became nan in epoch 1"):
        fit(task, points, Settings(2, 8, 0.1), key=jax.random.key(0), input_shape=(1,))


def test_predictions_do_not_depend_on_the_batch_size():
    net = serial(BatchNorm(), Dense(2))
    params, state = net.init(jax.random.key(0), (3,))
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    expected, _ = net.apply(params, state, jnp.asarray(x))
    found = predict(net, Trained(params, state), x, batch_size=3)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


# Scenes -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist5k").test


def test_boxes_hold_the_digit_and_nothing_but_the_digit(digits):
    """Without clutter and noise: what lies outside the box is dark, each side touches the ink."""
    images = jnp.asarray(digits.images[::100])
    empty = jnp.zeros_like(images)
    drawn = scenes.draw_scenes(jax.random.key(0), images, empty)
    centres = np.arange(scenes.SIDE) + 0.5
    for canvas, box in zip(np.asarray(drawn.canvas)[..., 0], np.asarray(drawn.box), strict=True):
        x0, y0, x1, y1 = box
        assert 0 <= x0 < x1 <= scenes.SIDE + 1e-4
        assert 0 <= y0 < y1 <= scenes.SIDE + 1e-4
        inside_x = (centres > x0 - 1.5) & (centres < x1 + 1.5)
        inside_y = (centres > y0 - 1.5) & (centres < y1 + 1.5)
        inside = inside_y[:, None] & inside_x[None, :]
        assert canvas[~inside].max() < 6 * scenes.NOISE
        assert canvas[inside].max() > 0.7
        for side in (canvas[:, inside_x][:, :4], canvas[:, inside_x][:, -4:],
                     canvas[inside_y][:4], canvas[inside_y][-4:]):  # fmt: skip
            assert side.max() > 3 * scenes.NOISE


def test_clutter_comes_from_the_other_images(digits):
    images = jnp.asarray(digits.images[:4])
    key = jax.random.key(1)
    bare = scenes.draw_scenes(key, images, jnp.zeros_like(images))
    full = scenes.draw_scenes(key, images, jnp.full_like(images, 255))
    np.testing.assert_array_equal(bare.box, full.box)
    brighter = np.asarray(full.canvas - bare.canvas)
    assert brighter.min() > -1e-5
    covered = (brighter > 0.05).mean((1, 2, 3))
    most = scenes.FRAGMENTS * scenes.FRAGMENT**2 / scenes.SIDE**2
    assert np.all((covered > 0.05) & (covered <= most))


def test_intersection_over_union_of_boxes_counted_on_paper():
    one = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 4, 2.0]])
    other = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3], [1, 0, 2, 2.0]])
    expected = [1, 1 / 7, 0, 1 / 4]
    np.testing.assert_allclose(scenes.intersection_over_union(one, other), expected)


def test_corners_and_boxes_are_inverse():
    box = np.array([[1, 2, 5, 9.0]])
    corners = np.asarray(scenes.corners_of(jnp.asarray(box)))
    np.testing.assert_array_equal(corners, [[1, 2, 5, 2, 5, 9, 1, 9]])
    np.testing.assert_array_equal(scenes.box_of(corners), box)


def test_joints_lie_on_the_figure_and_left_is_left():
    drawn = jax.jit(figures.draw_figures, static_argnums=1)(jax.random.key(0), 8)
    joints = np.asarray(drawn.joints)
    assert joints.shape == (8, len(figures.JOINTS), 2)
    assert joints.min() >= 0
    assert joints.max() <= figures.SIDE
    for canvas, figure in zip(np.asarray(drawn.canvas)[..., 0], joints, strict=True):
        x, y = np.clip(figure.astype(int), 0, figures.SIDE - 1).T
        assert canvas[y, x].min() > 0.4
    index = figures.JOINTS.index
    assert np.all(joints[:, index("left elbow"), 0] < joints[:, index("right elbow"), 0])
    assert np.all(joints[:, index("head"), 1] < joints[:, index("pelvis"), 1])


def test_tones_differ_by_timbre_and_not_by_loudness():
    drawn = jax.jit(waves.draw_tones, static_argnums=1)(jax.random.key(0), 64)
    spectra, labels = np.asarray(drawn.spectra)[..., 0], np.asarray(drawn.labels)
    np.testing.assert_allclose(spectra.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(spectra.std(1), 1, atol=1e-4)
    assert set(labels) == set(range(len(waves.TIMBRES)))
    # The highest line of a sine is its only one that stands out; a sawtooth has several.
    peaks = [(s > s.max() - 1.2).sum() for s in spectra]
    sine, sawtooth = (
        np.mean([p for p, label in zip(peaks, labels, strict=True) if waves.TIMBRES[label] == name])
        for name in ("sine", "sawtooth")
    )
    assert sine < sawtooth


# The commands -------------------------------------------------------------------------------------


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def run(module, arguments, folder, capsys):
    """The summary of a run that must succeed; its last line is the picture's path."""
    assert module.main([*QUIET, *arguments, "--run-dir", str(folder)]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    name = module.__name__.split(".")[-1]
    assert last == str(folder / f"{name}.png")
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    config = json.loads((folder / "config.json").read_text())
    assert config["epochs"] == 1
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert (folder / "parameters").is_dir()
    return summary_of(folder)


def small_trunk(*widths):
    """In place of the trunk: what compiles in a moment."""
    return serial(Conv(4, 5, stride=4, padding="SAME"), Activation(relu))


def test_detect(capsys, tmp_path, monkeypatch, digits):
    few = data.Dataset(data.take(digits, np.arange(0, 1000, 10)), data.take(digits, np.arange(30)))
    asked = []
    monkeypatch.setattr(data, "load", lambda *args: asked.append(args) or few)
    monkeypatch.setattr(detect, "trunk", small_trunk)
    monkeypatch.setattr(detect, "SHOWN", 2)
    more = ["--batch-size", "25", "--dataset", "mnist", "--data-dir", "somewhere"]
    summary = run(detect, more, tmp_path / "run", capsys)
    assert {tuple(map(str, args[:2])) for args in asked} == {("mnist", "somewhere")}
    assert summary["scenes"] == 30
    assert 0 <= summary["accuracy"] <= 1
    # Even a few steps find the middle of the canvas.
    assert summary["mean_iou"] > 0.05


def test_the_detectors_loss_is_the_sum_of_its_heads():
    outputs = {"label": jnp.zeros((2, 10)), "corners": jnp.zeros((2, 8))}
    targets = {"label": jnp.array([3, 4], jnp.int32), "corners": jnp.full((2, 8), 0.5)}
    # ln 10 of ten classes that are equally likely, and 0.5²/2 of what is off by one half.
    of_corners = jaxcnn.smooth_l1(outputs["corners"], targets["corners"])
    assert of_corners > 0
    np.testing.assert_allclose(detect.loss(outputs, targets), np.log(10) + of_corners, rtol=1e-6)


def test_pose(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(pose, "TEST_FIGURES", 30)
    monkeypatch.setattr(pose, "trunk", small_trunk)
    monkeypatch.setattr(pose, "SHOWN", 2)
    summary = run(pose, ["--figures", "200", "--batch-size", "20"], tmp_path / "run", capsys)
    assert summary["mean_error"] < 0.3
    assert set(summary["by_joint"]) == set(figures.JOINTS)


def test_audio(capsys, tmp_path, monkeypatch):
    def small_network():
        blocks = Conv(16, 9, stride=2), Activation(relu), GlobalMaxPool()
        return serial(*blocks, output=Dense(len(waves.TIMBRES)))

    monkeypatch.setattr(audio, "network", small_network)
    monkeypatch.setattr(audio, "TEST_TONES", 300)
    few = ["--tones", "2000", "--batch-size", "16", "--learning-rate", "1e-2"]
    summary = run(audio, few, tmp_path / "run", capsys)
    # Of eight timbres; a sine and noise are soon told from the others.
    assert 0.2 < summary["cnn_accuracy"] <= 1
    assert 0 <= summary["logistic_regression_accuracy"] <= 1


@pytest.mark.parametrize(
    ("task", "sets", "numbers"),
    [
        ("fashion", ["mnist", "fashion_mnist"], [range(10), range(10)]),
        ("from-fashion", ["fashion_mnist", "mnist"], [range(10), range(10)]),
        ("cifar10", ["cifar10", "cifar10"], [(2, 3, 4, 5, 6, 7), (0, 1, 8, 9)]),
    ],
)
def test_transfer_takes_the_classes_of_its_task(task, sets, numbers, monkeypatch):
    asked = []

    def load(name, *folders):
        asked.append((name, *folders))
        images = np.arange(20, dtype=np.uint8)[:, None, None, None] % 10
        split = data.Split(images, np.arange(20, dtype=np.int32) % 10)
        return data.Dataset(split, split)

    monkeypatch.setattr(data, "load", load)
    options = transfer.Options(task=task, data_dir=Path("somewhere"))
    for side, chosen in zip(transfer.TASKS[task], numbers, strict=True):
        for split in transfer.load(side, options):
            assert sorted(set(split.images.ravel().tolist())) == list(chosen)
            np.testing.assert_array_equal(split.labels, np.tile(np.arange(len(chosen)), 2))
    assert asked == [(name, Path("somewhere"), None) for name in sets]


def test_transfer(capsys, tmp_path, monkeypatch, digits):
    monkeypatch.setattr(data, "load", lambda *args: data.Dataset(digits, digits))
    monkeypatch.setattr(transfer, "trunk", small_trunk)
    monkeypatch.setattr(transfer, "HEAD", Settings(20, 10, 1e-2))
    few = ["--trunk-images", "200", "--head-images", "4"]
    summary = run(transfer, few, tmp_path / "run", capsys)
    assert summary["trained_features_accuracy"] > 0.3
    assert summary["random_features_accuracy"] > 0.25


# What they are asked for --------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_the_detector_reads_95_percent_and_overlaps_by_three_quarters(capsys, tmp_path):
    assert detect.main(["--no-progress", "--epochs", "20", "--run-dir", str(tmp_path / "run")]) == 0
    summary = summary_of(tmp_path / "run")
    assert summary["accuracy"] >= 0.95
    assert summary["mean_iou"] >= 0.75


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_joints_are_found_within_3_percent_of_the_side(capsys, tmp_path):
    assert pose.main(["--no-progress", "--epochs", "8", "--run-dir", str(tmp_path / "run")]) == 0
    assert summary_of(tmp_path / "run")["mean_error"] <= 0.03


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
def test_learned_features_and_convolutions_are_worth_it(capsys, tmp_path):
    assert transfer.main(["--no-progress", "--run-dir", str(tmp_path / "transfer")]) == 0
    of_features = summary_of(tmp_path / "transfer")
    ahead = of_features["trained_features_accuracy"] - of_features["random_features_accuracy"]
    assert ahead > 0.05
    assert audio.main(["--no-progress", "--epochs", "5", "--run-dir", str(tmp_path / "audio")]) == 0
    of_tones = summary_of(tmp_path / "audio")
    assert of_tones["cnn_accuracy"] > 0.5 + of_tones["logistic_regression_accuracy"]


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        (detect, ["--epochs", "0"], "--epochs must be at least 1, got 0."),
        (detect, ["--batch-size", "4001"], "--batch-size must be at most the 4000 training"),
        (pose, ["--learning-rate", "0"], "--learning-rate must be a positive number, got 0.0."),
        (pose, ["--figures", "9"], "--batch-size must be at most the 9 training examples"),
        (text, ["--length", "0"], "--length must be at least 1, got 0."),
        (text, ["--dropout", "1"], "--dropout must be from 0 to less than 1, got 1.0."),
        (audio, ["--weight-decay", "-1"], "--weight-decay must be zero or positive, got -1.0."),
        (transfer, ["--head-images", "0"], "must be at least 1, got 0 and 20000."),
        (transfer, ["--head-images", "401"], "at most what the classes have, got 401."),
    ],
)
def test_mistakes_are_told_in_one_sentence(module, arguments, sentence, capsys, tmp_path):
    assert module.main([*arguments, "--run-dir", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()

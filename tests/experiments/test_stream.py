"""Streaming: imagenet2012's code on small generated records."""

import dataclasses
import json
import shutil
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")

from experiments import runs, train, training
from experiments.command_line.options import UserError
from experiments.data import records, stream
from experiments.training import Segment, evaluation, material
from experiments.training.networks import NETWORKS, Network
from jaxcnn import models


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    records.write(folder)
    return folder


def opened(folder, **changes):
    settings = {"size": 32, "batch_size": 4, "seed": 0, "validation": 6, **changes}
    return stream.open_streams("imagenet2012", folder, None, **settings)


def test_splits_are_apart_and_whole(prepared):
    train_set, validation, test = opened(prepared)
    assert (train_set.images, validation.images, test.images) == (18, 6, 7)
    numbers = [*train_set.numbers, *validation.numbers]
    assert sorted(numbers) == list(range(24))
    labels = np.concatenate([labels for _, labels in test.in_order()])
    assert labels.tolist() == [*range(500, 507), 506]  # the last batch is filled up


@pytest.mark.parametrize("count", [1, 2, 4])
def test_processes_read_disjoint_shares_that_make_up_every_batch(count, prepared):
    """For training and for evaluation."""
    train_set, _, test = opened(prepared)
    order = np.random.default_rng(0).permutation(18)[:16].reshape(4, 4)
    for whole, read in (
        (train_set, lambda each: each.read(Segment(2, 1, 2), order)),
        (test, lambda each: each.in_order()),
    ):
        loaded = {}

        class Counting(stream.Stream):
            def load(self, number, epoch=0):
                loaded.setdefault(self.share.index, []).append(number)  # noqa: B023
                return super().load(number, epoch)

        settings: dict[str, Any] = vars(whole) | {"batch_size": 4}
        parts = [Counting(**dict(settings, share=stream.Share(i, count))) for i in range(count)]
        batches = [list(read(part)) for part in parts]
        expected = list(read(whole))
        for step, (images, labels) in enumerate(expected):
            shares = [found[step] for found in batches]
            assert {len(labels) for _, labels in shares} == {4 // count}
            np.testing.assert_array_equal(np.concatenate([a for a, _ in shares]), images)
            np.testing.assert_array_equal(np.concatenate([b for _, b in shares]), labels)
        read_by = [number for share in loaded.values() for number in set(share)]
        assert len(set(read_by)) == min(4 * len(expected), whole.images)
        apart = [number for number in read_by if number != whole.images - 1]  # what fills up
        assert len(apart) == len(set(apart))


def test_images_are_read_ahead_as_far_as_they_fit(prepared, monkeypatch):
    """Counted in images, not in batches."""
    monkeypatch.setattr(stream, "BUFFER_BYTES", 10 * 3 * 32**2)
    monkeypatch.setattr(stream, "THREADS", 2)
    train_set, _, _ = opened(prepared)
    loaded = []

    class Counting(stream.Stream):
        def load(self, number, epoch=0):
            loaded.append(number)
            return super().load(number, epoch)

    batches = Counting(**vars(train_set)).batches(np.arange(200).reshape(50, 4) % 18)
    next(batches)
    deadline = time.monotonic() + 0.2
    while time.monotonic() < deadline:
        assert len(loaded) <= 4 + 10
    batches.close()  # type: ignore[attr-defined]


def test_pictures_are_resized_and_cropped_as_pillow_does(prepared):
    from PIL import Image

    _, _, test = opened(prepared)
    image, label = test.load(2)
    assert (image.shape, image.dtype, label) == ((32, 32, 3), np.uint8, 502)
    picture = records.picture(502)
    factor = 37 / min(picture.size)  # 256/224 of 32
    width, height = (max(round(side * factor), 37) for side in picture.size)
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - 32) // 2, (height - 32) // 2
    expected = np.asarray(resized.crop((left, top, left + 32, top + 32)), np.float64)
    assert np.abs(image - expected).mean() < 6  # the file is a JPEG


def test_random_crops_follow_seed_epoch_and_number(prepared):
    train_set, _, _ = opened(prepared)
    crops = [train_set.load(3, epoch)[0] for epoch in (1, 1, 2, 3)]
    np.testing.assert_array_equal(crops[0], crops[1])
    assert any(not np.array_equal(crops[0], other) for other in crops[2:])


def test_batches_come_in_the_planned_order_from_any_step(prepared):
    train_set, _, _ = opened(prepared)
    order = np.random.default_rng(0).permutation(18)[:16].reshape(4, 4)
    whole = list(train_set.read(Segment(2, 0, 4), order))
    for row, (images, labels) in zip(order, whole, strict=True):
        expected = [train_set.load(int(number), 2) for number in row]
        np.testing.assert_array_equal(images, [image for image, _ in expected])
        np.testing.assert_array_equal(labels, [label for _, label in expected])
    rest = list(train_set.read(Segment(2, 3, 1), order))
    np.testing.assert_array_equal(rest[0][0], whole[3][0])


def load_all(folder):
    train_set, *_ = opened(folder, validation=0)
    for number in range(train_set.images):
        train_set.load(number)


def test_a_damaged_file_is_named(tmp_path):
    folder = records.write(tmp_path)
    (path,) = folder.glob("*train*00001-of-00002")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"train\.array_record-00001-of-00002 cannot be read"):
        load_all(tmp_path)


def test_more_images_than_there_are_are_refused(prepared):
    with pytest.raises(UserError, match="take 34 images, imagenet2012 has 24"):
        opened(prepared, validation=30)
    with pytest.raises(UserError, match="--batch-size must be at most the 3 training images"):
        opened(prepared, train_images=3)


def test_a_set_that_is_not_whole_is_refused(tmp_path):
    (records.write(tmp_path) / records.GENERATED).unlink()
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    said = "must hold 1,281,167 train and 50,000 validation images of imagenet2012, got 24 train"
    assert said in str(caught.value)


def test_what_the_records_hold_is_checked(prepared):
    train_set, _, _ = opened(prepared)
    good = {"image": np.zeros((40, 40, 3), np.uint8), "label": 3}
    first = r"train\.array_record-00000-of-00002"
    for wrong, sentence in (
        ({"label": 1000}, f"{first} holds the label 1000, expected 0 to 999"),
        ({"label": -1}, "holds the label -1"),
        ({"image": np.zeros((40, 40, 3))}, rf"{first} holds an image float64\[40, 40, 3\]"),
        ({"image": np.zeros((40, 40, 4), np.uint8)}, r"uint8\[40, 40, 4\], expected uint8"),
    ):
        one = dataclasses.replace(train_set, source=[good | wrong] * 24, numbers=np.arange(24))
        with pytest.raises(UserError, match=sentence):
            one.load(9)
    second = dataclasses.replace(train_set, source=[good | {"label": -1}] * 24)
    with pytest.raises(UserError, match=r"00001-of-00002 holds"):
        dataclasses.replace(second, numbers=np.arange(24)).load(10)


def test_streams_are_judged_by_one_program_with_the_best_five(prepared, monkeypatch):
    """Validation and test: batch after batch, every image once."""
    _, validation, test = opened(prepared)
    compiled, programs = evaluation.compiled, []
    monkeypatch.setattr(
        evaluation, "compiled", lambda *a, **k: programs.append(1) or compiled(*a, **k)
    )
    net = models.logistic_regression(1000)
    recipe = training.Recipe(net, None, 4, (0.5,) * 3, (0.25,) * 3, classes=1000)  # type: ignore[arg-type]
    params, net_state = net.init(jax.random.key(0), (32, 32, 3), dtype=np.float32)
    state = training.TrainState(params, net_state, opt_state=None)
    judges = material.compile_judges(recipe, state, [validation, test])
    assert len(programs) == 1
    for pictures, judge in zip((validation, test), judges, strict=True):
        assert judge is not None
        loaded = [pictures.load(number) for number in range(pictures.images)]
        x = training.normalise(jnp.stack([image for image, _ in loaded]), recipe)
        labels = np.array([label for _, label in loaded])
        logits, _ = net.apply(params, net_state, x)
        found = judge(params, net_state)
        np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-4)
        assert found.confusion.sum() == pictures.images
        best = np.argsort(-np.asarray(logits), -1)[:, :5]
        assert found.top_5 == np.mean(np.any(best == labels[:, None], -1))


def test_a_streamed_run_goes_on_where_it_was_stopped(prepared, tmp_path, monkeypatch, capsys):
    """In the middle of an epoch, to the same parameters; on 16×16 pixels."""
    small = Network(lambda classes: models.logistic_regression(classes), models.mlp, 16, 3)
    monkeypatch.setitem(NETWORKS, "mlp", small)
    monkeypatch.setattr("experiments.plots.save_curves", lambda *_: None)
    size = ["--model", "mlp", "--dataset", "imagenet2012", "--data-dir", str(prepared)]
    few = ["--batch-size", "4", "--epochs", "2", "--validation", "4", "--segment", "2"]
    more = ["--checkpoint-seconds", "0", "--no-progress", "--keep", "9"]
    more += ["--zoom", "0", "--rotation", "0"]
    whole, again = tmp_path / "whole", tmp_path / "again"
    assert train.main([*size, *few, *more, "--run-dir", str(whole)]) == 0
    shutil.copytree(whole, again)
    assert train.main(["--resume", str(again), "--checkpoint", "7"]) == 0
    assert "Going on after step 7." in capsys.readouterr().out
    for one, other in zip(*(runs.read_metrics(folder) for folder in (whole, again)), strict=True):
        assert one["loss"] == other["loss"]
        assert 0 <= one["validation_top_5_accuracy"] <= 1
    first, second = (runs.load_parameters(folder) for folder in (whole, again))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    summary = json.loads((again / "summary.json").read_text())
    assert summary["test_images"] == 7
    assert 0 <= summary["test_top_5_accuracy"] <= 1


def test_a_damaged_file_ends_a_run_with_one_sentence(tmp_path, monkeypatch, capsys):
    """Wherever the threads that read it find it out."""
    folder = records.write(tmp_path / "tfds")
    (path,) = folder.glob("*train*00001-of-00002")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    small = Network(lambda classes: models.logistic_regression(classes), models.mlp, 16, 3)
    monkeypatch.setitem(NETWORKS, "mlp", small)
    arguments = [
        "--model",
        "mlp",
        "--dataset",
        "imagenet2012",
        "--data-dir",
        str(tmp_path / "tfds"),
    ]
    arguments += ["--batch-size", "4", "--epochs", "1", "--validation", "0", "--no-progress"]
    assert train.main([*arguments, "--zoom", "0", "--run-dir", str(tmp_path / "run")]) == 2
    errors = capsys.readouterr().err
    assert f"{path} cannot be read" in errors
    assert errors.count("\n") == 1

"""Streaming: imagenet2012's code on small generated records."""

import jax
import numpy as np
import pytest

pytest.importorskip("tensorflow_datasets")

import small_imagenet

from experiments import runs, train
from experiments.data import stream
from experiments.networks import NETWORKS, Network
from experiments.options import UserError
from experiments.training import Segment
from jaxcnn import models


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    small_imagenet.write(folder)
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
    assert labels.tolist() == list(range(24, 31))


def test_pictures_are_resized_and_cropped_as_pillow_does(prepared):
    from PIL import Image

    _, _, test = opened(prepared)
    image, label = test.load(2)
    assert (image.shape, image.dtype, label) == ((32, 32, 3), np.uint8, 26)
    picture = small_imagenet.picture(26)
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
    folder = small_imagenet.write(tmp_path)
    (path,) = folder.glob("*train*00001-of-00002")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"train\.array_record-00001-of-00002 cannot be read"):
        load_all(tmp_path)


def test_more_images_than_there_are_are_refused(prepared):
    with pytest.raises(UserError, match="take 34 images, imagenet2012 has 24"):
        opened(prepared, validation=30)
    with pytest.raises(UserError, match="--batch-size must be at most the 3 training images"):
        opened(prepared, train_images=3)


@pytest.mark.full
def test_a_streamed_run_goes_on_where_it_was_stopped(prepared, tmp_path, monkeypatch):
    """In the middle of an epoch, to the same parameters; on 16×16 pixels."""
    small = Network(lambda classes: models.logistic_regression(classes), models.mlp, 16, 3)
    monkeypatch.setitem(NETWORKS, "mlp", small)
    size = ["--model", "mlp", "--dataset", "imagenet2012", "--data-dir", str(prepared)]
    few = ["--batch-size", "4", "--epochs", "2", "--validation", "4", "--segment", "2"]
    more = ["--checkpoint-seconds", "0", "--no-progress", "--keep", "9"]
    more += ["--zoom", "0", "--rotation", "0"]
    whole, again = tmp_path / "whole", tmp_path / "again"
    for folder in (whole, again):
        assert train.main([*size, *few, *more, "--run-dir", str(folder)]) == 0
    assert train.main(["--resume", str(again), "--checkpoint", "7", "--no-progress"]) == 0
    for one, other in zip(*(runs.read_metrics(folder) for folder in (whole, again)), strict=True):
        assert one["loss"] == other["loss"]
    first, second = (runs.load_parameters(folder) for folder in (whole, again))
    jax.tree.map(np.testing.assert_array_equal, first, second)

"""Data sets: sizes, the fixed split, padding, cache, TFDS."""

import hashlib
import importlib.util
import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from experiments import data
from experiments.command_line.options import UserError
from experiments.data import loading

PREPARED = Path(os.environ.get("TFDS_DATA_DIR") or "/nonexistent")
needs_prepared = pytest.mark.skipif(
    not (PREPARED / "mnist").is_dir(), reason="TFDS_DATA_DIR names no folder with a prepared mnist"
)


@pytest.fixture(scope="module")
def mnist5k():
    return data.load("mnist5k")


def small_split(per_class=3):
    """Images whose every pixel tells their index."""
    labels = np.tile(np.arange(10, dtype=np.int32), per_class)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None, None]
    return data.Split(np.tile(images, (1, 28, 28, 1)), labels)


# mnist5k


def test_mnist5k_has_the_stated_sizes_and_balanced_classes(mnist5k):
    assert mnist5k.train.images.shape == (4000, 28, 28, 1)
    assert mnist5k.test.images.shape == (1000, 28, 28, 1)
    assert mnist5k.train.images.dtype == np.uint8
    assert np.bincount(mnist5k.train.labels).tolist() == [400] * 10
    assert np.bincount(mnist5k.test.labels).tolist() == [100] * 10


def test_mnist5k_split_is_disjoint_and_fixed(mnist5k):
    train, test = (
        {image.tobytes() for image in split.images} for split in (mnist5k.train, mnist5k.test)
    )
    assert not train & test
    # Numbers reported hold for this split: a change of NumPy's generator must not pass unseen.
    digest = hashlib.sha256(mnist5k.test.images.tobytes() + mnist5k.test.labels.tobytes())
    assert digest.hexdigest()[:16] == "3195b05e375e3475"


def test_mnist5k_statistics_are_those_of_mnist(mnist5k):
    about = data.DATASETS["mnist5k"]
    pixels = mnist5k.train.images / 255
    np.testing.assert_allclose(pixels.mean(), about.mean[0], atol=2e-3)
    np.testing.assert_allclose(pixels.std(), about.std[0], atol=2e-3)


# Choosing and padding


def test_balanced_order_is_a_balanced_permutation():
    labels = np.repeat(np.arange(10), [5, 9, 6, 7, 8, 5, 5, 6, 9, 7])
    order = data.balanced_order(labels)
    assert sorted(order.tolist()) == list(range(len(labels)))
    for count in (10, 23, 50):
        counts = np.bincount(labels[order[:count]], minlength=10)
        assert counts.max() - counts.min() <= 1


def test_hold_out_separates_without_losing_any():
    split = small_split()
    rest, held_out = data.hold_out(split, 10)
    assert np.bincount(held_out.labels).tolist() == [1] * 10
    indices = np.concatenate([rest.images[:, 0, 0, 0], held_out.images[:, 0, 0, 0]])
    assert sorted(indices.tolist()) == list(range(30))
    np.testing.assert_array_equal(held_out.labels, held_out.images[:, 0, 0, 0] % 10)


@pytest.mark.parametrize("size", [28, 32])
def test_pad_to_32_keeps_the_image_in_the_middle(size):
    images = np.full((2, size, size, 1), 7, np.uint8)
    padded = data.pad_to_32(images)
    assert padded.shape == (2, 32, 32, 1)
    assert padded.dtype == np.uint8
    edge = (32 - size) // 2
    np.testing.assert_array_equal(padded[:, edge : 32 - edge, edge : 32 - edge], images)
    assert padded.sum(dtype=int) == images.sum(dtype=int)


# Checks and the cache


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (
            np.zeros((9, 28, 28, 1), np.uint8),
            np.arange(10),
            r"here holds images uint8\[9, 28, 28, 1\]",
        ),
        (np.zeros((10, 28, 28, 1), np.int32), np.arange(10), r"here holds images int32"),
        (np.zeros((10, 28, 28, 1), np.uint8), np.arange(9), r"here holds labels int64\[9\]"),
        (np.zeros((10, 28, 28, 1), np.uint8), np.arange(10.0), r"here holds labels float64"),
        (np.zeros((10, 28, 28, 1), np.uint8), np.arange(1, 11), r"here holds the labels \[1, 2,"),
    ],
)
def test_check_names_what_is_wrong_and_where(images, labels, message):
    with pytest.raises(UserError, match=message):
        data.check(data.Split(images, labels), name="mnist", count=10, where="here")


def test_check_refuses_images_of_another_set():
    images = np.full((1010, 28, 28, 1), 200, np.uint8)
    labels = np.arange(1010) % 10
    with pytest.raises(UserError, match=r"here holds images of mean 0\.7843, those of mnist have"):
        data.check(data.Split(images, labels), name="mnist", count=1010, where="here")


def test_checksums_see_a_single_bit_and_a_swapped_label_but_not_the_order():
    split = small_split()
    first = data.checksum(split)
    assert data.checksum(data.take(split, np.arange(30)[::-1])) == first
    images = split.images.copy()
    images[7, 3, 4] ^= 1
    assert data.checksum(data.Split(images, split.labels)) != first
    labels = split.labels.copy()
    labels[[3, 4]] = labels[[4, 3]]
    assert data.checksum(data.Split(split.images, labels)) != first
    with pytest.raises(UserError, match=f"here holds other images or labels: checksum {first}"):
        data.check(split, name="mnist", count=30, where="here", expected="0" * 16)


def test_generated_images_have_the_shape_asked_for_and_can_be_learned():
    train, test = data.generated(data.DATASETS["cifar10"], 40, 20)
    assert (train.images.shape, test.images.shape) == ((40, 32, 32, 3), (20, 32, 32, 3))
    # The nearest training image tells the class.
    flat = [split.images.reshape(len(split.labels), -1).astype(float) for split in (train, test)]
    distances = ((flat[1][:, None] - flat[0][None]) ** 2).sum(-1)
    assert (train.labels[distances.argmin(1)] == test.labels).all()
    # The same test images beside however many training images.
    _, again = data.generated(data.DATASETS["cifar10"], 60, 20)
    np.testing.assert_array_equal(test.images, again.images)


def test_images_that_are_too_large_for_a_network_are_refused():
    with pytest.raises(UserError, match="takes 28 × 28 pixels, cifar10 has 32 × 32"):
        data.fit(np.zeros((2, 32, 32, 3), np.uint8), 28, "cifar10")


def test_images_that_would_be_mostly_zeros_are_refused():
    images = np.zeros((2, 32, 32, 3), np.uint8)
    assert data.fit(images, 64).shape == (2, 64, 64, 3)
    with pytest.raises(UserError, match="takes 66 × 66 pixels, cifar10 has 32 × 32"):
        data.fit(images, 66, "cifar10")


def test_cache_returns_what_was_decoded_and_names_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    split, calls = small_split(), []

    def load():
        return loading._cached(
            "set-1.0",
            lambda: calls.append("decoded") or split,
            lambda split, where: data.check(split, name="mnist", count=30, where=where),
            "the set",
        )

    for _ in range(2):
        np.testing.assert_array_equal(load().images, split.images)
    assert calls == ["decoded"]
    (file,) = (tmp_path / "jaxcnn").iterdir()
    assert file.name == "set-1.0.npz"

    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"set-1\.0\.npz cannot be read"):
        load()
    np.savez(file, images=split.images[:5], labels=split.labels[:5])
    with pytest.raises(UserError, match=r"set-1\.0\.npz .* holds images uint8\[5, "):
        load()


def archive(*members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, each in members:
            file.writestr(name, each)
    return content.getvalue()


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"a text", pickle.dumps([1]), npy(np.zeros(3)), archive(),
        archive(("images.npy", b"")),
        archive(("images", b"no array"), ("labels", b"none")),
        archive(("images.npy", npy(np.zeros(3))), ("labels.npy", npy(np.array(["a"])))),
        archive(("images.npy", bytes(2**20)), ("labels.npy", b"")),
    ],
    ids=["empty", "text", "pickle", "npy", "no members", "one", "no arrays", "words", "large"],
)  # fmt: skip
def test_a_cache_of_another_format_is_named(content, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(loading, "LARGEST", 2**19)
    path = tmp_path / "jaxcnn" / "set-1.0.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        loading._cached(
            "set-1.0",
            small_split,
            lambda split, where: data.check(split, name="mnist", count=30, where=where),
            "the set",
        )
    assert str(path) in str(caught.value)
    assert "delete" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cache_that_cannot_be_written_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    split = small_split()
    loaded = loading._cached("set-1.0", lambda: split, lambda split, where: split, "the set")
    assert loaded is split


# TFDS


@needs_prepared
def test_tfds_reads_the_prepared_test_images():
    builder = loading.prepared("mnist", PREPARED, None)
    split = loading._load_tfds_split("mnist", builder, "test")
    assert split.images.shape == (10_000, 28, 28, 1)
    assert np.bincount(split.labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009
    ]  # fmt: skip


@needs_prepared
def test_a_truncated_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = shutil.copytree(PREPARED / "mnist", tmp_path / "mnist")
    (file,) = folder.glob("*/mnist-test.array_record*")
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:1_000_000])
    builder = loading.prepared("mnist", tmp_path, None)
    with pytest.raises(UserError, match=f"{file.name} cannot be read"):
        loading._load_tfds_split("mnist", builder, "test")


@needs_prepared
def test_tfds_finds_the_folder_of_the_environment(monkeypatch):
    assert loading.prepared("mnist", None, None).data_path.is_relative_to(PREPARED)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None,
    reason="TensorFlow is installed: TFDS would start a download",
)
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_missing_set_is_one_sentence_that_says_what_to_do(name, tmp_path):
    with pytest.raises(UserError, match=f"data set {name} is not prepared in {tmp_path}") as caught:
        data.load(name, tmp_path)
    for remedy in ("--data-dir", "TFDS_DATA_DIR", "install tensorflow", "--manual-dir"):
        assert remedy in str(caught.value)


@pytest.mark.parametrize("error", [OSError("no network\nat all"), RuntimeError()])
def test_a_failed_preparation_by_tfds_is_one_sentence(error, tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets")

    def fail(builder, **_):
        raise error

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tensorflow")
    with pytest.raises(UserError, match="TFDS could not prepare it") as caught:
        data.load("mnist", tmp_path)
    assert "\n" not in str(caught.value)
    assert type(error).__name__ in str(caught.value)


def test_an_unknown_set_is_named():
    with pytest.raises(UserError, match="'svhn'"):
        data.load("svhn")

"""Original files in a folder: read without TFDS, checked, and named where they are wrong."""

import dataclasses
import gzip
import hashlib
import os
import pickle
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from experiments import data
from experiments.command_line.options import UserError
from experiments.data import originals

PREPARED = Path(os.environ.get("TFDS_DATA_DIR") or "/nonexistent")
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
TRAIN, TEST = 30, 20


def needs_prepared(name):
    return pytest.mark.skipif(
        not (PREPARED / name).is_dir(), reason=f"TFDS_DATA_DIR names no prepared {name}"
    )


@pytest.fixture(autouse=True)
def small_sets(request, monkeypatch):
    """Sets of a few images, without published sums."""
    if request.node.get_closest_marker("full"):  # the real sets
        return
    for name in originals.FILES:
        about = dataclasses.replace(data.DATASETS[name], train=TRAIN, test=TEST, checksums=None)
        monkeypatch.setitem(data.DATASETS, name, about)
        monkeypatch.setitem(originals.SUMS, name, {})


def drawn(count, shape):
    images = np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)
    return data.Split(images, np.arange(count, dtype=np.int32) % 10)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, dataset, packed=()):
    """The four files; those whose names begin so are packed."""
    folder.mkdir(parents=True, exist_ok=True)
    for start, split in zip(("train", "t10k"), dataset, strict=True):
        arrays = {"images-idx3": split.images[..., 0], "labels-idx1": split.labels.astype(np.uint8)}
        for kind, array in arrays.items():
            name, content = f"{start}-{kind}-ubyte", idx(array)
            if name.startswith(tuple(packed)):
                name, content = f"{name}.gz", gzip.compress(content, 1)
            (folder / name).write_bytes(content)


def bin_rows(split):
    pixels = split.images.transpose(0, 3, 1, 2).reshape(len(split.labels), -1)
    return np.concatenate([split.labels.astype(np.uint8)[:, None], pixels], 1)


def as_bin(split):
    return bin_rows(split).tobytes()


def as_pickle(split):
    rows = bin_rows(split)
    return pickle.dumps({b"data": rows[:, 1:].copy(), b"labels": rows[:, 0].tolist()}, protocol=2)


def write_cifar(folder, dataset, encode, ending):
    folder.mkdir(parents=True, exist_ok=True)
    parts = np.array_split(np.arange(len(dataset.train.labels)), 5)
    for number, part in enumerate(parts, start=1):
        content = encode(data.take(dataset.train, part))
        (folder / f"data_batch_{number}{ending}").write_bytes(content)
    (folder / f"test_batch{ending}").write_bytes(encode(dataset.test))


DIGITS = data.Dataset(drawn(TRAIN, (28, 28, 1)), drawn(TEST, (28, 28, 1)))
COLOURS = data.Dataset(drawn(TRAIN, (32, 32, 3)), drawn(TEST, (32, 32, 3)))


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert (one.images.dtype, one.labels.dtype) == (np.uint8, np.int32)


# Reading


@pytest.mark.parametrize("packed", [(), ("t",), ("t10k", "train-labels")])
@pytest.mark.parametrize(("name", "place"), [("mnist", ""), ("fashion_mnist", "FashionMNIST/raw")])
def test_idx_files_are_read_packed_or_not(name, place, packed, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # importing it is an error
    write_idx(tmp_path / place, DIGITS, packed)
    assert_same(data.load(name, tmp_path), DIGITS)
    assert_same(data.load(name, None, tmp_path), DIGITS)


OTHER_NAMES = {
    "a dot": lambda name: name.replace("-idx", ".idx"),
    "a dot, packed": lambda name: name.replace("-idx", ".idx") + ".gz",
    "a folder around it": lambda name: f"{name}/{name}",
    "a folder with a dot around it": lambda name: f"{name.replace('-idx', '.idx')}/{name}",
    "a folder around it and a dot": lambda name: f"{name}/{name.replace('-idx', '.idx')}",
}


@pytest.mark.parametrize("form", OTHER_NAMES)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_found_under_their_other_names(form, packed, tmp_path):
    """Packed or not is what the content says, not the name."""
    write_idx(tmp_path / "plain", DIGITS)
    for path in (tmp_path / "plain").iterdir():
        moved = tmp_path / "data" / OTHER_NAMES[form](path.name)
        moved.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        moved.write_bytes(gzip.compress(content, 1) if packed else content)
    assert_same(data.load("mnist", tmp_path / "data"), DIGITS)


def test_published_sums_hold_for_the_other_names(tmp_path, monkeypatch):
    sums = {f"{start}-{kind}-ubyte": ("another",) for start in ("train", "t10k")
            for kind in ("images-idx3", "labels-idx1")}  # fmt: skip
    monkeypatch.setitem(originals.SUMS, "mnist", sums)
    write_idx(tmp_path, DIGITS)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / path.name.replace("-idx", ".idx"))
    with pytest.raises(UserError, match="is not the published file of mnist: its MD5 sum"):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("place", "encode", "ending"),
    [("cifar-10-batches-bin", as_bin, ".bin"), ("cifar-10-batches-py", as_pickle, "")],
)
def test_batches_of_cifar10_are_read_in_both_versions(place, encode, ending, tmp_path):
    write_cifar(tmp_path / place, COLOURS, encode, ending)
    assert_same(data.load("cifar10", tmp_path), COLOURS)


def test_pickles_as_python_2_wrote_them_are_read():
    """Texts as bytes, and a state of the array in bytes: the form of the published batches."""
    pixels = bin_rows(COLOURS.test)[:, 1:]

    def text(value):
        return b"T" + struct.pack("<I", len(value)) + value  # BINSTRING

    def number(value):
        return b"J" + struct.pack("<i", value)

    shape = number(len(pixels)) + number(pixels.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85"
    array += text(b"b") + b"\x87R(" + number(1) + shape + dtype + b"\x89" + text(pixels.tobytes())
    labels = b"](" + b"".join(number(int(label)) for label in COLOURS.test.labels) + b"e"
    content = b"\x80\x02}(" + text(b"data") + array + b"tb" + text(b"labels") + labels + b"u."
    found, rows = originals._pickled(Path("test_batch"), content)
    np.testing.assert_array_equal(found, COLOURS.test.labels)
    np.testing.assert_array_equal(rows, pixels)


# Refusals


def damaged(folder, name, change):
    (path,) = folder.glob(f"{name}*")
    path.write_bytes(change(path.read_bytes()))
    return path


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("t10k-images", half, "holds 7848 bytes where its head tells of 15696"),
        ("t10k-images", lambda c: c[:9], "where its head tells of"),
        ("t10k-labels", lambda c: c + b"\0", "holds 29 bytes where its head tells of 28"),
        (
            "t10k-labels",
            lambda c: b"\x1f\x8b" + c,
            "cannot be read, or is truncated: Unknown compr",
        ),
        ("t10k-labels", lambda c: b"\x1f\x8c" + c, "is no idx file of bytes: it begins with 1f 8c"),
        (
            "t10k-images",
            lambda c: c[:4] + bytes(4) + b"\xff" * 8,
            "holds no array: its head tells of 3 axes of up to 4294967295",
        ),
        (
            "t10k-labels",
            lambda c: c[:3] + b"\x46" + b"\0\0\0\1" * 70 + c[-1:],
            "holds no array: its head tells of 70 axes of up to 1",
        ),
        ("t10k-labels", lambda c: c[:8] + b"\x0b" * 20, r"holds the labels \[11\]"),
        ("train-images", half, "cannot be read, or is truncated: Compressed file ended"),
        ("train-images", lambda c: c[:99] + b"\xff" * 99 + c[198:], "cannot be read"),
    ],
)
def test_a_damaged_idx_file_is_named(name, change, sentence, tmp_path):
    write_idx(tmp_path, DIGITS, ["train"])
    path = damaged(tmp_path, name, change)
    with pytest.raises(UserError, match=sentence) as caught:
        data.load("mnist", tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_number_of_images_than_published_is_refused(tmp_path):
    write_idx(tmp_path, data.Dataset(DIGITS.train, drawn(10, (28, 28, 1))))
    with pytest.raises(UserError, match=r"t10k-images.* holds images uint8\[10, 28, 28, 1\]"):
        data.load("mnist", tmp_path)


@pytest.mark.parametrize(
    ("encode", "ending", "change", "sentence"),
    [
        (as_bin, ".bin", lambda c: c[:-5], "no whole number of images of 3073"),
        (as_pickle, "", half, "is no batch of CIFAR-10, or is truncated"),
        (as_pickle, "", lambda _: pickle.dumps({b"labels": [1], b"data": [2]}), "holds data int64"),
        (as_pickle, "", lambda _: b"cos\nsystem\n(S'true'\ntR.", "it names os.system"),
        (as_pickle, "", lambda _: pickle.dumps(np.ndarray), "is no batch of CIFAR-10"),
    ],
)
def test_a_damaged_or_foreign_batch_is_named(encode, ending, change, sentence, tmp_path):
    write_cifar(tmp_path, COLOURS, encode, ending)
    path = damaged(tmp_path, "data_batch_3", change)
    with pytest.raises(UserError, match=sentence) as caught:
        data.load("cifar10", tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_gigabytes_is_refused_before_it_is_unpacked(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(originals, "LARGEST", 2**15)
    write_idx(tmp_path, DIGITS)
    content = (tmp_path / "train-images-idx3-ubyte").read_bytes() + bytes(2**24)
    content = gzip.compress(content) if packed else content
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    del content
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="has more than 32,768 bytes, packed or not"):
            data.load("mnist", tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def as_it_pleases(labels, rows):
    return lambda _: pickle.dumps({b"labels": labels, b"data": rows}, protocol=2)


BLACK = np.zeros((2, 3072), np.uint8)
DAMAGES = {  # file, change
    "empty": ("t10k-images", lambda _: b""),
    "a text": ("t10k-images", lambda _: b"<html>404</html>" * 9),
    "half": ("train-images", half),
    "half, packed": ("train-labels", lambda c: half(gzip.compress(c))),
    "packed twice": ("train-labels", lambda c: gzip.compress(gzip.compress(c))),
    "a head of gzip": ("train-labels", lambda _: b"\x1f\x8b"),
    "gzip with another sum": ("train-labels", lambda c: gzip.compress(c)[:-8] + bytes(8)),
    "a zip archive": ("t10k-labels", lambda c: b"PK\3\4" + c),
    "images where labels belong": ("t10k-labels", lambda _: idx(DIGITS.test.images[..., 0])),
    "labels where images belong": ("t10k-images", lambda _: idx(np.zeros(20, np.uint8))),
    "no axes": ("t10k-images", lambda _: b"\0\0\x08\0\x07"),
    "255 axes": ("t10k-images", lambda c: c[:3] + b"\xff" + c[4:]),
    "huge axes": ("t10k-images", lambda c: c[:4] + b"\xff" * 12 + c[16:]),
    "floats": ("t10k-images", lambda c: c[:2] + b"\x0d" + c[3:]),
    "labels out of range": ("train-labels", lambda c: c[:-1] + b"\xff"),
    "no rows": ("data_batch_2", lambda _: b""),
    "labels in words": ("data_batch_2", as_it_pleases(["a", "b"], BLACK)),
    "one label": ("data_batch_2", as_it_pleases(3, BLACK)),
    "labels with holes": ("data_batch_2", as_it_pleases([1.0, float("nan")], BLACK)),
    "labels of no dtype": ("data_batch_2", as_it_pleases([2**70, 1], BLACK)),
    "labels that wrap": ("data_batch_2", as_it_pleases([2**32, 1] * 3, BLACK.repeat(3, 0))),
    "uneven labels": ("data_batch_2", as_it_pleases([[1], [1, 2]], BLACK)),
    "rows in words": ("data_batch_2", as_it_pleases([1, 2], ["a", "b"])),
    "no dict": ("test_batch", lambda _: pickle.dumps([1, 2])),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_happened_to_a_file_it_is_named(damage, tmp_path):
    start, change = DAMAGES[damage]
    name = "cifar10" if "batch" in start else "mnist"
    write_cifar(tmp_path, COLOURS, as_pickle, "") if "batch" in start else write_idx(
        tmp_path, DIGITS
    )
    path = damaged(tmp_path, start, change)
    with pytest.raises(UserError) as caught:
        data.load(name, tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    write_idx(tmp_path, DIGITS)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match="some of the files of mnist, but neither train-labels-idx"):
        data.load("mnist", tmp_path)


def test_a_file_that_is_not_the_published_one_is_named(tmp_path, monkeypatch):
    """By the sum of the file as it is stored, or of what it holds."""
    write_idx(tmp_path, DIGITS, ["train"])
    for name in ("mnist", "fashion_mnist"):
        monkeypatch.setitem(originals.SUMS, name, {
            path.name.removesuffix(".gz"): (name,) for path in tmp_path.iterdir()
        })  # fmt: skip
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    with pytest.raises(UserError, match=f"{packed} is not the published file of mnist: its MD5"):
        data.load("mnist", tmp_path)
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        if path.name.startswith("train-labels"):
            content = gzip.decompress(content)
        sums = originals.SUMS["mnist" if path != packed else "fashion_mnist"]
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        sums[path.name.removesuffix(".gz")] = (digest,)
    with pytest.raises(UserError, match="file of mnist: it is that of fashion_mnist, not mnist"):
        data.load("mnist", tmp_path)
    swap = originals.SUMS["fashion_mnist"][packed.stem]
    monkeypatch.setitem(originals.SUMS["mnist"], packed.stem, swap)
    assert_same(data.load("mnist", tmp_path), DIGITS)


def test_every_file_has_a_published_sum(monkeypatch):
    monkeypatch.undo()
    for name, files in originals.FILES.items():
        names = {file for split in files for file in split}
        if name == "cifar10":
            names |= {f"{file}.bin" for file in names}
        assert names == set(originals.SUMS[name])


# The real sets, written back


@pytest.mark.full
@needs_prepared("mnist")
def test_mnist_written_as_idx_files_is_mnist(tmp_path, monkeypatch):
    """TFDS does not keep the order, so the files' own sums are not those published."""
    monkeypatch.setitem(originals.SUMS, "mnist", {})
    prepared = data.load("mnist", PREPARED)
    write_idx(tmp_path, prepared, ["t10k"])
    assert_same(data.load("mnist", tmp_path), prepared)


@pytest.mark.full
@needs_prepared("cifar10")
def test_cifar10_written_in_its_order_has_the_published_sums(tmp_path):
    """TFDS keeps the number of every image: the files come out bit for bit."""
    import tensorflow_datasets as tfds

    splits = []
    for split in ("train", "test"):
        source = list(tfds.data_source("cifar10", split=split, data_dir=PREPARED, download=False))
        source.sort(key=lambda example: int(example["id"].decode().split("_")[1]))
        images = np.stack([example["image"] for example in source])
        labels = np.array([example["label"] for example in source], np.int32)
        splits.append(data.Split(images, labels))
    dataset = data.Dataset(*splits)
    write_cifar(tmp_path / "cifar-10-batches-bin", dataset, as_bin, ".bin")
    assert_same(data.load("cifar10", tmp_path), dataset)


@pytest.mark.full
@pytest.mark.skipif(
    not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed"
)
def test_debians_fashion_mnist_is_the_published_one():
    """Its files are packed anew: their content has the published sums."""
    dataset = data.load("fashion_mnist", None, DEBIAN.parent)
    for split, each in zip(dataset, (6000, 1000), strict=True):
        assert np.bincount(split.labels).tolist() == [each] * 10

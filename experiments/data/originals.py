"""The original files of MNIST, Fashion-MNIST and CIFAR-10 in a folder, read with NumPy alone.

MNIST and Fashion-MNIST are four idx files, CIFAR-10 is six batches, in its binary version or in the
one for Python; each as it is or packed by gzip, which its content says, whatever its name. Files
stand in the folder itself or where others unpack them (SUBFOLDERS). A file that is truncated, or
not the published one, is named.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import pickle
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.command_line.options import UserError
from experiments.data.sets import DATASETS, Dataset, Split, check

# By data set and file: MD5 of the published file, and of what a packed one holds.
SUMS: dict[str, dict[str, tuple[str, ...]]] = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb",
        ),
        "train-labels-idx1-ubyte": (
            "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624",
        ),
        "t10k-images-idx3-ubyte": (
            "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea",
        ),
        "t10k-labels-idx1-ubyte": (
            "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637",
        ),
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        ),
        "train-labels-idx1-ubyte": (
            "25c81989df183df01b3e8a0aad5dffbe", "9018921c3c673c538a1fc5bad174d6f9",
        ),
        "t10k-images-idx3-ubyte": (
            "bef4ecab320f06d8554ea6380940ec79", "8181f5470baa50b63fa0f6fddb340f0a",
        ),
        "t10k-labels-idx1-ubyte": (
            "bb300cfdad3c16e7a12a480ee83cd310", "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    },
    "cifar10": {
        "data_batch_1": ("c99cafc152244af753f735de768cd75f",),
        "data_batch_2": ("d4bba439e000b95fd0a9bffe97cbabec",),
        "data_batch_3": ("54ebc095f3ab1f0389bbae665268c751",),
        "data_batch_4": ("634d18415352ddfa80567beed471001a",),
        "data_batch_5": ("482c414d41f54cd18b22e5b47cb7c3cb",),
        "test_batch": ("40351d587109b95175f43aff81a1287e",),
        "data_batch_1.bin": ("5dd7e06a14cb22eb9f671a540d1b7c25",),
        "data_batch_2.bin": ("5ea93a67294ea407fff1d09f752e9692",),
        "data_batch_3.bin": ("942cd6a4bcdd0dd3c604fbe906cb4421",),
        "data_batch_4.bin": ("ae636b3ba5c66a11e91e8cb52e771fcb",),
        "data_batch_5.bin": ("53f37980c15c3d472c316c40844f3f0d",),
        "test_batch.bin": ("803d5f7f4d78ea53de84dbe85f74fb6d",),
    },
}  # fmt: skip

# Of the training and of the test images; see _forms for the other names of the files.
_IDX = (
    ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
FILES = {"mnist": _IDX, "fashion_mnist": _IDX, "cifar10": _BATCHES}
# The files of both MNISTs have the same names: a folder of their own comes before a common one.
SUBFOLDERS = {
    "mnist": ("mnist", "MNIST", "MNIST/raw", ""),
    "fashion_mnist": ("fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw", ""),
    "cifar10": ("cifar10", "cifar-10-batches-bin", "cifar-10-batches-py", ""),
}
# Bytes of a file, packed or not; the largest, MNIST's training images, has 47,040,016.
LARGEST = 2**26
ROW = 1 + 3 * 32 * 32  # of CIFAR-10: a label and its pixels


class Originals(NamedTuple):
    """Where a data set's original files are: of the training and of the test images."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]


def find(name: str, *folders: Path | None) -> Originals | None:
    """The set's files in the first of the folders that holds any; None where none does.

    Raises:
        UserError: some of the files are missing there.
    """
    for folder in filter(None, folders):
        for place in SUBFOLDERS.get(name, ()):
            found = _complete(name, folder.expanduser() / place)
            if found is not None:
                return found
    return None


def _forms(name: str, file: str) -> list[str]:
    """Where a file may stand in a folder, and under which names."""
    if name == "cifar10":
        return [file, f"{file}.bin"]
    dotted = file.replace("-idx", ".idx")  # as some programs unpack it, and Kaggle has it
    named = [stem + ending for stem in (file, dotted) for ending in ("", ".gz")]
    return named + [f"{around}/{each}" for around in (file, dotted) for each in named]


def _complete(name: str, folder: Path) -> Originals | None:
    """The set's files in this very folder, each in whichever form it has there."""
    splits, missing = [], []
    for files in FILES[name]:
        forms = [[folder / form for form in _forms(name, file)] for file in files]
        found = [next((path for path in form if path.is_file()), None) for form in forms]
        splits.append(tuple(path for path in found if path is not None))
        missing += [file for file, path in zip(files, found, strict=True) if path is None]
    if not any(splits):
        return None
    if missing:
        raise UserError(
            f"{folder} holds some of the files of {name}, but neither {missing[0]} nor "
            f"{_forms(name, missing[0])[1]}."
        )
    return Originals(*splits)


def read(name: str, paths: Originals) -> Dataset:
    """The data set, checked for number, shape, labels and checksums.

    Raises:
        UserError: a file is damaged, or not the published one.
    """
    about = DATASETS[name]
    splits = []
    for part, files in enumerate(paths):
        if name == "cifar10":
            pieces = [_batch(name, path) for path in files]
            images, labels = (np.concatenate(each) for each in zip(*pieces, strict=True))
        else:
            images, labels = (_idx(name, path) for path in files)
            images = images[..., None]
        splits.append(
            check(
                Split(images, labels),
                name=name,
                count=(about.train, about.test)[part],
                where=" and ".join(map(str, files)),
                expected=None if about.checksums is None else about.checksums[part],
            )
        )
    return Dataset(*splits)


class _File(NamedTuple):
    """A file's bytes as they are stored, and unpacked."""

    stored: bytes
    content: bytes


def _opened(path: Path) -> _File:
    """The file, unpacked.

    Raises:
        UserError: it cannot be read, ends too early, or is larger than any of these sets.
    """
    try:
        with path.open("rb") as file:
            stored = content = file.read(LARGEST + 1)
        if stored[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(stored)) as file:
                content = file.read(LARGEST + 1)  # no more, whatever it would unpack to
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise UserError(f"{path} cannot be read, or is truncated: {reason}.") from error
    if max(len(stored), len(content)) > LARGEST:
        raise UserError(
            f"{path} has more than {LARGEST:,} bytes, packed or not: none of such a set has."
        )
    return _File(stored, content)


def _published(name: str, path: Path, file: _File) -> None:
    """Refuse a file that is not the published one, and does not hold the same.

    Raises:
        UserError: its sum is none of SUMS.
    """
    plain = path.name.removesuffix(".gz").replace(".idx", "-idx")
    expected = SUMS.get(name, {}).get(plain, ())
    found = [hashlib.md5(each, usedforsecurity=False).hexdigest() for each in file]
    if not expected or set(found) & set(expected):
        return
    others = [other for other, sums in SUMS.items() if set(found) & set(sums.get(plain, ()))]
    says = f"it is that of {others[0]}" if others else f"its MD5 sum is {found[0]}"
    raise UserError(f"{path} is not the published file of {name}: {says}, not {expected[0]}.")


def _idx(name: str, path: Path) -> np.ndarray:
    """The uint8 array in an idx file: 0, 0, 8, rank; the lengths, four bytes each; the elements.

    LeCun, Cortes and Burges, "The MNIST database of handwritten digits", file formats.
    """
    file = _opened(path)
    content = file.content
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise UserError(f"{path} is no idx file of bytes: it begins with {content[:4].hex(' ')}.")
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4 : min(start, len(content) // 4 * 4)], ">u4").tolist()
    wanted = start + math.prod(shape)
    if len(content) != wanted:
        raise UserError(f"{path} holds {len(content)} bytes where its head tells of {wanted}.")
    _published(name, path, file)
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except ValueError:  # more axes, or longer ones beside one of 0, than NumPy has
        raise UserError(
            f"{path} holds no array: its head tells of {len(shape)} axes of up to {max(shape)}."
        ) from None


def _batch(name: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(images n h w c, labels n) of a batch of CIFAR-10.

    Krizhevsky 2009, "The CIFAR-10 dataset": for every image its label, then 32 × 32 bytes of red,
    of green, of blue; or a pickled dict of such rows and their labels.
    """
    file = _opened(path)
    if path.suffix == ".bin":
        if len(file.content) % ROW:
            raise UserError(
                f"{path} holds {len(file.content)} bytes, no whole number of images of {ROW}."
            )
        _published(name, path, file)
        rows = np.frombuffer(file.content, np.uint8).reshape(-1, ROW)
        labels, pixels = rows[:, 0], rows[:, 1:]
    else:
        _published(name, path, file)
        labels, pixels = _pickled(path, file.content)
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _pickled(path: Path, content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(labels, rows of pixels) of a batch for Python."""
    try:
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        labels, pixels = np.asarray(found[b"labels"]), np.asarray(found[b"data"])
    except Exception as error:  # whatever damage makes of a pickle
        raise UserError(f"{path} is no batch of CIFAR-10, or is truncated: {error}.") from error
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"{path} holds labels {labels.dtype}{list(labels.shape)}, expected a list of integers."
        )
    if pixels.shape != (len(labels), ROW - 1) or pixels.dtype != np.uint8:
        raise UserError(
            f"{path} holds data {pixels.dtype}{list(pixels.shape)}, "
            f"expected uint8{[len(labels), ROW - 1]}."
        )
    return labels, pixels


class _Unpickler(pickle.Unpickler):
    """Builds arrays, numbers, texts, lists and dicts; calls nothing else that a file may name."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[tuple[str, str], Any] = {
            ("_codecs", "encode"): lambda text, _: text.encode("latin1"),
            ("numpy", "ndarray"): None,  # only named, for _reconstruct
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): _empty,
            ("numpy._core.multiarray", "_reconstruct"): _empty,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return allowed[module, name]


def _empty(kind: Any, shape: Any, dtype: Any) -> np.ndarray:
    """What NumPy's pickles begin an array with, whatever they say: the rest is its state."""
    del kind, shape, dtype
    return np.ndarray((0,), np.int8)

"""Pictures of one's own: a folder for each class, or folders train, validation and test over them.

What is not split already is split by a hash of each file's relative path, so that a picture stays
on its side when others come or go; files with the same bytes stay together. What cannot be read is
left out, by name.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from experiments.command_line.options import Pictures, UserError
from experiments.data.picture import amid, open_picture, resized
from experiments.data.sets import Split
from experiments.data.stream import THREADS, Stream

SPLITS = ("train", "validation", "test")
AT_ONCE = 256  # pictures that wait, decoded
NAMED = 5  # files that a message repeats


class Files(NamedTuple):
    """Some pictures: their paths within the folder, and the numbers of their classes."""

    folder: Path
    names: tuple[str, ...]
    labels: np.ndarray

    def where(self, chosen: np.ndarray | Sequence[int]) -> Files:
        """Those at these places, or under this mask."""
        places = np.arange(len(self.names))[chosen]
        return Files(self.folder, tuple(self.names[i] for i in places), self.labels[chosen])

    def without(self, names: Sequence[str]) -> Files:
        """All but these."""
        out = set(names)
        return self.where(np.array([name not in out for name in self.names], bool))


class Found(NamedTuple):
    """What a folder holds; digest: of names and sizes, and of what is on which side."""

    classes: tuple[str, ...]
    train: Files
    validation: Files
    test: Files
    digest: str


def find(folder: Path, options: Pictures) -> Found:
    """The pictures of a folder, split.

    Raises:
        UserError: it cannot be read, or is not as this module says.
    """
    try:
        inside = _folders(folder)
        split = "train" in inside
        tops = {name: folder / name for name in SPLITS if name in inside} if split else {"": folder}
        if split and (others := [name for name in inside if name not in SPLITS]):
            raise UserError(
                f"{folder} must hold folders of classes, or train, validation and test over them, "
                f"got train beside {_listed(others)}."
            )
        classes = _folders(tops.get("train", folder))
        _check_classes(folder, classes)
        names: dict[str, list[str]] = {}
        sizes: dict[str, int] = {}
        for side, top in tops.items():
            if odd := [name for name in _folders(top) if name not in classes]:
                raise UserError(f"{top} must hold no other classes than train, got {_listed(odd)}.")
            names[side] = [name for each in classes for name in _pictures(folder, top / each)]
        for name in (name for each in names.values() for name in each):
            sizes[name] = (folder / name).stat().st_size
        sides = _sides(folder, names, sizes, options)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read: {error.strerror or error}."
        ) from error
    number = {name: n for n, name in enumerate(classes)}
    level = 1 if split else 0  # of a class in a path
    files = {
        side: Files(
            folder,
            tuple(each),
            np.array([number[name.split("/")[level]] for name in each], np.int32),
        )
        for side, each in sides.items()
    }
    told = sorted(f"{side}/{name}/{sizes[name]}" for side in SPLITS for name in sides[side])
    digest = hashlib.sha256("\0".join(told).encode(errors="surrogateescape")).hexdigest()[:16]
    return Found(classes, files["train"], files["validation"], files["test"], digest)


def _folders(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir() if _counts(path) and path.is_dir()))


def _counts(path: Path) -> bool:
    """Whether it is not hidden, as what systems leave in folders is."""
    return not path.name.startswith(".")


def _pictures(folder: Path, inside: Path) -> list[str]:
    """The files at any depth, by their paths within the whole folder."""
    found = []
    for place, folders, files in os.walk(inside):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place) / name for name in files if not name.startswith(".")]
        found += [path.relative_to(folder).as_posix() for path in paths if path.is_file()]
    return sorted(found)


def _check_classes(folder: Path, classes: Sequence[str]) -> None:
    if len(classes) < 2:
        raise UserError(
            f"{folder} must hold a folder for each of two classes at least, "
            f"got {_listed(classes) or 'none'}."
        )
    for name in classes:
        if not name.isprintable():
            raise UserError(f"{folder} must hold folders with names in UTF-8, got {name!r}.")


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


# Sides --------------------------------------------------------------------------------------------


def _sides(
    folder: Path, names: Mapping[str, list[str]], sizes: Mapping[str, int], options: Pictures
) -> dict[str, list[str]]:
    """The names of each split: as they lie there, and what lies nowhere by its hash."""
    found = {side: list(names.get(side, ())) for side in SPLITS}
    shares = {
        side: share
        for side, share in (("test", options.test_share), ("validation", options.validation_share))
        if side not in names
    }
    undecided = names.get("", found["train"])
    first = _twins(folder, undecided, sizes)
    found["train"] = []
    for name in undecided:
        at, side = _place(first.get(name, name), options.split_seed), "train"
        for other, share in shares.items():
            if side == "train" and 0 <= at < share:
                side = other
            at -= share
        found[side].append(name)
    return found


def _place(name: str, seed: int) -> float:
    """A number in [0, 1) that follows from the name and the seed."""
    digest = hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _twins(folder: Path, names: Sequence[str], sizes: Mapping[str, int]) -> dict[str, str]:
    """Of files that have equals, the first of these; only files of one size are read for that."""
    counts = Counter(sizes[name] for name in names)
    first: dict[tuple[int, bytes], str] = {}
    found = {}
    for name in sorted(names):
        if counts[sizes[name]] > 1:
            with (folder / name).open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            found[name] = first.setdefault((sizes[name], digest), name)
    return found


# Pixels -------------------------------------------------------------------------------------------


def read(path: Path, shape: tuple[int, int, int]) -> UInt8[np.ndarray, "h w c"]:
    """The picture as the network takes it: whole, with zeros beside it.

    Raises:
        UserError: it is none that can be read.
    """
    return amid(resized(open_picture(path, grey=shape[-1] == 1), shape), shape)


def pixels(
    files: Files, shape: tuple[int, int, int]
) -> Iterator[tuple[int, UInt8[np.ndarray, "h w c"] | UserError]]:
    """Each picture in order with its number, or what is wrong with it; decoded by threads."""

    def one(name: str) -> Any:
        try:
            return read(files.folder / name, shape)
        except UserError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files.names), AT_ONCE):
            part = files.names[start : start + AT_ONCE]
            yield from enumerate(pool.map(one, part), start)


def decoded(files: Files, shape: tuple[int, int, int]) -> Split:
    """All of them.

    Raises:
        UserError: one cannot be read.
    """
    images = np.empty((len(files.names), *shape), np.uint8)
    for number, picture in pixels(files, shape):
        if isinstance(picture, UserError):
            raise picture
        images[number] = picture
    return Split(images, files.labels)


class Measured(NamedTuple):
    """mean, std: of the training pixels in [0, 1], per channel. left_out: what cannot be read.

    splits: the images to train on, to validate on and to test on, if they were to be kept.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    left_out: tuple[str, ...]
    splits: tuple[Split, ...] | None


def measure(found: Found, shape: tuple[int, int, int], *, keep: bool) -> Measured:
    """Read every picture once.

    Raises:
        UserError: none can be read, or none of a class is left to train on or none to test on.
    """
    sums, left_out, splits, sides = np.zeros((2, shape[-1])), [], [], found[1:4]
    for files in sides:
        images = np.empty((len(files.names) if keep else 0, *shape), np.uint8)
        good = np.ones(len(files.names), bool)
        for number, picture in pixels(files, shape):
            good[number] = not isinstance(picture, UserError)
            if isinstance(picture, UserError):
                left_out.append(files.names[number])
                continue
            if keep:
                images[number] = picture
            if files is found.train:
                values = picture.reshape(-1, shape[-1]) / 255
                sums += values.mean(0), (values**2).mean(0)
        splits.append(Split(images[good[: len(images)]], files.labels[good]))
    every = sum(len(files.names) for files in sides)
    if len(left_out) == every:
        raise UserError(
            f"{found.train.folder} must hold pictures, got {every} files of which none can be read"
            + (f": {_listed(left_out)}." if left_out else ".")
        )
    _check_sides(found, left_out)
    mean, square = sums / len(splits[0].labels)
    std = np.sqrt(np.maximum(square - mean**2, 1 / 255**2))
    mean, std = (tuple(round(float(value), 4) for value in values) for values in (mean, std))
    return Measured(mean, std, tuple(sorted(left_out)), tuple(splits) if keep else None)


def _check_sides(found: Found, left_out: Sequence[str]) -> None:
    have = np.bincount(found.train.without(left_out).labels, minlength=len(found.classes))
    if not have.all():
        name = found.classes[int(np.argmin(have))]
        raise UserError(
            f"{found.train.folder} must hold pictures of every class to train on, got none of "
            f"{name}: add some, or choose another --split-seed or smaller shares."
        )
    if not len(found.test.without(left_out).names):
        raise UserError(
            f"{found.train.folder} must hold pictures to test on, got none: add a folder test, or "
            "choose another --test-share or --split-seed."
        )


@dataclass(frozen=True)
class FileStream(Stream):
    """Pictures that do not all fit on a device; `source` is their files. They are not cropped."""

    def load(self, number: int, epoch: int = 0) -> tuple[np.ndarray, np.int32]:
        """(uint8 image, label) of the number-th of these images, in every epoch the same."""
        at = int(self.numbers[number])
        shape = (self.size, self.size, self.channels)
        path = self.source.folder / self.source.names[at]
        return read(path, shape), np.int32(self.source.labels[at])

"""What a run makes of a folder of one's own pictures: images, and options that say what it is."""

from __future__ import annotations

import dataclasses
import sys
from math import prod
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh

from experiments.command_line.options import TrainOptions, UserError
from experiments.data import Split, balanced_order, own
from experiments.data.own import NAMED, Files, FileStream, Found
from experiments.training.devices import primary
from experiments.training.networks import find

SIZE = 64  # of pictures, if neither the options nor the network say another
SMOKE = ("a", "b", "c")


class Opened(NamedTuple):
    """A folder's files, and what a run's options are once it is known what they hold."""

    options: TrainOptions
    found: Found
    splits: tuple[Split, ...] | None
    """The images, where they have been read and kept."""


def shape_of(options: TrainOptions) -> tuple[int, int, int]:
    """Of a picture as the network takes it."""
    network = find(options.model)
    size = options.pictures.image_size or network.size or SIZE
    return size, size, network.channels or 3


def _smoked(options: TrainOptions) -> TrainOptions:
    """With what --smoke has instead of a folder."""
    size, _, channels = shape_of(options)
    same = {"mean": (0.5,) * channels, "std": (0.25,) * channels}
    pictures = dataclasses.replace(options.pictures, image_size=size, classes=SMOKE, **same)
    return dataclasses.replace(options, pictures=pictures)


def opened(options: TrainOptions) -> Opened:
    """The folder, read once if no run has done so before; what is left out is said.

    Raises:
        UserError: there is none, it holds no pictures as expected, or others than the run began
            with.
    """
    if options.data_dir is None:
        raise UserError("--dataset folder needs --data-dir beside it, the folder of the pictures.")
    folder, before = options.data_dir.expanduser(), options.pictures
    found = own.find(folder, before)
    if before.classes:
        if found.classes != before.classes:
            raise UserError(
                f"{folder} must hold the classes of the run, {', '.join(before.classes)}, "
                f"got {', '.join(found.classes)}."
            )
        return Opened(options, _readable(found, before.left_out), None)
    shape = shape_of(options)
    count = sum(len(files.names) for files in found[1:4])
    streamed = count * prod(shape) > before.resident_megabytes * 2**20
    measured = own.measure(found, shape, keep=not streamed)
    if measured.left_out and primary():
        more = len(measured.left_out) - NAMED
        shown = ", ".join(measured.left_out[:NAMED]) + (f" and {more} more" if more > 0 else "")
        number = len(measured.left_out)
        print(
            f"{number} file{'s' * (number > 1)} in {folder} cannot be read and "
            f"{'are' if number > 1 else 'is'} left out: {shown}.",
            file=sys.stderr,
        )
    pictures = dataclasses.replace(
        before, image_size=shape[0], classes=found.classes, mean=measured.mean, std=measured.std,
        left_out=measured.left_out, digest=found.digest, streamed=streamed,
    )  # fmt: skip
    completed = dataclasses.replace(options, pictures=pictures)
    return Opened(completed, _readable(found, measured.left_out), measured.splits)


def _readable(found: Found, left_out: tuple[str, ...]) -> Found:
    train, validation, test = (files.without(left_out) for files in found[1:4])
    return found._replace(train=train, validation=validation, test=test)


def begun(options: TrainOptions) -> tuple[TrainOptions, Opened | None]:
    """What a run begins with, or goes on with: its options, and its folder if it has one.

    Raises:
        UserError: the folder will not do, or holds others than the pictures that a run began with.
    """
    if options.dataset != "folder":
        return options, None
    if options.smoke:
        return _smoked(options), None
    folder = opened(options)
    resumed = options.safety.resume is not None
    if resumed and folder.found.digest != folder.options.pictures.digest:
        raise UserError(
            f"{folder.found.train.folder} must hold the pictures that the run began with, "
            "got others: their names or sizes have changed."
        )
    return folder.options, folder


def images(opened: Opened) -> tuple[Split, Split, Split]:
    """To train on, to validate on and to test on."""
    shape = shape_of(opened.options)
    if opened.splits is not None:
        train, validation, test = opened.splits
    else:
        train, validation, test = (own.decoded(files, shape) for files in opened.found[1:4])
    return train, validation, test


def judged_by(options: TrainOptions, *, elsewhere: bool) -> Split | FileStream:
    """What a run's network is judged by; all of a folder that is another and not split.

    Raises:
        UserError: it cannot be read, or holds other classes.
    """
    files = _to_judge(options, elsewhere=elsewhere)
    if options.pictures.streamed:
        return _stream(options, files)
    return own.decoded(files, shape_of(options))


def some_test_images(options: TrainOptions, most: int) -> Split:
    """As many of each class, where there are more than can be looked at."""
    files = _to_judge(options)
    chosen = np.sort(balanced_order(files.labels)[:most])
    return own.decoded(files.where(chosen), shape_of(options))


def _to_judge(options: TrainOptions, *, elsewhere: bool = False) -> Files:
    found = opened(options).found
    files, split = found.test, (found.train.folder / "train").is_dir()
    if elsewhere and not split and found.digest != options.pictures.digest:
        files = _all(found)
    if not files.names:
        raise UserError(f"{found.train.folder} must hold pictures to test on, got none.")
    return files


def _all(found: Found) -> Files:
    sides = found[1:4]
    names = tuple(name for files in sides for name in files.names)
    return Files(found.train.folder, names, np.concatenate([files.labels for files in sides]))


def streams(opened: Opened, mesh: Mesh | None) -> tuple[FileStream, FileStream, FileStream]:
    """To train on, to validate on and to test on, read while the run computes."""
    options = opened.options
    train, validation, test = (_stream(options, files, mesh) for files in opened.found[1:4])
    if options.train_images is not None:
        order = balanced_order(opened.found.train.labels)
        chosen = np.sort(order[: options.train_images])
        train = dataclasses.replace(train, numbers=chosen)
    return train, validation, test


def _stream(options: TrainOptions, files: Files, mesh: Mesh | None = None) -> FileStream:
    size, _, channels = shape_of(options)
    numbers = np.arange(len(files.names))
    return FileStream(
        files, numbers, size, options.batch_size, None, "folder", mesh=mesh, channels=channels
    )

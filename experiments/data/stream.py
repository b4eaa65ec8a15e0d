"""Data sets that do not fit on a device, such as ImageNet: read, decoded and cropped while a run
computes, by grain, with prefetching.

Whatever is random follows from (seed, epoch, number of the image): a run that is resumed reads what
it would have read. Each process reads its own rows of every batch, in training and in evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array
from PIL import Image

from experiments.command_line.options import UserError
from experiments.data.loading import first_line, prepared
from experiments.data.records import GENERATED
from experiments.data.sets import CHOICE, DATASETS
from experiments.training.devices import spread
from experiments.training.epoch import Segment

# The shorter side that images are brought to before a crop of 224 is taken.
SHORTER, CROP = 256, 224
# Of grain, for one process; and how much room decoded images take that wait for their batch.
THREADS, BUFFER_BYTES = 8, 256 * 2**20


class Share(NamedTuple):
    """Which rows of every batch a process reads: the index-th part of so many equal ones."""

    index: int
    count: int

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Its columns of an array of steps × batch."""
        size = rows.shape[1] // self.count
        return rows[:, self.index * size : (self.index + 1) * size]


def own_share() -> Share:
    """That of this process."""
    return Share(jax.process_index(), jax.process_count())


@dataclass(frozen=True)
class Stream:
    """Some images of a prepared TFDS split, and how they are brought to `size` × `size` pixels.

    source: TFDS's random access to the split. numbers: those images. batch_size: over all
    processes. seed: of the crops; without one they are taken from the middle. share: what this
    process reads.
    """

    source: Any
    numbers: np.ndarray
    size: int
    batch_size: int
    builder: Any
    split: str
    seed: int | None = None
    mesh: Mesh | None = None
    share: Share = field(default_factory=own_share)
    streamed: bool = True
    channels: int = 3

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.numbers)

    def read(self, segment: Segment, order: np.ndarray | None) -> Iterator[tuple[Array, Array]]:
        """Images and labels of every step, on the devices."""
        if order is None:
            raise ValueError("order must be given for streamed images, got None")
        rows = order[segment.first :][: segment.count]
        yield from self._on_devices(self.batches(rows, segment.epoch))

    def in_order(self) -> Iterator[tuple[Array, Array]]:
        """All images and labels, on the devices; the last batch is filled up with the last one."""
        size = self.batch_size
        whole = np.arange(-(-self.images // size) * size).reshape(-1, size)
        yield from self._on_devices(self.batches(np.minimum(whole, self.images - 1)))

    def example(self) -> tuple[Any, Any]:
        """One batch, of whatever pixels."""
        share = self.batch_size // self.share.count
        images = np.zeros((share, self.size, self.size, self.channels), np.uint8)
        return spread(self.mesh, images), spread(self.mesh, np.zeros(share, np.int32))

    def _on_devices(self, batches: Iterator[Any]) -> Iterator[tuple[Array, Array]]:
        for images, labels in batches:
            yield spread(self.mesh, images), spread(self.mesh, labels)

    def batches(self, rows: np.ndarray, epoch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """This process's share of each row of numbers, decoded by threads ahead of its use."""
        import grain

        mine = self.share.of(rows)
        if mine.size == 0:
            return
        data = grain.MapDataset.source(mine.reshape(-1).tolist())
        data = data.map(lambda number: self.load(number, epoch))
        # Images are counted here, not batches: those of a large batch would not fit in memory.
        ahead = max(BUFFER_BYTES // (3 * self.size**2), THREADS)
        reading = grain.ReadOptions(num_threads=THREADS, prefetch_buffer_size=ahead)
        batches = iter(data.to_iter_dataset(reading).batch(mine.shape[1]))
        try:
            yield from batches
        finally:
            batches.close()

    def load(self, number: int, epoch: int = 0) -> tuple[np.ndarray, np.int32]:
        """(uint8 image, label) of the number-th of these images, as epoch sees it."""
        try:
            example = self.source[int(self.numbers[number])]
        except (RuntimeError, OSError, ValueError, IndexError) as error:
            raise UserError(
                f"{self._file(number)} cannot be read ({first_line(error)}): "
                "prepare the data set again."
            ) from error
        image, label = example["image"], int(example["label"])
        classes = DATASETS[self.builder.name].classes
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
            raise UserError(
                f"{self._file(number)} holds an image {image.dtype}{list(image.shape)}, "
                "expected uint8[height, width, 3]."
            )
        if not 0 <= label < classes:
            raise UserError(
                f"{self._file(number)} holds the label {label}, expected 0 to {classes - 1}."
            )
        rng = None
        if self.seed is not None:
            rng = np.random.default_rng([self.seed, epoch, number])
        return crop(image, self.size, rng), np.int32(label)

    def _file(self, number: int) -> str:
        """The file that holds the number-th of these images."""
        about = self.builder.info.splits[self.split]
        ends = np.cumsum(about.shard_lengths)
        shard = int(np.searchsorted(ends, self.numbers[number], side="right"))
        return str(about.filepaths[shard])


def crop(image: np.ndarray, size: int, rng: np.random.Generator | None) -> np.ndarray:
    """A square of the image, whose shorter side is brought to 256/224 of the square's before.

    At a random place, or in the middle. Krizhevsky et al. 2012, section 4.1.
    """
    picture = Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).convert("RGB")
    shorter = round(size * SHORTER / CROP)
    factor = shorter / min(picture.size)
    width, height = (max(round(side * factor), shorter) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    spare = np.array([width - size, height - size])
    left, top = spare // 2 if rng is None else rng.integers(0, spare + 1)
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def _listed(counts: dict[str, int]) -> str:
    return " and ".join(f"{count:,} {split}" for split, count in counts.items())


class Streams(NamedTuple):
    """What a run trains on, watches, and is judged by."""

    train: Stream
    validation: Stream
    test: Stream


def open_streams(
    name: str,
    data_dir: Path | None,
    manual_dir: Path | None,
    *,
    size: int,
    batch_size: int,
    seed: int,
    validation: int,
    train_images: int | None = None,
    mesh: Mesh | None = None,
) -> Streams:
    """The data set's images: `validation` of those for training are held out.

    Raises:
        UserError: the data set is not there, not whole, or smaller than what is asked of it.
    """
    builder, have = _whole(name, data_dir, manual_dir)
    wanted = validation + (batch_size if train_images is None else train_images)
    if wanted > have["train"]:
        raise UserError(
            f"--validation, --train-images and --batch-size take {wanted} images, "
            f"{name} has {have['train']} in {builder.data_path}."
        )
    if train_images is not None and train_images < batch_size:
        raise UserError(
            f"--batch-size must be at most the {train_images} training images, got {batch_size}."
        )
    order = np.random.default_rng(CHOICE).permutation(have["train"])
    end = len(order) if train_images is None else validation + train_images

    def stream(split: str, numbers: np.ndarray, seed: int | None = None) -> Stream:
        source = builder.as_data_source(split)
        return Stream(source, numbers, size, batch_size, builder, split, seed, mesh)

    test = DATASETS[name].test_split
    return Streams(
        stream("train", np.sort(order[validation:end]), seed),
        stream("train", np.sort(order[:validation])),
        stream(test, np.arange(have[test])),
    )


def open_test_stream(
    name: str, data_dir: Path | None, manual_dir: Path | None, *, size: int, batch_size: int
) -> Stream:
    """The data set's test images alone.

    Raises:
        UserError: the data set is not there, or not whole.
    """
    builder, have = _whole(name, data_dir, manual_dir)
    split = DATASETS[name].test_split
    source = builder.as_data_source(split)
    return Stream(source, np.arange(have[split]), size, batch_size, builder, split)


def _whole(name: str, data_dir: Path | None, manual_dir: Path | None) -> tuple[Any, dict[str, int]]:
    """The prepared data set, and how many images there are of each split.

    Raises:
        UserError: it is not there, or not whole.
    """
    builder, about = prepared(name, data_dir, manual_dir), DATASETS[name]
    have = {split: builder.info.splits[split].num_examples for split in ("train", about.test_split)}
    published = {"train": about.train, about.test_split: about.test}
    folder = Path(builder.data_path)
    if have != published and not (folder / GENERATED).exists():
        raise UserError(
            f"{folder} must hold {_listed(published)} images of {name}, got {_listed(have)}: "
            "prepare the data set again."
        )
    return builder, have

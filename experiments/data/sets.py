"""What the data sets are: descriptions, checks, splits; and generated images in their shapes."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from experiments.command_line.options import TrainOptions, UserError


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
    in [0, 1] and before any padding. names: of the classes, where they are no digits. checksums:
    `checksum` of the training and of the test images. streamed: too large for a device; shape is
    that of an image as it is given to the network by default.
    """

    train: int
    test: int
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int = 10
    names: tuple[str, ...] = ()
    checksums: tuple[str, str] | None = None
    streamed: bool = False
    test_split: str = "test"

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, digits by their digits."""
        return self.names or tuple(str(number) for number in range(self.classes))


DATASETS = {
    "mnist5k": Description(
        4_000, 1_000, (28, 28, 1), (0.1307,), (0.3081,),
        checksums=("f8b8f0022b2e8db7", "3c866190dae195ef"),
    ),
    "mnist": Description(
        60_000, 10_000, (28, 28, 1), (0.1307,), (0.3081,),
        checksums=("2e141b97ecca6bc0", "f38f8aab38e092f5"),
    ),
    "fashion_mnist": Description(
        60_000,
        10_000,
        (28, 28, 1),
        (0.2860,),
        (0.3530,),
        names=(
            "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker",
            "bag", "ankle boot",
        ),
        checksums=("a313f83ee66b58dc", "27b655f5882a4f74"),
    ),
    "cifar10": Description(
        50_000,
        10_000,
        (32, 32, 3),
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
        names=(
            "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
            "truck",
        ),
        checksums=("42ca4215e28f1969", "63fc106207e2cb7e"),
    ),
    "imagenet2012": Description(
        1_281_167,
        50_000,
        (224, 224, 3),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        classes=1000,
        streamed=True,
        test_split="validation",
    ),
}  # fmt: skip


def describe(options: TrainOptions) -> Description:
    """What a run of these options reads; of a folder, once the run knows what it holds."""
    if options.dataset != "folder":
        return DATASETS[options.dataset]
    own = options.pictures
    size, channels = own.image_size or 0, len(own.mean)
    return Description(
        0, 0, (size, size, channels), own.mean, own.std,
        classes=len(own.classes), names=own.classes, streamed=own.streamed,
    )  # fmt: skip


# The split of mnist5k and the choice of held-out images are part of the experiment, not of its
# noise: they come from this constant and stay the same whatever --seed is.
CHOICE = 1998

# Training and test images of a set differ by less, sets from each other by more.
MEAN_TOLERANCE = 0.01


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


def fit(images: np.ndarray, size: int | None, name: str = "the images") -> np.ndarray:
    """Images of `size` × `size` pixels: zeros around smaller ones; 28×28 digits become 32×32.

    Raises:
        UserError: the images are larger than that, or so small that most would be zeros.
    """
    if size is None or images.shape[1] == size:
        return images
    edge, odd = divmod(size - images.shape[1], 2)
    if edge < 0 or odd or size > 2 * images.shape[1]:
        have = " × ".join(map(str, images.shape[1:3]))
        raise UserError(f"The network takes {size} × {size} pixels, {name} has {have}.")
    return np.pad(images, ((0, 0), (edge, edge), (edge, edge), (0, 0)))


def pad_to_32(images: np.ndarray) -> np.ndarray:
    """28×28 digits inside 32×32 pixels, zeros around: what LeNet-5 expects."""
    return fit(images, 32)


def checksum(split: Split) -> str:
    """Of the images with their labels, in whatever order they stand."""
    images = np.ascontiguousarray(split.images)
    each = np.array(
        [
            zlib.crc32(image, label)
            for image, label in zip(images, split.labels.tolist(), strict=True)
        ],
        np.uint32,
    )
    return hashlib.sha256(np.sort(each).tobytes()).hexdigest()[:16]


def generated(about: Description, train: int, test: int) -> Dataset:
    """Images as --smoke takes them: a pattern for each class, under noise; always the same ones."""
    rng = np.random.default_rng(CHOICE)
    classes, (*sides, channels) = about.classes, about.shape
    patterns = rng.uniform(0, 255, (classes, 4, 4, channels))
    rows, columns = (np.arange(size) * 4 // size for size in sides)

    def split(count: int) -> Split:
        labels = np.arange(count, dtype=np.int32) % classes
        clean = patterns[labels][:, rows][:, :, columns]
        noisy = clean + rng.normal(0, 40, clean.shape)
        return Split(noisy.clip(0, 255).astype(np.uint8), labels)

    tested = split(test)  # first, so that it is the same beside however many training images
    return Dataset(split(train), tested)


def check(split: Split, *, name: str, count: int, where: str, expected: str | None = None) -> Split:
    """The same split, if it has `count` images of data set `name`'s shape with labels in range.

    Raises:
        UserError: it has not, or another checksum than the expected one.
    """
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
    split = Split(images, labels.astype(np.int32))
    mean = images.mean((0, 1, 2), dtype=np.float64) / 255
    if count > 1000 and np.abs(mean - DATASETS[name].mean).max() > MEAN_TOLERANCE:
        shown, wanted = (" ".join(f"{m:.4f}" for m in ms) for ms in (mean, DATASETS[name].mean))
        raise UserError(
            f"{where} holds images of mean {shown}, those of {name} have {wanted}: "
            "they are of another data set."
        )
    if expected is not None and (found := checksum(split)) != expected:
        raise UserError(f"{where} holds other images or labels: checksum {found}, not {expected}.")
    return split

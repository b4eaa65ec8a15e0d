"""What a run learns from and is judged by: images on the devices, or streams of them."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jax.sharding import Mesh
from jaxtyping import UInt8

from experiments import data
from experiments.command_line.options import TrainOptions, UserError
from experiments.command_line.schema import stored_in
from experiments.data import records
from experiments.data.own import decoded
from experiments.data.picture import Background, amid, open_picture, resized
from experiments.data.stream import Stream, crop, open_streams, open_test_stream
from experiments.training import Recipe, Resident, TrainState, compile_predict, counts, own
from experiments.training.devices import everywhere
from experiments.training.evaluation import Scores, compile_stream, scores
from experiments.training.networks import check_fits, find, make

SMOKE_TRAIN, SMOKE_TEST = 64, 32
WHITENED = 5_000  # images from which a first kernel is computed


@dataclass(frozen=True)
class Material:
    """train: what the steps read. validation, test: what is looked at. shape: of an image.

    first: training images as uint8, for what is computed from them before the run. options: those
    of the run, with what is known of its data only now.
    """

    train: Resident | Stream
    validation: data.Split | Stream
    test: data.Split | Stream
    shape: tuple[int, int, int]
    first: np.ndarray | None
    options: TrainOptions

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many images there are to train on, to validate on, and to test on."""
        return self.train.images, count_of(self.validation), count_of(self.test)


def count_of(pictures: data.Split | Stream) -> int:
    """How many images."""
    return pictures.images if isinstance(pictures, Stream) else len(pictures.labels)


def image_shape(options: TrainOptions) -> tuple[int, int, int]:
    """Of an image as the network takes it.

    Raises:
        UserError: it takes none of this data set's.
    """
    if options.dataset == "folder":
        return own.shape_of(options)
    about, network = data.describe(options), find(options.model)
    if network.channels not in (None, about.shape[-1]):
        raise UserError(
            f"--model {options.model} takes images of {network.channels} "
            f"channel{'s' if network.channels != 1 else ''}, "
            f"those of {options.dataset} have {about.shape[-1]}."
        )
    h, w, channels = about.shape
    if about.streamed:
        return network.size or h, network.size or w, channels
    return fit_images(np.empty((0, h, w, channels), np.uint8), options).shape[1:]


def check_network(options: TrainOptions) -> None:
    """Refuse a network that cannot be made, or not for images of this data set.

    Raises:
        UserError: it cannot.
    """
    shape = image_shape(options)
    if ":" in options.model or options.dataset == "folder":
        classes = data.describe(options).classes
        row = (shape[0] * shape[1], shape[2]) if find(options.model).signals else shape
        check_fits(options.model, make(options.model, classes, small=options.smoke), row, classes)


def load(options: TrainOptions, mesh: Mesh | None) -> Material:
    """The images as the network takes them; refuses options that do not fit the data.

    Raises:
        UserError: they do not fit, or the data cannot be had.
    """
    stored = options.safety.resume
    with stored_in(stored):
        image_shape(options)  # before a folder is read
    options, folder = own.begun(options)
    with stored_in(stored):
        check_network(options)
    if data.describe(options).streamed:
        return _on_disk(options, partial(_streams, mesh=mesh, folder=folder))
    fitted = [_fitted(split, options) for split in _splits(options, folder)]
    train, validation, test = fitted
    counts.check_cutout(options, min(train.images.shape[1:3]))
    counts.check_watched(options, len(validation.labels))
    pixels, labels = everywhere(mesh, (train.images, train.labels))
    first = train.images[:WHITENED] if find(options.model).whitened else None
    return Material(Resident(pixels, labels), validation, test, pixels.shape[1:], first, options)


def test_images(options: TrainOptions, elsewhere: bool) -> data.Split | Stream:
    """What a network of these options is judged by, without anything to train on.

    elsewhere: of one's own pictures whether they may be others than those of the run.

    Raises:
        UserError: the data cannot be had.
    """
    if options.dataset == "folder" and not options.smoke:
        return own.judged_by(options, elsewhere=elsewhere)
    if data.describe(options).streamed:
        return _on_disk(options, _test_stream)
    return _fitted(all_images(options).test, options)


def _streams(options: TrainOptions, mesh: Mesh | None, folder: own.Opened | None) -> Material:
    shape = image_shape(options)
    counts.check_cutout(options, shape[0])
    if folder is not None:
        train, validation, test = own.streams(folder, mesh)
        counts.check_trained_on(options, len(folder.found.train.names), train.images)
        counts.check_watched(options, validation.images)
        some = folder.found.train.where(train.numbers[:WHITENED])
        whitened = find(options.model).whitened
        first = decoded(some, shape).images if whitened else None
        return Material(train, validation, test, shape, first, options)
    if options.safety.resume is not None and not options.smoke:
        # Before the data are asked for, who know no run.
        available, wanted = data.describe(options).train, options.train_images
        counts.check_held_out(options, available)
        left = available - options.validation
        counts.check_trained_on(options, left, left if wanted is None else wanted)
    train, validation, test = open_streams(
        options.dataset,
        options.data_dir,
        options.manual_dir,
        size=shape[0],
        batch_size=options.batch_size,
        seed=options.seed,
        validation=options.validation,
        train_images=options.train_images,
        mesh=mesh,
    )
    return Material(train, validation, test, shape, None, options)


def _test_stream(options: TrainOptions) -> Stream:
    return open_test_stream(
        options.dataset,
        options.data_dir,
        options.manual_dir,
        size=image_shape(options)[0],
        batch_size=options.batch_size,
    )


Opened = TypeVar("Opened")


def _on_disk(options: TrainOptions, opened: Callable[[TrainOptions], Opened]) -> Opened:
    """What is opened; for a smoke run on generated records, which last as long as it does."""
    if not options.smoke:
        return opened(options)
    folder = Path(tempfile.mkdtemp(prefix="jaxcnn-smoke-"))
    train = SMOKE_TRAIN + options.validation
    records.write(folder, (train // 2, train - train // 2), (SMOKE_TEST,))
    found = opened(dataclasses.replace(options, data_dir=folder))
    weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    return found


def all_images(options: TrainOptions) -> data.Dataset:
    """The data set of the options, in its own size; generated images for a smoke run.

    Raises:
        UserError: the data cannot be had.
    """
    if options.smoke:
        train = SMOKE_TRAIN + options.validation
        return data.generated(data.describe(options), train, SMOKE_TEST)
    return data.load(options.dataset, options.data_dir, options.manual_dir)


def _splits(
    options: TrainOptions, folder: own.Opened | None
) -> tuple[data.Split, data.Split, data.Split]:
    """Training, validation and test images in their own size."""
    if folder is not None:
        chosen, validation, test = own.images(folder)
        return _chosen(options, chosen), validation, test
    everything = all_images(options)
    available = len(everything.train.labels)
    counts.check_held_out(options, available)
    chosen, validation = data.hold_out(everything.train, options.validation)
    return _chosen(options, chosen), validation, everything.test


def _chosen(options: TrainOptions, training: data.Split) -> data.Split:
    """Those of the training images that are trained on."""
    available, wanted = len(training.labels), options.train_images
    counts.check_trained_on(options, available, available if wanted is None else wanted)
    return training if wanted is None else data.hold_out(training, wanted)[1]


def _fitted(split: data.Split, options: TrainOptions) -> data.Split:
    return data.Split(fit_images(split.images, options), split.labels)


def fit_images(images: np.ndarray, options: TrainOptions) -> np.ndarray:
    """Images of the size that the network takes: with an edge of zeros around."""
    if options.dataset == "folder":
        return images
    return data.fit(images, find(options.model).size, options.dataset)


def read_picture(
    path: Path, options: TrainOptions, *, invert: bool = False, background: Background | None = None
) -> UInt8[np.ndarray, "h w c"]:
    """A picture of the user's own as the network of these options takes it.

    Whole, with zeros beside it where its shape is another; of a streamed set, the middle square.

    Raises:
        UserError: the file cannot be read, is no picture, or shows nothing.
    """
    about, size = data.describe(options), find(options.model).size
    picture = open_picture(path, grey=about.shape[-1] == 1, invert=invert, background=background)
    if options.dataset == "folder":  # whose pictures may be of one colour
        return amid(resized(picture, about.shape), about.shape)
    if about.streamed:
        # Of a very long one only this is ever looked at; all of it, enlarged, may fill the memory.
        longest = 8 * min(picture.size)
        left, top = (max(0, side - longest) // 2 for side in picture.size)
        picture = picture.crop((left, top, picture.width - left, picture.height - top))
        looked_at = placed = crop(np.asarray(picture), size or about.shape[0], None)
    else:
        looked_at = resized(picture, about.shape)
        placed = fit_images(amid(looked_at, about.shape)[None], options)[0]
    if (looked_at == looked_at[0, 0]).all():
        raise UserError(f"{path} shows nothing: what the network sees of it is of one even colour.")
    return placed


def smoke(options: TrainOptions) -> TrainOptions:
    """The options, shrunken to a run of seconds; others pass as they are."""
    if not options.smoke:
        return options
    with stored_in(options.safety.resume):
        size = find(options.model).size or 32
    batch = min(options.batch_size, 8 if size > 100 else 16)
    return dataclasses.replace(
        options,
        epochs=min(options.epochs, 1 if size > 100 else 2),
        batch_size=batch,
        accumulate=options.accumulate if batch % options.accumulate == 0 else 1,
        validation=min(options.validation, 20),
        train_images=None,
    )


Judge = Callable[[Any, Any], Scores]


def compile_judges(
    recipe: Recipe, state: TrainState, pictures: Sequence[data.Split | Stream]
) -> list[Judge | None]:
    """For each of these the function (params, net_state) → scores; None where there are no images.

    All streams are read by one program: it is given batch after batch.
    """
    streams = [each for each in pictures if isinstance(each, Stream) and each.images]
    program = compile_stream(recipe, state, streams[0].example()) if streams else None

    def judge_of(each: data.Split | Stream) -> Judge | None:
        if count_of(each) == 0:
            return None
        if isinstance(each, Stream):
            assert program is not None
            return lambda *state: _judge_stream(program, each, *state)
        predict = compile_predict(recipe, state, everywhere(recipe.mesh, each.images))
        return lambda *state: scores(predict(*state), each.labels)

    return [judge_of(each) for each in pictures]


def _judge_stream(program: Any, stream: Stream, params: Any, net_state: Any) -> Scores:
    logits, labels = program(params, net_state, stream.in_order())
    return scores(logits[: stream.images], labels[: stream.images])

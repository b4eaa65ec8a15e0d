"""A finished run, opened: its network, its parameters, and how images get into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PyTree, UInt8

from experiments import data
from experiments.command_line.options import TrainOptions, UserError
from experiments.runs import saved
from experiments.training import material, own
from experiments.training.networks import find, make
from jaxcnn.layers import Serial

MOST = 2_000  # test images of a folder that are looked at


@dataclass(frozen=True)
class Opened:
    """A network with what it learned, and the options of its run, which say its data set."""

    folder: Path
    options: TrainOptions
    net: Serial
    params: PyTree
    state: PyTree
    size: int | None = 32
    """Height and width of the network's images; None, those of the data set."""

    @property
    def about(self) -> data.Description:
        """Of the data set."""
        return data.describe(self.options)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image as the network takes it."""
        h, w, channels = self.about.shape
        return (self.size or h, self.size or w, channels)

    def fit(self, images: UInt8[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n p q c"]:
        """Images of the data set in the size that the network takes."""
        return data.fit(images, self.size, self.options.dataset)

    def normalise(self, images: Any) -> Float[Array, "n h w c"]:
        """(pixel / 255 − mean) / std, as in training."""
        mean, std = (
            jnp.asarray(values, jnp.float32)[None, None, None]
            for values in (self.about.mean, self.about.std)
        )
        return (jnp.asarray(images).astype(jnp.float32) / 255 - mean) / std

    def test_images(self) -> data.Split:
        """The test set of the run, in the size that the network takes."""
        if self.options.dataset == "folder" and not self.options.smoke:
            return own.some_test_images(self.options, MOST)
        split = material.all_images(self.options).test
        return data.Split(self.fit(split.images), split.labels)


def open_run(folder: Path) -> Opened:
    """What `experiments.train` left in a folder.

    Raises:
        UserError: there is no finished run of a network for images of digits or the like.
    """
    wanted = "RUN must be the folder of a finished run of experiments.train"
    try:
        options, params, state = saved.read(folder)
    except UserError as error:
        raise UserError(f"{wanted}, {folder} is not: {error}") from error
    about, network = data.describe(options), find(options.model)
    if (about.streamed and options.dataset != "folder") or network.signals:
        raise UserError(f"{wanted} on small images, {folder} is one of {options.model}.")
    # Looking is done in float32, whatever the precision of the training was.
    params, state = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), (params, state))
    return Opened(
        folder=folder,
        options=options,
        net=make(options.model, about.classes, small=options.smoke),
        params=params,
        state=state,
        size=None if options.dataset == "folder" else network.size,
    )

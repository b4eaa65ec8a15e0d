"""page.html of `experiments.inspect`: the run's network, stepped through in a browser."""

from __future__ import annotations

import jax
import numpy as np

from experiments import data
from experiments.command_line.options import UserError
from experiments.looking.opened import Opened
from experiments.looking.report import Chosen
from experiments.runs import epochs
from jaxcnn.page import INTRODUCTION, page

OF_EACH_CLASS = 2
INK = 20  # pixels: as long as MNIST's digits are


def stepping(opened: Opened, split: data.Split, chosen: Chosen, about: str) -> str:
    """The page, with the chosen image before two of each class, and every epoch that was kept.

    Raises:
        UserError: the network is none that the page can run, or something of the run is damaged.
    """
    if len(set(opened.about.mean)) > 1 or len(set(opened.about.std)) > 1:
        raise UserError(
            f"--page is for images whose channels are scaled alike, {opened.options.dataset} has "
            f"means of {opened.about.mean}."
        )
    shown = [
        index
        for label in range(opened.about.classes)
        for index in np.flatnonzero(split.labels == label)[:OF_EACH_CLASS]
    ]
    images = np.stack([chosen.pixels, *split.images[shown]])
    kept = {
        f"after epoch {epoch}" if epoch else "as drawn": jax.tree.map(np.float32, params)
        for epoch, params in epochs.read(opened.folder, opened.options).items()
        if epoch < opened.options.epochs  # the page ends with what the run ended with
    }
    try:
        return page(
            opened.net,
            opened.params,
            opened.state,
            opened.normalise(images),
            labels=np.array([chosen.label, *split.labels[shown]]),
            epochs=kept,
            names=opened.about.names or None,
            mean=opened.about.mean[0],
            std=opened.about.std[0],
            ink=None if opened.about.names else INK,
            introduction=f"{about} {INTRODUCTION}",
        )
    except ValueError as error:
        reason = str(error).removeprefix("page: ")
        raise UserError(f"--page cannot show {opened.options.model}: {reason}.") from error

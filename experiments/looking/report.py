"""The sections of the report, each with its formula and its pictures."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from experiments import data
from experiments.looking import pictures
from experiments.looking.formulas import formula_of, kind_of
from experiments.looking.layers import (
    Looked,
    deconvolved,
    look,
    maps_of,
    maximised,
    receptive_field,
    spine,
)
from experiments.looking.opened import Opened
from experiments.looking.page import Section
from experiments.training.evaluation import confusion_counts


class Chosen(NamedTuple):
    """What is looked at."""

    pixels: UInt8[np.ndarray, "h w c"]
    label: int
    origin: str


class Judged(NamedTuple):
    """The test set as the network reads it."""

    split: data.Split
    probabilities: Float[np.ndarray, "n k"]


def report(opened: Opened, judged: Judged, chosen: Chosen) -> list[Section]:
    """All sections, in the order in which one reads them."""
    x = opened.normalise(chosen.pixels[None])
    label = jnp.asarray([chosen.label], jnp.int32)
    looked = jax.jit(lambda x, label: look(opened, x, label))(x, label)
    looked = jax.tree.map(np.asarray, looked)
    return [
        _image(opened, looked, chosen),
        *_filters(opened),
        *_layers(opened, looked, chosen),
        _saliency(looked, chosen),
        *_deconvnet(opened, x, chosen),
        *_exciting(opened),
        *_receptive_fields(opened, chosen),
        _confusion(opened, judged),
        _mistakes(opened, judged),
    ]


def _as_picture(pixels: UInt8[np.ndarray, "... c"]) -> Float[np.ndarray, "... c"]:
    return pixels.astype(np.float32) / 255


def _image(opened: Opened, looked: Looked, chosen: Chosen) -> Section:
    picture = pictures.grid(_as_picture(chosen.pixels)[None], signed=False)
    bars = pictures.probabilities(looked.probabilities[0], chosen.label, opened.about.class_names)
    return Section(
        "The image and the answer",
        f"{chosen.origin[:1].upper()}{chosen.origin[1:]}. The error that is differentiated below "
        f"is that of class {opened.about.class_names[chosen.label]}.",
        "yₖ = exp(uₖ) / Σⱼ exp(uⱼ),  E = −ln yₜ\nδₖ = yₖ − [k = t]",
        [("image", "the image", picture), ("probabilities", "probability of each class", bars)],
    )


def _filters(opened: Opened) -> list[Section]:
    shown = [stage for stage in spine(opened) if "kernel" in stage.params][:1]
    sections = []
    for stage in shown:
        kernel = np.asarray(stage.params["kernel"])
        if kernel.ndim != 4 or kernel.shape[2] not in (1, 3):
            continue
        image = pictures.grid(np.moveaxis(kernel, -1, 0)[: pictures.MAPS], signed=True, columns=8)
        sections.append(
            Section(
                f"Filters of the first layer ({stage.name})",
                "What each map of the first convolution looks for in the image.",
                "u_d = Σ_c x_c ⋆ k_cd + b_d",
                [("filters", "filters of the first layer", image)],
            )
        )
    return sections


def _layers(opened: Opened, looked: Looked, chosen: Chosen) -> list[Section]:
    sections = [
        Section(
            "Forward and back, layer by layer",
            "On the left each layer's output y, from the image down to the logits. On the right δ, "
            "the gradient of the error at that output: read it from the bottom up. Darker means "
            "stronger; each half has a scale of its own.",
        )
    ]
    for stage in spine(opened):
        y, delta = looked.outputs[stage.name][0], looked.deltas[stage.name][0]
        if y.size == 0 or y.ndim not in (1, 3) or type(stage.layer).__name__ == "Flatten":
            continue
        file = "layer-" + stage.name.replace("/", "-")
        picture = pictures.forward_and_back(y, delta.reshape(y.shape))
        size = " × ".join(map(str, y.shape))
        sections.append(
            Section(
                f"{stage.name}: {kind_of(stage.layer)}, {size}",
                "",
                formula_of(stage.layer),
                [(file, f"output of {stage.name} and the gradient at it", picture)],
                level=3,
            )
        )
    return sections


def _saliency(looked: Looked, chosen: Chosen) -> Section:
    picture = pictures.saliency(_as_picture(chosen.pixels), looked.saliency[0])
    return Section(
        "Saliency",
        f"Which pixels would change the logit of class {chosen.label} most. Simonyan, Vedaldi and "
        "Zisserman 2013.",
        "s = ∂uₜ / ∂x",
        [("saliency", "derivative of the logit in the image", picture)],
    )


def _deconvnet(opened: Opened, x: jax.Array, chosen: Chosen) -> list[Section]:
    sections = []
    for name in maps_of(opened, x):
        found, places = jax.jit(lambda x, name=name: deconvolved(opened, name, x))(x)
        titles = [f"at {row}, {column}" for row, column in np.asarray(places)[: pictures.MAPS]]
        picture = pictures.grid(
            np.asarray(found)[: pictures.MAPS], signed=True, titles=titles, shared=False
        )
        sections.append(
            Section(
                f"What excited {name} most (deconvnet)",
                "Each map's strongest activation, taken back to the pixels through the layers in "
                "reverse: convolutions by their input gradient, poolings by unpooling at the "
                "places of the maxima, rectifiers by a rectifier. Zeiler and Fergus 2014.",
                "conv: full(dilate(r), rot180(k))\n"
                "maximum: M(x) • upsample(r)\n"
                "rectifier: max(r, 0)",
                [(f"deconvnet-{name.replace('/', '-')}", f"deconvnet of {name}", picture)],
            )
        )
    return sections


def _exciting(opened: Opened) -> list[Section]:
    shape = opened.shape
    x = jnp.zeros((1, *shape), jnp.float32)
    names = [*maps_of(opened, x), spine(opened)[-1].name]
    sections = []
    for name in names:
        found = np.asarray(jax.jit(lambda name=name: maximised(opened, name, shape))())
        found = found[: pictures.MAPS]
        titles = [str(k) for k in range(len(found))]
        picture = pictures.grid(found, signed=True, titles=titles, shared=False)
        sections.append(
            Section(
                f"Images that excite {name}",
                "Gradient ascent from faint noise, for the middle unit of each map or for each "
                "logit. What lies outside a unit's receptive field stays noise, and fades.",
                "x ← 0.98 x + g / ‖g‖,  g = ∂unit/∂x",
                [(f"exciting-{name.replace('/', '-')}", f"images that excite {name}", picture)],
            )
        )
    return sections


def _receptive_fields(opened: Opened, chosen: Chosen) -> list[Section]:
    fields, signal = {}, jax.ShapeDtypeStruct((1, *opened.shape), jnp.float32)
    for stage in spine(opened):
        signal = jax.eval_shape(stage, signal)
        if signal.ndim == 4 and type(stage.layer).__name__ != "Activation":
            middle = (signal.shape[1] // 2, signal.shape[2] // 2)
            fields[stage.name] = receptive_field(opened, stage.name, opened.shape, middle)
    if not fields:  # a network without maps
        return []
    picture = pictures.receptive_fields(_as_picture(chosen.pixels), fields)
    section = Section(
        "Receptive fields",
        "The pixels that the middle unit of a map depends on, found by differentiating.",
        "r(l) = (r(l+1) − 1) · stride + (window − 1) · dilation + 1",
        [("receptive-fields", "receptive field of each layer", picture)],
    )
    return [section]


def _confusion(opened: Opened, judged: Judged) -> Section:
    labels, predicted = judged.split.labels, judged.probabilities.argmax(1)
    counts = confusion_counts(labels, predicted, judged.probabilities.shape[1])
    hits = int(np.trace(counts))
    return Section(
        "Confusion matrix",
        f"Of {len(labels):,} test images {hits:,} were read right.",
        "",
        [("confusion", "confusion matrix", pictures.confusion(counts, opened.about.class_names))],
    )


def _mistakes(opened: Opened, judged: Judged) -> Section:
    labels, predicted = judged.split.labels, judged.probabilities.argmax(1)
    rows = np.arange(len(labels))
    error = -np.log(np.maximum(judged.probabilities[rows, labels], 1e-30))
    wrong = rows[predicted != labels]
    worst = wrong[np.argsort(-error[wrong], kind="stable")][: pictures.MISTAKES]
    if not len(worst):
        return Section("Worst mistakes", "There are none.")
    names = opened.about.class_names
    titles = [f"{names[labels[i]]} → {names[predicted[i]]}, {error[i]:.1f}" for i in worst]
    picture = pictures.grid(_as_picture(judged.split.images[worst]), signed=False, titles=titles)
    return Section(
        "Worst mistakes",
        "The test images that were read wrong, those with the largest error first: true class → "
        "predicted, error.",
        "E = −ln yₜ",
        [("mistakes", "the worst mistakes", picture)],
    )

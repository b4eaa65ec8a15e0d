"""The sections of the report, each with its formula and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from experiments import data
from experiments.looking import pictures
from experiments.looking.layers import Looked, Stage, every_layer, look, spine
from experiments.looking.opened import Opened
from experiments.looking.page import Picture, Section
from experiments.looking.units import deconvolved, maps_of, maximised, receptive_field
from experiments.training.evaluation import confusion_counts
from jaxcnn.layers import Branches, Flatten, Identity, TableConv
from jaxcnn.page import formula_of, kind_of

SIGNED = "each on a scale of its own, zero in the middle"


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
        *_layers(opened, looked),
        _saliency(opened, looked, chosen),
        *_deconvnet(opened, x),
        *_exciting(opened),
        *_receptive_fields(opened, chosen),
        _confusion(opened, judged),
        _mistakes(opened, judged),
    ]


def _as_picture(pixels: UInt8[np.ndarray, "... c"]) -> Float[np.ndarray, "... c"]:
    return pixels.astype(np.float32) / 255


def _image(opened: Opened, looked: Looked, chosen: Chosen) -> Section:
    picture = pictures.picture(_as_picture(chosen.pixels), "x")
    bars = pictures.probabilities(looked.probabilities[0], chosen.label, opened.about.class_names)
    return Section(
        "The image and the answer",
        f"{chosen.origin[:1].upper()}{chosen.origin[1:]}. The error that is differentiated below "
        f"is that of class {opened.about.class_names[chosen.label]}.",
        "yₖ = exp(uₖ) / Σⱼ exp(uⱼ),  E = −ln yₜ\nδₖ = yₖ − [k = t]",
        [
            ("image", "The image as the network takes it.", picture),
            ("probabilities", "Probability of each class; orange: the one of the error.", bars),
        ],
    )


def _numbered(name: str, images: Sequence[bytes], text: str) -> list[Picture]:
    """Pictures that were one but for its size."""
    if len(images) == 1:
        return [(name, f"{text}.", images[0])]
    return [
        (f"{name}-{i}", f"{text} ({i} of {len(images)}).", image)
        for i, image in enumerate(images, 1)
    ]


def _of(count: int, what: str) -> str:
    """Of how many something is shown, if not of all."""
    return f" {pictures.MAPS} of {count} {what} shown." if count > pictures.MAPS else ""


def _filters(opened: Opened) -> list[Section]:
    sections = []
    for stage in [stage for stage in every_layer(opened) if "kernel" in stage.params][:1]:
        kernel = np.asarray(stage.params["kernel"])
        if kernel.ndim != 4 or kernel.shape[2] not in (1, 3):
            continue
        filters = np.moveaxis(kernel, -1, 0)[: pictures.MAPS]
        titles = [f"map {d}" for d in range(len(filters))]
        drawn = pictures.tiles(filters, titles, signed=True)
        sections.append(
            Section(
                f"Filters of the first layer ({stage.name})",
                "What each map of the first convolution looks for in the image."
                + _of(kernel.shape[-1], "filters"),
                "u_d = Σ_c x_c ⋆ k_cd + b_d",
                _numbered("filters", drawn, f"Filters of {stage.name}, {SIGNED}"),
            )
        )
    for stage in every_layer(opened):
        if isinstance(stage.layer, TableConv) and np.ndim(stage.params["weights"]) == 3:
            weights, table = np.asarray(stage.params["weights"]), stage.layer.table
            drawn = pictures.table_picture(weights, table, f"kernels of {stage.name}")
            name = "kernels-" + stage.name.replace("/", "-")
            sections.append(
                Section(
                    f"Kernels of {stage.name}, by its table of connections",
                    "A map reads only some of those below: where it reads none, there is nothing.",
                    formula_of(stage.layer),
                    [(name, "Columns: maps of the layer; rows: the maps that they read.", drawn)],
                )
            )
    return sections


def _layers(opened: Opened, looked: Looked) -> list[Section]:
    sections = [
        Section(
            "Forward and back, layer by layer",
            "First each layer's output y, from the image down to the logits; beside or below it δ, "
            "the gradient of the error at that output: read it from the bottom up. The layers of "
            "a branch stand before the sum or the concatenation of the branches. Every picture "
            "has a scale of its own.",
        )
    ]
    for stage in every_layer(opened):
        y, delta = looked.outputs[stage.name][0], looked.deltas[stage.name][0]
        if y.size == 0 or y.ndim not in (1, 3) or isinstance(stage.layer, Flatten | Identity):
            continue
        file = "layer-" + stage.name.replace("/", "-")
        size = " × ".join(map(str, y.shape))
        drawn = [
            (f"{file}-y", f"Output of {stage.name}.", pictures.layer(y, "y")),
            (
                f"{file}-delta",
                f"Gradient of the error at the output of {stage.name}.",
                pictures.layer(delta.reshape(y.shape), "δ = ∂E/∂y"),
            ),
        ]
        maps = y.shape[-1] if y.ndim == 3 else 0
        title = f"{stage.name}: {_kind(stage)}, {size}"
        sections.append(
            Section(title, _of(maps, "maps").strip(), formula_of(stage.layer), drawn, level=3)
        )
    return sections


def _kind(stage: Stage) -> str:
    if isinstance(stage.layer, Branches):
        return {"add": "sum of the branches", "concatenate": "branches side by side"}.get(
            stage.layer.merge, "branches"
        )
    return kind_of(stage.layer)


def _saliency(opened: Opened, looked: Looked, chosen: Chosen) -> Section:
    name, gradient = opened.about.class_names[chosen.label], looked.saliency[0]
    title = "∂u/∂x" if gradient.shape[-1] == 1 else "∂u/∂x: red, green, blue"
    size = np.abs(gradient).max(-1)
    return Section(
        "Saliency",
        f"Which pixels would change the logit u of class {name} most. Simonyan, Vedaldi and "
        "Zisserman 2013.",
        "s = ∂uₜ / ∂x",
        [
            ("saliency", "Derivative of the logit in the image.",
             pictures.signed_maps(gradient, title)),
            ("saliency-size", "Its largest absolute value over the colours, on the image.",
             pictures.picture(_as_picture(chosen.pixels), "|∂u/∂x|", size)),
        ],
    )  # fmt: skip


def _deconvnet(opened: Opened, x: jax.Array) -> list[Section]:
    sections = []
    for name in maps_of(opened, x):
        found, places = jax.jit(lambda x, name=name: deconvolved(opened, name, x))(x)
        titles = [f"{d}: at {i}, {j}" for d, (i, j) in enumerate(np.asarray(places))]
        most = pictures.MAPS
        drawn = pictures.tiles(np.asarray(found)[:most], titles[:most], signed=True)
        sections.append(
            Section(
                f"What excited {name} most (deconvnet)",
                "Each map's strongest activation, at this row and column of the map, taken back to "
                "the pixels through the layers in reverse: convolutions by their input gradient, "
                "poolings by unpooling at the places of the maxima, rectifiers by a rectifier. "
                "Zeiler and Fergus 2014." + _of(len(titles), "maps"),
                "conv: full(dilate(r), rot180(k))\n"
                "maximum: M(x) • upsample(r)\n"
                "rectifier: max(r, 0)",
                _numbered(
                    f"deconvnet-{name.replace('/', '-')}", drawn, f"Deconvnet of {name}, {SIGNED}"
                ),
            )
        )
    return sections


def _exciting(opened: Opened) -> list[Section]:
    shape = opened.shape
    x = jnp.zeros((1, *shape), jnp.float32)
    last = spine(opened)[-1].name
    sections = []
    for name in [*maps_of(opened, x), last]:
        ascend = partial(maximised, opened, name, shape, most=pictures.MAPS)
        found = np.asarray(jax.jit(ascend)())
        if name == last:
            titles = list(opened.about.class_names[: len(found)])
        else:
            titles = [f"map {d}" for d in range(len(found))]
        drawn = pictures.tiles(found, titles, signed=True)
        sections.append(
            Section(
                f"Images that excite {name}",
                "Gradient ascent from faint noise, for the middle unit of each map or for each "
                "logit. What lies outside a unit's receptive field stays noise, and fades.",
                "x ← 0.98 x + g / ‖g‖,  g = ∂unit/∂x",
                _numbered(
                    f"exciting-{name.replace('/', '-')}",
                    drawn,
                    f"What excites units of {name}, {SIGNED}",
                ),
            )
        )
    return sections


def _receptive_fields(opened: Opened, chosen: Chosen) -> list[Section]:
    image, signal = _as_picture(chosen.pixels), jax.ShapeDtypeStruct((1, *opened.shape), "float32")
    images, titles, before = [], [], None
    for stage in spine(opened):
        signal = jax.eval_shape(stage, signal)
        if signal.ndim != 4:
            continue
        middle = (signal.shape[1] // 2, signal.shape[2] // 2)
        field = receptive_field(opened, stage.name, opened.shape, middle)
        if field is not None and field != before:  # an activation sees what is seen below it
            top, left, bottom, right = before = field
            images.append(pictures.framed(image, field))
            titles.append(f"{stage.name}: {bottom - top} × {right - left}")
    if not images:  # a network without maps, or one of dead ones
        return []
    drawn = pictures.tiles(np.stack(images), titles, signed=False)
    section = Section(
        "Receptive fields",
        "The pixels, in the orange frame, that the middle unit of a map depends on, found by "
        "differentiating.",
        "r(l) = (r(l+1) − 1) · stride + (window − 1) · dilation + 1",
        _numbered("receptive-fields", drawn, "Receptive field of each layer, rows × columns"),
    )
    return [section]


def _confusion(opened: Opened, judged: Judged) -> Section:
    labels, predicted = judged.split.labels, judged.probabilities.argmax(1)
    counts = confusion_counts(labels, predicted, judged.probabilities.shape[1])
    hits = int(np.trace(counts))
    drawn = pictures.confusion(counts, opened.about.class_names)
    return Section(
        "Confusion matrix",
        f"Of {len(labels):,} test images {hits:,} were read right.",
        "C(t, p) = number of images of class t with argmaxₖ yₖ = p",
        [("confusion", "How many images of each class were taken for which.", drawn)],
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
    drawn = pictures.tiles(_as_picture(judged.split.images[worst]), titles, signed=False)
    return Section(
        "Worst mistakes",
        "The test images that were read wrong, those with the largest error first: true class → "
        "predicted, error.",
        "E = −ln yₜ",
        _numbered("mistakes", drawn, "The worst mistakes"),
    )

"""What R-CNN learns: a network for regions, a classifier per class, a regression per class.

Girshick, Donahue, Darrell and Malik 2014, section 2 and appendices B (examples) and C (regression).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

import jaxcnn
from experiments import data
from experiments.systems.fit import Report, Settings, Task, Trained, fit, predict
from experiments.systems.regions import (
    SIZE,
    Detections,
    Regions,
    detected,
    moved,
    offsets,
    ridge,
)
from experiments.systems.trunk import trunk
from jaxcnn.layers import Activation, Dense, Flatten, MaxPool, Serial, serial
from jaxcnn.ops.activation import relu

CLASSES = 10
# Intersection over union: a region from here on is a digit for the network; below, a negative for
# a classifier; from here on an example for the regression; no more have two detections of a class.
DIGIT, NEGATIVE, CLOSE, APART = 0.5, 0.3, 0.6, 0.3
MARGIN = 1.0  # of the classifiers: a negative above −1 is hard; below −1 nothing is detected
UNLIKELY = 0.01  # a probability below which nothing is detected
FEW = 0.1  # of the negatives, for the first classifiers
NORM, C = 20.0, 1e-3  # of features, and the price of an error, in the paper
RIDGE = 0.1
PRETRAINING = Settings(epochs=10, batch_size=64, learning_rate=4e-3)

Pixels = Float[np.ndarray, "n 32 32 1"]
Function = Callable[[np.ndarray], np.ndarray]


class Detector(NamedTuple):
    """What is learned: scores of features, and for each class shifts of maps.

    Nothing with a score below `least` is detected.
    """

    net: Trained
    scores: Function
    least: float
    shifts: tuple[Function, ...]


def pieces() -> dict[str, Serial]:
    """Maps of 4×4 places, and what is made of them."""
    return {
        "maps": serial(trunk=trunk(16, 32, 64), pool=MaxPool(2), flatten=Flatten()),
        "features": serial(Dense(128), Activation(relu)),
    }


def network(classes: int) -> Serial:
    """Maps, features, and the classes that both are learned for."""
    return serial(**pieces(), output=Dense(classes))


def normalised(pixels: Array) -> Array:
    """(pixel − mean) / std of MNIST, for pixels around [0, 1]."""
    about = data.DATASETS["mnist"]
    return (pixels.astype(jnp.float32) - about.mean[0]) / about.std[0]


def pretrained(digits: data.Split, seed: int) -> Trained:
    """The network after it has learned digits one by one."""

    def prepare(key: Array, batch: dict[str, Array]) -> tuple[Array, Array]:
        pixels = batch["images"].astype(jnp.float32) / 255
        larger = jax.image.resize(pixels, (len(pixels), SIZE, SIZE, 1), "linear")
        return normalised(larger), batch["labels"]

    return fit(
        Task(network(CLASSES), prepare, jaxcnn.softmax_cross_entropy),
        {"images": digits.images, "labels": digits.labels},
        bounded(PRETRAINING, len(digits.labels)),
        key=jax.random.key(seed),
        input_shape=(SIZE, SIZE, 1),
    )


def bounded(settings: Settings, examples: int) -> Settings:
    """The same with batches no larger than all examples."""
    return replace(settings, batch_size=min(settings.batch_size, examples))


def fine_tuned(
    net: Trained,
    regions: Regions,
    pixels: Pixels,
    settings: Settings,
    *,
    seed: int,
    report: Report | None = None,
) -> Trained:
    """The network after it has learned regions, with the background as one class more."""
    label = np.where(regions.overlap.max(1) >= DIGIT, regions.overlap.argmax(1), CLASSES)
    task = Task(
        network(CLASSES + 1),
        lambda key, batch: (normalised(batch["pixels"]), batch["label"]),
        jaxcnn.softmax_cross_entropy,
    )
    key, shape = jax.random.key(seed), (SIZE, SIZE, 1)
    output = task.net.init(key, shape)[0]["output"]
    return fit(
        task,
        {"pixels": pixels, "label": label.astype(np.int32)},
        settings,
        key=key,
        input_shape=shape,
        report=report,
        start_from=Trained({**net.params, "output": output}, net.net_state),
    )


def made_by(net: Trained, pixels: Pixels, *names: str) -> np.ndarray:
    """What the first pieces of the network make of warped regions."""
    first = serial(**{name: pieces()[name] for name in names})
    return predict(first, net, pixels, prepare=normalised)


def learned(
    net: Trained,
    regions: Regions,
    pixels: Pixels,
    *,
    seed: int,
    machines: bool = True,
    hard: bool = True,
) -> Detector:
    """Classifiers and regressions on what the network makes of the regions.

    Without machines the scores are the probabilities that the fine-tuned network gives itself.
    """
    scores, least = probabilities(net), UNLIKELY
    if machines:
        features = made_by(net, pixels, "maps", "features")
        scores, least = classifiers(features, regions, seed=seed, hard=hard), -MARGIN
    (close,) = np.nonzero(regions.overlap.max(1) >= CLOSE)
    maps = made_by(net, pixels[close], "maps")
    by = offsets(regions.box[close], regions.nearest[close])
    label = regions.overlap[close].argmax(1)
    own = [np.flatnonzero(label == number) for number in range(CLASSES)]
    return Detector(net, scores, least, tuple(ridge(maps[rows], by[rows], RIDGE) for rows in own))


def probabilities(net: Trained) -> Function:
    """Of each class, by the layer that the network was fine-tuned with."""
    output = jax.tree.map(np.asarray, net.params["output"])

    def softmax(features: np.ndarray) -> np.ndarray:
        logits = features @ output["weight"] + output["bias"]
        odds = np.exp(logits - logits.max(1, keepdims=True))
        return (odds / odds.sum(1, keepdims=True))[:, :CLASSES]

    return softmax


def classifiers(
    features: Float[np.ndarray, "n d"], regions: Regions, *, seed: int, hard: bool = True
) -> Function:
    """A linear support vector machine per class: with few negatives, then with hard ones too.

    A class's examples are its digits' true boxes, and regions that hardly overlap one. Features are
    scaled to a mean norm of 20, as in the paper, which the constant C belongs to.
    """
    from sklearn.svm import LinearSVC

    scale = NORM / float(np.linalg.norm(features, axis=1).mean())
    features = scale * features
    few = np.random.default_rng(seed).random(len(features)) < FEW
    weights = np.zeros((features.shape[1], CLASSES), np.float32)
    biases = np.zeros(CLASSES, np.float32)
    for label, overlap in enumerate(regions.overlap.T):
        positive, negative = overlap == 1, overlap < NEGATIVE
        used = positive | (negative & few)
        for _ in range(1 + hard):
            machine = LinearSVC(C=C, random_state=seed).fit(features[used], positive[used])
            used |= negative & (machine.decision_function(features) > -MARGIN)
        weights[:, label], biases[label] = machine.coef_[0], np.squeeze(machine.intercept_)
    return lambda features: scale * features @ weights + biases


def found_in(
    detector: Detector, regions: Regions, pixels: Pixels
) -> tuple[Detections, Float[np.ndarray, "n 4"]]:
    """Detections in the regions, and their boxes after the regression."""
    scores = detector.scores(made_by(detector.net, pixels, "maps", "features"))
    found = detected(regions, scores, least=detector.least, most=APART)
    maps = made_by(detector.net, pixels[found.row], "maps")
    box = np.empty_like(found.box)
    for label, shift in enumerate(detector.shifts):
        own = found.label == label
        box[own] = moved(found.box[own], shift(maps[own]))
    return found, box

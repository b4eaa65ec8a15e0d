"""The page of a network: its layers, its numbers and a few images, in one HTML file."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int

from jaxcnn import check
from jaxcnn.layers.base import Layer, Tree, check_pass
from jaxcnn.page.described import Applied, described
from jaxcnn.page.shell import shell

LARGEST = 250_000  # parameters
TITLE = "Back-propagation, step by step"
INTRODUCTION = (
    "Downwards, y of every layer is computed from the image; upwards, its δ = ∂E/∂y is made of the "
    "δ above. Choose any element to see which others made it, through which weights."
)


def page(
    net: Layer,
    params: Tree,
    state: Tree,
    images: Float[ArrayLike, "n *hwc"],
    *,
    labels: Int[ArrayLike, " n"] | None = None,
    targets: Float[ArrayLike, "n *out"] | None = None,
    epochs: Mapping[str, Tree] | None = None,
    names: Sequence[str] | None = None,
    mean: float = 0.0,
    std: float = 1.0,
    ink: int | None = None,
    title: str = TITLE,
    introduction: str = INTRODUCTION,
) -> str:
    """δ⁽ˡ⁻¹⁾ᵢ = Σₒ δ⁽ˡ⁾ₒ ∂y⁽ˡ⁾ₒ/∂x⁽ˡ⁾ᵢ, element by element, in a browser: an HTML file, as text.

    It shows what `jaxcnn.backprop` computes outside training, in float64 from the parameters in
    float32. δ at the output is that of the softmax's cross-entropy with a class, of ½ Σ (y − t)²
    where there are targets, or 1 at a single output.
    Source: Huang, "BP Algorithm summary"; Ray, "Putting it all together".

    Args:
        net: layers one after the other: convolutions, dense layers, poolings, flattening, scales;
            rectifiers, tanh, sigmoids.
        params: its parameters, 250,000 numbers at most.
        state: its state.
        images: at least one, as the network takes them.
        labels: the class of each image, for networks that return one number per class.
        targets: what the output of each image is compared with.
        epochs: parameters at earlier times, in order, each under a name for a slider, such as
            "after epoch 3"; it ends with `params`.
        names: of the classes; by default their numbers.
        mean, std: an image's numbers are (pixel − mean) / std, pixels being from 0 to 1.
        ink: how long drawings are made, in pixels, their mass being put into the middle; by default
            they stay as they are drawn.
        title, introduction: what stands above all.

    Raises:
        TypeError: net is no network, or an argument of the wrong kind.
        ValueError: the page cannot compute a layer, which is named, or there are too many
            parameters; or arguments do not fit each other.
    """
    check_pass("page", params, state, None, False)
    _check_words(epochs, names, title, introduction)
    x = check.float_array("page", "images", images)
    layers, outputs = described(net, params, state, x)
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(params))
    if size > LARGEST:
        raise ValueError(f"page: params must hold {LARGEST:,} numbers at most, got {size:,}")
    kept = {name: described(net, tree, state, x[:1])[0] for name, tree in (epochs or {}).items()}
    data = {
        "shape": x.shape[1:],
        "layers": [{**layer.about, "sizes": _sizes(layer)} for layer in layers],
        "epochs": [
            {"name": name, "numbers": _packed(*_arrays(chain))}
            for name, chain in [*kept.items(), ("at the end", layers)]
        ],
        "images": [_packed(image) for image in x],
        **_wanted(labels, targets, names, x, jnp.asarray(outputs[-1])),
        "mean": check.number("page", "mean", mean),
        "std": check.positive("page", "std", std),
        "ink": None if ink is None else check.integer("page", "ink", ink, minimum=1),
    }
    return shell(title, introduction, Path(__file__).with_name("network.js"), data)


def _check_words(epochs: Any, names: Any, title: Any, introduction: Any) -> None:
    """Raise unless these are what a page can say, and times that it can be said of."""
    for name, value in (("title", title), ("introduction", introduction)):
        if not isinstance(value, str):
            raise TypeError(f"page: {name} must be text, got {check.shown(value)}")
    if names is not None and not (isinstance(names, str) or check.is_sequence(names)):
        raise TypeError(f"page: names must be a sequence of texts, got {check.shown(names)}")
    if epochs is not None and not isinstance(epochs, Mapping):
        raise TypeError(f"page: epochs must be a dict of parameters, got {check.shown(epochs)}")
    for name, tree in (epochs or {}).items():
        if not isinstance(tree, Mapping):
            raise TypeError(
                f"page: epochs must hold dicts of parameters, got {check.shown(tree)} for {name!r}"
            )


def _wanted(labels: Any, targets: Any, names: Any, x: Array, y: Array) -> dict[str, Any]:
    """What the output is to be, as far as that is known."""
    found: dict[str, Any] = {"labels": None, "targets": None, "names": None}
    if labels is not None:
        labels = check.integer_array("page", "labels", labels)
        check.shape("page", "labels", labels, x.shape[:1])
        found["labels"] = check.labels("page", "labels", labels, y.shape, None).tolist()
    if targets is not None:
        wanted = check.float_array("page", "targets", targets)
        check.shape("page", "targets", wanted, y.shape)
        found["targets"] = [_packed(target) for target in wanted]
    if names is not None:
        if len(names) != y.shape[-1] or y.ndim != 2:
            raise ValueError(
                f"page: names must be one for each output of shape {y.shape[1:]}, got {len(names)}"
            )
        found["names"] = list(map(str, names))
    return found


def _arrays(layers: Sequence[Applied]) -> list[np.ndarray]:
    return [array for layer in layers for array in layer.arrays.values()]


def _sizes(layer: Applied) -> dict[str, int]:
    return {name: array.size for name, array in layer.arrays.items()}


def _packed(*arrays: Any) -> str:
    """Their numbers one after the other, as float32 in base64."""
    whole = np.concatenate([np.zeros(0), *(np.ravel(array) for array in arrays)])
    return base64.b64encode(whole.astype("<f4").tobytes()).decode("ascii")

"""What happens in every layer: outputs, δ, what a unit responds to, what it sees.

A network is followed along its spine: chains are taken apart, branches are one layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, PyTree

import jaxcnn
from experiments.looking.opened import Opened
from jaxcnn.layers import Activation, Branches, Layer, Leaf, Serial
from jaxcnn.layers.combinators import Combinator


class Stage(NamedTuple):
    """A layer of the spine, under its name, with what it was trained to."""

    name: str
    layer: Layer
    params: PyTree
    state: PyTree

    def __call__(self, x: Array) -> Array:
        """The layer's output, out of training."""
        return self.layer.apply(self.params, self.state, x)[0]


class Looked(NamedTuple):
    """Of one image, as arrays of JAX or of NumPy.

    outputs: of every stage. deltas: δ at these outputs. probabilities: the logits' softmax.
    input_delta: δ at the image. saliency: the derivative of the class's logit in the image.
    """

    outputs: dict[str, Any]
    deltas: dict[str, Any]
    probabilities: Any
    input_delta: Any
    saliency: Any


def spine(opened: Opened) -> list[Stage]:
    """The layers one after the other."""
    return list(_spine("", opened.net, opened.params, opened.state))


def _spine(path: str, net: Layer, params: PyTree, state: PyTree) -> Iterator[Stage]:
    if not isinstance(net, Serial):
        yield Stage(path, net, params, state)
        return
    for name, layer in net.children:
        inner = f"{path}/{name}" if path else name
        yield from _spine(inner, layer, params.get(name, {}), state.get(name, {}))


def look(opened: Opened, x: Float[Array, "1 h w c"], label: Int[Array, "1"]) -> Looked:
    """Forward, then back from the cross-entropy of that class by `jaxcnn.backprop`."""
    outputs, signal = {}, x
    for stage in spine(opened):
        outputs[stage.name] = signal = stage(signal)
    back = jaxcnn.backprop(
        opened.net, opened.params, opened.state, x, label, jaxcnn.softmax_cross_entropy, train=False
    )
    deltas = {
        stage.name: _delta(stage.layer, _at(back.deltas, stage.name)) for stage in spine(opened)
    }

    def logit(x: Array) -> Array:
        logits = opened.net.apply(opened.params, opened.state, x)[0]
        return logits[0, label[0]]

    saliency = jax.grad(logit)(x)
    return Looked(outputs, deltas, jaxcnn.softmax(signal), back.input_delta, saliency)


def _at(tree: Any, path: str) -> Any:
    for name in path.split("/"):
        tree = tree[name]
    return tree


def _delta(layer: Layer, deltas: Any) -> Array:
    """δ at the output of a layer, from what `jaxcnn.backprop` says of the leaves in it."""
    if isinstance(layer, Leaf):
        return deltas
    assert isinstance(layer, Combinator)
    if isinstance(layer, Serial):
        name, last = layer.children[-1]
        return _delta(last, deltas[name])
    parts = [_delta(child, deltas[name]) for name, child in layer.children]
    joined = isinstance(layer, Branches) and layer.merge == "concatenate"
    return jnp.concatenate(parts, -1) if joined else parts[0]


def maps_of(opened: Opened, x: Array) -> list[str]:
    """Names of the convolutions: stages with a kernel whose output is made of maps."""
    names, signal = [], jax.ShapeDtypeStruct(x.shape, x.dtype)
    for stage in spine(opened):
        signal = jax.eval_shape(stage, signal)
        if signal.ndim == 4 and "kernel" in stage.params:
            names.append(stage.name)
    return names


def up_to(opened: Opened, name: str) -> list[Stage]:
    """The stages up to and with that one."""
    stages = spine(opened)
    names = [stage.name for stage in stages]
    return stages[: names.index(name) + 1]


# What a unit responds to --------------------------------------------------------------------------


def deconvolved(
    opened: Opened, name: str, x: Float[Array, "1 h w c"]
) -> tuple[Float[Array, "d h w c"], Int[Array, "d 2"]]:
    """Each map's strongest activation, taken back to the pixels; and where on the map it is.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks": the layers in
    reverse, each by its adjoint: convolutions by their input gradient, poolings by unpooling at
    their switches. Rectifiers are applied to what comes down, not to what once went up.
    """
    stages, inputs, signal = up_to(opened, name), [], x
    for stage in stages:
        inputs.append(signal)
        signal = stage(signal)
    _, h, w, maps = signal.shape
    flat = signal[0].reshape(h * w, maps)
    places = jnp.argmax(flat, 0)
    chosen = jax.nn.one_hot(places, h * w, dtype=x.dtype) * flat.max(0)[:, None]
    back = chosen.T.reshape(h, w, maps, 1) * jnp.eye(maps, dtype=x.dtype)[None, None]

    def down(start: Array) -> Array:
        signal = start[None]
        for stage, before in zip(reversed(stages), reversed(inputs), strict=True):
            if isinstance(stage.layer, Activation):
                signal = jaxcnn.relu(signal).reshape(before.shape)
            else:
                (signal,) = jax.vjp(stage, before)[1](signal)
        return signal[0]

    pictures = jax.vmap(down, in_axes=2)(back)
    return pictures, jnp.stack([places // w, places % w], -1)


def maximised(
    opened: Opened, name: str, shape: tuple[int, int, int], steps: int = 80
) -> Float[Array, "d h w c"]:
    """For every unit an image that excites it: gradient ascent from faint noise.

    A unit is the middle of a map, or an element of a vector. Steps have length one; the image
    shrinks a little at each and is blurred at every fourth, which keeps out what no eye would see.
    """
    stages = up_to(opened, name)

    def output(x: Array) -> Array:
        for stage in stages:
            x = stage(x)
        return x

    def response(x: Array, unit: Array) -> Array:
        signal = output(x[None])
        if signal.ndim == 4:
            signal = signal[:, signal.shape[1] // 2, signal.shape[2] // 2]
        return signal[0, unit]

    units = jax.eval_shape(output, jax.ShapeDtypeStruct((1, *shape), jnp.float32)).shape[-1]
    start = 0.1 * jax.random.normal(jax.random.key(0), shape, jnp.float32)
    blur = jnp.asarray([0.1, 0.8, 0.1], jnp.float32)
    window = (blur[:, None] * blur[None, :])[:, :, None, None]
    window = jnp.tile(window, (1, 1, 1, shape[-1]))

    def ascend(unit: Array) -> Array:
        def step(x: Array, number: Array) -> tuple[Array, None]:
            gradient = jax.grad(response)(x, unit)
            x = 0.98 * x + gradient / (jnp.sqrt((gradient**2).sum()) + 1e-6)
            soft = jaxcnn.depthwise_conv(x[None], window, padding="SAME")[0]
            return jnp.where(number % 4 == 3, soft, x), None

        return lax.scan(step, start, jnp.arange(steps, dtype=jnp.int32))[0]

    return lax.map(ascend, jnp.arange(units, dtype=jnp.int32))


# What a unit sees ---------------------------------------------------------------------------------


def receptive_field(
    opened: Opened, name: str, shape: tuple[int, int, int], place: tuple[int, int]
) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) of the pixels on which a unit at that place of a map depends.

    Found by differentiating: the pixels in which any map's derivative is not zero, for any of many
    random images, since a rectifier or a maximum hides some for each of them.
    """
    stages = up_to(opened, name)

    def response(x: Array) -> Array:
        signal = x[None]
        for stage in stages:
            signal = stage(signal)
        return jnp.sum(signal[0, place[0], place[1]] ** 2)

    draws = jax.random.normal(jax.random.key(0), (64, *shape), jnp.float32)
    found = np.asarray(jax.jit(jax.vmap(jax.grad(response)))(draws))
    touched = np.abs(found).max((0, 3)) > 0
    (rows,), (columns,) = (np.nonzero(touched.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

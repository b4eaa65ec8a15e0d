"""Units of a network: what excited them, what would excite them most, and what they see."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int

import jaxcnn
from experiments.looking.layers import Stage, every_layer, spine
from experiments.looking.opened import Opened
from jaxcnn import layers
from jaxcnn.layers import Activation, Branches


def maps_of(opened: Opened, x: Array) -> list[str]:
    """Names of what makes maps: the convolutions on the spine, and the last of its branches."""
    convolutions, branches, signal = [], [], jax.ShapeDtypeStruct(x.shape, x.dtype)
    for stage in spine(opened):
        signal = jax.eval_shape(stage, signal)
        if signal.ndim != 4:
            continue
        if isinstance(stage.layer, Branches):
            branches = [stage.name]
        elif {"kernel", "weights"} & set(stage.params):
            convolutions.append(stage.name)
    return convolutions + branches


def up_to(opened: Opened, name: str) -> list[Stage]:
    """The stages of the spine up to and with that one."""
    stages = spine(opened)
    names = [stage.name for stage in stages]
    return stages[: names.index(name) + 1]


# What excites a unit ------------------------------------------------------------------------------


def deconvolved(
    opened: Opened, name: str, x: Float[Array, "1 h w c"]
) -> tuple[Float[Array, "d h w c"], Int[Array, "d 2"]]:
    """Each map's strongest activation, taken back to the pixels; and where on the map it is.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks": the layers in
    reverse, each by its adjoint: convolutions by their input gradient, poolings by unpooling at
    their switches. Rectifiers are applied to what comes down, not to what once went up.
    """
    rules = {
        stage.layer.rule: jaxcnn.with_backward(stage.layer.rule, _rectified)
        for stage in every_layer(opened)
        if isinstance(stage.layer, Activation)
    }
    net = jaxcnn.swap_rules(layers.up_to(opened.net, name), rules)
    signal, pull = jax.vjp(lambda x: net.apply(opened.params, opened.state, x)[0], x)
    _, h, w, maps = signal.shape
    flat = signal[0].reshape(h * w, maps)
    places = jnp.argmax(flat, 0)
    chosen = jax.nn.one_hot(places, h * w, dtype=x.dtype) * flat.max(0)[:, None]
    back = chosen.T.reshape(h, w, maps, 1) * jnp.eye(maps, dtype=x.dtype)[None, None]
    pictures = jax.vmap(lambda start: pull(start[None])[0][0], in_axes=2)(back)
    return pictures, jnp.stack([places // w, places % w], -1)


def _rectified(delta: Array, *others: Any) -> Array:
    """Of every activation, whichever it is."""
    return jaxcnn.relu(delta)


def maximised(
    opened: Opened, name: str, shape: tuple[int, int, int], *, steps: int = 80, most: int = 32
) -> Float[Array, "d h w c"]:
    """For each of the first units an image that excites it: gradient ascent from faint noise.

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

    return lax.map(ascend, jnp.arange(min(units, most), dtype=jnp.int32))


# What a unit sees ---------------------------------------------------------------------------------


def receptive_field(
    opened: Opened, name: str, shape: tuple[int, int, int], place: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of the pixels on which a unit at that place of a map depends.

    None if it depends on none, in a network whose rectifiers have died. Found by differentiating:
    the pixels in which any map's derivative is not zero, for any of many random images, since a
    rectifier or a maximum hides some for each of them.
    """
    stages = up_to(opened, name)

    def response(x: Array) -> Array:
        signal = x[None]
        for stage in stages:
            signal = stage(signal)
        return jnp.sum(signal[0, place[0], place[1]] ** 2)

    dtype = next((leaf.dtype for leaf in jax.tree.leaves(opened.params)), jnp.float32)
    draws = jax.random.normal(jax.random.key(0), (64, *shape), dtype)
    found = np.asarray(jax.jit(jax.vmap(jax.grad(response)))(draws))
    touched = np.abs(found).max((0, 3)) > 0
    if not touched.any():
        return None
    (rows,), (columns,) = (np.nonzero(touched.any(axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

"""What is fixed for a whole run, and what every step changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

import jaxcnn
from experiments.augment import Ranges
from experiments.command_line.options import Augmentation
from experiments.training.precision import LossScale, initial_scale
from experiments.training.schedules import library_promotion

RULES = ("hand", "explicit", "autodiff")


class TrainState(NamedTuple):
    """All that a step changes; None stands for what the recipe does without.

    average: moving averages of (params, net_state). scale: of the loss, for float16. factor: of the
    learning rate, which follows the validation accuracy between epochs.
    """

    params: PyTree
    net_state: PyTree
    opt_state: PyTree
    average: PyTree = None
    scale: LossScale | None = None
    factor: Array | None = None


class Metrics(NamedTuple):
    """Of one step or of an epoch's steps, with augmentation and while the parameters change."""

    loss: Float[Array, "*steps"]
    correct: Int[Array, "*steps"]


class Plan(NamedTuple):
    """What is random in an epoch, and where in the run it begins.

    order: the images of every step. key: of all else that is random in the epoch. run_key: of what
    stays the same in all of them. epoch, start: number of the epoch and steps before it.
    """

    order: Int[Array, "steps batch"]
    key: Key[Array, ""]
    run_key: Key[Array, ""]
    epoch: Int[Array, ""]
    start: Int[Array, ""]


@dataclass(frozen=True)
class Averaging:
    """kind: "none", "ema" or "lookahead". decay: at each step, of the first. steps: of the run."""

    kind: str = "none"
    decay: float = 0.999
    steps: int = 1


@dataclass(frozen=True)
class Recipe:
    """What is fixed for a whole run.

    dtype is that of the parameters, compute that of the arithmetic. rate is the schedule, for what
    has to show it. signals: whether the network reads an image as one long row. mesh: the devices
    that share each batch. compiler_options: "recommended", those of `jaxcnn.compiler_options()`, or
    "default", XLA's own.
    """

    net: Any
    optimiser: optax.GradientTransformation
    batch_size: int
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    classes: int = 10
    rules: str = "hand"
    augmentation: Augmentation = Augmentation()  # noqa: RUF009  # frozen
    dtype: Any = jnp.float32
    compute: Any = None
    rate: Callable[[Any], Any] | None = None
    label_smoothing: float = 0.0
    accumulate: int = 1
    averaging: Averaging = Averaging()
    plateau: bool = False
    tta: str = "none"
    signals: bool = False
    mesh: Mesh | None = None
    compiler_options: str = "recommended"

    @property
    def arithmetic(self) -> Any:
        """The dtype that the network computes in."""
        return jnp.dtype(self.dtype if self.compute is None else self.compute)

    @property
    def mixed(self) -> bool:
        """Whether the network computes in another dtype than that of its parameters."""
        return self.arithmetic != jnp.dtype(self.dtype)

    @property
    def ranges(self) -> Ranges:
        """What the affine warp is given."""
        a = self.augmentation
        return Ranges(a.rotation, a.zoom, a.scale, a.shear, a.stretch, a.translation)


def initial_state(recipe: Recipe, key: Key[Array, ""], shape: tuple[int, ...]) -> TrainState:
    """For images of this shape, without a batch axis.

    Drawn in float32 whatever the dtype, so that both precisions start at the same point.
    """
    drawn = recipe.net.init(key, shape, dtype=jnp.float32)
    params, net_state = jax.tree.map(lambda leaf: leaf.astype(recipe.dtype), drawn)
    with library_promotion():
        opt_state = recipe.optimiser.init(params)
    average = None
    if recipe.averaging.kind != "none":
        average = jax.tree.map(jnp.copy, (params, net_state))  # copies: buffers are given away
    return TrainState(
        params,
        net_state,
        opt_state,
        average,
        initial_scale() if recipe.arithmetic == jnp.float16 else None,
        jnp.asarray(1, jnp.float32) if recipe.plateau else None,
    )


def network_of(recipe: Recipe) -> Any:
    """The recipe's network; for "autodiff" its plain twin."""
    if recipe.rules not in RULES:
        raise ValueError(f"rules must be one of {', '.join(RULES)}, got {recipe.rules!r}")
    return jaxcnn.autodiff_twin(recipe.net) if recipe.rules == "autodiff" else recipe.net


def evaluated(state: TrainState, averaging: Averaging) -> tuple[PyTree, PyTree]:
    """(params, net_state) that a run is judged by: the moving average, where there is one.

    Lookahead ends with its slow parameters; in between the fast ones are as good.
    """
    if averaging.kind == "ema":
        return state.average
    return state.params, state.net_state

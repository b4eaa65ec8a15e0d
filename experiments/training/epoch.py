"""Steps in a row: scanned on the device, or looped over on the host; predictions are elsewhere.

A small data set lives on the device as uint8. Epoch e is a function of (state, seed, e): its
permutation and augmentation follow from keys that `fold_in` makes of e, so that nothing depends on
what ran before. Each epoch has its own permutation, whose last, partial batch is dropped: an image
that one epoch leaves out comes in the next ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Key

import jaxcnn
from experiments.training.devices import within
from experiments.training.recipe import Metrics, Plan, Recipe, TrainState
from experiments.training.step import make_step
from jaxcnn.compilation import Jitted

# Apart from every epoch's number: what is drawn with it is the same in all epochs.
RUN = 2**32 - 1
# Steps from one look at a run to the next.
LONGEST = 100


class Segment(NamedTuple):
    """Steps first … first + count − 1 of an epoch; epochs count from 1, steps from 0."""

    epoch: int
    first: int
    count: int


def segments(
    steps: int, epoch_steps: int, done: int = 0, longest: int | None = None
) -> Iterator[Segment]:
    """What is left of a run of so many steps, of which some are done; no segment spans epochs."""
    longest = epoch_steps if longest is None else longest
    while done < steps:
        epoch, first = divmod(done, epoch_steps)
        last = min(epoch_steps, steps - epoch * epoch_steps)
        # Resumed or not, segments begin at the same steps.
        end = min((first // longest + 1) * longest, last)
        # A scan of a single step is compiled like no other, and rounds otherwise.
        end = last if longest > 1 and last - end == 1 else end
        yield Segment(epoch + 1, first, end - first)
        done = epoch * epoch_steps + end


def usual_segment(epoch_steps: int) -> int:
    """Steps between two looks at a run: what divides an epoch into equal parts of 50 to 100 steps.

    Where nothing does, 100, and the rest: that is a second program to compile.
    """
    if epoch_steps <= LONGEST:
        return epoch_steps
    fitting = (count for count in range(LONGEST, LONGEST // 2 - 1, -1) if epoch_steps % count == 0)
    return next(fitting, LONGEST)


def plan_epoch(key: Key[Array, ""], epoch, images: int, batch_size: int) -> Plan:
    """The order of the images in this epoch, and the key of all else that is random in it."""
    order_key, step_key = jax.random.split(jax.random.fold_in(key, epoch))
    steps = images // batch_size
    order = jax.random.permutation(order_key, jnp.arange(images, dtype=jnp.int32))
    order = order[: steps * batch_size].reshape(steps, batch_size)
    epoch = jnp.asarray(epoch, jnp.int32)
    return Plan(order, step_key, jax.random.fold_in(key, RUN), epoch, (epoch - 1) * steps)


def jitted(f: Callable[..., Any], recipe: Recipe, **settings: Any) -> Jitted:
    """The function, jitted with the recipe's compiler options."""
    options = None if recipe.compiler_options == "recommended" else {}
    return jaxcnn.jit(f, compiler_options=options, **settings)


def compiled(f: Callable[..., Any], recipe: Recipe, *arguments: Any, donate: bool = False) -> Any:
    """The function, compiled for these arguments; the first one's buffers may be given away."""
    with within(recipe.mesh):
        program = jitted(f, recipe, donate_argnums=0 if donate else ())
        return program.lower(*arguments).compile()


class Batches(Protocol):
    """Where the images of each step come from.

    `read` gives images and labels of every step, on the device: batches, or the whole data set.
    """

    @property
    def streamed(self) -> bool:
        """Whether `read` gives batches."""
        ...

    @property
    def images(self) -> int:
        """How many there are."""
        ...

    def read(self, segment: Segment, order: np.ndarray | None) -> Iterator[tuple[Array, Array]]:
        """Images and labels of every step of the segment; the order is the plan's."""
        ...

    def example(self) -> tuple[Any, Any]:
        """What `read` yields, or arrays of its shape and dtype."""
        ...


@dataclass(frozen=True)
class Resident:
    """A data set that lives on the device, whole."""

    pixels: Array
    labels: Array
    streamed: bool = False

    @property
    def images(self) -> int:
        """How many there are."""
        return self.pixels.shape[0]

    def read(self, segment: Segment, order: np.ndarray | None) -> Iterator[tuple[Array, Array]]:
        """All images, for each step."""
        del order
        for _ in range(segment.count):
            yield self.pixels, self.labels

    def example(self) -> tuple[Array, Array]:
        """All images."""
        return self.pixels, self.labels


def scanned(recipe: Recipe) -> Callable[..., tuple[TrainState, Metrics]]:
    """epoch(state, images, labels, key, number, indices): these steps in one `lax.scan`."""
    step = make_step(recipe)

    def epoch(state, images, labels, key, number, indices):
        plan = plan_epoch(key, number, images.shape[0], recipe.batch_size)
        return lax.scan(lambda s, i: step(s, images, labels, plan, i), state, indices)

    return epoch


@dataclass
class Scanned:
    """advance(state, segment) → state, metrics: one call to the device, which reuses the state."""

    recipe: Recipe
    batches: Resident
    key: Array
    programs: dict[int, Any] = field(default_factory=dict)

    def compile(self, state: TrainState, count: int) -> None:
        """Be ready for segments of so many steps."""
        if count not in self.programs:
            example = self.batches.example()
            self.programs[count] = compiled(
                scanned(self.recipe), self.recipe, state, *example, self.key,
                np.int32(0), np.arange(count, dtype=np.int32), donate=True,
            )  # fmt: skip

    def __call__(self, state: TrainState, segment: Segment) -> tuple[TrainState, Metrics]:
        """Run the segment's steps."""
        self.compile(state, segment.count)
        indices = np.arange(segment.first, segment.first + segment.count, dtype=np.int32)
        with within(self.recipe.mesh):
            state, metrics = self.programs[segment.count](
                state, *self.batches.example(), self.key, np.int32(segment.epoch), indices
            )
        return state, jax.device_get(metrics)


@dataclass
class Looped:
    """The same as a loop on the host over compiled steps: same step function, plan, keys."""

    recipe: Recipe
    batches: Batches
    key: Array
    programs: dict[str, Any] = field(default_factory=dict)

    def compile(self, state: TrainState, count: int) -> None:
        """Be ready for segments of any length."""
        del count
        if self.programs:
            return
        size = self.recipe.batch_size
        plan = partial(plan_epoch, images=self.batches.images, batch_size=size)
        self.programs["plan"] = compiled(plan, self.recipe, self.key, np.int32(0))
        step = make_step(self.recipe, self.batches.streamed)
        arguments = *self.batches.example(), self.plan(1), np.int32(0)
        self.programs["step"] = compiled(step, self.recipe, state, *arguments, donate=True)

    def plan(self, epoch: int) -> Plan:
        """What is random in the epoch."""
        with within(self.recipe.mesh):
            return self.programs["plan"](self.key, np.int32(epoch))

    def steps(self, segment: Segment) -> Iterator[tuple[Array, Array, Plan, np.int32]]:
        """What each step is given besides the state."""
        plan = self.plan(segment.epoch)
        order = np.asarray(plan.order) if self.batches.streamed else None
        read = self.batches.read(segment, order)
        for index, (images, labels) in enumerate(read, start=segment.first):
            yield images, labels, plan, np.int32(index)

    def __call__(self, state: TrainState, segment: Segment) -> tuple[TrainState, Metrics]:
        """Run the segment's steps."""
        self.compile(state, segment.count)
        each = []
        for arguments in self.steps(segment):
            with within(self.recipe.mesh):
                state, metrics = self.programs["step"](state, *arguments)
            each.append(metrics)
        return state, jax.tree.map(lambda *values: np.stack(values), *jax.device_get(each))


Advance = Scanned | Looped


def make_advance(recipe: Recipe, batches: Any, key: Array) -> Advance:
    """The faster of the two forms; they give the same numbers, to rounding.

    On the CPU the kernel gradient that JAX derives is a convolution with unusual dimension numbers,
    which XLA runs some 70 times slower inside a `lax.scan` than in a single step (measured with
    four convolutions: 182 ms a step, scanned 6.2 s). The hand-written rules state it as an ordinary
    convolution and may be scanned; autodiff is given the loop, in which it is at its best. So are
    images that do not all fit on the device.
    """
    if recipe.rules == "autodiff" or batches.streamed:
        return Looped(recipe, batches, key)
    return Scanned(recipe, batches, key)

"""A case: a public operation of jaxcnn at one set of arguments, as a function to be checked."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxcnn as jc
from jaxcnn.ops import rule_of

# All numbers are drawn by NumPy: JAX would compile a program for every shape.
Shapes = Mapping[str, tuple[int, ...]]
Draw = Callable[[np.random.Generator], Any]


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal numbers."""
    return generator.standard_normal(shape)


def apart(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in (−2, 2), no two alike and none near 0: no difference steps across a kink."""
    size = math.prod(shape)
    places = size + size % 2  # of an odd number of places the middle one would be 0
    return ((generator.permutation(places)[:size] + 0.5) * (4 / places) - 2).reshape(shape)


def whole(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers from −3 to 6 in turn: where activations have their kinks."""
    del generator
    return np.resize(np.arange(-3.0, 7.0), shape)


def levels(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Zeros and ones: many ties."""
    return generator.integers(0, 2, shape).astype(float)


def distribution(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Positive numbers that sum to one along the last axis."""
    numbers = generator.uniform(0.1, 1, shape)
    return numbers / numbers.sum(-1, keepdims=True)


def label_array(classes: int, shape: tuple[int, ...]) -> Draw:
    """Draws labels."""
    return lambda generator: generator.integers(0, classes, shape, np.int32)


def switch_array(taps: int, shape: tuple[int, ...]) -> Draw:
    """Draws switches."""
    return lambda generator: generator.integers(0, taps, shape, np.uint8)


def random_key(generator: np.random.Generator) -> Array:
    """Draws a key of jax.random."""
    return jax.random.key(int(generator.integers(2**31)))


@dataclass(frozen=True)
class Case:
    """An operation at one set of arguments: arrays to differentiate, fixed arrays, settings."""

    op: Callable[..., Any]
    shapes: Shapes
    settings: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Draw] = field(default_factory=dict)
    draw: Mapping[str, Callable[..., np.ndarray]] = field(default_factory=dict)
    output: int | None = None
    """Which result to look at, where there are several."""
    as_one: str | None = None
    """The name of the one argument that takes all the arrays, as a tuple."""
    multilinear: bool = False
    """Whether a central difference of any step is exact."""
    kinked: bool = False
    """Whether the arrays must keep a distance from each other and from zero."""
    on_kinks: bool = False
    """Whether they lie where a convention decides: no difference is near, nor a second order."""

    @property
    def name(self) -> str:
        """For people: the operation, its shapes and settings."""
        shapes = " ".join("×".join(map(str, shape)) for shape in self.shapes.values())
        settings = " ".join(
            f"{key}={getattr(value, '__name__', value)}" for key, value in self.settings.items()
        )
        return f"{self.op.__name__} {shapes} {settings}".strip().replace("'", "")

    def arrays(self, dtype: Any = jnp.float64, seed: int = 0) -> list[Array]:
        """The arrays to differentiate by, drawn at unit scale."""
        generator = np.random.default_rng(seed)
        default = apart if self.kinked else normal
        return [
            jnp.asarray(self.draw.get(name, default)(generator, shape), dtype)
            for name, shape in self.shapes.items()
        ]

    def given(self, seed: int = 1) -> dict[str, Any]:
        """The arrays that are not to be differentiated by: labels, switches, keys."""
        generator = np.random.default_rng(seed)
        return {name: draw(generator) for name, draw in self.fixed.items()}

    def function(self, *, twin: bool = False, seed: int = 1) -> Callable[..., Array]:
        """The operation, or its twin, as a function of the arrays alone."""
        op = jc.autodiff_twin(self.op) if twin else self.op
        fixed = self.given(seed)

        def of_arrays(*arrays: Array) -> Array:
            named = dict(zip(self.shapes, arrays, strict=True))
            if self.as_one is not None:
                named = {self.as_one: arrays}
            y = op(**named, **fixed, **self.settings)
            return y if self.output is None else y[self.output]

        return of_arrays

    def differences(self, dtype: Any = jnp.float64) -> dict[str, Any]:
        """The arguments of `check_gradients` that say how central differences are taken here."""
        if self.on_kinks:
            return {"difference_tolerance": None}
        narrow = jnp.finfo(dtype).bits < 64
        if self.multilinear:
            return {"difference_tolerance": 1e-4 if narrow else 1e-12, "step": 1.0}
        return {"difference_tolerance": 2e-2 if narrow else 1e-6}

    @property
    def rule(self) -> Callable[..., Any]:
        """The hand-written rule behind the operation."""
        return rule_of(self.op)

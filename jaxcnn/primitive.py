"""What JAX sees of a rule: one primitive, `by_hand`, whose parameter is a map.

A map is a function of arrays that knows how its results move and how gradients come back. There are
three: a rule applied; its tangent, linear in how the arguments move, which the rule's backward pass
transposes; and either of the two under `jax.vmap`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

import jax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir

from jaxcnn import hints
from jaxcnn.applications import all_given, kept_applications, not_given
from jaxcnn.lowering.sharding import as_jax_can, sharded_as
from jaxcnn.mapped import Mapped, known_to_jax
from jaxcnn.tangents import (
    Dot,
    gradient_like,
    gradients_of,
    has_tangent,
    kept_with,
    moves,
    tangent_type,
    tangents_of,
)

Function = Callable[..., Any]


def apply(rule: Any, settings: tuple[Any, ...], arrays: Sequence[Any]) -> Any:
    """The rule's function, of settings and other arguments."""
    leaves, structure = jax.tree.flatten(arrays)
    application = rule.applications(settings, structure)
    bind = partial(by_hand_p.bind, map=application)
    if "plain" in hints.forms.value and hints.noted.value is None:
        bind = application.known_to_jax
    outputs = as_jax_can(bind, leaves)
    return application.result.unflatten(outputs)


@dataclass(frozen=True, eq=False)
class _Application:
    """A rule applied with certain settings, to arguments of a certain structure."""

    rule: Any
    settings: tuple[Any, ...]
    structure: Any
    hints: hints.Hints
    found: dict[str, Any] = field(default_factory=dict)
    is_tangent: ClassVar[bool] = False

    def __repr__(self) -> str:
        return self.rule.__name__

    @property
    def application(self) -> "_Application":
        return self

    @cached_property
    def programs(self) -> Function:
        """What is called outside `jit`: a map, or another function of the application, jitted."""
        return lru_cache(maxsize=256)(jax.jit)

    @cached_property
    def traces(self) -> Function:
        """The program of a map for arguments of certain types, traced where it is applied."""

        @lru_cache(maxsize=256)
        def traced(map: Any, types: tuple[Any, ...]) -> Any:
            # make_jaxpr, unlike eval_shape, keeps how types are sharded and what they vary over.
            # JAX would keep the program as long as what is traced: that is not the map itself.
            return all_given(map, jax.make_jaxpr(lambda *args: map(*args))(*types))

        return traced

    @cached_property
    def known_to_jax(self) -> Function:
        """The map without the primitive, for other tools."""
        return known_to_jax(self)

    @property
    def result(self) -> Any:
        """The structure of what the function returns; known once it has been traced."""
        return self.found["structure"]

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """Those of the rule."""
        return self.rule.arguments(self.settings, self.structure.unflatten(leaves))

    def __call__(self, *args: Any) -> list[Any]:
        with hints.given(self.hints):
            y = self.rule.fun(*self.arguments(args))
        leaves, self.found["structure"] = jax.tree.flatten(y)
        return leaves

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        y, residuals = self.forward(primals)
        outputs, self.found["structure"] = jax.tree.flatten(y)
        types = tuple(map(tangent_type, outputs))
        moving = tuple(map(moves, tangents))
        if not any(moving):
            return outputs, list(map(ad.Zero, types))
        kept, structure = jax.tree.flatten(residuals)
        tangent = _Tangent(self, structure, tuple(map(tangent_type, primals)), moving, types)
        dots = [dot for dot, moved in zip(tangents, moving, strict=True) if moved]
        moved = iter(by_hand_p.bind(*kept, *dots, map=tangent))
        return outputs, [next(moved) if has_tangent(t) else ad.Zero(t) for t in types]

    def transpose(self, deltas: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        unknown = tuple(i for i, arg in enumerate(args) if ad.is_undefined_primal(arg))
        counts = [child.num_leaves for child in self.structure.children()]
        argument = [i for i, count in enumerate(counts) for _ in range(count)]
        asked = {argument[i] for i in unknown}
        linear = (*self.rule.linear, *self.rule.affine)
        if len(asked) > 1 or not asked <= set(linear):
            raise TypeError(
                f"{self.rule.__name__}: only a map that is linear in one argument has a transpose "
                f"in it, got arguments {sorted(asked)} of a map linear in {linear}"
            )
        # Where it is linear, the backward pass is the same everywhere: at 0, for example.
        known = [
            ad.instantiate_zeros(ad.Zero(a.aval)) if i in unknown else a for i, a in enumerate(args)
        ]
        pullback = self.programs(_Pullback(self, unknown))  # leaves out what other gradients need
        gradients = iter(pullback([ad.instantiate_zeros(d) for d in deltas], known))
        return [
            gradient_like(self, next(gradients), a.aval) if i in unknown else None
            for i, a in enumerate(args)
        ]

    def forward(self, leaves: Sequence[Any]) -> tuple[Any, Any]:
        """The forward pass: what the rule returns, and residuals."""
        if self.rule.fwd is None:
            raise TypeError(f"{self}: derivatives need a backward pass, given by defvjp; got none")
        with hints.given(self.hints):
            return kept_with(self, self.rule.fwd(*self.arguments(leaves)))

    def gradients(self, residuals: Any, deltas: Sequence[Any]) -> list[Any]:
        """The backward pass: for every leaf of the arguments its gradient, or None."""
        delta = self.result.unflatten(deltas)
        with hints.given(self.hints):  # those of the call: the program has its options too
            found = self.rule.bwd(*self.settings, residuals, delta)
        return gradients_of(self, found, self.structure.children())


# Those of a rule, by settings and by the structure of its arguments.
applications = partial(kept_applications, make=_Application)


@dataclass(frozen=True)
class _Pullback:
    """The backward pass of a rule, as a function of δ and the arguments, for some of these."""

    of: _Application
    asked: tuple[int, ...]

    def __call__(self, deltas: list[Any], args: list[Any]) -> list[Any]:
        y, residuals = self.of.forward(args)
        self.of.found["structure"] = jax.tree.structure(y)
        gradients = self.of.gradients(residuals, deltas)
        return [gradients[i] for i in self.asked]


@dataclass(frozen=True)
class _Tangent:
    """A rule's tangent, of residuals and then of how arguments move; linear in the latter."""

    of: _Application
    structure: Any
    inputs: tuple[Any, ...]
    moving: tuple[bool, ...]
    outputs: tuple[Any, ...]
    is_tangent: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"{self.of} tangent"

    @property
    def application(self) -> _Application:
        return self.of

    @property
    def types(self) -> list[Any]:
        """Of the results."""
        return [t for t in self.outputs if has_tangent(t)]

    def _split(self, args: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
        count = self.structure.num_leaves
        return self.structure.unflatten(args[:count]), args[count:]

    def __call__(self, *args: Any) -> list[Any]:
        residuals, given = self._split(args)
        values = iter(given)
        dots = self.of.structure.unflatten(
            Dot(t, next(values) if moved else None)
            for t, moved in zip(self.inputs, self.moving, strict=True)
        )
        if self.of.rule.tangent is None:
            raise TypeError(f"{self.of}: forward mode needs a tangent, given by defjvp; got none")
        with hints.given(self.of.hints):
            found = self.of.rule.tangent(*self.of.settings, residuals, dots)
        return tangents_of(self.of, found, self.outputs)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        # Linear in the dots; in the residuals it moves as what it is made of does.
        count = self.structure.num_leaves
        outputs = by_hand_p.bind(*primals, map=self)
        moved = [ad.Zero(t) for t in self.types]
        if any(map(moves, tangents[count:])):
            dots = map(ad.instantiate_zeros, tangents[count:])
            moved = by_hand_p.bind(*primals[:count], *dots, map=self)
        moving = [i for i in range(count) if moves(tangents[i])]
        if moving:

            def of_residuals(*some):
                args = list(primals)
                for i, value in zip(moving, some, strict=True):
                    args[i] = value
                return self(*args)

            at, along = ([a[i] for i in moving] for a in (primals, tangents))
            _, share = jax.jvp(of_residuals, at, along)
            moved = [ad.add_tangents(a, b) for a, b in zip(moved, share, strict=True)]
        return outputs, moved

    def transpose(self, deltas: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        residuals, unknown = self._split(args)
        given = iter(deltas)
        deltas = [
            ad.instantiate_zeros(next(given)) if has_tangent(t) else None for t in self.outputs
        ]
        gradients = self.of.gradients(residuals, deltas)
        asked = [g for g, moved in zip(gradients, self.moving, strict=True) if moved]
        return [None] * self.structure.num_leaves + [
            gradient_like(self.of, g, u.aval) for g, u in zip(asked, unknown, strict=True)
        ]


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, map: Any) -> tuple[list, list]:
    count = len(primals)
    return as_jax_can(lambda *a: map.jvp(a[:count], a[count:]), [*primals, *tangents])


def _transposed(deltas: Sequence[Any], *args: Any, map: Any) -> list[Any]:
    count = len(deltas)
    gradients = as_jax_can(lambda *a: map.transpose(a[:count], a[count:]), [*deltas, *args])
    # A sum over the places of a sharded axis is whole: its argument may not be.
    return [
        sharded_as(g, a.aval) if ad.is_undefined_primal(a) and moves(g) else g
        for g, a in zip(gradients, args, strict=True)
    ]


# The primitive ------------------------------------------------------------------------------------

by_hand_p = Primitive("by_hand")
by_hand_p.multiple_results = True


def _called(*args: Any, map: Any) -> list[Any]:
    try:
        return map.application.programs(map)(*args)
    except jax.errors.UnexpectedTracerError as error:
        raise TypeError(not_given(map, "one of vmap or of a derivative")) from error


def _types(*types: Any, map: Any) -> list[Any]:
    return map.types if isinstance(map, _Tangent) else map.application.traces(map, types).out_avals


def _lowered(ctx: Any, *args: Any, map: Any) -> Any:
    program = map.application.traces(map, tuple(ctx.avals_in))
    return mlir.lower_fun(jaxpr_as_fun(program))(ctx, *args)


def _batched(axis: Any, args: Sequence[Any], dims: Sequence[Any], *, map: Any) -> tuple[list, list]:
    unnamed = type(axis.name) is object  # what JAX calls an axis without a name
    if unnamed and all(dim is None for dim in dims):
        outputs = by_hand_p.bind(*args, map=map)
        return outputs, [None] * len(outputs)
    mapped = Mapped(map, tuple(dims), (axis.name, axis.size, axis.spmd_name))
    outputs = by_hand_p.bind(*args, map=mapped)
    return outputs, [0] * len(outputs)


by_hand_p.def_impl(_called)
by_hand_p.def_abstract_eval(_types)
ad.primitive_jvps[by_hand_p] = _jvp
ad.primitive_transposes[by_hand_p] = _transposed
batching.fancy_primitive_batchers[by_hand_p] = _batched
mlir.register_lowering(by_hand_p, _lowered)

"""A rule applied: the same object for the same settings in the same context, to be traced once."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter, Signature, signature
from math import copysign
from typing import Any

import jax
from jax.core import Tracer

from jaxcnn import check, hints


def kept_applications(rule: Any, make: Callable[..., Any]) -> Callable[..., Any]:
    """Those of a rule: of settings, and of a structure of arguments.

    They belong to the rule, and go with it: so does what it may hold, arrays for example.
    """

    @lru_cache(maxsize=1024)
    def application(settings: Any, kinds: Any, structure: Any, context: Any) -> Any:
        del kinds, context
        return make(rule, settings, structure, hints.current())

    def found(settings: tuple[Any, ...], structure: Any) -> Any:
        try:
            return application(settings, _kinds(settings), structure, _context())
        except TypeError:
            for setting in settings:
                if not _hashable(setting):
                    raise TypeError(
                        f"{rule.__name__}: a setting must be hashable, got {check.shown(setting)}"
                    ) from None
            raise

    return found


def _kinds(settings: Sequence[Any]) -> tuple[Any, ...]:
    """What tells settings apart that are equal: 1, 1.0 and True; 0.0 and −0.0."""
    return tuple(
        (type(s), _kinds(s)) if isinstance(s, tuple)
        else (float, copysign(1, s)) if isinstance(s, float)
        else type(s)
        for s in settings
    )  # fmt: skip


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


_probe = jax.jit(lambda: ())


def _context() -> Any:
    """What stands for all settings of JAX that traces depend on: the trace of an empty function."""
    return _probe.trace().jaxpr


def all_given(rule: Any, program: Any) -> Any:
    """The program of a rule, which has no traced array in it that is no argument."""
    for held in program.consts:
        if isinstance(held, Tracer):
            raise TypeError(not_given(rule, check.shown(held)))
    return program


def not_given(rule: Any, what: str) -> str:
    """What is said of such an array: a program that is kept cannot hold it."""
    return (
        f"{rule}: a rule must take what is traced as an argument, not from around its functions, "
        f"got {what}"
    )


class Parameters:
    """Those of a rule's function, which takes what it is given by position."""

    def __init__(self, fun: Callable[..., Any], settings: Sequence[int]):
        try:
            self._signature = signature(fun)
        except ValueError:  # some functions written in C have none
            self._signature = Signature([Parameter("args", Parameter.VAR_POSITIONAL)])
        kinds = [p.kind for p in self._signature.parameters.values()]
        self.count = sum(k in (k.POSITIONAL_ONLY, k.POSITIONAL_OR_KEYWORD) for k in kinds)
        self.arrays = self.count  # how many are no settings
        self.more = Parameter.VAR_POSITIONAL in kinds
        self.arrays -= len(self.places("custom_rule", "nondiff_argnums", settings))

    def given(self, op: str, args: Sequence[Any], named: Mapping[str, Any]) -> Sequence[Any]:
        """All arguments by position, those with a default included."""
        if not named and len(args) >= self.count:
            return args
        try:
            bound = self._signature.bind(*args, **named)
        except TypeError as error:
            raise TypeError(f"{op}: {error}") from None
        for name in bound.arguments:
            kind = self._signature.parameters[name].kind
            if kind in (kind.KEYWORD_ONLY, kind.VAR_KEYWORD):
                raise TypeError(f"{op}: a rule takes arguments by position, got {name} by name")
        bound.apply_defaults()
        return bound.args

    def places(self, op: str, name: str, value: Any) -> tuple[int, ...]:
        """Places among the arguments that are no settings."""
        found = check.integers(op, name, value, minimum=0)
        if len(set(found)) < len(found) or (
            not self.more and max(found, default=-1) >= self.arrays
        ):
            raise ValueError(
                f"{op}: {name} must be different places among {self.arrays} arguments, "
                f"got {check.shown(value)}"
            )
        return found

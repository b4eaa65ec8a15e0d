"""A program of JAX, equation by equation, with other backward passes for what is no linear map.

What does not depend on the input is computed as it is. What depends on it is one of six: a linear
map that moves, adds or selects, which stays as it is; one that puts something else in, such as a
bias; a product with weights; an affine map, as a batch norm outside training is; an activation,
element by element; or a maximum. Anything else is refused by name. Rules of jaxcnn and operations
of `jax.lax` are told apart alike. Calls are opened, even those with a derivative of their own,
unless they act element by element.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Literal

from jaxcnn import ops
from jaxcnn.ops import activation, rectifiers, rule_of, smooth
from jaxcnn.ops.adaptive_pool import adaptive_max_pool_map
from jaxcnn.ops.batch_norm import batch_norm_inference_map
from jaxcnn.ops.max_pool import max_pool_map
from jaxcnn.ops.maxout import maxout_map
from jaxcnn.rewriting.rectifiers import programs

Function = Callable[..., Any]


def _plain(f: Function, x: Any, *others: Any) -> Any:
    return f(x, *others)


class Treatments(NamedTuple):
    """How y = f(x, …) is computed, with which backward pass, for each kind of map."""

    product: Function = _plain
    """Of f, x, weights and a bias or None; linear in x and in the weights."""
    affine: Function = _plain
    """Of f and x."""
    activation: Function = _plain
    """Of f and x."""
    maximum: Function = _plain
    """Of f and x: every element of y is one of x."""
    shift: Function = _plain
    """Of f and all that depends on the input; linear in them, but for what else is put in."""


class _Value(NamedTuple):
    value: Any
    depends: bool


_ACTIVATIONS = {
    rule_of(op)
    for module in (activation, rectifiers, smooth)
    for op in vars(module).values()
    if ops.is_operation(op) and "softmax" not in op.__name__
}
_MAXIMA = {max_pool_map, adaptive_max_pool_map, maxout_map}

# Primitives of JAX. Of one operand that depends on the input, and of others that do not:
_LINEAR = {
    "add", "add_any", "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p",
    "cumsum", "device_put", "dynamic_slice", "dynamic_update_slice", "expand_dims", "gather",
    "name", "neg", "optimization_barrier", "pad", "real", "reduce_precision", "reduce_sum",
    "reduce_window_sum", "reshape", "rev", "scatter", "scatter-add", "select_n",
    "sharding_constraint", "slice", "split", "squeeze", "sub", "transpose",
}  # fmt: skip
# Whose later operands, or whose first one, say where: they must not depend on the input.
_PLACES = {"dynamic_slice": 1, "gather": 1, "scatter": 1, "scatter-add": 1, "select_n": 0}
_PRODUCTS = {"conv_general_dilated", "dot_general"}
_MAXIMA_OF_JAX = {"reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min"}
_ELEMENTWISE = {
    "abs", "asinh", "atan", "cbrt", "clamp", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1",
    "integer_pow", "log", "log1p", "logistic", "max", "min", "pow", "rsqrt", "sign", "sin", "sinh",
    "sqrt", "square", "tan", "tanh",
}  # fmt: skip
# Of several operands, inside a call that as a whole acts element by element.
_INSIDE = _ELEMENTWISE | {
    "add", "and", "broadcast_in_dim", "convert_element_type", "copy", "div", "eq", "ge", "gt",
    "is_finite", "le", "lt", "mul", "ne", "neg", "not", "or", "select_n", "stop_gradient", "sub",
}  # fmt: skip
_CALLS = {
    "jit", "pjit", "closed_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call",
}  # fmt: skip


def walked(op: str, f: Function, x: Array, treat: Treatments) -> Any:
    """f(x), every map in it treated.

    Raises:
        ValueError: there is an operation of another kind; it is named.
    """
    structure: list[Any] = []

    def flat(x: Array) -> list[Any]:
        leaves, form = jax.tree.flatten(f(x))
        structure.append(form)
        return leaves

    program = jax.make_jaxpr(flat)(x)
    found = _walk(op, program, [_Value(x, True)], treat)
    return jax.tree.unflatten(structure[-1], [each.value for each in found])


def _walk(op: str, program: Any, args: Sequence[_Value], treat: Treatments) -> list[_Value]:
    jaxpr, constants = getattr(program, "jaxpr", program), getattr(program, "consts", ())
    given = (*(_Value(c, False) for c in constants), *args)
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), given, strict=True))
    for eqn in jaxpr.eqns:
        operands = [
            _Value(v.val, False) if isinstance(v, Literal) else values[v] for v in eqn.invars
        ]
        with eqn.ctx.manager:
            values.update(zip(eqn.outvars, _results(op, eqn, operands, treat), strict=True))
    return [_Value(v.val, False) if isinstance(v, Literal) else values[v] for v in jaxpr.outvars]


def _results(op: str, eqn: Any, operands: list[_Value], treat: Treatments) -> list[_Value]:
    depending = [i for i, operand in enumerate(operands) if operand.depends]
    if not depending or not any(
        jnp.issubdtype(v.aval.dtype, jnp.inexact) for v in eqn.outvars
    ):  # comparisons, positions: no derivative goes through them
        return [_Value(y, False) for y in _bound(eqn, [o.value for o in operands])]
    name = eqn.primitive.name
    if name in _CALLS and not _element_by_element(eqn):
        return _walk(op, programs(eqn)[0], operands, treat)

    def of(*moving: Any) -> Any:
        """The operation as a function of the operands that depend on the input."""
        places = dict(zip(depending, moving, strict=True))
        outputs = _bound(eqn, [places.get(i, o.value) for i, o in enumerate(operands)])
        return outputs if len(outputs) > 1 else outputs[0]

    moving = [operands[i].value for i in depending]
    treated = _treated(eqn, of, operands, depending, treat)
    if treated is None:
        shapes = ", ".join(str(getattr(o.value, "shape", ())) for o in operands)
        raise ValueError(
            f"{op}: net must be of linear maps, activations and maxima, got {_word(eqn)} of "
            f"{shapes}"
        )
    outputs = treated(*moving)
    return [_Value(y, True) for y in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def _bound(eqn: Any, values: list[Any]) -> list[Any]:
    result = eqn.primitive.bind(*values, **eqn.primitive.get_bind_params(eqn.params))
    return list(result) if eqn.primitive.multiple_results else [result]


def _word(eqn: Any) -> str:
    return str(eqn.params.get("map", eqn.primitive.name)).removesuffix("_map")


def _treated(
    eqn: Any, of: Function, operands: list[_Value], depending: list[int], treat: Treatments
) -> Function | None:
    """The operation with its treatment; None if it is of no known kind."""
    name, alone = eqn.primitive.name, len(depending) == 1
    if name == "by_hand":
        return _ours(eqn, operands, depending, treat)
    if name in _CALLS or (name in _ELEMENTWISE and alone):
        return partial(treat.activation, of)
    if name in _PRODUCTS and alone:
        (x,) = depending
        weights = operands[1 - x].value

        def product(x_: Any, w: Any, bias: None) -> Any:
            del bias
            return _bound(eqn, [x_, w] if x == 0 else [w, x_])[0]

        return lambda value: treat.product(product, value, weights, None)
    if name in _MAXIMA_OF_JAX:
        return partial(treat.maximum, of)
    if name in ("mul", "div"):
        return of if alone and (name == "mul" or depending == [0]) else None
    places = _PLACES.get(name)
    if places is not None and any(i == 0 if places == 0 else i >= places for i in depending):
        return None
    if name not in _LINEAR:
        return None
    numbers = [o for o in operands if jnp.issubdtype(jnp.result_type(o.value), jnp.inexact)]
    return partial(treat.shift, of) if len(numbers) > len(depending) else of


def _ours(
    eqn: Any, operands: list[_Value], depending: list[int], treat: Treatments
) -> Function | None:
    """A rule of jaxcnn by its kind."""
    applied = eqn.params["map"]
    rule = getattr(applied, "rule", None)
    if rule is None or applied.is_tangent:
        return None
    values = [operand.value for operand in operands]

    def of(*moving: Any) -> Any:
        places = dict(zip(depending, moving, strict=True))
        return rule(*applied.arguments([places.get(i, v) for i, v in enumerate(values)]))

    if depending == [0] and len(rule.linear) > 1 and rule.linear[0] == 0:
        _, weights, *bias = rule.without_settings(applied.arguments(values))
        return lambda x: treat.product(
            lambda x, w, b: rule(*rule.arguments(applied.settings, [x, w, *(b,) * len(bias)])),
            x, weights, *(bias or [None]),
        )  # fmt: skip
    if depending == [0] and rule is batch_norm_inference_map:
        return partial(treat.affine, of)
    if depending == [0] and rule in _ACTIVATIONS:
        return partial(treat.activation, of)
    if depending == [0] and rule in _MAXIMA:
        return partial(treat.maximum, of)
    if 0 in rule.linear:  # in its first argument, which may be a tuple of parts
        first = applied.structure.children()[0].num_leaves
        return of if all(i < first for i in depending) else None
    return None


def _element_by_element(eqn: Any) -> bool:
    """Whether a call makes of one array one of its shape, element by element."""
    shaped = [v for v in eqn.invars if getattr(v.aval, "shape", ()) != ()]
    if len(shaped) != 1 or len(eqn.outvars) != 1:
        return False
    return shaped[0].aval.shape == eqn.outvars[0].aval.shape and _only_elements(
        eqn, shaped[0].aval.shape
    )


def _only_elements(eqn: Any, shape: tuple[int, ...]) -> bool:
    if eqn.primitive.name in _CALLS:
        (program, *_) = programs(eqn)
        return all(_only_elements(e, shape) for e in getattr(program, "jaxpr", program).eqns)
    return eqn.primitive.name in _INSIDE and all(
        v.aval.shape in ((), shape) for v in (*eqn.invars, *eqn.outvars)
    )

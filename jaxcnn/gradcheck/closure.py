"""What a derivative leaves to JAX: nothing but arithmetic, if it is by hand throughout."""

import os
from importlib.util import find_spec
from inspect import getsourcefile

import jax
from jax import Array

from jaxcnn import check
from jaxcnn.gradcheck.derivatives import Function
from jaxcnn.gradcheck.modes import checked_modes, derivative, derivative_arguments

# All that a rule leaves to JAX to differentiate. Sums, products, selections and moves: polynomials.
# Whatever else a rule needs (an exponential, a maximum, a convolution) has a rule of its own.
ARITHMETIC = frozenset(
    {
        "add", "add_any", "sub", "mul", "neg", "reduce_sum",
        "broadcast_in_dim", "reshape", "squeeze", "transpose", "convert_element_type", "copy",
        "select_n", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "iota", "stop_gradient",
    }
)  # fmt: skip


def open_primitives(f: Function, order: int | str, *args: Array, home: str = "jaxcnn") -> set[str]:
    """What a derivative of f computes outside rules and beyond `ARITHMETIC`.

    It traces the derivative and looks at every primitive, descending into jitted calls and into the
    tangents of rules, but not into rules: those are closed, provided that their derivatives are,
    which the next order shows. An empty set says: written by hand throughout. A rule whose function
    is not defined in the package `home`, and any `custom_vjp` or `custom_jvp`, is reported under
    its name.

    Args:
        f: a function of args.
        order: which derivative: a word of modes as `derivative` takes it, such as "fr"; or a
            number n for the n-th pullback.
        args: arrays of floats.
        home: the package whose rules count as written by hand.

    Raises:
        TypeError: f is no function, order neither integer nor word, or an argument no float array.
        ValueError: order is negative or has other letters than f and r, or home is no package.
    """
    op = "open_primitives"
    check.function(op, "f", f)
    if not isinstance(order, str):
        order = "r" * check.integer(op, "order", order, minimum=0)
    order = checked_modes(op, order, name="order")
    arrays = [check.float_array(op, f"args[{i}]", arg) for i, arg in enumerate(args)]
    arguments = derivative_arguments(f, order, arrays)
    found: set[str] = set()
    # The package's own folder, not its name: a checkout may lie in a folder of the same name.
    spec = find_spec(home) if isinstance(home, str) and home.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"{op}: home must be the name of an installed package, got {check.shown(home)}"
        )
    folders = [str(folder) + os.sep for folder in spec.submodule_search_locations]

    def visit(jaxpr):
        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            if name == "by_hand":
                applied = eqn.params["map"]
                home_of = getsourcefile(applied.application.rule.fun)
                if not any(folder in str(home_of) for folder in folders):
                    found.add(f"{applied}: {home_of}")
                elif applied.is_tangent:
                    visit(jax.make_jaxpr(applied)(*(v.aval for v in eqn.invars)).jaxpr)
            elif name == "custom_vjp_call":
                found.add(f"{name}: {eqn.params['call_jaxpr'].jaxpr.debug_info.func_src_info}")
            elif "jaxpr" in eqn.params and not name.startswith("custom"):
                visit(getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"]))
            elif name not in ARITHMETIC:
                found.add(name)

    visit(jax.make_jaxpr(derivative(f, order))(*arguments).jaxpr)
    return found

"""What a pullback leaves to JAX: nothing but arithmetic, if it is written by hand throughout."""

import os
from importlib.util import find_spec
from inspect import getsourcefile

import jax
from jax import Array

from jaxcnn import check
from jaxcnn.gradcheck.derivatives import Function, cotangent_shapes, pullback

# All that a rule leaves to JAX to differentiate. Sums, products, selections and moves: polynomials.
# Whatever else a rule needs (an exponential, a maximum, a convolution) has a rule of its own.
ARITHMETIC = frozenset(
    {
        "add", "add_any", "sub", "mul", "neg", "reduce_sum",
        "broadcast_in_dim", "reshape", "squeeze", "transpose", "convert_element_type", "copy",
        "select_n", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "iota", "stop_gradient",
    }
)  # fmt: skip


def open_primitives(f: Function, order: int, *args: Array, home: str = "jaxcnn") -> set[str]:
    """What the order-th pullback of f computes outside rules and beyond `ARITHMETIC`.

    It traces the pullback and looks at every primitive, descending into jitted calls but not into
    `custom_vjp` calls: those are closed, provided that their rules are, which the next order shows.
    An empty set says: written by hand throughout. A `custom_vjp` whose function is not defined in
    the package `home`, and any `custom_jvp`, is reported under its name.

    Raises:
        TypeError: f is no function, order no integer, or an argument no float array.
        ValueError: order is negative, or home no package.
    """
    check.function("open_primitives", "f", f)
    order = check.integer("open_primitives", "order", order, minimum=0)
    args = tuple(
        check.float_array("open_primitives", f"args[{i}]", arg) for i, arg in enumerate(args)
    )
    arguments: tuple = tuple(args)
    for shape in cotangent_shapes(f, order, args):
        arguments = (arguments, shape)
    found: set[str] = set()
    # The package's own folder, not its name: a checkout may lie in a folder of the same name.
    spec = find_spec(home) if isinstance(home, str) and home.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"open_primitives: home must be the name of an installed package, "
            f"got {check.shown(home)}"
        )
    folders = [str(folder) + os.sep for folder in spec.submodule_search_locations]

    def visit(jaxpr):
        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            if name == "by_hand":
                home_of = getsourcefile(eqn.params["map"].rule.fun)
                if not any(folder in str(home_of) for folder in folders):
                    found.add(f"{eqn.params['map']}: {home_of}")
            elif name == "custom_vjp_call":
                found.add(f"{name}: {eqn.params['call_jaxpr'].jaxpr.debug_info.func_src_info}")
            elif "jaxpr" in eqn.params and not name.startswith("custom"):
                visit(getattr(eqn.params["jaxpr"], "jaxpr", eqn.params["jaxpr"]))
            elif name not in ARITHMETIC:
                found.add(name)

    visit(jax.make_jaxpr(pullback(f, order))(*arguments).jaxpr)
    return found

"""Operations that PyTorch defines too, at generated arguments, against its autograd on the CPU.

Values and all gradients in float64. The profiles are those of `test_generated`: a few cases per
family every day, and with --full `EXAMPLES` of every operation, several hundred in all:

    pytest -n 1 --full --hypothesis-seed=0 tests/test_generated_torch.py

That run: 745 configurations of 48 operations, no failure, about 4 minutes.

Where conventions differ (at kinks, in tilted reductions) our docstrings say so, and the cases here
keep away from there.
"""

import math
from collections import Counter
from functools import partial

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from generated.peer import Peer, fixed_arguments  # noqa: E402
from generated.peers import FAMILIES, PEERS  # noqa: E402
from generated.pool import flat_positions  # noqa: E402
from generated.running import for_all  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_against_torch import compare, from_torch, to_torch  # noqa: E402
from test_torch_pool import gradients  # noqa: E402

import jaxcnn as jc  # noqa: E402
from jaxcnn.gradcheck import random_like, relative_error  # noqa: E402
from jaxcnn.gradcheck.cases.case import Case  # noqa: E402

# Importing what torch.func is made of.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
EXAMPLES = 15
MODES_EXAMPLES = 6
MOST_NUMBERS = 600  # of a Hessian's row
# What PyTorch 2.13 does not differentiate forward, or forward over reverse.
WITHOUT = {"huber": {"jvp of grad"}}
NO_FORWARD_MODE = ("does not support it", "forward AD", "not implemented for")
LASTS = {"x": "channels", "delta": "channels", "logits": "channels", "kernel": "kernel"}


def sides(case: Case, op=None):
    """Our function, PyTorch's, the arrays that both take, and the layouts of these there."""
    peer = PEERS[(op or case.op).__name__]
    arrays = dict(zip(case.shapes, case.arrays(), strict=True))
    constants = {key: arrays.pop(key) for key in peer.constant(case)}
    fixed = {**constants, **fixed_arguments(case)}

    def ours(*given):
        y = case.op(**dict(zip(arrays, given, strict=True)), **fixed, **case.settings)
        return y if case.output is None else y[case.output]

    def theirs(*given):
        y = peer.function(case)(
            **dict(zip(arrays, given, strict=True)),
            **{key: torch.tensor(np.asarray(value)) for key, value in fixed.items()},
        )
        # `compare` takes all results of 3 axes and more for maps, channels first.
        plain = layout_of_result(case, peer) == "plain"
        return y.movedim(-1, 1) if plain and y.ndim > 2 else y

    lasts = [layout_of_argument(case, peer, key) for key in arrays]
    return ours, theirs, list(arrays.values()), lasts


def layout_of_result(case: Case, peer: Peer) -> str:
    plain = peer.layout == "plain" or case.op in (jc.softmax_cross_entropy, jc.embedding)
    return "plain" if plain else "channels"


def layout_of_argument(case: Case, peer: Peer, key: str) -> str:
    if case.op is jc.softmax_cross_entropy and key == "targets":
        return "channels"
    return peer.layout or LASTS.get(key, "plain")


def agrees(case: Case, op=None) -> None:
    if case.op is jc.max_pool:
        agrees_with_indices(case, PEERS["max_pool"].function(case))
    else:
        compare(*sides(case, op))


def agrees_in_both_modes(case: Case, supported: Counter) -> None:
    """ẏ, and a Hessian-vector product of Σ w y², forward over reverse; the whole Jacobian and
    Hessian, in all arguments together.
    """
    ours, theirs, arrays, lasts = sides(case)
    dots = tuple(random_like(arrays, 3))
    weights = random_like(jax.eval_shape(ours, *arrays), 4)
    every = tuple(range(len(arrays)))

    def to_torch_all(values):
        return tuple(to_torch(v, last).detach() for v, last in zip(values, lasts, strict=True))

    their_arrays, their_dots = to_torch_all(arrays), to_torch_all(dots)
    their_weights = to_torch(weights).detach()

    def energy(f, w):
        return lambda *a: (w * f(*a) ** 2).sum()

    def directional(a, d):
        moved = jax.jvp(ours, a, d)[1]
        return moved, jax.jvp(jax.grad(energy(ours, weights), every), a, d)[1]

    flat, apart = ravel_pytree(arrays)

    def whole(flat):
        y, e = (lambda v, f=f: f(*apart(v)) for f in (ours, energy(ours, weights)))
        return jax.jacfwd(y)(flat).reshape(-1, flat.size), jax.hessian(e)(flat)

    def of_flat(f):
        sizes = [array.size for array in arrays]

        def of_parts(flat):
            parts = zip(flat.split(sizes), arrays, lasts, strict=True)
            return f(*(as_torch_has_it(part.reshape(a.shape), last) for part, a, last in parts))

        return of_parts

    found = jax.jit(directional)(tuple(arrays), dots)
    grad = torch.func.grad(energy(theirs, their_weights), every)
    moved = attempt(lambda: torch.func.jvp(theirs, their_arrays, their_dots)[1])
    if moved is None:
        return
    supported["jvp"] += 1
    close(found[0], from_torch(moved))
    product = attempt(lambda: torch.func.jvp(grad, their_arrays, their_dots)[1])
    if product is not None:
        supported["jvp of grad"] += 1
        for one, other, last in zip(found[1], product, lasts, strict=True):
            close(one, from_torch(other, last))
    their_flat = torch.tensor(np.asarray(flat))
    jacobian, hessian = jax.jit(whole)(flat)
    of_ours = of_flat(lambda *a: as_we_have_it(theirs(*a)).reshape(-1))
    close(jacobian, jacfwd(of_ours, their_flat).numpy())
    slope = torch.func.grad(of_flat(energy(theirs, their_weights)))
    second = torch.func.jacrev(slope) if product is None else partial(jacfwd, slope)
    close(hessian, second(their_flat).numpy())
    supported["whole"] += 1


def jacfwd(f, x):
    """As `torch.func.jacfwd`, which maps over the directions: not every operation allows that."""
    directions = torch.eye(x.numel(), dtype=x.dtype)
    return torch.stack([torch.func.jvp(f, (x,), (dot,))[1] for dot in directions], -1)


def as_torch_has_it(x, last):
    """As `to_torch`, of a tensor; in a row, as PyTorch's group norm differentiates no others."""
    if last == "kernel":
        return x.movedim((-1, -2), (0, 1)).contiguous()
    return x.movedim(-1, 1).contiguous() if last == "channels" and x.ndim > 2 else x


def as_we_have_it(y):
    return y.movedim(1, -1) if y.ndim > 2 else y


def small(case: Case) -> bool:
    return sum(map(math.prod, case.shapes.values())) <= MOST_NUMBERS


def attempt(derivative):
    """None where PyTorch has no forward mode."""
    try:
        return derivative()
    except (NotImplementedError, RuntimeError) as error:
        if not any(words in str(error) for words in NO_FORWARD_MODE):
            raise
        return None


def close(one, other) -> None:
    error, where = relative_error(np.asarray(one), np.asarray(other))
    assert error < 1e-10, where


def agrees_with_indices(case: Case, theirs) -> None:
    """The places of the maxima as well: flat on the map there, in the window here."""
    size = case.shapes["x"][1:-1]
    _, switches = gradients(
        lambda x: jc.max_pool(x, **case.settings),
        theirs,
        case.arrays()[0],
        lambda x: jc.max_pool_with_switches(x, **case.settings),
    )
    stride = case.settings.get("stride", case.settings["window"])
    positions = flat_positions(switches, size, **{**case.settings, "stride": stride})
    _, indices = theirs(torch.tensor(np.moveaxis(np.asarray(case.arrays()[0]), -1, 1)), True)
    assert np.array_equal(positions, np.moveaxis(indices.numpy(), 1, -1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_few_cases_of_each_family(family, record_property):
    cases = st.one_of(*(peer.cases for peer in FAMILIES[family].values()))
    for_all(cases, agrees, 5, record_property)


def test_the_full_profile_is_large_enough():
    """Of all these the whole Jacobian and Hessian are compared."""
    assert MODES_EXAMPLES * len(PEERS) >= 200
    assert not any("whole" in modes for modes in WITHOUT.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_few_cases_of_each_family_in_both_modes(family, record_property):
    cases, supported = st.one_of(*(peer.cases for peer in FAMILIES[family].values())), Counter()
    for_all(
        cases.filter(small),
        lambda case: agrees_in_both_modes(case, supported),
        2,
        record_property,
    )
    assert supported["jvp"]


@pytest.mark.full
@pytest.mark.parametrize("name", PEERS)
def test_many_cases_of_each_operation_in_both_modes(name, record_property):
    supported = Counter()
    count = for_all(
        PEERS[name].cases.filter(small),
        lambda case: agrees_in_both_modes(case, supported),
        MODES_EXAMPLES,
        record_property,
    )
    assert count >= MODES_EXAMPLES
    missing = {"jvp", "jvp of grad", "whole"} - {m for m in supported if supported[m] == count}
    assert missing == WITHOUT.get(name, set())


@pytest.mark.full
@pytest.mark.parametrize("name", PEERS)
def test_many_cases_of_each_operation(name, record_property):
    # Fewer would mean that the strategy has no more to offer.
    assert for_all(PEERS[name].cases, agrees, EXAMPLES, record_property) >= EXAMPLES


def test_the_comparison_can_fail():
    case = Case(jc.sum_pool, {"x": (1, 4, 1)}, {"window": 3, "padding": 1})
    with pytest.raises(AssertionError):
        agrees(case, jc.avg_pool)

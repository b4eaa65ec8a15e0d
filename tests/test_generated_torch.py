"""Operations that PyTorch defines too, at generated arguments, against its autograd on the CPU.

Values and all gradients in float64. The profiles are those of `test_generated`: a few cases per
family every day, and with --full `EXAMPLES` of every operation, several hundred in all:

    pytest -n 1 --full --hypothesis-seed=0 tests/test_generated_torch.py

That run: 745 configurations of 48 operations, no failure, about 4 minutes.

Where conventions differ (at kinks, in tilted reductions) our docstrings say so, and the cases here
keep away from there.
"""

from collections import Counter

import jax
import numpy as np
import pytest

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
# What PyTorch 2.13 does not differentiate forward, or forward over reverse.
WITHOUT: dict[str, set[str]] = {}
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
    """ẏ, and a Hessian-vector product of Σ w y², forward over reverse; of few numbers the whole
    Jacobian and Hessian.
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

    def whole(*a):
        return jax.jacfwd(ours)(*a), jax.hessian(energy(ours, weights))(*a)

    found = jax.jit(directional)(tuple(arrays), dots)
    grad = torch.func.grad(energy(theirs, their_weights), every)
    moved = attempt(lambda: torch.func.jvp(theirs, their_arrays, their_dots)[1])
    if moved is None:
        return
    supported["jvp"] += 1
    close(found[0], from_torch(moved))
    product = attempt(lambda: torch.func.jvp(grad, their_arrays, their_dots)[1])
    if product is None:
        return
    supported["jvp of grad"] += 1
    for one, other, last in zip(found[1], product, lasts, strict=True):
        close(one, from_torch(other, last))
    if arrays[0].size > 24 or arrays[0].ndim > 2 or weights.ndim > 2 or lasts[0] == "kernel":
        return  # axes need not be moved below
    jacobian, hessian = jax.jit(whole)(*arrays)
    close(jacobian, torch.func.jacfwd(theirs)(*their_arrays).numpy())
    close(hessian, torch.func.hessian(energy(theirs, their_weights))(*their_arrays).numpy())
    supported["hessian"] += 1


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
    assert MODES_EXAMPLES * len(PEERS) >= 200


@pytest.mark.parametrize("family", FAMILIES)
def test_a_few_cases_of_each_family_in_both_modes(family, record_property):
    cases, supported = st.one_of(*(peer.cases for peer in FAMILIES[family].values())), Counter()
    for_all(cases, lambda case: agrees_in_both_modes(case, supported), 2, record_property)
    assert supported["jvp"]


@pytest.mark.full
@pytest.mark.parametrize("name", PEERS)
def test_many_cases_of_each_operation_in_both_modes(name, record_property):
    supported = Counter()
    count = for_all(
        PEERS[name].cases,
        lambda case: agrees_in_both_modes(case, supported),
        MODES_EXAMPLES,
        record_property,
    )
    missing = {"jvp", "jvp of grad"} - {mode for mode in supported if supported[mode] == count}
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

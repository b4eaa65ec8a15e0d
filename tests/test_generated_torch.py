"""Operations that PyTorch defines too, at generated arguments, against its autograd on the CPU.

Values and all gradients in float64. The profiles are those of `test_generated`: a few cases per
family every day, and with --full `EXAMPLES` of every operation, several hundred in all:

    pytest -n 1 --full --hypothesis-seed=0 tests/test_generated_torch.py

That run: 745 configurations of 48 operations, no failure, about 4 minutes.

Where conventions differ (at kinks, in tilted reductions) our docstrings say so, and the cases here
keep away from there.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from generated.peer import fixed_arguments  # noqa: E402
from generated.peers import FAMILIES, PEERS  # noqa: E402
from generated.pool import flat_positions  # noqa: E402
from generated.running import for_all  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_against_torch import compare  # noqa: E402
from test_torch_pool import gradients  # noqa: E402

import jaxcnn as jc  # noqa: E402
from jaxcnn.gradcheck.cases.case import Case  # noqa: E402

EXAMPLES = 15
LASTS = {"x": "channels", "delta": "channels", "logits": "channels", "kernel": "kernel"}


def agrees(case: Case, op=None) -> None:
    peer = PEERS[(op or case.op).__name__]
    if case.op is jc.max_pool:
        agrees_with_indices(case, peer.function(case))
        return
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
        plain = peer.layout == "plain" or case.op in (jc.softmax_cross_entropy, jc.embedding)
        return y.movedim(-1, 1) if plain and y.ndim > 2 else y

    lasts = [peer.layout or LASTS.get(key, "plain") for key in arrays]
    if case.op is jc.softmax_cross_entropy and "targets" in arrays:
        lasts[list(arrays).index("targets")] = "channels"
    compare(ours, theirs, list(arrays.values()), lasts)


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
    assert EXAMPLES * len(PEERS) >= 200


@pytest.mark.full
@pytest.mark.parametrize("name", PEERS)
def test_many_cases_of_each_operation(name, record_property):
    # Fewer would mean that the strategy has no more to offer.
    assert for_all(PEERS[name].cases, agrees, EXAMPLES, record_property) >= EXAMPLES


def test_the_comparison_can_fail():
    case = Case(jc.sum_pool, {"x": (1, 4, 1)}, {"window": 3, "padding": 1})
    with pytest.raises(AssertionError):
        agrees(case, jc.avg_pool)

"""What ONNX defines too: values against the reference evaluator of the onnx package, in float64.

The cases are generated, with the profiles of `test_generated`: a few per operator every day, and
`EXAMPLES` of each with --full:

    pytest -n 1 --full --hypothesis-seed=0 tests/test_onnx.py

That run: 325 configurations of 13 operators, no failure, under a minute.

The evaluator (onnx 1.23) departs from the operators' published definitions in a few places. What it
says there is not compared with; PyTorch, another oracle, sides with the definition and with us, as
the last tests show:

* ConvTranspose with groups slices the kernel by the wrong axis and keeps one channel per group.
* AveragePool with ceil_mode puts half of an overhang in front, which moves every window, where
  the overhang is 2 or more; at 1 the half is 0.
* LpPool is an average times the window's size: a window that overhangs counts for more.
* Poolings with auto_pad: SAME_LOWER rounds the size down, and a stride beyond the window pads by
  less than nothing. We pass the amounts as numbers, and auto_pad to Conv alone.
* MaxPool with a stride and a dilation of all 1 forgets part of the padding, and returns no indices.
* LRN loops over as many channels as there are examples.
* Resize with pytorch_half_pixel puts the only element of a result at −½ instead of 0.
"""

from typing import Any

import jax
import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra: test)")
from generated.onnx_operators import OPERATORS, evaluate, first, last, same  # noqa: E402
from generated.running import for_all  # noqa: E402

import jaxcnn as jc  # noqa: E402

EXAMPLES = 25


@pytest.mark.parametrize("operator", OPERATORS)
def test_values(operator, record_property, request):
    cases, check = OPERATORS[operator]
    count = EXAMPLES if request.config.getoption("full") else 4
    for_all(cases, check, count, record_property)


def departure(operator: str, arrays, mine, right, **attributes: Any) -> None:
    """Ours is right; the evaluator, at least that of the version examined, is not."""
    same(first(jax.jit(mine)(last(arrays[0]))), right)
    if not onnx.__version__.startswith("1.23."):
        return
    try:
        (wrong,) = evaluate(operator, arrays, **attributes)
    except ValueError:  # it cannot put its own parts together
        return
    assert wrong.shape != right.shape or not np.allclose(wrong, right)


def test_departures_of_the_evaluator():
    torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
    x = np.random.default_rng(0).standard_normal((1, 5, 4))
    t = torch.tensor(first(x))
    kernel = np.random.default_rng(1).standard_normal((2, 2, 4))
    theirs = np.moveaxis(kernel, (-1, -2), (0, 1))
    departure(
        "ConvTranspose",
        [first(x), theirs],
        lambda x: jc.conv_transpose(x, kernel, groups=2),
        torch.nn.functional.conv_transpose1d(t, torch.tensor(theirs), groups=2).numpy(),
        group=2,
    )
    departure(
        "AveragePool",
        [first(x)],
        lambda x: jc.avg_pool(x, 4, ceil_mode=True),
        torch.nn.functional.avg_pool1d(t, 4, ceil_mode=True).numpy(),
        kernel_shape=[4],
        strides=[4],
        ceil_mode=1,
    )
    departure(
        "MaxPool",
        [first(x)],
        lambda x: jc.max_pool(x, 2, stride=1, padding=1, ceil_mode=True),
        torch.nn.functional.max_pool1d(t, 2, 1, 1, ceil_mode=True).numpy(),
        kernel_shape=[2],
        strides=[1],
        pads=[1, 1],
        ceil_mode=1,
    )
    maps = x[:, None]
    departure(
        "LRN",
        [first(maps)],
        lambda x: jc.local_response_norm(x, size=3, k=1, alpha=0.5, average=True),
        torch.nn.functional.local_response_norm(torch.tensor(first(maps)), 3, 0.5).numpy(),
        size=3,
        alpha=0.5,
        bias=1.0,
    )


def test_departures_of_the_evaluator_by_hand():
    x = np.array([3.0, 4, 1, 2, -5]).reshape(1, 5, 1)
    departure(
        "LpPool",
        [first(x)],
        lambda x: jc.lp_pool(x, 2, ceil_mode=True),
        np.array([[[5, np.sqrt(5), 5]]]),  # one element, −5, in the last window
        kernel_shape=[2],
        strides=[2],
        ceil_mode=1,
        p=2,
    )
    departure(
        "MaxPool",
        [first(x)],
        lambda x: jc.max_pool(x, 2, stride=2, padding="SAME_LOWER"),
        np.array([[[3.0, 4, 2]]]),  # ⌈5/2⌉ windows, the zero in front
        kernel_shape=[2],
        strides=[2],
        auto_pad="SAME_LOWER",
    )

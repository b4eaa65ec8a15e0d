"""PyTorch's maps that move elements, and its resizing, as an oracle of their own."""

import numpy as np
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(3)

torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")
from test_against_torch import compare, normal  # noqa: E402

F = torch.nn.functional


@pytest.mark.parametrize(("size", "block"), [((2, 3, 2, 12), 2), ((1, 2, 5, 9), 3)])
def test_pixel_shuffle_and_back(size, block):
    x = normal(0, size)
    theirs = lambda x: F.pixel_shuffle(x, block)  # noqa: E731
    compare(lambda x: jc.pixel_shuffle(x, block), theirs, [x], ["channels"])
    y = jc.pixel_shuffle(x, block)
    theirs = lambda x: F.pixel_unshuffle(x, block)  # noqa: E731
    compare(lambda y: jc.pixel_unshuffle(y, block), theirs, [y], ["channels"])
    assert np.array_equal(jc.pixel_unshuffle(y, block), x)

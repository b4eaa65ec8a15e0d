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


MODES = {
    "linear": ({"method": "linear"}, {"align_corners": False}),
    "linear, corners": (
        {"method": "linear", "coordinates": "align_corners"},
        {"align_corners": True},
    ),
    "cubic": ({"method": "cubic"}, {"align_corners": False}),
    "cubic, corners": (
        {"method": "cubic", "coordinates": "align_corners"},
        {"align_corners": True},
    ),
    "nearest": ({"coordinates": "asymmetric", "rounding": "floor"}, {}),
    "nearest-exact": ({"rounding": "round_prefer_ceil"}, {}),
}
SIZES = [
    ((2, 5, 3), 8), ((1, 7, 2), 3), ((1, 1, 1), 4), ((2, 5, 4, 2), (7, 3)), ((1, 3, 8, 1), (12, 1)),
    ((1, 3, 4, 2, 2), (5, 2, 4)),
]  # fmt: skip


WORDS = {"linear": ("linear", "bilinear", "trilinear"), "cubic": (None, "bicubic", None)}


def their_mode(name, axes):
    """None for cubic interpolation but of two axes."""
    kind = name.split(",")[0]
    return WORDS[kind][axes - 1] if kind in WORDS else kind


@pytest.mark.parametrize(
    ("size", "output", "name"),
    [(*sizes, name) for sizes in SIZES for name in MODES if their_mode(name, len(sizes[0]) - 2)],
)
def test_resizing_to_a_size(size, output, name):
    (ours, theirs), mode = MODES[name], their_mode(name, len(size) - 2)
    compare(
        lambda x: jc.resize(x, output, **ours),
        lambda x: F.interpolate(x, output, mode=mode, **theirs),
        [normal(0, size)],
        ["channels"],
    )


@pytest.mark.parametrize("name", [name for name in MODES if "corners" not in name])
@pytest.mark.parametrize("scale", [2, (0.6, 1.7), (1.3, 0.5), (3, 1.5)])
def test_resizing_by_a_scale_that_changes_every_size(scale, name):
    """Along an axis that keeps its size PyTorch leaves the scale out."""
    (ours, theirs), mode = MODES[name], their_mode(name, 2)
    compare(
        lambda x: jc.resize(x, scale=scale, **ours),
        lambda x: F.interpolate(x, scale_factor=scale, mode=mode, **theirs),
        [normal(0, (2, 7, 6, 3))],
        ["channels"],
    )


def test_what_is_not_looked_at_may_be_infinite():
    x = np.array([1.0, 2, np.inf]).reshape(1, 3, 1)
    for method in ("nearest", "linear", "cubic"):
        y = jc.resize(x, 3, method=method)
        assert np.array_equal(y, x)
    y = jc.resize(x, 5, method="linear", coordinates="align_corners")
    assert np.array_equal(np.ravel(y), [1, 1.5, 2, np.inf, np.inf])

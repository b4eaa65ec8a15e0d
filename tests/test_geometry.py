"""The geometry of a sliding window, against JAX's own and against counting."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxcnn as jc
from jaxcnn.geometry import parse_geometry


@pytest.mark.parametrize("padding", ["SAME", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("size", [7, 8, 9])
def test_named_paddings_are_those_of_lax(size, window, stride, padding):
    expected = lax.padtype_to_pads((size,), (window,), (stride,), padding)
    geometry = parse_geometry("test", (size,), (window,), stride=stride, padding=padding)
    assert geometry.padding == tuple(map(tuple, expected))


def test_every_spelling_of_a_padding():
    def pads(padding):
        return parse_geometry("test", (9, 9), (3, 2), stride=1, padding=padding).padding

    assert pads("FULL") == ((2, 2), (1, 1))
    assert pads("CAUSAL") == ((2, 0), (1, 0))
    assert pads("valid") == ((0, 0), (0, 0))
    assert pads(1) == pads((1, 1)) == pads([(1, 1), 1]) == ((1, 1), (1, 1))
    assert pads(((1, 0), 2)) == ((1, 0), (2, 2))
    assert pads(np.int64(2)) == ((2, 2), (2, 2))


@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1), (-1, 0)])
def test_the_number_of_windows_is_what_counting_gives(size, window, stride, dilation, padding):
    low, high = padding
    starts = range(-low, size + high, stride)
    fitting = [s for s in starts if s + (window - 1) * dilation < size + high]
    if not fitting:
        with pytest.raises(ValueError, match="larger than the padded map"):
            parse_geometry(
                "t", (size,), (window,), stride=stride, padding=(padding,), dilation=dilation
            )
        return
    geometry = parse_geometry(
        "t", (size,), (window,), stride=stride, padding=(padding,), dilation=dilation
    )
    assert geometry.output == (len(fitting),)


def test_a_geometry_is_hashable_and_equal_to_its_like():
    one = parse_geometry("t", (9, 8), (3, 2), stride=2, padding="SAME")
    other = parse_geometry("t", [9, 8], [3, 2], stride=(2, 2), padding=((1, 1), (0, 0)))
    assert one == other
    assert hash(one) == hash(other)


def _loop_conv(x, kernel, stride, low, dilation, output):
    """The definition, element by element; whatever lies off the map is zero."""
    y = np.zeros((x.shape[0], *output, kernel.shape[-1]))
    for place in itertools.product(*(range(p) for p in output)):
        for tap in itertools.product(*(range(k) for k in kernel.shape[:-2])):
            at = [
                i * s - b + t * d
                for i, s, b, t, d in zip(place, stride, low, tap, dilation, strict=True)
            ]
            if all(0 <= a < h for a, h in zip(at, x.shape[1:-1], strict=True)):
                y[(slice(None), *place)] += x[(slice(None), *at)] @ kernel[tap]
    return y


@pytest.mark.parametrize(
    ("size", "window", "stride", "padding", "dilation"),
    [
        ((7, 6), (3, 2), (2, 1), ((1, 0), (2, 2)), (1, 2)),
        ((5, 9), (2, 4), (3, 2), ((0, 1), (-1, 3)), (2, 1)),
        ((8,), (3,), (3,), ((2, 0),), (2,)),
        ((3, 4, 5), (2, 1, 3), (1, 2, 2), ((1, 1), (0, 0), (0, 1)), (1, 1, 2)),
    ],
)
def test_convolution_by_its_definition(size, window, stride, padding, dilation):
    x = jax.random.normal(jax.random.key(0), (2, *size, 3), jnp.float64)
    kernel = jax.random.normal(jax.random.key(1), (*window, 3, 2), jnp.float64)
    y = jc.conv(x, kernel, stride=stride, padding=padding, dilation=dilation)
    low = [pad for pad, _ in padding]
    expected = _loop_conv(np.asarray(x), np.asarray(kernel), stride, low, dilation, y.shape[1:-1])
    assert np.allclose(y, expected, rtol=0, atol=1e-13)

"""Transposed convolution and padding modes against PyTorch, in float64."""

from functools import partial

import jax.numpy as jnp
import pytest

import jaxcnn as jc

pytestmark = pytest.mark.sampled(2)
torch = pytest.importorskip("torch", reason="torch is not installed (extra: torch)")

from test_against_torch import compare, normal  # noqa: E402


@pytest.mark.parametrize(
    ("size", "window", "settings"),
    [
        ((2, 4, 3, 6), (3, 2, 4, 6), {}),
        ((1, 3, 4, 2), (3, 3, 5, 2), {"stride": 3, "output_padding": (2, 1)}),
        ((2, 4, 4, 6), (3, 3, 2, 6), {"groups": 2, "stride": 2, "padding": 1, "output_padding": 1}),
        ((1, 5, 4, 2), (2, 3, 3, 2), {"dilation": (3, 2), "stride": 2, "padding": (1, 0)}),
        ((1, 5, 3), (4, 2, 3), {"stride": 2, "padding": 2}),
        ((1, 2, 3, 2, 2), (2, 3, 2, 1, 2), {"stride": (1, 2, 3), "padding": (0, 1, 0)}),
    ],
)
def test_transposed_convolution(size, window, settings):
    """PyTorch's weight is (in, out / groups, window): our d, c / g and kernel window."""
    theirs = getattr(torch.nn.functional, f"conv_transpose{len(size) - 2}d")
    channels = window[-2] * settings.get("groups", 1)
    compare(
        lambda x, k, b: jc.conv_transpose(x, k, b, **settings),
        lambda x, k, b: theirs(x, k, b, **settings),
        [normal(0, size), normal(1, window), normal(2, (channels,))],
        ["channels", "kernel", "plain"],
    )


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("size", "padding"),
    [
        ((2, 5, 4, 3), ((2, 1), (0, 3))),
        ((1, 6, 2), ((3, 2),)),
        ((1, 3, 4, 3, 2), ((1, 0), (2, 2), (0, 1))),
    ],
)
def test_padding_modes(size, padding, mode):
    flat = [amount for pair in reversed(padding) for amount in pair]  # the last axis first
    compare(
        partial(jc.pad, padding=padding, mode=mode),
        lambda x: torch.nn.functional.pad(x, flat, mode=mode),
        [normal(0, size)],
        ["channels"],
    )


def test_a_circular_convolution_is_padding_and_convolution():
    module = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular", dtype=torch.float64)
    kernel = jnp.moveaxis(jnp.asarray(module.weight.detach().numpy()), (0, 1), (-1, -2))
    bias = jnp.asarray(module.bias.detach().numpy())
    compare(
        lambda x: jc.conv(jc.pad(x, 1, "circular"), kernel, bias),
        module,
        [normal(0, (2, 5, 6, 3))],
        ["channels"],
    )

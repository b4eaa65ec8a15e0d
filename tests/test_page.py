"""`jaxcnn.page`: a file that needs nothing else, of networks that it knows; mistakes are told."""

import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    MaxPool,
    TrueConv,
    residual,
    serial,
)
from jaxcnn.page import page
from jaxcnn.twins import autodiff_twin


def made(net, shape, images=1):
    """The network, drawn parameters, its state, and images."""
    params, state = net.init(jax.random.key(0), shape, dtype=jnp.float32)
    return net, params, state, jax.random.normal(jax.random.key(1), (images, *shape), jnp.float32)


def test_the_library_does_without_it_until_it_is_asked_for():
    code = "import sys, jaxcnn; assert 'jaxcnn.page' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_page_is_one_file_that_asks_for_nothing_elsewhere():
    text = page(*made(jaxcnn.models.ray_cnn(), (6, 6, 1)), title="</script><b>")
    assert not re.findall(r'(?:src|href)="(?!data:)', text)
    assert not re.findall(r"https?:|fetch\(|\bimport\b|XMLHttp|@import|url\(", text)
    assert text.count("</script>") == text.count("<script") == 2
    assert "&lt;/script&gt;&lt;b&gt;" in text


def test_a_lenet_is_below_2_megabytes_and_an_epoch_of_it_below_a_third_of_one():
    net, params, state, images = made(jaxcnn.models.lenet5(), (32, 32, 1), images=21)
    one = len(page(net, params, state, images).encode())
    two = len(page(net, params, state, images, epochs={"after epoch 1": params}).encode())
    assert one < 2_000_000
    assert two - one < 350_000


CONV = serial(conv=Conv(2, 3), flatten=Flatten(), dense=Dense(3))
BAD = {
    "no network": (lambda: ((lambda x: x), {}, {}, jnp.zeros((1, 5, 5, 1), jnp.float32)), {},
        TypeError, "page: net must be a layer of jaxcnn.layers, got <lambda>"),
    "batch norm": (lambda: made(serial(norm=BatchNorm()), (5, 5, 1)), {}, ValueError,
        "page: net must apply conv, table_conv, dense, scale_channels, max_pool, sum_pool, "
        "avg_pool, flatten, relu, tanh, sigmoid only, got batch_norm_inference_map in layer norm"),
    "another activation": (
        lambda: made(serial(Conv(2, 3), serial(inner=Activation(jaxcnn.gelu))), (5, 5, 1)), {},
        ValueError, "got gelu_map in layer serial1/inner"),
    "another convolution": (lambda: made(serial(c=TrueConv(2, 3)), (5, 5, 1)), {}, ValueError,
        "got true_conv_map in layer c"),
    "a twin": (lambda: made(autodiff_twin(CONV), (5, 5, 1)), {}, ValueError, "in layer conv"),
    "branches": (lambda: made(serial(b=residual(Conv(1, 3, padding="SAME"))), (5, 5, 1)), {},
        ValueError, "page: net must be layers one after the other, got Branches in layer b"),
    "reflection": (lambda: made(serial(c=Conv(1, 3, padding=1, padding_mode="reflect")), (5, 5, 1)),
        {}, ValueError, "page: net must pad by zeros alone, got conv in layer c"),
    "volumes": (lambda: made(serial(pool=MaxPool(2)), (4, 4, 4, 1)), {}, ValueError,
        "page: net must work on signals or maps, got 3 axes"),
    "large": (lambda: made(serial(Flatten(), Dense(501)), (500, 1)), {}, ValueError,
        "page: params must hold 250,000 numbers at most, got 251,001"),
    "labels": (lambda: made(CONV, (5, 5, 1)), {"labels": np.array([0, 1])}, ValueError,
        "page: labels must have shape (1,), got (2,)"),
    "a class": (lambda: made(CONV, (5, 5, 1)), {"labels": np.array([3])}, ValueError,
        "page: labels must "),
    "targets": (lambda: made(CONV, (5, 5, 1)), {"targets": jnp.zeros((1, 4), jnp.float32)},
        ValueError, "page: targets must have shape (1, 3), got (1, 4)"),
    "names": (lambda: made(CONV, (5, 5, 1)), {"names": ["a", "b"]}, ValueError,
        "page: names must be one for each output of shape (3,), got 2"),
    "scale": (lambda: made(CONV, (5, 5, 1)), {"std": 0}, ValueError, "page: std must be"),
    "ink": (lambda: made(CONV, (5, 5, 1)), {"ink": 0}, ValueError, "page: ink must be at least 1"),
    "epochs": (lambda: made(CONV, (5, 5, 1)), {"epochs": {"one": {}}}, ValueError, "params must"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_told_in_one_sentence(case):
    arguments, settings, kind, sentence = BAD[case]
    with pytest.raises(kind) as error:
        page(*arguments(), **settings)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)

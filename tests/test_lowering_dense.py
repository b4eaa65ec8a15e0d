"""Products of few rows and a large weight, which a CPU reads as it lies."""

import jax
import numpy as np
import pytest

import jaxcnn as jc
from jaxcnn.gradcheck import relative_error
from jaxcnn.lowering import dense

LARGE = (400, 90)


def arguments(rows, weight=LARGE):
    numbers = np.random.default_rng(0)
    delta, weight = (numbers.standard_normal(shape) for shape in ((*rows, weight[1]), weight))
    return jax.numpy.asarray(delta), jax.numpy.asarray(weight)


@pytest.mark.parametrize("rows", [(), (1,), (2,), (2, 3), (0,)])
def test_a_product_with_a_transposed_large_weight(rows):
    delta, weight = arguments(rows)
    found = jax.jit(dense.matmul_transposed)(delta, weight)
    expected = np.asarray(delta) @ np.asarray(weight).T
    assert found.shape == expected.shape
    assert relative_error(found, expected)[0] < 1e-14


@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)])
def test_mapped(mapped):
    delta, weight = arguments((2,))
    stacked = [
        a if axis is None else jax.numpy.stack([a, -a, 2 * a])
        for a, axis in zip((delta, weight), mapped, strict=True)
    ]
    found = jax.jit(jax.vmap(dense.matmul_transposed, mapped))(*stacked)
    expected = stacked[0] @ np.swapaxes(stacked[1], -1, -2)
    assert relative_error(found, expected)[0] < 1e-14


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounded_once(dtype):
    low = [a.astype(dtype) for a in arguments((2,))]
    found = jax.jit(dense.matmul_transposed)(*low)
    exact = dense.matmul_transposed(*(a.astype("float64") for a in low))
    assert found.dtype == dtype
    error, _ = relative_error(found.astype("float64"), exact)
    assert error < 0.6 * float(jax.numpy.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("rows", "weight", "product"),
    [(2, LARGE, "[400,2]"), (2, (30, 9), "[2,30]"), (50, LARGE, "[50,400]")],
)
def test_the_product_that_is_computed(rows, weight, product):
    """XLA turns it back where nothing forbids that."""
    compiled = jax.jit(dense.matmul_transposed).lower(*arguments((rows,), weight)).compile()
    products = [line for line in str(compiled.as_text()).splitlines() if " dot(" in line]
    assert len(products) == 1
    assert product in products[0]


def positive(*shape):
    return np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float32)


@pytest.mark.parametrize("places", [2**18, 2**18 + 3])
@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
@pytest.mark.parametrize(("c", "d"), [(4, 1), (1, 4), (3, 3)])
def test_a_long_sum_of_few_columns(c, d, jit, places):
    """In float32, one number after the other, it would be off by 2e-5, and more where longer."""
    x, delta = positive(places, c), positive(places, d)
    exact = x.T.astype(float) @ delta.astype(float)
    found = jit(jc.dense_weight_grad)(x, delta)
    pointwise = jit(lambda x, delta: jc.conv_kernel_grad(x, delta, kernel_size=(1, 1)))
    kernel = pointwise(x.reshape(1, places, 1, c), delta.reshape(1, places, 1, d))
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    np.testing.assert_allclose(kernel[0, 0], exact, rtol=1e-6)


@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
def test_a_long_product_of_one_row(jit):
    x, weight = positive(1, 2**18), positive(2**18, 3)
    exact = x.astype(float) @ weight.astype(float)
    np.testing.assert_allclose(jit(jc.dense)(x, weight), exact, rtol=1e-6)
    np.testing.assert_allclose(jit(jc.dense)(x[0], weight), exact[0], rtol=1e-6)
    turned = np.ascontiguousarray(weight.T)
    np.testing.assert_allclose(jit(jc.dense_input_grad)(x, turned), exact, rtol=1e-6)
    np.testing.assert_allclose(jit(jc.dense_input_grad)(x[0], turned), exact[0], rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
def test_a_long_sum_over_channels(jit, channels):
    x, kernel = positive(1, 1, 1, 2**20), positive(1, 1, 2**20, channels)
    exact = x.astype(float) @ kernel.astype(float)[0, 0]
    np.testing.assert_allclose(jit(jc.conv)(x, kernel), exact, rtol=1e-6)
    back = jit(lambda delta, kernel: jc.conv_input_grad(delta, kernel, input_size=(1, 1)))
    np.testing.assert_allclose(back(x, kernel.swapaxes(2, 3)), exact, rtol=1e-6)


@pytest.mark.parametrize("jit", [jax.jit, jc.jit])
def test_a_long_product_with_one_column(jit):
    x, weight = positive(2, 2**20), positive(2**20, 1)
    exact = x.astype(float) @ weight.astype(float)
    np.testing.assert_allclose(jit(jc.dense)(x, weight), exact, rtol=1e-6)
    np.testing.assert_allclose(jit(jc.dense_input_grad)(x, weight.T), exact, rtol=1e-6)

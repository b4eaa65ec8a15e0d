"""The worked examples and printed values of the source documents, errata corrected and named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn as jc

LETTER = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 1, 0],
        [0, 1, 0, 0, 1, 0, 0],
        [0, 1, 0, 1, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    float,
)
CROPPED = LETTER[1:, 1:]  # the 6 × 6 image of "Downsampling"


def as_maps(image):
    return jnp.asarray(image, jnp.float64)[None, :, :, None]


def as_kernel(window):
    return jnp.asarray(window, jnp.float64)[:, :, None, None]


def correlate(image, window, **settings):
    return jc.conv(as_maps(image), as_kernel(window), **settings)[0, :, :, 0]


def test_gormley_background_image_processing():
    expected = [[3, 2, 2, 3, 1], [2, 0, 2, 1, 0], [2, 2, 1, 0, 0], [3, 1, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert np.array_equal(correlate(LETTER, [[0, 0, 0], [0, 1, 1], [0, 1, 0]]), expected)


def test_gormley_identity_convolution():
    identity = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert np.array_equal(correlate(LETTER, identity), LETTER[1:-1, 1:-1])


def test_gormley_blurring_convolution_with_its_four_misprints_corrected():
    # Printed at row 2, columns 1 to 3: .4 .2 .3; at row 3, column 2: .4; counted: .5 .6 .5, .5.
    expected = [
        [0.4, 0.5, 0.5, 0.5, 0.4],
        [0.5, 0.6, 0.5, 0.6, 0.3],
        [0.5, 0.5, 0.4, 0.2, 0.1],
        [0.5, 0.6, 0.2, 0.1, 0.0],
        [0.4, 0.3, 0.1, 0.0, 0.0],
    ]
    blur = [[0.1, 0.1, 0.1], [0.1, 0.2, 0.1], [0.1, 0.1, 0.1]]
    assert np.allclose(correlate(LETTER, blur), expected, rtol=0, atol=1e-15)


def test_gormley_downsampling_with_stride_2():
    expected = [[3, 3, 1], [3, 1, 0], [1, 0, 0]]
    assert np.array_equal(correlate(CROPPED, np.ones((2, 2)), stride=2), expected)


def test_gormley_downsampling_by_averaging_is_average_pooling():
    expected = np.array([[3, 3, 1], [3, 1, 0], [1, 0, 0]]) / 4
    assert np.array_equal(correlate(CROPPED, np.full((2, 2), 0.25), stride=2), expected)
    assert np.array_equal(jc.avg_pool(as_maps(CROPPED), 2)[0, :, :, 0], expected)


def test_gormley_max_pooling():
    expected = [[1, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert np.array_equal(jc.max_pool(as_maps(CROPPED), 2)[0, :, :, 0], expected)


def test_gormley_two_arguments_of_a_maximum_but_the_first_wins_a_tie():
    # His y = max(a, b) gives a tie to b; Huang's "if y1 ≥ y2" gives it to a, as do all frameworks.
    gradient = jax.grad(lambda x: jc.max_pool(x, 2).sum())
    for a, b, first in ((2.0, 1.0, 1), (1.0, 2.0, 0), (1.0, 1.0, 1)):
        pair = jnp.array([a, b])[None, :, None]
        assert np.array_equal(gradient(pair)[0, :, 0], [first, 1 - first])


def test_quan_the_first_output_of_the_binary_image_is_4():
    image = [[1, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 0], [0, 1, 1, 0, 0]]
    assert correlate(image, [[1, 0, 1], [0, 1, 0], [1, 0, 1]])[0, 0] == 4


def test_huang_one_dimensional_example_with_5_inputs_and_3_weights():
    u = jax.random.normal(jax.random.key(0), (5,), jnp.float64)
    w = jax.random.normal(jax.random.key(1), (3,), jnp.float64)
    d1, d2, d3 = delta = jax.random.normal(jax.random.key(2), (3,), jnp.float64)
    w1, w2, w3 = w
    y = jc.sigmoid(u)

    def forward(u, w):
        return jc.conv(jc.sigmoid(u)[None, :, None], w[:, None, None])[0, :, 0]

    delta_u, delta_w = jax.vjp(forward, u, w)[1](delta)
    full = jnp.stack(
        [d1 * w1, d1 * w2 + d2 * w1, d1 * w3 + d2 * w2 + d3 * w1, d2 * w3 + d3 * w2, d3 * w3]
    )
    assert np.allclose(delta_u, full * y * (1 - y), rtol=0, atol=1e-15)
    scalar = jnp.stack([delta @ y[k : k + 3] for k in range(3)])
    assert np.allclose(delta_w, scalar, rtol=0, atol=1e-15)


def test_huang_average_pooling_halves_the_gradient():
    x = jnp.arange(4.0)[None, :, None]
    delta = jnp.array([3.0, 5.0])[None, :, None]
    (delta_x,) = jax.vjp(lambda x: jc.avg_pool(x, 2), x)[1](delta)
    assert np.array_equal(delta_x[0, :, 0], [1.5, 1.5, 2.5, 2.5])


def test_ray_flip():
    kernel = as_kernel([[1, 3, 5], [2, 4, 6]])
    assert np.array_equal(jc.rot180(kernel)[:, :, 0, 0], [[6, 4, 2], [5, 3, 1]])


def test_ray_relu():
    x = jnp.array([[-5.0, 4.0], [0.0, 2.0]])
    delta = jnp.array([[1.0, 3.0], [2.0, 4.0]])
    y, pull = jax.vjp(jc.relu, x)
    assert np.array_equal(y, [[0, 4], [0, 2]])
    assert np.array_equal(pull(delta)[0], [[0, 3], [0, 4]])


def test_ray_max_pooling_puts_each_gradient_at_its_maximum():
    expected = np.array([[0, 0, 3, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 4]], float)
    # Any image with its maxima where Ray's are: his places, on a background of small numbers.
    image = np.where(expected > 0, 9, np.arange(16).reshape(4, 4) / 16)
    delta = jnp.array([[1.0, 3.0], [2.0, 4.0]])[None, :, :, None]
    (delta_x,) = jax.vjp(lambda x: jc.max_pool(x, 2), as_maps(image))[1](delta)
    assert np.array_equal(delta_x[0, :, :, 0], expected)


def test_ray_the_two_gradients_of_a_convolution_by_index():
    image = np.asarray(jax.random.normal(jax.random.key(0), (5, 6), jnp.float64))
    kernel = np.asarray(jax.random.normal(jax.random.key(1), (3, 2), jnp.float64))
    delta = np.asarray(jax.random.normal(jax.random.key(2), (3, 5), jnp.float64))
    delta_image, delta_kernel = np.zeros_like(image), np.zeros_like(kernel)
    for i, j in np.ndindex(*delta.shape):
        for p, q in np.ndindex(*kernel.shape):
            delta_kernel[p, q] += image[i + p, j + q] * delta[i, j]
            delta_image[i + p, j + q] += kernel[p, q] * delta[i, j]
    pull = jax.vjp(correlate, jnp.asarray(image), jnp.asarray(kernel))[1]
    found_image, found_kernel = pull(jnp.asarray(delta))
    assert np.allclose(found_image, delta_image, rtol=0, atol=1e-14)
    assert np.allclose(found_kernel, delta_kernel, rtol=0, atol=1e-14)


def test_gwardys_a_true_convolution_has_the_rotations_the_other_way_round():
    x = jax.random.normal(jax.random.key(0), (1, 6, 5, 1), jnp.float64)
    w = jax.random.normal(jax.random.key(1), (3, 2, 1, 1), jnp.float64)
    y, pull = jax.vjp(lambda x, w: jc.conv(x, jc.rot180(w)), x, w)
    delta = jax.random.normal(jax.random.key(2), y.shape, jnp.float64)
    delta_x, delta_w = pull(delta)
    # ∂x = pad(δ) ⋆ w, and ∂w = rot180(x) ∗valid δ = rot180(x) ⋆ rot180(δ) = rot180(x ⋆ δ).
    assert np.allclose(delta_x, jc.conv(delta, w, padding="FULL"), rtol=0, atol=1e-14)
    expected = jc.rot180(jc.conv_kernel_grad(x, delta, kernel_size=(3, 2)))
    assert np.allclose(delta_w, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_gormley_case_1_logistic_regression(target):
    x = jnp.array([[0.5, -1.0, 2.0]])
    theta = jnp.array([[0.3], [0.7], [-0.2]])

    def loss(theta, x):
        return jc.sigmoid_binary_cross_entropy(jc.dense(x, theta), jnp.full((1, 1), target))

    delta_theta, delta_x = jax.grad(loss, (0, 1))(theta, x)
    y = 1 / (1 + np.exp(-(x @ theta).item()))
    # His table, dJ/dy · dy/da · da/dθ with J the log-likelihood: a loss has the opposite sign.
    dy = target / y + (1 - target) / (y - 1)
    da = dy * y * (1 - y)
    assert np.allclose(delta_theta[:, 0], -da * x[0], rtol=0, atol=1e-15)
    assert np.allclose(delta_x[0], -da * theta[:, 0], rtol=0, atol=1e-15)


def test_gormley_case_2_one_hidden_layer():
    x = jnp.array([[1.0, -0.5]])
    alpha = jnp.array([[0.2, -0.4, 0.1], [0.6, 0.3, -0.8]])
    beta = jnp.array([[0.5], [-0.3], [0.9]])
    target = 1.0

    def loss(alpha, beta):
        hidden = jc.sigmoid(jc.dense(x, alpha))
        return jc.sigmoid_binary_cross_entropy(jc.dense(hidden, beta), jnp.full((1, 1), target))

    delta_alpha, delta_beta = jax.grad(loss, (0, 1))(alpha, beta)
    z = 1 / (1 + np.exp(-np.asarray(x @ alpha)[0]))
    y = 1 / (1 + np.exp(-z @ np.asarray(beta)[:, 0]))
    # Printed with + between the terms of dJ/dy; Case 1 has it right: y*/y + (1 − y*)/(y − 1).
    db = (target / y + (1 - target) / (y - 1)) * y * (1 - y)
    da = db * np.asarray(beta)[:, 0] * z * (1 - z)
    assert np.allclose(delta_beta[:, 0], -db * z, rtol=0, atol=1e-15)
    assert np.allclose(delta_alpha, -np.outer(x[0], da), rtol=0, atol=1e-15)

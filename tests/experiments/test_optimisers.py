"""Optimisers and schedules by name; the airbench recipes against loops written from their text."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import training
from experiments.command_line.options import Optimisation
from experiments.training.airbench import Course
from experiments.training.schedules import plateau_factor, rate_at


def made(steps: int = 50, **changes: Any) -> Any:
    options = Optimisation(**{"learning_rate": 0.05, "schedule": "constant", **changes})
    return training.make_optimiser(options, training.make_schedule(options, steps, 10))


def trained(optimiser, params, gradients_of, steps):
    def step(carry, _):
        params, opt_state = carry
        with training.library_promotion():
            updates, opt_state = optimiser.update(gradients_of(params), opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

    carry = params, optimiser.init(params)
    for _ in range(steps):
        carry, _ = step(carry, None)
    return carry[0]


SQUARE = {"kernel": jnp.ones((2, 2), jnp.float32), "bias": jnp.ones((2,), jnp.float32)}


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov", "adam", "adamw", "muon"])
def test_every_optimiser_lowers_a_square(kind):
    optimiser = made(optimiser=kind, weight_decay=1e-3)

    def step(carry, _):
        params, opt_state = carry
        with training.library_promotion():
            updates, opt_state = optimiser.update(params, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    (final, _), _ = jax.lax.scan(step, (SQUARE, optimiser.init(SQUARE)), length=40)
    assert all(float(jnp.max(jnp.abs(leaf))) < 0.6 for leaf in jax.tree.leaves(final))


def rates(steps=100, **changes):
    options = Optimisation(**{"learning_rate": 2.0, **changes})
    schedule = training.make_schedule(options, steps, 10)
    return np.array([rate_at(schedule, step) for step in range(steps)])


def test_schedules_are_what_their_names_say():
    assert (rates(schedule="constant") == 2).all()
    np.testing.assert_allclose(
        rates(schedule="cosine", final_rate=0.1)[[0, 50]], [2, 0.2 + 1.8 / 2], rtol=1e-5
    )
    np.testing.assert_allclose(rates(schedule="linear")[[0, 25, 99]], [2, 1.5, 0.02], rtol=1e-5)
    steps = rates(schedule="steps", milestones=(0.5, 0.75))
    np.testing.assert_allclose(steps[[49, 50, 74, 75]], [2, 0.2, 0.2, 0.02], rtol=1e-5)
    np.testing.assert_allclose(
        rates(schedule="exponential", decay=0.95)[[9, 10, 25]], [2, 1.9, 2 * 0.95**2], rtol=1e-5
    )
    assert rates(schedule="onecycle").argmax() == 30


def test_a_warm_up_rises_to_the_highest_rate_and_the_rest_follows():
    """Airbench's triangle: 0.2 → 1 over 23 % of the steps, then to 0.07."""
    found = rates(schedule="linear", warmup=0.23, warmup_from=0.2, final_rate=0.07)
    expected = 2 * np.interp(np.arange(100), [0, 23, 100], [0.2, 1, 0.07])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    steps = rates(schedule="steps", warmup=0.1, milestones=(0.5,))
    np.testing.assert_allclose(steps[[0, 5, 10, 49, 50]], [0, 1, 2, 2, 0.2], rtol=1e-5)


def test_a_plateau_lowers_the_rate_when_validation_stalls():
    seen = [0.5, 0.6, 0.55, 0.6, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7]
    factors = [plateau_factor(seen[:n], 0.1, 3) for n in range(len(seen) + 1)]
    np.testing.assert_allclose(factors, [1] * 8 + [0.1] * 3, rtol=1e-9)
    assert plateau_factor([0.5] * 8, 0.1, 3) == pytest.approx(0.01)


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weight_decay_moves_kernels_and_leaves_biases(kind):
    optimiser = made(optimiser=kind, learning_rate=0.1, weight_decay=0.5)
    zeros = jax.tree.map(jnp.zeros_like, SQUARE)
    with training.library_promotion():
        updates, _ = optimiser.update(zeros, optimiser.init(SQUARE), SQUARE)
    np.testing.assert_allclose(updates["kernel"], np.full((2, 2), -0.05), rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], [0, 0])


def test_clipping_shortens_long_gradients_only():
    optimiser = made(optimiser="sgd", learning_rate=1.0, clip=2.0)
    for size, length in ((10.0, 2.0), (0.1, 0.1 * np.sqrt(6))):
        gradients = jax.tree.map(lambda leaf, size=size: leaf * size, SQUARE)
        updates, _ = optimiser.update(gradients, optimiser.init(SQUARE), SQUARE)
        found = np.sqrt(sum(float((leaf**2).sum()) for leaf in jax.tree.leaves(updates)))
        assert found == pytest.approx(length, rel=1e-5)


@pytest.mark.parametrize("name", ["optimiser", "schedule"])
def test_unknown_names_are_named(name):
    with pytest.raises(ValueError, match=rf"{name} must be .*'lion'"):
        made(50, **{name: "lion"})


# Airbench, from the text of its scripts, in NumPy, with a loss that is summed over the batch


def airbench_params():
    rng = np.random.default_rng(0)
    shapes = {
        "whitening": {"kernel": (2, 2, 3, 24), "bias": (24,)},
        "group1": {"conv1": {"kernel": (3, 3, 4, 5)}, "batchnorm1": {"bias": (5,)}},
        "output": {"weight": (6, 10)},
    }
    return jax.tree.map(
        lambda shape: rng.normal(size=shape).astype(np.float32),
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )


def flat(tree):
    found, _ = jax.tree.flatten_with_path(tree)
    return {"/".join(k.key for k in path): np.asarray(leaf, np.float64) for path, leaf in found}


def run_both(optimiser, one_step, steps, batch):
    """The parameters after some steps, by the optimiser and by the loop."""
    params = airbench_params()
    reference, memory = flat(params), {}
    opt_state = optimiser.init(params)
    rng = np.random.default_rng(1)
    for step in range(steps):
        summed = jax.tree.map(
            lambda leaf: rng.normal(size=leaf.shape).astype(np.float32) * 30, params
        )
        mean = jax.tree.map(lambda g: g / np.float32(batch), summed)
        with training.library_promotion():
            updates, opt_state = optimiser.update(mean, opt_state, params)
            params = optax.apply_updates(params, updates)
        for name, gradient in flat(summed).items():
            one_step(reference, memory, name, gradient, step)
    return flat(params), reference


def nesterov(params, memory, name, gradient, rate, decay, momentum):
    """torch.optim.SGD."""
    gradient = gradient + decay * params[name]
    memory[name] = momentum * memory.get(name, 0) + gradient
    params[name] = params[name] - rate * (gradient + momentum * memory[name])


STEPS, EPOCH, BATCH = 12, 2, 50  # the whitening bias stops after 3 epochs: 6 steps


def course_of(rate):
    return Course(BATCH, STEPS, EPOCH, rate)


def test_airbench_sgd_is_the_published_loop():
    options = Optimisation(
        optimiser="airbench-sgd", learning_rate=11.5, momentum=0.85, weight_decay=0.0153
    )
    factor: Any = optax.linear_schedule(1.0, 0.1, STEPS)
    scale = 1024 * (1 + 1 / (1 - 0.85))
    rate, decay = 11.5 / scale, 0.0153 * BATCH / scale

    def one_step(params, memory, name, gradient, step):
        if name == "whitening/kernel" or (name == "whitening/bias" and step >= 3 * EPOCH):
            return
        own = rate * 64 if name.endswith("bias") else rate
        now = own * float(factor(step))
        nesterov(params, memory, name, gradient, now, decay / own, 0.85)

    optimiser = training.make_optimiser(options, factor, course_of(factor))
    found, expected = run_both(optimiser, one_step, STEPS, BATCH)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=2e-4, err_msg=name)


def test_airbench_muon_is_the_published_loop():
    options = Optimisation(
        optimiser="airbench-muon", learning_rate=0.24, momentum=0.6, weight_decay=0.004
    )
    factor: Any = optax.linear_schedule(1.0, 0.0, STEPS)

    def muon(params, memory, name, gradient, rate):
        memory[name] = 0.6 * memory.get(name, 0) + gradient
        update = gradient + 0.6 * memory[name]
        matrix = update.reshape(-1, update.shape[-1]).T  # outputs × inputs
        matrix = matrix / (np.linalg.norm(matrix) + 1e-7)
        tall = matrix.shape[0] > matrix.shape[1]
        matrix = matrix.T if tall else matrix
        for _ in range(3):
            square = matrix @ matrix.T
            square_squared = -4.7750 * square + 2.0315 * square @ square
            matrix = 3.4445 * matrix + square_squared @ matrix
        matrix = matrix.T if tall else matrix
        weight = params[name] * np.sqrt(5) / np.linalg.norm(params[name])
        params[name] = weight - rate * matrix.T.reshape(update.shape)

    def one_step(params, memory, name, gradient, step):
        now = float(factor(step))
        if name == "whitening/kernel" or (name == "whitening/bias" and step >= 3 * EPOCH):
            return
        if name == "whitening/bias":
            now = 1 - step / (3 * EPOCH)
        if name == "group1/conv1/kernel":
            muon(params, memory, name, gradient, 0.24 * now)
        else:
            own = 0.67 if name == "output/weight" else 0.053
            nesterov(params, memory, name, gradient, own * now, 0.004 / own, 0.85)

    optimiser = training.make_optimiser(options, factor, course_of(factor))
    found, expected = run_both(optimiser, one_step, STEPS, BATCH)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, atol=2e-4, err_msg=name)

"""The loop: hand-written rules against autodiff, scan against loop, repeatability, dtypes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import training
from jaxcnn import models

STEPS, BATCH = 20, 4


@pytest.fixture(scope="module")
def images_and_labels():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STEPS * BATCH + 3, 32, 32, 1), np.uint8)  # 3 are dropped
    labels = np.arange(len(images), dtype=np.int32) % 10
    return jnp.asarray(images), jnp.asarray(labels)


def recipe_of(rules="hand", dtype=jnp.float32, kind="momentum", schedule="constant", **changes):
    rate = training.learning_rate_schedule(schedule, 0.01, STEPS)
    settings = {
        "net": models.lenet5(),
        "rules": rules,
        "optimiser": training.make_optimiser(kind, rate),
        "mean": (0.13,),
        "std": (0.31,),
        "batch_size": BATCH,
        "shift": 2,
        "rotation": 10.0,
        "zoom": 0.1,
        "dtype": jnp.dtype(dtype),
    }
    return training.Recipe(**{**settings, **changes})


def run_epoch(compile_form, recipe, images_and_labels, number=1):
    images, labels = images_and_labels
    state = training.initial_state(recipe, jax.random.key(0), images.shape[1:])
    key = jax.random.key(1)
    epoch = compile_form(recipe, state, images, labels, key)
    return epoch(state, images, labels, key, number)


def assert_trees_close(left, right, tolerance):
    def assert_close(a, b):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    jax.tree.map(assert_close, left, right)


def moved(state, recipe):
    """The largest change of the parameter that changed least: what 1e-9 is to be small against."""
    start = training.initial_state(recipe, jax.random.key(0), (32, 32, 1)).params
    changes = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), state.params, start)
    return min(jax.tree.leaves(changes))


# Roads that must agree


@pytest.mark.parametrize(
    "model",
    [
        models.lenet5,
        pytest.param(partial(models.lenet5, flavour="1998"), marks=pytest.mark.full),
    ],
)
def test_three_roads_end_at_the_same_parameters_in_float64(model, images_and_labels):
    with jax.enable_x64(True):
        recipe = recipe_of("hand", jnp.float64, net=model())
        hand, hand_metrics = run_epoch(training.compile_scanned, recipe, images_and_labels)
        twin, twin_metrics = run_epoch(
            training.compile_looped,
            recipe_of("autodiff", jnp.float64, net=model()),
            images_and_labels,
        )
        explicit, explicit_metrics = run_epoch(
            training.compile_scanned,
            recipe_of("explicit", jnp.float64, net=model()),
            images_and_labels,
        )
        assert hand_metrics.loss.shape == (STEPS,)
        assert moved(hand, recipe) > 1e-4
    assert_trees_close(hand.params, twin.params, 1e-9)
    assert_trees_close(hand_metrics.loss, twin_metrics.loss, 1e-9)
    assert_trees_close(hand.params, explicit.params, 1e-12)
    assert_trees_close(hand_metrics.loss, explicit_metrics.loss, 1e-12)
    np.testing.assert_array_equal(hand_metrics.correct, twin_metrics.correct)


@pytest.fixture(scope="module")
def scanned(images_and_labels):
    return run_epoch(training.compile_scanned, recipe_of(), images_and_labels)


def test_scan_and_loop_give_the_same_numbers(scanned, images_and_labels):
    looped = run_epoch(training.compile_looped, recipe_of(), images_and_labels)
    assert_trees_close(scanned, looped, 1e-5)


def test_the_same_seed_gives_the_same_bits(scanned, images_and_labels):
    again = run_epoch(training.compile_scanned, recipe_of(), images_and_labels)
    jax.tree.map(np.testing.assert_array_equal, scanned, again)


# Epochs


def test_an_epoch_takes_each_image_at_most_once_and_is_drawn_anew():
    key = jax.random.key(3)
    plans = [training.plan_epoch(key, epoch, 23, 5) for epoch in (1, 2, 1)]
    for plan in plans:
        assert plan.order.shape == (4, 5)
        assert len(set(np.ravel(plan.order).tolist())) == 20
    assert not np.array_equal(plans[0].order, plans[1].order)
    np.testing.assert_array_equal(plans[0].order, plans[2].order)


@pytest.mark.parametrize(
    ("precision", "wide"), [("float32", False), ("float32", True), ("float64", True)]
)
def test_dtypes_are_those_asked_for_whatever_the_64_bit_mode(precision, wide, images_and_labels):
    images, labels = images_and_labels
    with jax.enable_x64(wide):
        recipe = recipe_of("hand", precision, "adam", "onecycle")
        state = training.initial_state(recipe, jax.random.key(0), images.shape[1:])
        epoch = training.scanned_epoch(recipe)
        after = jax.eval_shape(epoch, state, images, labels, jax.random.key(1), np.int32(1))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {precision, "int32"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {precision, "int32"}


@pytest.mark.parametrize("wide", [False, True])
def test_draws_do_not_depend_on_the_64_bit_mode(wide):
    with jax.enable_x64(wide):
        plan = training.plan_epoch(jax.random.key(3), 1, 8, 8)
        images = jnp.asarray(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1))
        moved = training.augment(plan.key, images, recipe_of())
    np.testing.assert_array_equal(np.ravel(plan.order), [6, 4, 2, 3, 0, 5, 7, 1])
    np.testing.assert_allclose(np.sum(moved), MOVED, rtol=1e-5)


# The sum of that image's pixels when the key shifts and turns it, with and without 64 bits.
MOVED = 990.0298


@pytest.mark.parametrize("kind", ["sgd", "momentum", "nesterov", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle"])
def test_every_optimiser_and_schedule_lowers_a_square(kind, schedule):
    rate = training.learning_rate_schedule(schedule, 0.05, 50)
    optimiser = training.make_optimiser(kind, rate, weight_decay=1e-3)
    params = {"kernel": jnp.ones((2, 2), jnp.float32), "bias": jnp.ones((2,), jnp.float32)}

    def step(carry, _):
        params, opt_state = carry
        with training.library_promotion():
            updates, opt_state = optimiser.update(params, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    (final, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), length=50)
    assert all(float(jnp.max(jnp.abs(leaf))) < 0.6 for leaf in jax.tree.leaves(final))


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_weight_decay_moves_kernels_and_leaves_biases(kind):
    optimiser = training.make_optimiser(kind, optax.constant_schedule(0.1), weight_decay=0.5)
    params = {"kernel": jnp.ones((2, 2), jnp.float32), "bias": jnp.ones((2,), jnp.float32)}
    zeros = jax.tree.map(jnp.zeros_like, params)
    with training.library_promotion():
        updates, _ = optimiser.update(zeros, optimiser.init(params), params)
    expected = {"kernel": jnp.full((2, 2), -0.05, jnp.float32), "bias": zeros["bias"]}
    assert_trees_close(updates, expected, 1e-6)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: training.make_optimiser("lion", optax.constant_schedule(0.1)), "'lion'"),
        (lambda: training.learning_rate_schedule("step", 0.1, 10), "'step'"),
        (lambda: training.network_of(recipe_of(rules="numeric")), "'numeric'"),
    ],
)
def test_unknown_names_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


# Evaluation


@pytest.mark.parametrize("batch_size", [7, 23, 30])
def test_predictions_do_not_depend_on_the_batch_size(batch_size, images_and_labels):
    images = images_and_labels[0][:23]
    recipe = recipe_of()
    state = training.initial_state(recipe, jax.random.key(0), (32, 32, 1))
    predict = training.compile_predict(recipe, state, images, batch_size)
    logits, _ = recipe.net.apply(state.params, state.net_state, training.normalise(images, recipe))
    predicted = predict(state.params, state.net_state)
    np.testing.assert_array_equal(predicted, np.argmax(np.asarray(logits), axis=-1))


def test_confusion_counts_true_class_by_predicted_class():
    counts = training.confusion_counts(np.array([0, 0, 2, 1]), np.array([0, 2, 2, 2]), classes=3)
    np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 0, 1], [0, 0, 1]])

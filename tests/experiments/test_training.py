"""The loop: hand-written rules against autodiff, scan against loop, repeatability, dtypes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import training
from experiments.command_line.options import Augmentation, Optimisation
from experiments.training import Averaging, Looped, Resident, Scanned, Segment
from experiments.training.epoch import scanned as scanned_steps
from experiments.training.evaluation import make_logits, views
from experiments.training.precision import products
from experiments.training.step import augment
from jaxcnn import layers, models
from jaxcnn.ops.activation import tanh

STEPS, BATCH = 20, 4
AUGMENTATION = Augmentation(shift=2, rotation=10.0, zoom=0.1)


@pytest.fixture(scope="module")
def resident():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (STEPS * BATCH + 3, 32, 32, 1), np.uint8)  # 3 are dropped
    labels = np.arange(len(images), dtype=np.int32) % 10
    return Resident(jnp.asarray(images), jnp.asarray(labels))


def optimiser_of(
    kind: Any = "momentum", schedule: Any = "constant", rate=0.01, steps=STEPS, **more
):
    options = Optimisation(optimiser=kind, schedule=schedule, learning_rate=rate, **more)
    return training.make_optimiser(options, training.make_schedule(options, steps, 5))


def recipe_of(rules="hand", dtype=jnp.float32, kind="momentum", schedule="constant", **changes):
    settings = {
        "net": models.lenet5(),
        "rules": rules,
        "optimiser": optimiser_of(kind, schedule),
        "mean": (0.13,),
        "std": (0.31,),
        "batch_size": BATCH,
        "augmentation": AUGMENTATION,
        "dtype": jnp.dtype(dtype),
    }
    return training.Recipe(**{**settings, **changes})


def small_net():
    """Compiles at once, and has a state and a draw of random numbers."""
    return layers.serial(
        layers.Conv(3, 5, stride=4), layers.BatchNorm(), layers.Activation(tanh),
        layers.Dropout(0.2), layers.Flatten(), layers.Dense(10),
    )  # fmt: skip


def run_epoch(form, recipe, resident, segment=Segment(1, 0, STEPS)):  # noqa: B008  # a constant
    state = training.initial_state(recipe, jax.random.key(0), resident.pixels.shape[1:])
    return form(recipe, resident, jax.random.key(1))(state, segment)


def assert_trees_close(left, right, tolerance):
    def assert_close(a, b):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    jax.tree.map(assert_close, left, right)


def moved(state, recipe):
    """The largest change of the parameter that changed least: what 1e-9 is to be small against."""
    shape = 32, 32, len(recipe.mean)
    start = training.initial_state(recipe, jax.random.key(0), shape).params
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
def test_three_roads_end_at_the_same_parameters_in_float64(model, resident):
    with jax.enable_x64(True):
        recipe = recipe_of("hand", jnp.float64, net=model())
        hand, hand_metrics = run_epoch(Scanned, recipe, resident)
        twin, twin_metrics = run_epoch(
            Looped, recipe_of("autodiff", jnp.float64, net=model()), resident
        )
        explicit, explicit_metrics = run_epoch(
            Scanned, recipe_of("explicit", jnp.float64, net=model()), resident
        )
        assert hand_metrics.loss.shape == (STEPS,)
        assert moved(hand, recipe) > 1e-4
    assert_trees_close(hand.params, twin.params, 1e-9)
    assert_trees_close(hand_metrics.loss, twin_metrics.loss, 1e-9)
    assert_trees_close(hand.params, explicit.params, 1e-12)
    assert_trees_close(hand_metrics.loss, explicit_metrics.loss, 1e-12)
    np.testing.assert_array_equal(hand_metrics.correct, twin_metrics.correct)


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(("net", "channels"), [(models.lenet5(), 1), (models.resnet(20), 3)])
def test_three_roads_agree_for_fifty_steps_in_float64(net, channels):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50 * 4, 32, 32, channels), np.uint8)
    data = Resident(jnp.asarray(images), jnp.arange(200, dtype=jnp.int32) % 10)
    ends = []
    with jax.enable_x64(True):
        for rules in ("hand", "explicit", "autodiff"):
            recipe = recipe_of(
                rules, jnp.float64, net=net, mean=(0.5,) * channels, std=(0.25,) * channels
            )
            ends.append(run_epoch(Looped, recipe, data, Segment(1, 0, 50))[0])
            assert moved(ends[-1], recipe) > 1e-4
    for other in ends[1:]:
        assert_trees_close(ends[0].params, other.params, 1e-8)
        assert_trees_close(ends[0].net_state, other.net_state, 1e-8)


@pytest.fixture(scope="module")
def scanned(resident):
    return run_epoch(Scanned, recipe_of(), resident)


def test_scan_and_loop_give_the_same_numbers(scanned, resident):
    looped = run_epoch(Looped, recipe_of(), resident)
    assert_trees_close(scanned, looped, 1e-5)


def test_the_same_seed_gives_the_same_bits(scanned, resident):
    again = run_epoch(Scanned, recipe_of(), resident)
    jax.tree.map(np.testing.assert_array_equal, scanned, again)


@pytest.mark.full
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("kind", "average", "half"),
    [("momentum", "ema", None), ("muon", "lookahead", "float16")],
)
def test_segments_of_an_epoch_are_the_epoch_bit_for_bit(kind, average, half, resident):
    recipe = recipe_of(
        net=small_net(), kind=kind, averaging=Averaging(average, 0.9, STEPS),
        compute=None if half is None else jnp.dtype(half),
    )  # fmt: skip
    whole, losses = run_epoch(Scanned, recipe, resident)
    for count in (10, 4):
        advance = Scanned(recipe, resident, jax.random.key(1))
        state, each = training.initial_state(recipe, jax.random.key(0), (32, 32, 1)), []
        for first in range(0, STEPS, count):
            state, metrics = advance(state, Segment(1, first, count))
            each.append(metrics.loss)
        np.testing.assert_array_equal(np.concatenate(each), losses.loss)
        jax.tree.map(np.testing.assert_array_equal, whole, state)


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(resident):
    net = layers.serial(layers.Conv(3, 5, stride=4), layers.Flatten(), layers.Dense(10))
    one, two = (
        run_epoch(Scanned, recipe_of(net=net, accumulate=parts), resident, Segment(1, 0, 3))
        for parts in (1, 2)
    )
    assert_trees_close(one, two, 1e-5)


# Precision


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("half", "rules"),
    [("bfloat16", "hand"), ("bfloat16", "explicit"), ("float16", "explicit"), ("float16", "hand")],
)
def test_mixed_precision_keeps_parameters_wide_and_follows_float32(half, rules, resident):
    net, few = small_net(), Segment(1, 0, 4)
    mixed = recipe_of(rules, net=net, compute=jnp.dtype(half))
    state, metrics = run_epoch(Scanned, mixed, resident, few)
    _, wide = run_epoch(Scanned, recipe_of(net=net), resident, few)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {"float32"}
    assert metrics.loss.dtype == np.float32
    np.testing.assert_allclose(metrics.loss, wide.loss, rtol=0.05)
    assert not np.array_equal(metrics.loss, wide.loss)


@pytest.mark.parametrize("rules", ["hand", "explicit"])
def test_products_of_halves_follow_float32(rules, resident):
    net, few = small_net(), Segment(1, 0, 4)
    with products("bfloat16-products"):
        state, metrics = run_epoch(Scanned, recipe_of(rules, net=net), resident, few)
    with products("float32"):
        _, wide = run_epoch(Scanned, recipe_of(rules, net=net), resident, few)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state.params)} == {"float32"}
    np.testing.assert_allclose(metrics.loss, wide.loss, rtol=0.02)
    assert not np.array_equal(metrics.loss, wide.loss)


def test_an_overflow_lowers_the_scale_and_leaves_the_step_out(resident):
    recipe = recipe_of(net=small_net(), compute=jnp.dtype("float16"))
    state = training.initial_state(recipe, jax.random.key(0), (32, 32, 1))
    assert state.scale is not None
    wild = jax.tree.map(lambda a: a * 1e4, state.params)
    advance = Scanned(recipe, resident, jax.random.key(1))
    after, _ = advance(state._replace(params=jax.tree.map(jnp.copy, wild)), Segment(1, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, after.params, wild)
    assert after.scale is not None
    assert float(after.scale.scale) == 2.0**11


# Epochs


def test_an_epoch_takes_each_image_at_most_once_and_is_drawn_anew():
    key = jax.random.key(3)
    plans = [training.plan_epoch(key, epoch, 23, 5) for epoch in (1, 2, 1)]
    for plan in plans:
        assert plan.order.shape == (4, 5)
        assert len(set(np.ravel(plan.order).tolist())) == 20
    assert not np.array_equal(plans[0].order, plans[1].order)
    np.testing.assert_array_equal(plans[0].order, plans[2].order)
    assert [int(plan.start) for plan in plans] == [0, 4, 0]


def test_segments_begin_at_the_same_steps_wherever_a_run_goes_on():
    def shown(*arguments):
        return [tuple(segment) for segment in training.segments(*arguments)]

    assert shown(25, 10) == [(1, 0, 10), (2, 0, 10), (3, 0, 5)]
    all_of_them = shown(25, 10, 0, 4)
    assert all_of_them == [
        (1, 0, 4), (1, 4, 4), (1, 8, 2), (2, 0, 4), (2, 4, 4), (2, 8, 2), (3, 0, 5),
    ]  # fmt: skip
    for number, (epoch, first, _) in enumerate(all_of_them):
        assert shown(25, 10, (epoch - 1) * 10 + first, 4) == all_of_them[number:]
    assert shown(25, 10, 25) == []
    assert shown(5, 10, 0, 1) == [(1, step, 1) for step in range(5)]


@pytest.mark.parametrize(
    ("precision", "wide"), [("float32", False), ("float32", True), ("float64", True)]
)
def test_dtypes_are_those_asked_for_whatever_the_64_bit_mode(precision, wide, resident):
    images, labels = resident.example()
    with jax.enable_x64(wide):
        recipe = recipe_of("hand", precision, "adam", "onecycle")
        state = training.initial_state(recipe, jax.random.key(0), images.shape[1:])
        epoch = scanned_steps(recipe)
        indices = np.arange(3, dtype=np.int32)
        key = jax.random.key(1)
        after = jax.eval_shape(epoch, state, images, labels, key, np.int32(1), indices)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} == {precision, "int32"}
    assert {leaf.dtype.name for leaf in jax.tree.leaves(after)} == {precision, "int32"}


@pytest.mark.parametrize("wide", [False, True])
def test_draws_do_not_depend_on_the_64_bit_mode(wide):
    with jax.enable_x64(wide):
        plan = training.plan_epoch(jax.random.key(3), 1, 8, 8)
        images = jnp.asarray(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1))
        moved = augment(plan.key, images, recipe_of())
    np.testing.assert_array_equal(np.ravel(plan.order), [6, 4, 2, 3, 0, 5, 7, 1])
    np.testing.assert_allclose(np.sum(moved), MOVED, rtol=1e-5)


# The sum of that image's pixels when the key shifts and turns it, with and without 64 bits.
MOVED = 990.0298


def test_every_augmentation_together_runs_in_a_scan(resident):
    everything = Augmentation(
        shift=1, shift_mode="reflect", rotation=5.0, scale=1.1, translation=1.0, shear=3.0,
        stretch=1.1, flip="alternating", vertical_flip=True, cutout=4, mixup=0.3,
    )  # fmt: skip
    recipe = recipe_of(net=small_net(), augmentation=everything, label_smoothing=0.1)
    _, metrics = run_epoch(Scanned, recipe, resident, Segment(2, 0, 3))
    assert np.isfinite(metrics.loss).all()


# Averages


def test_a_moving_average_follows_the_parameters(resident):
    averaging = Averaging("ema", 0.5, STEPS)
    recipe = recipe_of(net=small_net(), averaging=averaging)
    state = training.initial_state(recipe, jax.random.key(0), (32, 32, 1))
    average = jax.device_get(state.params)
    advance = Scanned(recipe, resident, jax.random.key(1))
    for step in range(3):
        state, _ = advance(state, Segment(1, step, 1))
        d = min(0.5, (step + 1) / (step + 11))
        now = jax.device_get(state.params)
        average = jax.tree.map(lambda a, b, d=d: d * a + (1 - d) * b, average, now)
        jax.tree.map(
            partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), state.average[0], average
        )
    params, _ = training.evaluated(state, averaging)
    assert params is state.average[0]


def test_lookahead_is_the_published_loop():
    """Every 5 steps slow ← d slow + (1 − d) fast, fast ← slow; in the end fast ← slow."""
    from experiments.training.averaging import follow

    steps, rng = 12, np.random.default_rng(0)
    fast = slow = np.float32(1.0)
    average, now = ({"w": jnp.float32(1.0)},) * 2
    for step in range(steps):
        change = np.float32(rng.normal())
        fast = np.float32(fast + change)
        if (step + 1) % 5 == 0:
            d = 0.95**5 * ((step + 1) / steps) ** 3
            slow = fast = np.float32(d * slow + (1 - d) * fast)
        if step + 1 == steps:
            fast = slow
        now = {"w": now["w"] + change}
        average, now = follow(Averaging("lookahead", 0.0, steps), average, now, jnp.int32(step))
        np.testing.assert_allclose([average["w"], now["w"]], [slow, fast], rtol=1e-5)


# Evaluation


@pytest.mark.parametrize("batch_size", [7, 23, 30])
def test_predictions_do_not_depend_on_the_batch_size(batch_size, resident):
    images = resident.pixels[:23]
    recipe = recipe_of()
    state = training.initial_state(recipe, jax.random.key(0), (32, 32, 1))
    predict = training.compile_predict(recipe, state, images, batch_size)
    logits, _ = recipe.net.apply(state.params, state.net_state, training.normalise(images, recipe))
    np.testing.assert_allclose(predict(state.params, state.net_state), logits, rtol=1e-4, atol=1e-5)


def test_test_time_augmentation_averages_logits_of_mirrored_and_shifted_images(resident):
    recipe = recipe_of(net=small_net())
    params, net_state, *_ = training.initial_state(recipe, jax.random.key(0), (32, 32, 1))
    images = resident.pixels[:3]

    def logits(x):
        return np.asarray(recipe.net.apply(params, net_state, jnp.asarray(x))[0])

    x = np.asarray(training.normalise(images, recipe))

    def mirrored(x):
        return (logits(x) + logits(x[:, :, ::-1])) / 2

    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    shifted = (mirrored(padded[:, :32, :32]) + mirrored(padded[:, 2:, 2:])) / 2
    expected = {"mirror": mirrored(x), "mirror-shift": (mirrored(x) + shifted) / 2}
    for tta, wanted in expected.items():
        assert sum(weight for weight, _ in views(jnp.asarray(x), tta)) == 1
        found = make_logits(recipe_of(net=recipe.net, tta=tta))(params, net_state, images)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_confusion_counts_true_class_by_predicted_class():
    counts = training.confusion_counts(np.array([0, 0, 2, 1]), np.array([0, 2, 2, 2]), classes=3)
    np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 0, 1], [0, 0, 1]])

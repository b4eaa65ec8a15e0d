"""Kernels made by LLVM give what XLA's convolution gives, wherever they are taken."""

import itertools
import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.forms import poolings, problems
from generated.running import at_most
from hypothesis import assume, given

import jaxcnn as jc
from jaxcnn.geometry import parse_geometry, parse_pool_geometry
from jaxcnn.lowering import native, pooling
from jaxcnn.lowering import problem as pool_problem
from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.forms import plain as plainest
from jaxcnn.lowering.native import made
from jaxcnn.lowering.native.machine import Machine, here
from jaxcnn.lowering.native.problem import Sizes

pytest.importorskip("llvmlite", reason="llvmlite is not installed (extra: native)")
if here() is None:
    pytest.skip("nothing is known of the processor", allow_module_level=True)

ROOT = Path(__file__).parent.parent
# The processor at hand; and what others have, as far as this one can do the same.
MACHINES = [here(), Machine("narrow", 16, 32, 3), Machine("few registers", 16, 16, 1)]


def of_table(name):
    return plainest(pooling.TABLES[name]).run


# A kernel's map by XLA's own operations; and what shows that a kernel has not been taken.
CONVOLUTIONS = {"correlation": plain.correlate, "gradient": plain.kernel_grad}
POOLS = {
    "maximum": of_table("maximum"),
    "switches": of_table("maximum with switches"),
    "scatter": of_table("gradient at switches"),
    "spread": of_table("gradient of sums"),
}
PLAIN = CONVOLUTIONS | POOLS


def spoil(run):
    def spoilt(*arrays, problem):
        return jax.tree.map(lambda y: y.at[...].set(77), run(*arrays, problem=problem))

    return spoilt


SPOILT = {map: spoil(run) for map, run in PLAIN.items()}


def by_kernel(map, geometry, spoilt=True):
    """The map as a function of arrays; 77 where the kernel is not taken, unless it may be."""
    run = SPOILT[map] if spoilt else PLAIN[map]

    def taken(*arrays):
        plainly = native.Plainly(run, problem_of(map, geometry, arrays))
        if map in POOLS:
            found = native.pool(map, geometry, plainly, *arrays)
            return tuple(found) if map == "switches" else found[0]
        form = native.correlate if map == "correlation" else native.kernel_gradient
        x, other = arrays
        return form(x, other, geometry, plainly)

    return taken


def problem_of(map, geometry, arrays):
    if map in POOLS:
        return pool_problem.Problem.of(geometry, arrays[0])
    return Problem.of(geometry, arrays[0], arrays[1].shape[-1])


def plainly(map, geometry):
    return lambda *arrays: PLAIN[map](*arrays, problem=problem_of(map, geometry, arrays))


@pytest.fixture
def machine(request, monkeypatch):
    monkeypatch.setattr(made, "here", lambda: request.param)


@pytest.mark.parametrize("machine", MACHINES, indirect=True, ids=lambda machine: machine.name)
@pytest.mark.parametrize("kind", ["plain", "depthwise", "grouped", "slices", "chosen"])
@pytest.mark.parametrize("map", CONVOLUTIONS)
@pytest.mark.usefixtures("machine")
def test_a_kernel_gives_what_the_convolution_gives(map, kind, request):
    @at_most(request, 1, 60)
    @given(problems(kind))
    def holds(problem):
        x, weights, delta, geometry = problem
        assume(map == "correlation" or max(geometry.input_dilation) == 1)
        arrays = x, weights if map == "correlation" else delta
        expected, sums = (plainly(map, geometry)(*a) for a in (arrays, [abs(a) for a in arrays]))
        terms = weights.size if map == "correlation" else delta.size
        for dtype in ("float64", "float32"):
            found = jax.jit(by_kernel(map, geometry))(*(jnp.asarray(a, dtype) for a in arrays))
            assert found.dtype == dtype
            # What rounding may be: it grows with the sum of absolute values.
            bound = 2 * np.finfo(dtype).eps * np.sqrt(terms) * np.asarray(sums)
            assert (abs(np.asarray(found, "float64") - expected) <= bound).all()

    holds()


@pytest.mark.parametrize("machine", MACHINES, indirect=True, ids=lambda machine: machine.name)
@pytest.mark.parametrize("map", POOLS)
@pytest.mark.usefixtures("machine")
def test_a_kernel_gives_what_a_pooling_gives(map, request):
    """Ties, infinities, no numbers and windows that see nothing but padding included."""

    @at_most(request, 4, 60)
    @given(poolings())
    def holds(problem):
        x, geometry = problem
        arrays = pool_arguments(map, x, geometry)
        for dtype in ("float64", "float32"):
            arrays = [jnp.asarray(a, dtype) if a.dtype.kind == "f" else a for a in arrays]
            found, expected = (jax.jit(f(map, geometry))(*arrays) for f in (by_kernel, plainly))
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=float(8 * jnp.finfo(dtype).eps), atol=0)

    holds()


def pool_arguments(map, x, geometry):
    if map in ("maximum", "switches"):
        return [x]
    x = abs(np.nan_to_num(x, neginf=5))  # whose sums lose no digits
    delta = np.resize(x, (len(x), *geometry.output, x.shape[-1]))
    switches = PLAIN["switches"](x, problem=problem_of("switches", geometry, [x]))[1]
    return [delta, np.asarray(switches)][: 2 if map == "scatter" else 1]


GEOMETRY = parse_geometry("conv", (9, 7), (3, 3), stride=1, padding=1)
WINDOWS = parse_pool_geometry(
    "max_pool", (9, 7), 3, stride=2, padding=1, dilation=1, ceil_mode=False
)
RNG = np.random.default_rng(0)
X, WEIGHTS = RNG.standard_normal((6, 9, 7, 5)), RNG.standard_normal((3, 3, 5, 11))
DELTA = RNG.standard_normal((6, 9, 7, 11))
ARGUMENTS = {map: tuple(pool_arguments(map, X, WINDOWS)) for map in POOLS}
ARGUMENTS |= {"correlation": (X, WEIGHTS), "gradient": (X, DELTA)}
GEOMETRIES = dict.fromkeys(POOLS, WINDOWS) | dict.fromkeys(CONVOLUTIONS, GEOMETRY)


def close(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("map", PLAIN)
def test_kernels_run_under_transformations(map):
    f, g = (h(map, GEOMETRIES[map]) for h in (by_kernel, plainly))
    arrays = ARGUMENTS[map]
    several = [np.stack([a, a[::-1], a]) for a in arrays]
    for axes in set(itertools.product((None, 0, 1), repeat=len(arrays))) - {(None,) * len(arrays)}:
        mapped = [
            a if axis is None else np.moveaxis(s, 0, axis)
            for a, s, axis in zip(arrays, several, axes, strict=True)
        ]
        close(jax.jit(jax.vmap(f, axes))(*mapped), jax.vmap(g, axes)(*mapped))

    def scanned(f):
        return jax.lax.scan(lambda _, x: (None, f(x, *arrays[1:])), None, several[0])[1]

    close(jax.jit(partial(scanned, f))(), scanned(g))
    x, others = arrays[0], arrays[1:]
    chosen = jax.jit(lambda b: jax.lax.cond(b, f, lambda x, *others: f(-x, *others), *arrays))
    close(chosen(False), g(-x, *others))


@pytest.mark.parametrize("map", PLAIN)
def test_results_are_the_same_bit_for_bit_whoever_else_computes(map):
    arrays = [np.tile(a, (20, 1, 1, 1)) if len(a) == 6 else a for a in ARGUMENTS[map]]
    arrays = [a.astype("float32") if a.dtype.kind == "f" else a for a in arrays]
    f = jax.jit(by_kernel(map, GEOMETRIES[map]))
    expected, same = jax.tree.leaves(f(*arrays)), []

    def repeat():
        for _ in range(30):
            found = jax.tree.leaves(f(*arrays))
            same.append(all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)))

    threads = [Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e-310])
def test_odd_values_touch_only_what_reads_them(value):
    for map in CONVOLUTIONS:
        x, other = ARGUMENTS[map]
        x = x.copy()
        x[1, 4, 3, 2] = value
        found, expected = (f(map, GEOMETRY) for f in (by_kernel, plainly))
        found, expected = (np.asarray(jax.jit(f)(x, other)) for f in (found, expected))
        assert (np.isfinite(found) == np.isfinite(expected)).all()
        finite = np.isfinite(expected)
        close(found[finite], expected[finite])
    tiny = jax.jit(by_kernel("gradient", GEOMETRY)), jax.jit(plainly("gradient", GEOMETRY))
    small = [np.asarray(f(X * 1e-300, DELTA * 1e-9)) for f in tiny]
    np.testing.assert_allclose(small[0], small[1], atol=1e-320)


def test_the_plain_form_serves_where_no_kernel_can(monkeypatch):
    f, x, weights = by_kernel("correlation", GEOMETRY, spoilt=False), X, WEIGHTS + 1
    expected = plainly("correlation", GEOMETRY)(x, weights)
    exported = jax.export.export(jax.jit(f), platforms=("cpu", "cuda"))(x, weights)
    assert "jaxcnn_" not in exported.mlir_module()
    close(exported.call(x, weights), expected)
    assert "jaxcnn_" in jax.jit(f).lower(x, weights).as_text()

    def broken(*_):
        raise RuntimeError("LLVM ERROR")

    for name, instead in (("here", lambda: None), ("_made", broken), ("_proven", lambda *_: False)):
        with monkeypatch.context() as patch:
            patch.setattr(made, name, instead)
            lowered = jax.jit(lambda x, k: f(x, k)).lower(x, weights)
        assert "jaxcnn_" not in lowered.as_text()
        close(lowered.compile()(x, weights), expected)


@pytest.mark.parametrize("map", POOLS)
def test_a_trial_finds_a_pooling_that_is_wrong(map, monkeypatch):
    from jaxcnn.lowering.native import windows

    trial = next(trial for trial in made.TRIALS if map in trial.maps)
    kernel, machine = made.Kernel(map, trial.problem), Machine("narrow", 16, 32, 7)
    assert made.right(kernel, machine)
    write = windows.write
    monkeypatch.setattr(
        windows, "write", lambda pool, problem, _: write(pool, problem._replace(low=(0, 0, 1)), _)
    )
    assert not made.right(kernel, machine._replace(name="another"))


def loss(x, kernel):
    return (jc.conv(x, kernel, padding=1, stride=2) ** 2).sum()


def test_programs_of_jaxcnn_jit_have_kernels_of_all_three_maps():
    x, kernel = (jnp.asarray(a, "float32") for a in ARGUMENTS["correlation"])
    gradients = jax.grad(loss, (0, 1))
    text = jc.jit(gradients).lower(x, kernel).as_text()
    assert len(set(re.findall(r"jaxcnn_\w+", text))) == 3
    assert "jaxcnn_" not in jax.jit(gradients).lower(x, kernel).as_text()
    assert {choice.form.name for choice in jc.explain_forms(jc.jit(loss), x, kernel)} == {"native"}
    for found, expected in zip(
        jc.jit(gradients)(x, kernel), jax.jit(gradients)(x, kernel), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    shapes = [
        jax.ShapeDtypeStruct((5, 13, 11, 8), "bfloat16"),
        jax.ShapeDtypeStruct((3, 3, 8, 8), "bfloat16"),
    ]
    (choice,) = jc.explain_forms(jc.jit(jc.conv), *shapes, backward=False)
    assert "not for bfloat16" in dict(choice.passed_over)["native"]


CACHED = """
import jax, numpy as np, jaxcnn as jc
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append(name.endswith("cache_hits")))
x, kernel = np.ones((4, 8, 8, 16), "float32"), np.ones((3, 3, 16, 16), "float32")
f = jc.jit(lambda x, kernel: jc.conv(x, kernel, padding=1))
assert "jaxcnn_" in f.lower(x, kernel).as_text()
print(float(f(x, kernel).sum()), sum(hits))
"""


def test_a_kernel_is_found_by_programs_that_xla_keeps_on_disk(tmp_path):
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    runs = [
        subprocess.run(
            [sys.executable, "-c", CACHED], env=os.environ | cache, cwd=ROOT,
            capture_output=True, text=True, check=True,
        ).stdout.split()
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0][0] == runs[1][0]
    assert (int(runs[0][1]), int(runs[1][1]) > 0) == (0, True)


def norm_and_gradients(x, scale, bias, delta):
    y, pull = jax.vjp(lambda *a: jc.layer_norm(*a, axes=tuple(range(1, x.ndim))), x, scale, bias)
    return y, *pull(delta)


# Ordinary rows, far from 0, all the same, and such that squares overflow or vanish.
ROWS = {
    "usual": lambda x: x,
    "far": lambda x: x + 1e3,
    "constant": lambda x: 0 * x + 1000.1,
    "large": lambda x: x * 1e20,
    "small": lambda x: x * 1e-25,
    "of all sizes": lambda x: x * np.logspace(-30, 30, len(x)).reshape(-1, *[1] * (x.ndim - 1)),
}


@pytest.mark.parametrize("shape", [(37, 64), (5, 83), (3, 4, 5, 7)])
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_gives_what_layer_norm_gives(rows, shape, dtype):
    numbers = np.random.default_rng(1)
    x, delta = ROWS[rows](numbers.standard_normal(shape)), numbers.standard_normal(shape)
    scale, bias = numbers.standard_normal((2, *shape[1:]))
    arrays = [jnp.asarray(a, dtype) for a in (x, scale, bias, delta)]
    kernel = jc.jit(norm_and_gradients)
    text = kernel.lower(*arrays).as_text()
    assert len(set(re.findall(r"jaxcnn_row\w*[ \w]*", text))) == 2
    found = kernel(*arrays)
    wide = [np.asarray(a, "float64") for a in arrays]
    expected = jax.jit(norm_and_gradients)(*wide)
    # What is far from 0 has lost digits when it is rounded: they are the input's.
    error = 20 * np.sqrt(x[0].size) * float(jnp.finfo(dtype).eps) * (50 if rows == "far" else 1)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == dtype
        if rows == "of all sizes" and b.shape == x.shape:  # each row for itself
            size = np.max(np.abs(b), tuple(range(1, b.ndim)), keepdims=True)
        else:
            size = np.abs(b).max()
        assert (np.abs(np.asarray(a, "float64") - b) <= error * np.maximum(size, 1e-30)).all()


def test_layer_norm_loses_the_rows_that_are_not_finite_and_differentiates_on():
    numbers = np.random.default_rng(2)
    x, delta = numbers.standard_normal((2, 6, 32))
    x[1, 3], x[4, 0] = np.nan, np.inf
    scale, bias = numbers.standard_normal((2, 32))
    y, of_x, *_ = jc.jit(norm_and_gradients)(x, scale, bias, delta)
    lost = np.isin(np.arange(6), [1, 4])
    for found in (y, of_x):
        assert (np.isfinite(found).all(1) == ~lost).all()
        assert np.isnan(found[lost]).all()
    x = np.nan_to_num(x, posinf=1)

    def twice(x, scale):
        def loss(x, scale):
            return (jc.layer_norm(x, scale, bias) ** 3 * delta).sum()

        g = jax.grad(loss, (0, 1))
        mapped = jax.vmap(g)(x[None], scale[None])
        return g(x, scale), jax.jvp(g, (x, scale), (delta, scale)), mapped

    for a, b in zip(*(jax.tree.leaves(f(twice)(x, scale)) for f in (jc.jit, jax.jit)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    exporter: Any = jax.export.export
    assert "jaxcnn_" not in exporter(jc.jit(twice))(x, scale).mlir_module()


@pytest.mark.parametrize("map", CONVOLUTIONS)
def test_a_trial_finds_a_kernel_that_is_wrong(map, monkeypatch):
    from jaxcnn.lowering.native import correlation, gradient

    plan = {"gradient": gradient, "correlation": correlation}[map].plan

    def wrong(problem, machine):
        return plan(problem._replace(low=(0, 0, 1)), machine)

    kernel, machine = made.Kernel(map, made.TRIALS[0].problem), Machine("narrow", 16, 32, 7)
    assert made.right(kernel, machine)
    monkeypatch.setattr({"gradient": gradient, "correlation": correlation}[map], "plan", wrong)
    assert not made.right(kernel, machine._replace(name="another"))


def test_kernels_take_no_more_than_their_time_to_be_made():
    from time import perf_counter

    began = perf_counter()
    for map in CONVOLUTIONS:
        for size, c, d in ((33, 16, 16), (17, 32, 32), (9, 64, 64)):
            geometry = parse_geometry("conv", (size, size), (3, 3), stride=1, padding=1)
            assert made.made(made.Kernel(map, Sizes.of(128, c, d, 32, geometry)))
    assert perf_counter() - began < 6


def test_kernels_on_several_devices():
    """In a process of its own, which simulates them."""
    script = Path(__file__).parent / "sharded_native.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for report in map(json.loads, done.stdout.splitlines()):
        assert report["error"] < 1e-12, report
        assert report["kernels"] == (report["kind"] == "shard_map"), report
        assert not report["gathers"], report

"""Kernels made by LLVM give what XLA's convolution gives, wherever they are taken."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generated.forms import problems
from generated.running import at_most
from hypothesis import assume, given

import jaxcnn as jc
from jaxcnn.geometry import parse_geometry
from jaxcnn.lowering import native
from jaxcnn.lowering.convolution import plain
from jaxcnn.lowering.convolution.problem import Problem
from jaxcnn.lowering.native import made
from jaxcnn.lowering.native.machine import Machine, here
from jaxcnn.lowering.native.problem import Problem as Sizes

pytest.importorskip("llvmlite", reason="llvmlite is not installed (extra: native)")
if here() is None:
    pytest.skip("nothing is known of the processor", allow_module_level=True)

ROOT = Path(__file__).parent.parent
# The processor at hand; and what others have, as far as this one can do the same.
MACHINES = [here(), Machine("narrow", 16, 32, 3), Machine("few registers", 16, 16, 1)]


FORMS = {
    "correlation": (native.correlate, plain.correlate),
    "gradient": (native.kernel_gradient, plain.kernel_grad),
}


def spoilt_correlation(x, kernel, *, problem):
    return plain.correlate(x, kernel, problem=problem) * jnp.nan


def spoilt_gradient(x, delta, *, problem):
    return plain.kernel_grad(x, delta, problem=problem) * jnp.nan


SPOILT = {"correlation": spoilt_correlation, "gradient": spoilt_gradient}


def by_kernel(map, geometry, spoilt=True):
    """The map as a function of two arrays; NaN where the kernel is not taken, unless it may be."""
    form, run = FORMS[map]
    run = SPOILT[map] if spoilt else run

    def taken(x, other):
        return form(x, other, geometry, native.Plainly(run, problem_of(geometry, x, other)))

    return taken


def problem_of(geometry, x, other):
    return Problem.of(geometry, x, other.shape[-1], gradient=False)


def plainly(map, geometry):
    return lambda x, other: FORMS[map][1](x, other, problem=problem_of(geometry, x, other))


@pytest.fixture
def machine(request, monkeypatch):
    monkeypatch.setattr(made, "here", lambda: request.param)


@pytest.mark.parametrize("machine", MACHINES, indirect=True, ids=lambda machine: machine.name)
@pytest.mark.parametrize("kind", ["plain", "depthwise", "grouped", "slices", "chosen"])
@pytest.mark.parametrize("map", FORMS)
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


GEOMETRY = parse_geometry("conv", (9, 7), (3, 3), stride=1, padding=1)
RNG = np.random.default_rng(0)
X, WEIGHTS = RNG.standard_normal((6, 9, 7, 5)), RNG.standard_normal((3, 3, 5, 11))
DELTA = RNG.standard_normal((6, 9, 7, 11))
ARGUMENTS = {"correlation": (X, WEIGHTS), "gradient": (X, DELTA)}


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("map", FORMS)
def test_kernels_run_under_transformations(map):
    f, g = by_kernel(map, GEOMETRY), plainly(map, GEOMETRY)
    x, other = ARGUMENTS[map]
    several = np.stack([x, 2 * x, x + 1]), np.stack([other, other - 1, 3 * other])
    for axes in ((0, None), (None, 0), (0, 0), (1, None)):
        arrays = [
            a if axis is None else np.moveaxis(s, 0, axis)
            for a, s, axis in zip((x, other), several, axes, strict=True)
        ]
        close(jax.jit(jax.vmap(f, axes))(*arrays), jax.vmap(g, axes)(*arrays))

    def scanned(f):
        return jax.lax.scan(
            lambda total, x: (total + f(x, other).sum(), f(x, other)), 0.0, several[0]
        )

    for left, right in zip(jax.jit(partial(scanned, f))(), scanned(g), strict=True):
        close(left, right)
    chosen = jax.jit(lambda b: jax.lax.cond(b, f, lambda x, other: -f(x, other), x, other))
    close(chosen(False), -g(x, other))


@pytest.mark.parametrize("map", FORMS)
def test_results_are_the_same_bit_for_bit_whoever_else_computes(map):
    x, other = (
        jnp.asarray(np.tile(a, (20, 1, 1, 1)) if len(a) == 6 else a, "float32")
        for a in ARGUMENTS[map]
    )
    f = jax.jit(by_kernel(map, GEOMETRY))
    expected, differing = np.asarray(f(x, other)), []

    def repeat():
        for _ in range(30):
            differing.append(np.abs(np.asarray(f(x, other)) - expected).max())

    threads = [Thread(target=repeat) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(differing) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e-310])
def test_odd_values_touch_only_what_reads_them(value):
    for map, (x, other) in ARGUMENTS.items():
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


@pytest.mark.parametrize("map", FORMS)
def test_a_trial_finds_a_kernel_that_is_wrong(map, monkeypatch):
    from jaxcnn.lowering.native import correlation, gradient

    plan = {"gradient": gradient, "correlation": correlation}[map].plan

    def wrong(problem, machine):
        return plan(problem._replace(low=(0, 0, 1)), machine)

    kernel, machine = made.Kernel(map, made.TRIALS[0]), Machine("narrow", 16, 32, 7)
    assert made._right(kernel, machine)
    monkeypatch.setattr({"gradient": gradient, "correlation": correlation}[map], "plan", wrong)
    assert not made._right(kernel, machine._replace(name="another"))


def test_kernels_take_no_more_than_their_time_to_be_made():
    from time import perf_counter

    began = perf_counter()
    for map in FORMS:
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

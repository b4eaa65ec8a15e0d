"""The cases of the table with a batch as long as wanted."""

import jax
import numpy as np

from jaxcnn.gradcheck import random_like
from jaxcnn.gradcheck.cases.case import Case

BATCH = 16
MAPS = {"x", "delta", "logits", "targets", "predictions", "log_predictions", "ids", "switches"}
MAPS |= {"a", "b", "c"}  # parts that are joined


def has_batch(case: Case) -> bool:
    """Whether some argument has a batch axis, and the operation takes nothing along it."""
    generator = np.random.default_rng(0)
    fixed = [draw(generator).ndim for n, draw in case.fixed.items() if n in MAPS]
    ranks = [len(shape) - 1 for n, shape in case.shapes.items() if n in MAPS]
    axis, axes = case.settings.get("axis"), case.settings.get("axes", ())
    whole = axis == 0 or (isinstance(axes, tuple) and len(axes) in [r + 1 for r in ranks])
    return bool(fixed + ranks) and min(fixed + ranks) > 0 and not whole


def lengthened(name, array):
    """The array with a batch for all devices, where it has one."""
    if name not in MAPS:
        return array
    repeated = np.resize(array, (BATCH, *array.shape[1:]))
    if repeated.dtype.kind == "f" and name != "targets":  # targets may be probabilities
        scale = np.linspace(1, 1.5, BATCH).reshape(-1, *(1,) * (array.ndim - 1))
        repeated = repeated * scale
    return repeated


def applied(case: Case, arrays, fixed):
    named = {case.as_one: tuple(arrays.values())} if case.as_one else arrays
    y = case.op(**named, **fixed, **case.settings)
    return y if case.output is None else y[case.output]


def arguments(case: Case):
    """The arrays to differentiate by, the fixed ones, and a δ."""
    generator = np.random.default_rng(1)
    arrays = dict(zip(case.shapes, map(np.asarray, case.arrays()), strict=True))
    fixed = {name: draw(generator) for name, draw in case.fixed.items()}
    named = [{n: lengthened(n, a) for n, a in d.items()} for d in (arrays, fixed)]
    shape = jax.eval_shape(lambda *named: applied(case, *named), *named)
    return *named, np.asarray(random_like(shape, 3))

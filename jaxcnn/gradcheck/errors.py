"""How far two results are apart, and the verdict on it."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcnn import check

# Below this size the reference counts as zero, and the error is measured against this size instead:
# the rounding of a sum that cancels must not be divided by what is left of the sum.
FLOOR = 1e-3


class Finding(NamedTuple):
    """One comparison: its largest relative error, where it is, and the bound it has to keep."""

    check: str
    error: float
    where: str
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error keeps its bound; a NaN does not."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILED"
        return (
            f"{verdict}: {self.check}: {self.error:.1e} (at most {self.tolerance:.0e}){self.where}"
        )


def relative_error(value: Any, reference: Any, floor: float = FLOOR) -> tuple[float, str]:
    """max |value − reference| / max |reference| over pytrees of arrays, and where it is reached.

    The reference counts as no smaller than the floor. ∞ equals itself, but NaN nothing: of what is
    NaN on both sides, nothing has been checked. It is an infinite error, and so is a difference in
    structure, shape or dtype.

    Raises:
        TypeError: value or reference hold anything but arrays, or floor is no number.
        ValueError: floor is not above 0.
    """
    floor = check.positive("relative_error", "floor", floor)
    for side, tree in (("value", value), ("reference", reference)):
        for leaf in jax.tree.leaves(tree):
            if not check.holds_numbers(leaf):
                raise TypeError(f"relative_error: {side} must hold arrays, got {check.shown(leaf)}")
    values, tree = jax.tree.flatten_with_path(value)
    references, reference_tree = jax.tree.flatten_with_path(reference)
    if tree != reference_tree:
        return np.inf, f"; the results have structures {tree} and {reference_tree}"
    worst, where = 0.0, ""
    for (path, a), (_, b) in zip(values, references, strict=True):
        name = f"result{jax.tree_util.keystr(path)}"
        if a.shape != b.shape or a.dtype != b.dtype:
            return np.inf, f"; {name} is {a.dtype}{a.shape}, expected {b.dtype}{b.shape}"
        wide = np.result_type(np.float64, np.asarray(b).dtype if a.dtype.kind == "c" else float)
        a, b = np.asarray(a).astype(wide), np.asarray(b).astype(wide)
        finite = np.abs(b[np.isfinite(b)])
        scale = max(finite.max(initial=0), floor)
        with np.errstate(invalid="ignore"):
            errors = np.where(a == b, 0, np.abs(a - b) / scale)
        errors = np.where(np.isnan(errors), np.inf, errors)
        if errors.size and errors.max() > worst:
            index = np.unravel_index(errors.argmax(), errors.shape)
            at = tuple(int(i) for i in index)
            worst = float(errors.max())
            where = f"; {name} at {at} is {a[index]:.12g}, expected {b[index]:.12g}"
    return worst, where

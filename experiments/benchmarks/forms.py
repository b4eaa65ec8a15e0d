"""Rows for the forms of convolutions and poolings: of each threshold one on either side.

In them a form, named, is measured against the plain one: by `--forms`, else never. Names are
forms/form/shapes/part, with -default where the compiler options are XLA's own.
"""

from collections.abc import Mapping
from typing import Any

from experiments.benchmarks.row import OperationRow, Shape


def _row(
    form: str, op: str, label: str, shapes: tuple[Shape, ...], settings: Mapping[str, Any],
    part: str, default: bool,
) -> OperationRow:  # fmt: skip
    short = {"stride": "s", "input_dilation": "i", "groups": "g"}
    label += "".join(f"-{short[name]}{settings[name]}" for name in short if name in settings)
    return OperationRow(
        name=f"forms/{form}/{label}/{part}{'-default' * default}",
        group="forms",
        part=part,
        op=op,
        shapes=shapes,
        settings=settings,
        only=("form", "plain"),
        form=form,
        default=default,
    )


def _conv(
    form: str, x: Shape, k: int, channels: int, part: str, default: bool = False, **settings: Any
) -> OperationRow:
    window = (k,) * (len(x) - 2)
    label = f"{'x'.join(map(str, x))}-to-{channels}-{'x'.join(map(str, window))}"
    kernel = (*window, x[-1] // settings.get("groups", 1), channels)
    return _row(form, "conv", label, (x, kernel), settings, part, default)


def _transposed(
    form: str, x: Shape, k: int, channels: int, part: str, default: bool = False, **settings: Any
) -> OperationRow:
    label = f"{'x'.join(map(str, x))}-to-{channels}-{k}x{k}"
    return _row(
        form, "conv_transpose", label, (x, (k, k, channels, x[-1])), settings, part, default
    )


def _pool(
    form: str, op: str, x: Shape, k: int, part: str, default: bool = False, **settings: Any
) -> OperationRow:
    label = f"{op}-{'x'.join(map(str, x))}-{k}x{k}"
    return _row(form, op, label, (x,), {"window": k, **settings}, part, default)


FORMS: tuple[OperationRow, ...] = (
    _conv("pointwise", (2, 16, 16, 64), 1, 64, "kernel_grad"),
    _conv("pointwise", (128, 16, 16, 64), 1, 128, "kernel_grad"),
    _conv("pointwise", (32, 9, 31, 96), 1, 24, "kernel_grad"),
    _conv("pointwise", (128, 16, 16, 64), 1, 128, "forward", default=True),
    _conv("pointwise", (32, 28, 28, 128), 1, 128, "forward", stride=2),
    _conv(
        "depthwise phases", (64, 16, 16, 64), 3, 64, "input_grad", stride=2, groups=64, padding=1
    ),
    _conv(
        "depthwise phases", (64, 16, 16, 32), 5, 32, "input_grad", stride=2, groups=32, padding=2
    ),
    _conv("depthwise", (64, 19, 19, 24), 5, 24, "forward", groups=24, padding=2),
    _conv("depthwise", (32, 28, 28, 128), 3, 128, "forward", groups=32, padding=1),
    _conv("depthwise", (64, 16, 16, 8), 3, 8, "forward", groups=4, padding=1),
    _conv("depthwise", (64, 16, 16, 32), 3, 32, "forward", groups=16, padding=1),
    _conv("depthwise", (128, 8, 8, 128), 3, 128, "kernel_grad", groups=128, padding=1),
    _conv("depthwise", (64, 28, 28, 64), 3, 64, "kernel_grad", groups=64, padding=1),
    _conv("depthwise", (16, 28, 28, 64), 7, 64, "kernel_grad", groups=64, padding=3),
    _conv("depthwise", (64, 14, 14, 96), 9, 96, "kernel_grad", groups=96, padding=4),
    _conv("depthwise", (8, 8, 8, 64), 3, 64, "kernel_grad", groups=64, padding=1),
    _conv("depthwise", (64, 28, 28, 64), 3, 64, "forward", groups=64, padding=1),
    _conv("grouped", (64, 16, 16, 64), 3, 64, "forward", groups=4, padding=1),
    _conv("grouped", (16, 14, 14, 288), 3, 288, "forward", groups=72, padding=1),
    _conv("grouped", (64, 16, 16, 64), 3, 64, "kernel_grad", groups=4, padding=1),
    _transposed("phases", (64, 8, 8, 64), 5, 32, "forward", stride=2, padding=2),
    _transposed("phases", (64, 8, 8, 64), 5, 32, "forward", stride=3, padding=2),
    _transposed("phases", (64, 16, 16, 32), 3, 8, "forward", stride=2, padding=1),
    _transposed(
        "phases joined", (64, 16, 16, 32), 3, 16, "forward", stride=2, padding=1, default=True
    ),
    _transposed(
        "phases joined", (16, 14, 14, 128), 3, 64, "forward", stride=2, padding=1, default=True
    ),
    _transposed(
        "phases joined", (32, 8, 8, 64), 5, 64, "forward", stride=5, padding=2, default=True
    ),
    _conv("slices", (8, 16, 16, 16, 16), 3, 32, "forward", padding=1),
    _conv("slices", (8, 16, 16, 16, 16), 3, 32, "kernel_grad", padding=1),
    _conv("banded", (32, 28, 28, 6), 5, 8, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 8), 5, 16, "forward", padding=2, default=True),
    _conv("banded", (128, 14, 14, 6), 5, 16, "forward", padding=2),
    _conv("banded", (32, 14, 14, 8), 5, 32, "forward", padding=2),
    _conv("banded", (32, 28, 28, 2), 5, 24, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 3), 5, 20, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 4), 5, 48, "forward", padding=2),
    _conv("banded", (32, 28, 28, 5), 5, 48, "forward", padding=2),
    _conv("banded", (32, 28, 28, 16), 5, 4, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 20), 5, 3, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 2), 5, 16, "forward", padding=2, default=True),
    _conv("banded", (32, 28, 28, 12), 5, 12, "forward", padding=2),
    _conv("banded", (32, 28, 28, 16), 5, 12, "forward", padding=2),
    _conv("banded", (16, 57, 33, 3), 7, 48, "forward", stride=2, padding=3),
    _conv("banded", (8, 57, 57, 3), 11, 96, "forward", stride=4, padding=5),
    _conv("banded", (32, 28, 28, 3), 2, 8, "forward"),
    _conv("banded", (32, 28, 28, 3), 3, 8, "forward", padding=1),
    _conv("banded", (128, 32, 32, 1), 5, 6, "forward", padding=2),
    _conv("banded", (32, 32, 32, 3), 3, 16, "forward", stride=2, padding=1),
    _conv("dilated", (64, 8, 8, 64), 3, 32, "kernel_grad", input_dilation=2, padding=1),
    _conv("dilated", (64, 16, 16, 32), 3, 16, "kernel_grad", input_dilation=2, padding=1),
    _conv("taps", (2, 1024, 16), 64, 16, "kernel_grad", padding=32),
    _conv("taps", (1, 4000, 8), 511, 8, "kernel_grad", padding=255),
    _conv("patches", (2, 32, 32, 1), 3, 16, "kernel_grad", padding=1),
    _conv("patches", (2, 32, 32, 2), 3, 16, "kernel_grad", padding=1),
    _conv("patches", (2, 32, 32, 16), 3, 16, "kernel_grad", padding=1),
    _conv("patches", (2, 1024, 16), 64, 16, "kernel_grad", padding=32),
    _conv("patches", (2, 64, 64, 8), 31, 16, "kernel_grad", padding=15),
    _conv("patches", (4, 32, 32, 16), 3, 16, "kernel_grad", padding=1),
    _conv("patches", (128, 16, 16, 32), 3, 32, "kernel_grad", padding=1, default=True),
    _conv("patches", (128, 8, 8, 64), 3, 64, "kernel_grad", padding=1, default=True),
    _conv("patches", (128, 8, 8, 64), 3, 32, "kernel_grad", padding=1, default=True),
    _conv("patches", (2, 8, 8, 64), 3, 64, "kernel_grad", padding=1),
    _conv("patches", (2, 32, 32, 4), 3, 16, "kernel_grad", padding=1),
    _conv("parts", (32, 8, 8, 64), 3, 64, "kernel_grad", padding=1),
    _conv("parts", (128, 32, 32, 16), 3, 16, "kernel_grad", padding=1),
    _conv("parts", (16, 57, 57, 32), 3, 32, "kernel_grad", padding=1),
    _conv("parts", (64, 57, 57, 32), 3, 32, "kernel_grad", padding=1),
    _conv("parts", (64, 7, 7, 256), 3, 256, "kernel_grad", padding=1),
    _conv("parts", (256, 7, 7, 256), 3, 256, "kernel_grad", padding=1),
    _conv("parts", (100, 21, 21, 24), 5, 24, "kernel_grad", padding=2),
    _conv("parts", (32, 32, 32, 16), 7, 16, "kernel_grad", padding=3),
    _conv("parts", (8, 16, 16, 32), 3, 32, "kernel_grad", padding=1, default=True),
    _conv("parts", (128, 16, 16, 32), 3, 32, "kernel_grad", padding=1, default=True),
    _conv("parts", (128, 32, 32, 16), 3, 16, "kernel_grad", padding=1, default=True),
    _conv("parts", (128, 32, 32, 16), 3, 32, "kernel_grad", padding=1, default=True),
    _conv("native", (128, 32, 32, 1), 5, 6, "input_grad", padding=2),
    _conv("native", (128, 32, 32, 16), 3, 16, "input_grad", padding=1),
    _conv("native", (128, 32, 32, 16), 3, 16, "forward", padding=1),
    _conv("native", (128, 32, 32, 16), 3, 16, "kernel_grad", padding=1),
    _conv("native", (64, 7, 7, 256), 3, 256, "kernel_grad", padding=1),
    _conv("native", (64, 16, 16, 64), 3, 64, "forward", groups=64, padding=1),
    _conv("native", (64, 16, 16, 64), 3, 64, "kernel_grad", groups=8, padding=1),
    _conv("native", (32, 14, 14, 12), 1, 96, "forward"),
    _conv("native", (128, 32, 32, 16), 1, 32, "forward"),
    _conv("native", (128, 8, 8, 128), 1, 256, "kernel_grad"),
    _conv("native", (64, 7, 7, 512), 1, 512, "kernel_grad"),
    _transposed("native", (32, 8, 8, 64), 5, 64, "forward", stride=3, padding=2),
    _transposed("native", (32, 8, 8, 64), 5, 64, "forward", stride=4, padding=2),
    _pool("native", "max_pool", (64, 31, 31, 64), 3, "forward", stride=2),
    _pool("native", "max_pool", (128, 16, 16, 64), 2, "all"),
    _pool("native", "max_pool", (16, 20, 20, 64), 13, "all", stride=1, padding=6),
    _pool("native", "avg_pool", (64, 31, 31, 64), 3, "all", stride=2),
    _pool("axis by axis", "max_pool", (16, 20, 20, 64), 5, "all", stride=1, padding=2),
    _pool("axis by axis", "max_pool", (16, 20, 20, 64), 7, "all", stride=1, padding=3),
    _pool("whole", "max_pool", (128, 7, 7, 64), 7, "forward"),
    _pool("whole", "max_pool", (128, 7, 7, 64), 7, "all"),
    _pool("by axis", "max_pool", (64, 31, 31, 64), 3, "forward", stride=2, default=True),
    _pool("by axis", "max_pool", (16, 20, 20, 64), 5, "forward", stride=1, padding=2, default=True),
    _pool("by axis", "avg_pool", (64, 31, 31, 64), 3, "forward", stride=2),
    _pool("by axis", "avg_pool", (16, 32, 32, 64), 9, "forward", stride=2),
    _pool("by axis", "avg_pool", (64, 31, 31, 64), 3, "all", stride=2),
    _pool("by axis", "max_pool", (16, 20, 20, 64), 13, "forward", stride=1, padding=6),
    _pool("tiling", "max_pool", (128, 28, 28, 6), 2, "all"),
    _pool("tiling", "max_pool", (128, 16, 16, 64), 2, "all"),
)


def taken(row: OperationRow) -> bool:
    """Whether the form of the row is taken there if nobody names one."""
    return bool(where_taken(row))


def where_taken(row: OperationRow) -> list[str]:
    """The maps of the row that its form computes if nobody names one; of others than kernels,
    where there are no kernels.
    """
    import jax

    import jaxcnn
    from jaxcnn import hints

    # A transposed convolution is an input gradient, and its gradients are a convolution's others.
    turned = row.op == "conv_transpose"
    maps = {
        "forward": "input gradient" if turned else "correlation",
        "input_grad": "correlation" if turned else "input gradient",
        "kernel_grad": "kernel gradient",
    }
    op = getattr(jaxcnn, row.op)
    jitted = (jax.jit if row.default else jaxcnn.jit)(lambda *arrays: op(*arrays, **row.settings))
    arrays = (jax.ShapeDtypeStruct(shape, "float32") for shape in row.shapes)
    with hints.kernels(row.form == "native"):
        found = jaxcnn.explain_forms(jitted, *arrays, backward=row.part != "forward")
    return [
        choice.map
        for choice in found
        if choice.form.name == row.form
        and (row.part == "all" or "pool" in row.op or choice.map == maps[row.part])
    ]


def thresholds() -> dict[str, Any]:
    """Name → threshold of `jaxcnn.lowering.thresholds`."""
    from jaxcnn.lowering import thresholds

    return {n: t for n, t in vars(thresholds).items() if isinstance(t, thresholds.Threshold)}

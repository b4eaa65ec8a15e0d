"""The rows of the benchmark, as data: what is computed, at which shapes, and which bars it meets.

A row's name is family/shape/part, to be chosen from by patterns: `conv3x3/*/all`. Its group decides
which bars of `experiments.benchmarks.bars` hold for it. Importing this module costs nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from experiments.benchmarks.forms import FORMS
from experiments.benchmarks.peers import BF16
from experiments.benchmarks.row import (
    PARTS,
    NetworkRow,
    OperationRow,
    PeakRow,
    Row,
    convolution,
    expand,
    training,
)

HVP = ("jaxcnn", "jaxcnn-reverse")
"""Who has rows of Hessian-vector products."""


# Paddings are numbers, the same on both sides: what every peer can do without a copy.
def _convolutions() -> Iterator[OperationRow]:
    """Convolutions of common networks, and the families with bars of their own."""
    small = (3, 3)
    for x, channels in (
        ((128, 32, 32, 16), 16),
        ((128, 16, 16, 32), 32),
        ((128, 8, 8, 64), 64),
        ((128, 15, 15, 64), 64),
        ((64, 7, 7, 256), 256),
    ):
        yield from convolution("conv3x3", x, small, channels, padding=1)
    yield from convolution("conv3x3", (128, 32, 32, 16), small, 32, padding=1, stride=2)
    yield from convolution("conv5x5", (128, 32, 32, 1), (5, 5), 6)
    yield from convolution("conv5x5", (128, 14, 14, 6), (5, 5), 16)
    yield from convolution("conv11x11", (8, 227, 227, 3), (11, 11), 96, stride=4)
    for x, channels in (((128, 16, 16, 64), 128), ((128, 8, 8, 256), 64), ((32, 28, 28, 128), 128)):
        yield from convolution("conv1x1", x, (1, 1), channels)
    for width in (3, 5):
        for x in ((128, 16, 16, 32), (64, 28, 28, 64), (128, 8, 8, 128)):
            yield from convolution(
                f"depthwise{width}x{width}",
                x,
                (width, width),
                x[-1],
                op="depthwise_conv",
                padding=width // 2,
            )
    for x, channels in (((64, 8, 8, 64), 32), ((64, 16, 16, 32), 16), ((16, 14, 14, 128), 64)):
        yield from convolution(
            "transposed",
            x,
            small,
            channels,
            op="conv_transpose",
            stride=2,
            padding=1,
            output_padding=1,
        )
    # From which size of the kernel on Fourier transforms pay.
    for k in (3, 5, 7, 9, 11, 15, 21, 31):
        x = (32, 32, 32, 16)
        shapes = [x, (k, k, 16, 16)]
        yield from expand(
            "fft", "conv", shapes, {"padding": k // 2}, label=f"{'x'.join(map(str, x))}-{k}x{k}"
        )
    yield from convolution("conv1d", (64, 256, 32), (3,), 64, padding=1)
    yield from convolution("conv1d", (32, 1024, 16), (9,), 16, padding=4)
    yield from convolution("conv3d", (8, 16, 16, 16, 16), (3, 3, 3), 32, padding=1)
    yield from convolution("grouped", (64, 16, 16, 64), (3, 3), 64, padding=1, groups=4)
    # Of which jax.grad takes four hundred times as long for the kernel gradient: few pairs do.
    yield from convolution("grouped", (32, 28, 28, 128), (3, 3), 128, pairs=5, padding=1, groups=32)
    yield from convolution("grouped", (64, 16, 16, 64), (3, 3), 128, padding=1, stride=2, groups=2)
    yield from convolution("grouped", (64, 14, 14, 96), (1, 1), 96, groups=3)


def _untuned() -> Iterator[OperationRow]:
    """Shapes that nobody tuned to. The bars of their families hold, means aside."""
    for x, channels in (
        ((64, 19, 19, 24), 48),
        ((64, 13, 13, 48), 96),
        ((100, 17, 17, 32), 32),
        ((32, 40, 12, 48), 48),
        ((50, 9, 31, 96), 24),
    ):
        yield from convolution(
            "conv3x3-untuned", x, (3, 3), channels, group="conv3x3-untuned", padding=1
        )
    yield from convolution("conv5x5-untuned", (100, 21, 21, 24), (5, 5), 24, padding=2)
    yield from convolution("conv7x7-untuned", (32, 23, 23, 48), (7, 7), 48, padding=3)
    yield from convolution("conv7x7-untuned", (16, 57, 33, 3), (7, 7), 48, padding=3, stride=2)
    yield from convolution("conv1x1-untuned", (100, 13, 13, 48), (1, 1), 96, group="conv1x1")
    yield from convolution("conv1x1-untuned", (32, 9, 31, 96), (1, 1), 24, group="conv1x1")
    for width, x, channels, settings in (
        (3, (100, 13, 21, 48), 48, {"padding": 1}),
        (5, (64, 19, 19, 24), 24, {"padding": 2}),
        (3, (64, 32, 32, 32), 32, {"padding": 1, "stride": 2}),
        (3, (64, 14, 14, 64), 64, {"padding": 2, "dilation": 2}),
        (3, (64, 14, 14, 64), 128, {"padding": 1, "pairs": 5}),  # jax.grad: four seconds
    ):
        yield from convolution(
            f"depthwise{width}x{width}-untuned",
            x,
            (width, width),
            channels,
            op="depthwise_conv",
            group=f"depthwise{width}x{width}",
            **settings,
        )
    yield from convolution(
        "transposed-untuned",
        (50, 11, 7, 48),
        (5, 5),
        24,
        op="conv_transpose",
        group="transposed",
        stride=2,
        padding=2,
        output_padding=1,
    )
    yield from expand(
        "max_pool-untuned",
        "max_pool",
        [(100, 27, 19, 96)],
        {"window": 3, "stride": 2},
        group="max_pool",
    )
    # One image: a call is short, what it costs besides the arithmetic counts.
    for x in ((1, 32, 32, 16), (1, 56, 56, 64)):
        yield from convolution("batch1", x, (3, 3), x[-1], group="conv3x3-untuned", padding=1)
    yield from convolution(
        "batch1",
        (1, 28, 28, 64),
        (3, 3),
        64,
        op="depthwise_conv",
        group="depthwise3x3",
        padding=1,
    )
    yield from expand(
        "batch1",
        "max_pool",
        [(1, 56, 56, 64)],
        {"window": 2},
        label="max_pool",
        group="max_pool",
    )


def _pools() -> Iterator[OperationRow]:
    two, three = {"window": 2}, {"window": 3, "stride": 2}
    for x, settings in (
        ((128, 16, 16, 64), two),
        ((128, 30, 30, 64), two),
        ((8, 55, 55, 96), three),
        ((64, 31, 31, 64), three),
        ((128, 8, 8, 128), two),
    ):
        label = f"{'x'.join(map(str, x))}-{settings['window']}x{settings['window']}"
        yield from expand("max_pool", "max_pool", [x], settings, label=label)
    yield from expand("max_pool-few", "max_pool", [(128, 28, 28, 6)], two)
    # Windows that overlap all along, as in spatial pyramids.
    for k in (5, 13):
        near = {"window": k, "stride": 1, "padding": k // 2}
        label = f"16x20x20x64-{k}x{k}-s1"
        yield from expand("max_pool-wide", "max_pool", [(16, 20, 20, 64)], near, label=label)
    yield from expand("avg_pool", "avg_pool", [(128, 16, 16, 64)], two)
    yield from expand("avg_pool", "avg_pool", [(64, 31, 31, 64)], three, label="64x31x31x64-3x3-s2")
    yield from expand("global_avg_pool", "global_avg_pool", [(128, 8, 8, 128)])


def _others() -> Iterator[OperationRow]:
    x = (128, 16, 16, 64)
    yield from expand("batch_norm", "batch_norm", [x, (64,), (64,)])
    yield from expand("batch_norm", "batch_norm", [(128, 8, 8, 128), (128,), (128,)])
    yield from expand("layer_norm", "layer_norm", [(4096, 256), (256,), (256,)])
    yield from expand(
        "local_response_norm", "local_response_norm", [(8, 27, 27, 96)], {"average": True}
    )
    for n, c, d in ((128, 400, 120), (128, 2048, 512), (8, 9216, 4096)):
        label = f"{n}x{c}-to-{d}"
        shapes = [(n, c), (c, d), (d,)]
        yield from expand("dense", "dense", shapes, parts=PARTS, label=label)
    for classes in (10, 1000):
        yield from expand("loss", "softmax_cross_entropy", [(128, classes)], classes=classes)
    yield from expand(
        "loss",
        "sigmoid_binary_cross_entropy",
        [(128, 1000), (128, 1000)],
        label="sigmoid-128x1000",
    )
    yield from expand("loss", "squared_error", [(128, 1000), (128, 1000)], label="squared-128x1000")
    for op in ("relu", "tanh", "sigmoid", "gelu", "silu"):
        yield from expand("activation", op, [x], label=f"{op}-{'x'.join(map(str, x))}")


def _eager() -> Iterator[OperationRow]:
    """Outside `jit`, on arrays of LeNet-5's size: starting the call is most of its time."""
    maps, row, logits = (8, 14, 14, 6), (8, 84), (8, 10)
    for op, shapes, settings in (
        ("conv", (maps, (5, 5, 6, 16)), {}),
        ("max_pool", (maps,), {"window": 2}),
        ("avg_pool", (maps,), {"window": 2}),
        ("flatten", (maps,), {}),
        ("dense", (row, (84, 10), (10,)), {}),
        *((op, (row,), {}) for op in ("relu", "sigmoid", "tanh", "gelu")),
        ("layer_norm", (row, (84,), (84,)), {}),
        ("softmax", (logits,), {}),
        ("softmax_cross_entropy", (logits,), {}),
    ):
        classes = logits[-1] if op == "softmax_cross_entropy" else 0
        for found in expand("eager", op, shapes, settings, label=op, classes=classes):
            yield replace(found, kind="eager", only=("jaxcnn", "autodiff"))


def _foreign() -> Iterator[OperationRow]:
    """What others reported as slow, at sizes of which `jax.grad` takes less than a second.

    And what has nothing to be replaced, with the options that its peer has.
    """
    for name, shapes in (
        ("jax-13800", [(8, 128, 256), *[(1, 128, 5)] * 3]),
        ("jax-23713", [(1, 62, 62, 128), (3, 3, 1, 128)]),
        ("jax-23783", [(8, 16, 16, 64), (4, 4, 64, 32)]),
        ("jax-31662", [(1, 32, 16, 16, 16), (1, 32, 3, 3, 3)]),
        ("jax-12868", [(16, 32, 16, 16), (32, 32, 3, 3)]),
    ):
        for found in expand("issues", name, shapes, {}, parts=("all",), label=name):
            ours = ("jaxcnn", "jaxcnn-default", "autodiff", "autodiff-options")
            yield replace(found, kind="foreign", only=ours, pairs=11)
    shapes = [(8, 64, 64), *[(2, 64, 64)] * 4]
    for found in expand("overhead", "attention", shapes, {}, parts=("all",), label="attention"):
        yield replace(found, kind="foreign", only=("jaxcnn-default", "autodiff"))


def _networks() -> Iterator[NetworkRow]:
    for name, images in (
        ("lenet5", (128, 32, 32, 1)),
        ("fast_mnist", (128, 28, 28, 1)),
        ("vgg6", (128, 32, 32, 3)),
        ("resnet20", (128, 32, 32, 3)),
        ("separable", (128, 32, 32, 3)),
        ("alexnet", (8, 227, 227, 3)),
    ):
        n = images[0]
        yield training(f"step/{name}/{n}", name, images, group=f"step-{name}", compile=True)
        yield NetworkRow(f"inference/{name}/{n}", "inference", "forward", None, None, name, images)
        if name in ("vgg6", "resnet20", "alexnet"):
            yield training(f"bf16/{name}/{n}", name, images, group="bf16", only=BF16)
    # Of the loss, along a direction in the space of parameters.
    for name, channels in (("lenet5", 1), ("resnet20", 3)):
        images = (128, 32, 32, channels)
        yield NetworkRow(f"hvp/{name}/128", "hvp", "product", None, HVP, name, images)
    # jax.grad's convolutions are up to 70 times slower in a scan: few steps and few pairs do.
    cifar = (64, 32, 32, 3)
    yield training("epoch/vgg6/2x64", "vgg6", cifar, group="epoch", pairs=3, steps=2)
    ours = ("jaxcnn", "jaxcnn-default")
    yield training(
        "epoch/vgg6/32x64", "vgg6", cifar, group="epoch-ours", pairs=5, steps=32, only=ours
    )
    for name, channels, pairs in (("lenet5", 1, 15), ("vgg6", 3, 7)):
        for n in (16, 64, 128, 256, 512, 1024):
            images = (n, 32, 32, channels)
            yield training(f"batch/{name}/{n}", name, images, group="batch", pairs=pairs)
    for size in (16, 32, 48, 64):
        yield training(f"size/vgg6/{size}", "vgg6", (64, size, size, 3), group="size", pairs=7)


PEAK = PeakRow("peak/matmul", "peak", "forward")

ROWS: tuple[Row, ...] = (
    PEAK,
    *_convolutions(),
    *_pools(),
    *_others(),
    *_eager(),
    *_foreign(),
    *_untuned(),
    *_networks(),
)

# Chosen by name only: small enough for a test.
SMOKE: tuple[Row, ...] = (
    PeakRow("smoke/matmul", "peak", "forward", size=64),
    *convolution("smoke/conv", (2, 6, 5, 2), (3, 3), 3, padding=1, group="smoke"),
    *expand("smoke/max_pool", "max_pool", [(2, 4, 4, 2)], {"window": 2}, group="smoke"),
    training("smoke/step", "lenet5", (2, 32, 32, 1), group="smoke", compile=True),
    training("smoke/epoch", "lenet5", (2, 32, 32, 1), group="smoke", steps=2),
    NetworkRow("smoke/hvp", "smoke", "product", None, HVP, "lenet5", (2, 32, 32, 1)),
)

BY_NAME: dict[str, Row] = {row.name: row for row in (*ROWS, *SMOKE, *FORMS)}


def select(patterns: Sequence[str], *, quick: bool = False) -> list[Row]:
    """The rows that match a pattern, in the order of the tables; quick: one of each group and part.

    Raises:
        ValueError: a pattern matches nothing.
    """
    chosen: dict[str, Row] = {}
    for pattern in patterns:
        own = {"smoke": (*ROWS, *SMOKE), "forms": FORMS}
        among = own.get(pattern.partition("/")[0], ROWS)
        found = {row.name: row for row in among if fnmatchcase(row.name, pattern)}
        if not found:
            raise ValueError(f"--rows must match rows that --list prints, got {pattern!r}")
        chosen.update(found)
    rows = [row for row in BY_NAME.values() if row.name in chosen]
    if quick:
        rows = list({(row.group, row.part): row for row in reversed(rows)}.values())[::-1]
    return rows

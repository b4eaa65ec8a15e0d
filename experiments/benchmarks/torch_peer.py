"""Rows in PyTorch: maps in channels_last, gradients by autograd."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from experiments.benchmarks import networks
from experiments.benchmarks.networks import AbsentError
from experiments.benchmarks.peers import Peer
from experiments.benchmarks.program import (
    LEARNING_RATE,
    MOMENTUM,
    Program,
    cotangent,
    gradient_norms,
    images_and_labels,
    norm,
    operation_arrays,
)
from experiments.benchmarks.row import NetworkRow, OperationRow, PeakRow, Row

Op = Callable[..., torch.Tensor]
# Channels stand last in memory though second in the shape; there is no such layout for 1-D maps.
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def device() -> torch.device:
    """Where the rows run; the parent process makes GPUs invisible where they are not wanted."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def start() -> None:
    """The settings that JAX has by default on a GPU: TF32 in products, the fastest algorithm."""
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True


def build(peer: Peer, row: Row, dtype: str) -> Program:
    """The row as PyTorch computes it, called once."""
    match row:
        case PeakRow():
            matrix = np.random.default_rng(0).standard_normal((row.size, row.size), np.float32)
            x = tensor(matrix / np.sqrt(row.size), "plain", dtype)
            with torch.no_grad():
                y = x @ x
            return program(lambda: x @ x, [y], {"flop": 2 * row.size**3})
        case OperationRow():
            return _operation(row, dtype)
        case NetworkRow():
            return _network(row, dtype, compiled=peer.compiler, halves=peer.halves)
    raise TypeError(f"row must be an operation, a network or the peak, got {row!r}")


def program(
    call: Callable[[], Any], results: list[torch.Tensor], facts: dict[str, Any] | None = None
) -> Program:
    """What the worker calls."""
    on_gpu = device().type == "cuda"
    return Program(
        call=call,
        wait=lambda result: torch.cuda.synchronize() if on_gpu else None,
        fingerprint=[norm(y.detach().double().cpu().numpy()) for y in results],
        facts=facts or {},
    )


def tensor(array: np.ndarray, layout: str, dtype: str) -> torch.Tensor:
    """One of our arrays as PyTorch has it. layout: maps, kernel or plain."""
    t = torch.from_numpy(np.array(array, order="C")).to(device(), getattr(torch, dtype))
    if layout == "plain" or t.ndim < 3:
        return t
    axes = list(range(t.ndim))
    order = [0, axes[-1], *axes[1:-1]] if layout == "maps" else [axes[-1], axes[-2], *axes[:-2]]
    format = FORMATS.get(t.ndim, torch.contiguous_format)
    return t.permute(order).contiguous(memory_format=format)


def _operation(row: OperationRow, dtype: str) -> Program:
    if row.op not in OPERATIONS:
        raise AbsentError(f"no translation of {row.op} into PyTorch")
    layouts, make = OPERATIONS[row.op]
    arrays, labels = operation_arrays(row)
    inputs = [tensor(a, k, dtype) for a, k in zip(arrays, layouts, strict=False)]
    f = make(row.settings, inputs)
    if labels is not None:
        f = partial(f, target=torch.from_numpy(labels).long().to(device()))
    if row.part == "forward":

        def forward():
            with torch.no_grad():
                return f(*inputs)

        return program(forward, [forward()])
    for x in inputs:
        x.requires_grad_()
    y = f(*inputs)
    moved = y.detach().movedim(1, -1) if layouts[0] == "maps" and y.ndim > 2 else y.detach()
    delta = tensor(cotangent(tuple(moved.shape)), layouts[0], dtype)
    if row.part == "all":

        def both():
            y = f(*inputs)
            return y, torch.autograd.grad(y, inputs, delta)

        y, gradients = both()
        return program(both, [y, *gradients])
    wanted = inputs[0 if row.part == "input_grad" else 1]

    def one():
        # Autograd computes this gradient alone; the graph of the forward pass is kept.
        return torch.autograd.grad(y, wanted, delta, retain_graph=True)

    return program(one, list(one()))


# Networks -----------------------------------------------------------------------------------------


def _network(row: NetworkRow, dtype: str, *, compiled: bool, halves: bool) -> Program:
    """Inference or a training step; there is no scan in PyTorch."""
    if row.steps:
        raise AbsentError("PyTorch has no scan")
    module = networks.translated("torch", row, "float32").to(
        device(), getattr(torch, dtype), memory_format=torch.channels_last
    )
    images, labels = images_and_labels(row)
    x = tensor(images, "maps", dtype)
    target = torch.from_numpy(labels).long().to(device())

    def loss_of(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device().type, torch.bfloat16, enabled=halves):
            logits = module(x)
        return functional.cross_entropy(logits.to(x.dtype), target)

    apply: Op = module
    if compiled:
        apply, loss_of = (torch.compile(f, dynamic=False) for f in (apply, loss_of))
    if row.part == "forward":
        module.eval()

        def infer():
            with torch.no_grad():
                return apply(x)

        return program(infer, [infer()])
    module.train()
    optimiser = torch.optim.SGD(module.parameters(), LEARNING_RATE, MOMENTUM, foreach=True)

    def step():
        optimiser.zero_grad()
        loss = loss_of(x)
        loss.backward()
        optimiser.step()
        return loss

    made = program(step, [step()])
    momenta = [optimiser.state[p]["momentum_buffer"] for p in module.parameters()]
    made.fingerprint += gradient_norms(m.double().cpu().numpy() for m in momenta)
    if row.network in networks.RANDOM:
        made.fingerprint = []
    return made


# Settings of jaxcnn as arguments of PyTorch -------------------------------------------------------


def _of_rank(name: str) -> Callable[[Mapping[str, Any], list[torch.Tensor]], Op]:
    def make(settings, inputs):
        return partial(getattr(functional, f"{name}{inputs[0].ndim - 2}d"), **settings)

    return make


def _pool(name: str) -> Callable[[Mapping[str, Any], list[torch.Tensor]], Op]:
    def make(settings, inputs):
        renamed = {"kernel_size" if k == "window" else k: v for k, v in settings.items()}
        return partial(getattr(functional, f"{name}{inputs[0].ndim - 2}d"), **renamed)

    return make


def _depthwise(settings: Mapping[str, Any], inputs: list[torch.Tensor]) -> Op:
    groups = inputs[0].shape[1]
    return partial(getattr(functional, f"conv{inputs[0].ndim - 2}d"), groups=groups, **settings)


def _local_response_norm(settings: Mapping[str, Any], inputs: list[torch.Tensor]) -> Op:
    # PyTorch divides alpha by the size always; its k is 1 by default.
    assert settings["average"], "PyTorch takes the mean of the squares"
    sizes = {"size": 5, "k": 2.0, **{k: v for k, v in settings.items() if k != "average"}}
    return partial(functional.local_response_norm, **sizes)


def _plain(f: Op) -> Callable[[Mapping[str, Any], list[torch.Tensor]], Op]:
    return lambda settings, inputs: partial(f, **settings)


def _dense(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.addmm(bias, x, weight)


def _batch_norm(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return functional.batch_norm(x, None, None, scale, bias, training=True)


def _layer_norm(x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, scale.shape, scale, bias)


# Our means are over the examples, PyTorch's over all numbers.
def _binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    summed = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return summed / len(logits)


def _squared_error(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.mse_loss(predictions, targets, reduction="sum") * (0.5 / len(predictions))


MAPS, PAIR = ("maps",), ("plain", "plain")
OPERATIONS: dict[str, tuple[tuple[str, ...], Callable[..., Op]]] = {
    "conv": (("maps", "kernel", "plain"), _of_rank("conv")),
    "depthwise_conv": (("maps", "kernel", "plain"), _depthwise),
    "conv_transpose": (("maps", "kernel", "plain"), _of_rank("conv_transpose")),
    "max_pool": (MAPS, _pool("max_pool")),
    "avg_pool": (MAPS, _pool("avg_pool")),
    "global_avg_pool": (MAPS, _plain(lambda x: x.mean((2, 3)))),
    "batch_norm": (("maps", "plain", "plain"), _plain(_batch_norm)),
    "layer_norm": (("plain", "plain", "plain"), _plain(_layer_norm)),
    "local_response_norm": (MAPS, _local_response_norm),
    "dense": (("plain", "plain", "plain"), _plain(_dense)),
    "softmax_cross_entropy": (("plain",), _plain(functional.cross_entropy)),
    "sigmoid_binary_cross_entropy": (PAIR, _plain(_binary_cross_entropy)),
    "squared_error": (PAIR, _plain(_squared_error)),
    "relu": (MAPS, _plain(functional.relu)),
    "tanh": (MAPS, _plain(torch.tanh)),
    "sigmoid": (MAPS, _plain(torch.sigmoid)),
    "gelu": (MAPS, _plain(functional.gelu)),
    "silu": (MAPS, _plain(functional.silu)),
}

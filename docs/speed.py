"""What the benchmark measured, as tables."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from docs.tables import number, record, span, table
from docs.text import escaped

# Which groups of rows of the benchmark make a line of the table, as patterns.
KINDS = {
    "conv 3×3": ("conv3x3*",),
    "conv 5×5, 7×7, 11×11": ("conv5x5*", "conv7x7*", "conv11x11*"),
    "conv 1×1": ("conv1x1*",),
    "depthwise 3×3": ("depthwise3x3*",),
    "depthwise 5×5": ("depthwise5x5*",),
    "transposed, stride 2": ("transposed*",),
    "conv in groups": ("grouped*",),
    "conv over 3 axes": ("conv3d*",),
    "conv over 1 axis": ("conv1d*",),
    "max pool": ("max_pool", "max_pool-few", "max_pool-untuned"),
    "max pool, large windows": ("max_pool-wide",),
    "average pool": ("avg_pool", "global_avg_pool"),
    "batch norm": ("batch_norm",),
    "layer norm": ("layer_norm",),
    "local response norm": ("local_response_norm",),
    "dense": ("dense",),
    "activations": ("activation",),
    "losses": ("loss",),
}
OTHERS = {
    "inference": "Networks forward (images)", "batch": "Training steps against batch size",
    "size": "Training steps against image size, 64 images", "epoch": "Epochs in a scan",
    "bf16": "Training steps, products of bfloat16", "hvp": "Hessian-vector products",
    "fft": "Fourier transforms",
    "issues": "Functions that others reported as slow",
    "overhead": "A function with nothing to replace",
    "eager": "Small arrays, outside of `jit`",
}  # fmt: skip
NETWORKS = {
    "lenet5": "LeNet-5", "fast_mnist": "fast MNIST", "vgg6": "VGG-6", "resnet20": "ResNet-20",
    "separable": "depthwise-separable", "alexnet": "AlexNet",
}  # fmt: skip
# Ratios of times: name → whose time is divided by whose.
RATIOS = {
    "autodiff": ("jaxcnn", "autodiff"), "autodiff-options": ("jaxcnn", "autodiff-options"),
    "torch": ("jaxcnn", "torch"), "default": ("jaxcnn-default", "autodiff"),
    "fft": ("jaxcnn-fft", "jaxcnn"), "reverse": ("jaxcnn", "jaxcnn-reverse"),
    "bf16": ("jaxcnn-bf16", "jaxcnn"), "autocast": ("jaxcnn-bf16", "torch-autocast"),
}  # fmt: skip
HEADS = {
    "autodiff": "÷ `jax.grad`",
    "autodiff-options": "÷ `jax.grad`, same options",
    "torch": "÷ PyTorch",
    "default": "default options ÷ `jax.grad`",
}
SPECIAL = {
    "fft": "Fourier ÷ direct", "reverse": "÷ reverse mode twice",
    "bf16": "bfloat16 ÷ float32", "autocast": "bfloat16 ÷ PyTorch's autocast",
}  # fmt: skip
PEERS = {
    "jaxcnn": "jaxcnn", "jaxcnn-default": "default options", "autodiff": "`jax.grad`",
    "autodiff-options": "same options", "flax": "Flax", "torch": "PyTorch",
    "torch-compile": "PyTorch, compiled",
}  # fmt: skip


RUN = ("run", "revision", "on", "dtype", "versions", "rows")


def matches(group: str, patterns: Sequence[str]) -> bool:
    """Whether a group of rows is one of those."""
    return any(fnmatchcase(group, pattern) for pattern in patterns)


def ratios(line: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """A line's ratios of times, as far as they were measured."""
    return [number(line["ratios"][n]) if n in line["ratios"] else "–" for n in names]


def milliseconds(line: Mapping[str, Any], peers: Sequence[str]) -> list[str]:
    """A line's times, as far as they were measured."""
    times = line["milliseconds"]
    return [number(times[peer]) if peer in times else "–" for peer in peers]


def origin(line: Mapping[str, Any]) -> list[str]:
    """How many pairs of samples, of which run."""
    return [f"{line['pairs']}", line["run"]]


def speed_table(networks: Sequence[str]) -> str:
    """Training steps as ratios: the README's table."""
    steps = [step for step in record("benchmark")["steps"] if step["network"] in networks]
    return table(
        ["training step", *HEADS.values()],
        [[s["network"], *ratios(s, tuple(HEADS))] for s in steps],
    )


def run_cells(run: Mapping[str, Any]) -> list[str]:
    """Where and with what a run was made."""
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    about = [run["run"], run["revision"], escaped(run["machine"]), run["dtype"]]
    return [*about, versions, f"{run['rows']}"]


def speed() -> str:
    """What the benchmark measured: operations, steps, other rows, and what does not hold."""
    measured = record("benchmark")
    runs = [[*run_cells(run), f"{run['held']} of {run['bars']}"] for run in measured["runs"]]
    operations = [
        [f"{o['kind']} ({o['rows']})", *(span(o[n]) if n in o else "–" for n in HEADS), *origin(o)]
        for o in measured["operations"]
    ]
    peers = [peer for peer in PEERS if any(peer in s["milliseconds"] for s in measured["steps"])]
    steps = [
        [
            f"{s['network']} ({s['images']})",
            *milliseconds(s, peers),
            *origin(s),
        ]
        for s in measured["steps"]
    ]
    parts = [
        f"""## How fast

Below 1 jaxcnn is faster: the geometric mean over the rows of a kind, the smallest and the largest.
A row is an operation forward with all its gradients. Each line says how many pairs of samples its
ratios are medians of, at least, and which run it is from:

{table([*RUN, "bars that hold"], runs, numbers=False)}

{table(["operation (rows)", *HEADS.values(), "pairs", "run"], operations)}

A training step of a whole network, in milliseconds:

{table(["network (images)", *(PEERS[peer] for peer in peers), "pairs", "run"], steps)}

The same as ratios of times:

{speed_table([s["network"] for s in measured["steps"]])}"""
    ]
    static = [[s["network"], *(number(s[n]) for n in ("compile", "temporaries"))]
              for s in measured["steps"] if {"compile", "temporaries"} <= s.keys()]  # fmt: skip
    if static:
        head = ["training step ÷ `jax.grad`", "compile time", "temporaries"]
        parts.append("Compile time and memory:\n\n" + table(head, static))
    parts += (others(group, measured["others"]) for group in OTHERS)
    parts += (missed(run) for run in measured["runs"] if run["held"] < run["bars"])
    parts.append(
        "No GPU has been measured. Why some things are slower than wanted: "
        "[](benchmarking.md#not-held-and-why).\n"
    )
    return "\n\n".join(parts)


def missed(run: Mapping[str, Any]) -> str:
    """The bars that a run does not hold, by name; how many more, where its record lacks them."""
    told = [f"- {escaped(one)}" for one in run["missed"]]
    nameless = run["bars"] - run["held"] - len(told)
    if nameless:
        told.append(f"- {nameless} of which the record of this run has no names")
    return f"### Bars that run {run['run']} does not hold\n\n" + "\n".join(told)


def others(group: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """The rows of the benchmark that are neither of a kind nor steps."""
    lines = [line for line in lines if line["row"].startswith(f"{group}/")]
    title = f"### {OTHERS[group]}\n\n"
    if not lines:
        return f"{title}Not measured yet: the rows `{group}/…`."
    ours = "jaxcnn" if any("jaxcnn" in line["milliseconds"] for line in lines) else "jaxcnn-default"
    names = [n for n in (*HEADS, *SPECIAL) if any(n in line["ratios"] for line in lines)]
    rows = [
        [
            line["row"].removeprefix(f"{group}/"),
            *milliseconds(line, (ours,)), *ratios(line, names), *origin(line),
        ]
        for line in lines
    ]  # fmt: skip
    head = [
        f"`{group}/`",
        f"ms, {PEERS[ours]}",
        *({**HEADS, **SPECIAL}[name] for name in names),
        "pairs",
        "run",
    ]
    return title + table(head, rows)

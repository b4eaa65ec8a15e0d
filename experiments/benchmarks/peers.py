"""Who is compared with whom, what each needs to be there, and who shares a process."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Peer:
    """A way to compute the rows."""

    name: str
    framework: Literal["jax", "flax", "torch"]
    says: str
    hand: bool = False
    """Whether the hand-written rules are differentiated, or their plain twins."""
    options: bool = False
    """Whether jaxcnn's recommended compiler options are in force."""
    needs: tuple[str, ...] = ("jax", "jaxtyping", "optax")
    compiler: bool = False
    """Whether a C++ compiler is needed when it runs."""
    networks_only: bool = False
    method: Literal["direct", "fft"] = "direct"
    """Of convolutions."""
    reverse: bool = False
    """Whether a Hessian-vector product is the gradient of one of gradient and vector."""
    halves: bool = False
    """Whether products are those of factors rounded to bfloat16, by PyTorch's autocast if it is."""
    group: str | None = None
    """The only group of rows that it is for."""
    checkout: str | None = None
    """The folder of another revision, whose code it runs."""
    python: str = sys.executable
    """The interpreter that runs it."""

    @property
    def library(self) -> Literal["jax", "torch"]:
        """What compiles and runs its programs."""
        return "torch" if self.framework == "torch" else "jax"


# It gets the parameters of jaxcnn's networks.
TORCH = ("torch", "jax", "jaxtyping")

PEERS = {
    peer.name: peer
    for peer in (
        Peer("jaxcnn", "jax", "the rules, with the recommended compiler options", True, True),
        Peer("jaxcnn-default", "jax", "the rules, with XLA's default options", True),
        Peer(
            "jaxcnn-fft",
            "jax",
            "the rules by Fourier transforms, with the recommended options; rows fft/* only",
            True,
            True,
            method="fft",
            group="fft",
        ),
        Peer(
            "jaxcnn-reverse",
            "jax",
            "the rules, Hessian-vector products by reverse mode twice; rows hvp/* only",
            True,
            True,
            reverse=True,
            group="hvp",
        ),
        Peer("form", "jax", "the form that a row names; rows forms/* only", True, group="forms"),
        Peer("plain", "jax", "its plain form; rows forms/* only", True, group="forms"),
        Peer("autodiff", "jax", "jax.grad of plain lax, with XLA's default options"),
        Peer("autodiff-options", "jax", "jax.grad of plain lax, with our options", options=True),
        Peer(
            "flax",
            "flax",
            "Flax nnx, with XLA's default options; networks only",
            needs=("jax", "jaxtyping", "optax", "flax"),
            networks_only=True,
        ),
        Peer(
            "jaxcnn-bf16",
            "jax",
            "the rules, products of bfloat16 summed in float32; rows bf16/* only",
            True,
            True,
            halves=True,
            group="bf16",
        ),
        Peer("torch", "torch", "PyTorch, channels_last", needs=TORCH),
        Peer(
            "torch-autocast",
            "torch",
            "PyTorch, channels_last, in bfloat16 by torch.autocast; rows bf16/* only",
            needs=TORCH,
            halves=True,
            group="bf16",
        ),
        Peer(
            "torch-compile",
            "torch",
            "PyTorch, channels_last and compiled by torch.compile; networks only",
            needs=TORCH,
            compiler=True,
            networks_only=True,
        ),
    )
}

DEFAULT_PEERS = tuple(PEERS)
BF16 = ("jaxcnn", "jaxcnn-bf16", "torch", "torch-autocast")
"""Who has rows of products of halves."""

WORKER = Path("experiments", "benchmarks", "worker.py")

# What ratios are taken of: time of the first over time of the second.
COMPARISONS = (
    ("jaxcnn", "autodiff"),
    ("jaxcnn", "autodiff-options"),
    ("jaxcnn", "torch"),
    ("jaxcnn", "torch-compile"),
    ("jaxcnn", "flax"),
    ("jaxcnn-default", "autodiff"),
    ("jaxcnn-fft", "jaxcnn"),
    ("jaxcnn-bf16", "jaxcnn"),
    ("jaxcnn-bf16", "torch-autocast"),
    ("jaxcnn", "jaxcnn-reverse"),
    ("form", "plain"),
)


FIND = "import json, sys; from importlib.util import find_spec; "
FIND += "print(json.dumps([package for package in sys.argv[1:] if not find_spec(package)]))"


def missing(peer: Peer) -> list[str]:
    """What this peer needs and its interpreter, or this machine, has not.

    Raises:
        ValueError: there is no such interpreter.
    """
    command = [peer.python, "-c", FIND, *peer.needs]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=os.sep)
        absent = json.loads(found.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        raise ValueError(
            f"--python must be PEER=PATH of an interpreter of Python, got {peer.python} ({error})"
        ) from error
    if peer.compiler and not any(map(shutil.which, (os.environ.get("CXX", ""), "g++", "clang++"))):
        absent.append("a C++ compiler")
    return absent


def named(names: Sequence[str], python: Sequence[str] = ()) -> dict[str, Peer]:
    """Name → peer. One that is asked for twice takes part twice: the second is called name#2.

    name@PATH is that peer of another checkout, which always takes part twice: what two processes
    of one revision differ by says what a difference between two revisions is worth. python has
    interpreters, as name=PATH: whoever has none there is run by this one.

    Raises:
        ValueError: a name is unknown, a path no checkout, or an interpreter nobody's.
    """
    interpreters = {}
    for given in python:
        owner = next((name for name in names if given.startswith(f"{name}=")), None)
        if owner is None or given == f"{owner}=":
            raise ValueError(
                f"--python must be PEER=PATH with one of --peers, {', '.join(names)}, got {given}"
            )
        path = os.path.expanduser(given.removeprefix(f"{owner}="))
        # Absolute, for processes in other folders; but no link is followed: it is an environment.
        interpreters[owner] = os.path.abspath(shutil.which(path) or path)
    found: dict[str, Peer] = {}
    for name in (n for n in names for _ in range(2 if "@" in n and names.count(n) == 1 else 1)):
        base, _, checkout = name.partition("@")
        if base not in PEERS:
            raise ValueError(f"--peers must be among {', '.join(PEERS)}, got {base}")
        if "@" in name and not (checkout and (Path(checkout) / WORKER).is_file()):
            raise ValueError(f"--peers {base}@PATH must name a checkout, with {WORKER}, got {name}")
        count = sum(first(other) == name for other in found)
        peer = replace(
            PEERS[base],
            checkout=checkout or None,
            python=interpreters.get(name, sys.executable),
        )
        found[name if count == 0 else f"{name}#{count + 1}"] = peer
    return found


def first(name: str) -> str:
    """Whose identical code this is: name of name#2."""
    return re.sub(r"#\d+$", "", name)


def together(present: Mapping[str, Peer], apart: bool) -> list[dict[str, Peer]]:
    """Who shares a process: those on JAX, whose compiler options belong to a `jit`; or nobody.

    Within a process the memory that a program finds is the same for all of its peers. A peer of
    another checkout is in one of its own, as those of each interpreter are.
    """
    found: dict[tuple[str, str], dict[str, Peer]] = {}
    for name, peer in present.items():
        alone = apart or peer.checkout
        found.setdefault((name if alone else peer.library, peer.python), {})[name] = peer
    return list(found.values())


def comparisons(present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs to take ratios of, among the peers that are there.

    One of another checkout is compared with what that checkout has, else with what there is.
    """
    for ours, theirs in COMPARISONS:
        for name in present:
            base, at, checkout = name.partition("@")
            if base == ours and first(name) == name:
                own = f"{theirs}{at}{checkout}"
                against = own if own in present else theirs
                if against in present:
                    yield name, against
    yield from revisions(present)
    for name in present:  # identical code twice: what noise alone does
        if first(name) != name:
            yield name, first(name)


def revisions(present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """This checkout's peers and the same ones of other checkouts."""
    for name in present:
        base, _, checkout = name.partition("@")
        if checkout and first(name) == name and base in present:
            yield base, name

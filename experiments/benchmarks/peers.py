"""Who is compared with whom, what each needs to be there, and who shares a process."""

import importlib.util
import re
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
    needs: tuple[str, ...] = ("jax",)
    networks_only: bool = False
    method: Literal["direct", "fft"] = "direct"
    """Of convolutions."""
    reverse: bool = False
    """Whether a Hessian-vector product is the gradient of one of gradient and vector."""
    group: str | None = None
    """The only group of rows that it is for."""
    checkout: str | None = None
    """The folder of another revision, whose code it runs."""

    @property
    def library(self) -> Literal["jax", "torch"]:
        """What compiles and runs its programs."""
        return "torch" if self.framework == "torch" else "jax"


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
            needs=("jax", "flax"),
            networks_only=True,
        ),
        Peer("torch", "torch", "PyTorch, channels_last", needs=("torch",)),
    )
}

DEFAULT_PEERS = tuple(PEERS)

WORKER = Path("experiments", "benchmarks", "worker.py")

# What ratios are taken of: time of the first over time of the second.
COMPARISONS = (
    ("jaxcnn", "autodiff"),
    ("jaxcnn", "autodiff-options"),
    ("jaxcnn", "torch"),
    ("jaxcnn", "flax"),
    ("jaxcnn-default", "autodiff"),
    ("jaxcnn-fft", "jaxcnn"),
    ("jaxcnn", "jaxcnn-reverse"),
    ("form", "plain"),
)


def missing(peer: Peer) -> list[str]:
    """The packages that this peer needs and that are not installed."""
    return [package for package in peer.needs if importlib.util.find_spec(package) is None]


def named(names: Sequence[str]) -> dict[str, Peer]:
    """Name → peer. One that is asked for twice takes part twice: the second is called name#2.

    name@PATH is that peer of another checkout, which always takes part twice: what two processes
    of one revision differ by says what a difference between two revisions is worth.

    Raises:
        ValueError: a name is unknown, or a path no checkout.
    """
    found: dict[str, Peer] = {}
    for name in (n for n in names for _ in range(2 if "@" in n and names.count(n) == 1 else 1)):
        base, _, checkout = name.partition("@")
        if base not in PEERS:
            raise ValueError(f"--peers must be among {', '.join(PEERS)}, got {base}")
        if "@" in name and not (checkout and (Path(checkout) / WORKER).is_file()):
            raise ValueError(f"--peers {base}@PATH must name a checkout, with {WORKER}, got {name}")
        count = sum(first(other) == name for other in found)
        peer = replace(PEERS[base], checkout=checkout or None)
        found[name if count == 0 else f"{name}#{count + 1}"] = peer
    return found


def first(name: str) -> str:
    """Whose identical code this is: name of name#2."""
    return re.sub(r"#\d+$", "", name)


def together(present: Mapping[str, Peer], apart: bool) -> list[dict[str, Peer]]:
    """Who shares a process: those on JAX, whose compiler options belong to a `jit`; or nobody.

    Within a process the memory that a program finds is the same for all of its peers. A peer of
    another checkout is in one of its own.
    """
    found: dict[str, dict[str, Peer]] = {}
    for name, peer in present.items():
        found.setdefault(name if apart or peer.checkout else peer.library, {})[name] = peer
    return list(found.values())


def comparisons(present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs to take ratios of, among the peers that are there."""
    for pair in COMPARISONS:
        if set(pair) <= set(present):
            yield pair
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

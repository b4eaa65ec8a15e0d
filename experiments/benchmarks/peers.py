"""Who is compared with whom, what each needs to be there, and who shares a process."""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    group: str | None = None
    """The only group of rows that it is for."""

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

# What ratios are taken of: time of the first over time of the second.
COMPARISONS = (
    ("jaxcnn", "autodiff"),
    ("jaxcnn", "autodiff-options"),
    ("jaxcnn", "torch"),
    ("jaxcnn", "flax"),
    ("jaxcnn-default", "autodiff"),
    ("jaxcnn-fft", "jaxcnn"),
)


def missing(peer: Peer) -> list[str]:
    """The packages that this peer needs and that are not installed."""
    return [package for package in peer.needs if importlib.util.find_spec(package) is None]


def named(names: Sequence[str]) -> dict[str, Peer]:
    """Name → peer. One that is asked for twice takes part twice: the second is called name#2.

    Raises:
        ValueError: a name is unknown.
    """
    found: dict[str, Peer] = {}
    for name in names:
        if name not in PEERS:
            raise ValueError(f"--peers must be among {', '.join(PEERS)}, got {name}")
        count = sum(peer.name == name for peer in found.values())
        found[name if count == 0 else f"{name}#{count + 1}"] = PEERS[name]
    return found


def together(present: Mapping[str, Peer], apart: bool) -> list[dict[str, Peer]]:
    """Who shares a process: those on JAX, whose compiler options belong to a `jit`; or nobody.

    Within a process the memory that a program finds is the same for all of its peers.
    """
    found: dict[str, dict[str, Peer]] = {}
    for name, peer in present.items():
        found.setdefault(name if apart else peer.library, {})[name] = peer
    return list(found.values())


def comparisons(present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The pairs to take ratios of, among the peers that are there."""
    for pair in COMPARISONS:
        if set(pair) <= set(present):
            yield pair
    for name in present:  # identical code twice: what noise alone does
        first, _, count = name.partition("#")
        if count:
            yield name, first

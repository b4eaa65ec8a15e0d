"""All operations that PyTorch has as well, by family."""

from generated import torch_conv, torch_other, torch_pool
from generated.peer import Peer

FAMILIES: dict[str, dict[str, Peer]] = {
    "convolutions": torch_conv.PEERS,
    "poolings": torch_pool.PEERS,
    "activations": torch_other.ELEMENTS,
    "norms": torch_other.NORMS,
    "losses": torch_other.LOSSES,
}

PEERS: dict[str, Peer] = {
    name: peer for family in FAMILIES.values() for name, peer in family.items()
}

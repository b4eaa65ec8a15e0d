"""The few modules that PyTorch does not have itself."""

from collections.abc import Sequence

import torch
from torch import nn


class Add(nn.Module):
    """The sum of a block and its shortcut."""

    def __init__(self, body: nn.Module, shortcut: nn.Module):
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x):
        """y = body(x) + shortcut(x)."""
        return self.body(x) + self.shortcut(x)


class Concatenate(nn.Module):
    """Branches side by side as channels."""

    def __init__(self, branches: Sequence[nn.Module]):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        """y = [branch(x), …]."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class Subsample(nn.Module):
    """Every element at a multiple of the rate, along every axis of space."""

    def __init__(self, rate: tuple[int, ...]):
        super().__init__()
        self.places = (slice(None), slice(None), *(slice(None, None, r) for r in rate))

    def forward(self, x):
        """y = x[:, :, ::r, ::r]."""
        return x[self.places]


class PadChannels(nn.Module):
    """Channels of zeros before and after."""

    def __init__(self, before: int, after: int, axes: int):
        super().__init__()
        self.pads = (0, 0) * axes + (before, after)

    def forward(self, x):
        """y = [0, x, 0]."""
        return nn.functional.pad(x, self.pads)


class Scale(nn.Module):
    """A fixed factor."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        """y = factor · x."""
        return x * self.factor

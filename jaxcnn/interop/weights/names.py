"""How torchvision, timm and PyTorch's tutorials name the modules of their networks.

A scheme gives the modules of a network's leaves by their places, or None where the network is not
of its kind. It says nothing of shapes: whether the numbers fit is seen when they are put there.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from jaxcnn import layers
from jaxcnn.interop.weights.places import Place

Names = dict[str, str]
"""Modules by the names of places."""


def _number(name: str) -> int:
    return int(re.sub(r"\D", "", name))


def _conv_or_norm(place: Place) -> int:
    """Where it stands in a Sequential of a convolution and its norm."""
    return int(isinstance(place.layer, layers.BatchNorm))


def _resnet(place: Place) -> str | None:
    part = ("conv", "bn")[_conv_or_norm(place)]
    match place.path:
        case ("stem", _):
            return f"{part}1"
        case (stage, block, _, "body", inner, _):
            return f"layer{_number(stage)}.{_number(block) - 1}.{part}{_number(inner)}"
        case (stage, block, _, "shortcut", _):
            at = _conv_or_norm(place)
            return f"layer{_number(stage)}.{_number(block) - 1}.downsample.{at}"
        case ("output",):
            return "fc"
    return None


def _densenet(place: Place) -> str | None:
    match place.path:
        case ("stem", _):
            return ("features.conv0", "features.norm0")[_conv_or_norm(place)]
        case (block, layer, "new", part):
            inner = part.replace("batchnorm", "norm")
            return f"features.denseblock{_number(block)}.denselayer{_number(layer)}.{inner}"
        case (transition, part) if transition.startswith("transition"):
            inner = ("conv", "norm")[_conv_or_norm(place)]
            return f"features.{transition}.{inner}"
        case ("norm",):
            return "features.norm5"
        case ("output",):
            return "classifier"
    return None


def _densenet_published(place: Place) -> str | None:
    """As in the files that torchvision downloads, older than its modules: norm.1 for norm1."""
    name = _densenet(place)
    return name and re.sub(r"(denselayer\d+\.\D+)", r"\1.", name)


def _one_by_one(name: Callable[[Place], str | None]) -> Callable[[Sequence[Place]], Names | None]:
    def scheme(places: Sequence[Place]) -> Names | None:
        try:
            found = {place.name: name(place) for place in places if place.held}
        except ValueError:  # a name without the number that it has there
            return None
        return {where: module for where, module in found.items() if module is not None}

    return scheme


def _sequential(places: Sequence[Place]) -> Names:
    """One Sequential: a module is the number of its place."""
    return {place.name: str(number) for number, place in enumerate(places)}


def _features_and_classifier(places: Sequence[Place]) -> Names | None:
    """VGG and AlexNet in torchvision: two Sequentials, one before and one behind the flattening."""
    at = [n for n, place in enumerate(places) if isinstance(place.layer, layers.Flatten)]
    if len(at) != 1:
        return None
    (middle,) = at
    parts = {"features": places[:middle], "classifier": places[middle + 1 :]}
    return {
        place.name: f"{part}.{number}"
        for part, inside in parts.items()
        for number, place in enumerate(inside)
    }


def _features_and_head(places: Sequence[Place]) -> Names | None:
    """VGG in timm, where the dense layers before the last are convolutions."""
    found = _features_and_classifier(places)
    dense = [place.name for place in places if isinstance(place.layer, layers.Dense)]
    if found is None or len(dense) != 3:
        return None
    return {
        **found,
        **dict(zip(dense, ("pre_logits.fc1", "pre_logits.fc2", "head.fc"), strict=True)),
    }


def _tutorial(places: Sequence[Place]) -> Names:
    """conv1, conv2, …, bn1, …, fc1, …: counted by kind."""
    kinds = {layers.Conv: "conv", layers.BatchNorm: "bn", layers.Dense: "fc"}
    counts = dict.fromkeys(kinds.values(), 0)
    found = {}
    for place in places:
        kind = kinds.get(type(place.layer))
        if kind is not None:
            counts[kind] += 1
            found[place.name] = f"{kind}{counts[kind]}"
    return found


# MobileNets ---------------------------------------------------------------------------------------

Block = list[Place]


def _blocks(places: Sequence[Place]) -> tuple[Block, list[Block], Block]:
    """The places that hold numbers: of the stem, of each block, and behind the blocks."""
    held = [place for place in places if place.held]
    depthwise = [n for n, place in enumerate(held) if isinstance(place.layer, layers.DepthwiseConv)]
    if not depthwise or len(held[0].path) < 2:
        return [], [], []
    inside = [place for place in held if len(place.path) > 2]
    keys = list(dict.fromkeys(place.path[:2] for place in inside))
    blocks = [[place for place in inside if place.path[:2] == key] for key in keys]
    first, last = held.index(inside[0]), held.index(inside[-1])
    return held[:first], blocks, held[last + 1 :]


def _inverted_residuals(places: Sequence[Place]) -> Names | None:
    """MobileNetV2 in torchvision."""
    stem, blocks, rest = _blocks(places)
    if len(stem) != 2 or len(rest) != 3:
        return None
    found = {place.name: f"features.0.{n}" for n, place in enumerate(stem)}
    for number, block in enumerate(blocks, 1):
        *pairs, conv, norm = block
        for n, place in enumerate(pairs):
            found[place.name] = f"features.{number}.conv.{n // 2}.{n % 2}"
        for n, place in enumerate((conv, norm), len(pairs) // 2):
            found[place.name] = f"features.{number}.conv.{n}"
    names = *(f"features.{len(blocks) + 1}.{n}" for n in (0, 1)), "classifier.1"
    return {**found, **{place.name: name for place, name in zip(rest, names, strict=True)}}


def _blocks_in_stages(places: Sequence[Place]) -> Names | None:
    """Both MobileNets in timm, where a stage begins with a stride or with another width."""
    stem, blocks, rest = _blocks(places)
    if len(stem) != 2 or len(rest) not in (1, 3):
        return None
    found = {place.name: name for place, name in zip(stem, ("conv_stem", "bn1"), strict=True)}
    for (stage, number), block in zip(_stages(blocks), blocks, strict=True):
        kinds = ("pw", "dw", "pwl") if len(block) == 6 else ("dw", "pw")
        for n, place in enumerate(block):
            part = f"bn{n // 2 + 1}" if n % 2 else f"conv_{kinds[n // 2]}"
            found[place.name] = f"blocks.{stage}.{number}.{part}"
    last = ("conv_head", "bn2", "classifier")[-len(rest) :]
    return {**found, **{place.name: name for place, name in zip(rest, last, strict=True)}}


def _stages(blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """The stage and the place in it of each block."""
    stage, number = 0, 0
    yield stage, number
    for before, block in pairwise(blocks):
        named = block[0].path[0] != before[0].path[0]
        stride = any(getattr(place.layer, "stride", 1) != 1 for place in block)
        new = named or (stride and block[0].path[0] == "blocks")
        stage, number = (stage + 1, 0) if new else (stage, number + 1)
        yield stage, number


SCHEMES: tuple[Callable[[Sequence[Place]], Names | None], ...] = (
    _one_by_one(_resnet), _one_by_one(_densenet), _one_by_one(_densenet_published),
    _features_and_classifier, _features_and_head, _inverted_residuals, _blocks_in_stages,
    _sequential, _tutorial,
)  # fmt: skip


def known(places: Sequence[Place]) -> list[Names]:
    """The modules of the places that hold numbers, by each scheme that has one for every place."""
    held = {place.name for place in places if place.held}
    found = []
    for scheme in SCHEMES:
        names = scheme(places) or {}
        if held and held <= names.keys():
            found.append({name: names[name] for name in names if name in held})
    return found

"""The networks that `train.py` knows by name, and what images each of them takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.command_line.options import UserError
from jaxcnn import check, layers, models
from jaxcnn.initializers import patch_whitening
from jaxcnn.models.airbench import uniform

Build = Callable[..., layers.Serial]


@dataclass(frozen=True)
class Network:
    """How a network is made, and for which images.

    build: (classes=…) → network. small: the same, shrunken, for --smoke. size: height and width of
    its images; None, those of the data set, whatever they are. channels: None, any number.
    whitened: whether the first kernel is computed from training images. signals: whether an image
    is read as one long row.
    """

    build: Build
    small: Build
    size: int | None = 32
    channels: int | None = None
    whitened: bool = False
    signals: bool = False


def _same(build: Build, **settings: Any) -> Network:
    return Network(build, build, **settings)


def standardised(key: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """The default draw, divided by its standard deviation."""
    drawn = uniform(key, shape, jnp.dtype(dtype))
    return drawn / drawn.std()


def _first(build: Callable[..., layers.Serial], *settings: Any, **more: Any) -> Build:
    """A model whose first argument is its depth or flavour, and classes the second."""
    return lambda classes: build(*settings, classes, **more)


def _lenet(flavour: str) -> Network:
    return _same(partial(models.lenet5, flavour=flavour), channels=1)


def _resnet(depth: int) -> Network:
    return Network(_first(models.resnet, depth), _first(models.resnet, 8, width=4))


def _resnet_imagenet(depth: int) -> Network:
    small = _first(models.resnet_imagenet, depth, width=4, stages=(1, 1, 1, 1))
    return Network(_first(models.resnet_imagenet, depth), small, 224, 3)


def _vgg(depth: int, *, batch_norm: bool = False) -> Network:
    build, small = (
        _first(models.vgg, depth, batch_norm=batch_norm, **size)
        for size in ({}, {"width": 2, "hidden": 16})
    )
    return Network(build, small, 224, 3)


def _airbench(build: Build, widths: tuple[int, int, int], **more: Any) -> Network:
    return Network(
        partial(build, widths=widths, **more),
        partial(build, widths=(8, 16, 16), **more),
        channels=3,
        whitened=True,
    )


def _lecture(build: Callable[..., layers.Serial], **settings: Any) -> Network:
    """A small example, whose classes are called outputs; on maps of any size."""
    return _same(lambda classes: build(outputs=classes), size=None, **settings)


_SMALL_ALEXNET = {"widths": (6, 8, 12, 12, 8), "hidden": 32}
_MUON_HEAD: dict[str, Any] = {"head": standardised, "scale": 1 / 256}

NETWORKS: dict[str, Network] = {
    "lenet5": _lenet("relu"),
    "lenet5-1998": _lenet("1998"),
    "lenet5-paper": _lenet("paper"),
    "fast-mnist": _same(models.fast_mnist, size=28, channels=1),
    "accurate-mnist": _same(models.accurate_mnist, size=28, channels=1),
    "vgg6": Network(models.vgg6, partial(models.vgg6, hidden=8)),
    "vgg11": _vgg(11),
    "vgg16": _vgg(16),
    "vgg11-bn": _vgg(11, batch_norm=True),
    "vgg16-bn": _vgg(16, batch_norm=True),
    "alexnet": Network(models.alexnet, partial(models.alexnet, **_SMALL_ALEXNET), 227, 3),
    "alexnet-2014": Network(
        models.alexnet_2014, partial(models.alexnet_2014, **_SMALL_ALEXNET), 224, 3
    ),
    "small-alexnet": _same(models.small_alexnet),
    "resnet20": _resnet(20),
    "resnet56": _resnet(56),
    "resnet110": _resnet(110),
    "resnet18": _resnet_imagenet(18),
    "resnet50": _resnet_imagenet(50),
    "densenet100": Network(
        _first(models.densenet, 100), _first(models.densenet, 10, growth=4), channels=3
    ),
    "densenet121": Network(
        _first(models.densenet_imagenet, 121),
        _first(models.densenet_imagenet, 121, growth=4, stages=(1, 1)),
        224,
        3,
    ),
    "mobilenet": Network(
        models.mobilenet, partial(models.mobilenet, width=0.25, blocks=((32, 2), (64, 2)))
    ),
    "mobilenet-v2": Network(
        models.mobilenet_v2, partial(models.mobilenet_v2, stages=((1, 8, 1, 1), (2, 8, 1, 2))), 224
    ),
    "airbench94": _airbench(models.airbench94, (64, 256, 256)),
    "airbench94-muon": _airbench(models.airbench94, (64, 256, 256), **_MUON_HEAD),
    "airbench95": _airbench(models.airbench94, (128, 384, 384)),
    "airbench96": _airbench(models.airbench96, (128, 384, 512)),
    "conv-pool-dense": _lecture(models.conv_pool_dense),
    "conv-pool-dense-1d": _lecture(models.conv_pool_dense, signals=True),
    "conv-dense": _lecture(models.conv_dense),
    "gormley": _same(models.gormley_cnn, size=None),
    "logistic-regression": _lecture(models.logistic_regression),
    "mlp": _same(lambda classes: models.mlp(100, outputs=classes), size=None),
}


def find(model: str) -> Network:
    """The network of this name; or that which a function of the user's own, module:function, makes.

    Raises:
        UserError: there is none.
    """
    if ":" in model:
        build = _of_the_user(model)
        return Network(build, build, None)
    if model not in NETWORKS:
        raise UserError(
            f"--model must be one of {', '.join(NETWORKS)}, or module:function, got {model!r}."
        )
    return NETWORKS[model]


def _of_the_user(model: str) -> Build:
    """The function, called with the number of classes, if what it makes is a network."""
    module, _, name = model.partition(":")

    def wrong(reason: str) -> UserError:
        return UserError(
            f"--model {model} must name a function of a module that can be imported here: {reason}."
        )

    try:
        found = import_module(module)
    except Exception as error:  # whatever a module does when it is imported
        raise wrong(f"{module} cannot be ({_one_line(error)})") from error
    function = getattr(found, name, None)
    if not callable(function):
        raise wrong(f"{module} has no function {name}")

    def build(classes: int) -> layers.Serial:
        try:
            net = function(classes=classes)
        except Exception as error:
            raise wrong(f"{name}(classes={classes}) fails ({_one_line(error)})") from error
        if not isinstance(net, layers.Layer):
            raise wrong(f"{name}(classes={classes}) is no layer of jaxcnn, but {check.shown(net)}")
        return net if isinstance(net, layers.Serial) else layers.serial(net)

    return build


def check_fits(model: str, net: layers.Layer, shape: tuple[int, ...], classes: int) -> None:
    """Refuse a network that does not make a logit for each class of images of this shape.

    Raises:
        UserError: it does not.
    """

    def logits(key: Array, x: Array) -> Any:
        return net.apply(*net.init(key, shape), x)[0]

    x = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    size = " × ".join(map(str, shape))
    try:
        found = jax.eval_shape(logits, jax.random.key(0), x)
    except (TypeError, ValueError) as error:
        notes = [note for note in getattr(error, "__notes__", ()) if note.startswith("in layer")]
        said = ", ".join([_one_line(error), *notes])
        raise UserError(f"--model {model} does not take images of {size}: {said}.") from error
    if getattr(found, "shape", None) != (1, classes):
        raise UserError(
            f"--model {model} must make {classes} logits of an image of {size}, "
            f"got {getattr(found, 'shape', found)} for a batch of one."
        )


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")


def make(
    name: str, classes: int, images: np.ndarray | None = None, *, small: bool = False
) -> layers.Serial:
    """The network of this name.

    Args:
        name: as `find` takes it.
        classes: how many logits come out.
        images: normalised training images for a network whose first kernel is computed from them;
            without them it is drawn, which will do where parameters are loaded.
        small: the shrunken one of --smoke.
    """
    network = find(name)
    build = network.small if small else network.build
    if not network.whitened or images is None:
        return build(classes=classes)
    return build(classes=classes, whitening=patch_whitening(images))

"""What becomes of a run's folder: edited, written by another version, cut short by a loss of power.

OPTIONS, TEXTS, ARRAYS, FILES and CHECKPOINTS are to be read: each row ends with a part of what is
told of it. `every` generates many more, by every option and every file.
"""

import dataclasses
import json
import shutil
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments import runs
from experiments.command_line.options import TrainOptions

DEEP = "[" * 100_000
VERSION = "belong to another version of this program."

# (an option, what config.json says of it, what is told)
OPTIONS: list[tuple[str, Any, str]] = [
    (
        "model",
        "lenet6",
        "config.json holds no run of this version: model must be one of lenet5, lenet5-1998,",
    ),
    (
        "model",
        "nomod:f",
        "config.json holds no run of this version: model nomod:f must name a func",
    ),
    ("model", "os:getcwd", "here: getcwd(classes=10) fails (TypeError: "),
    ("model", ":", "config.json holds no run of this version: model : must name a function"),
    ("model", "vgg16", "version: model vgg16 takes images of 3 channels, those of mnist5k have 1."),
    ("model", None, "got null."),
    ("model", ["lenet5"], 'got ["lenet5"].'),
    ("dataset", "mnist6k", "dataset must be one of mnist5k, mnist,"),
    ("dataset", "cifar10", "The parameters in"),
    ("dataset", "imagenet2012", "The parameters in"),
    (
        "precision",
        "float8",
        "precision must be one of float32, float64, bfloat16, float16, bfloat16-products, got",
    ),
    ("precision", "float64", "is float32[10], expected float64[10]."),
    ("rules", 1, "rules must be one of hand, explicit, autodiff, got 1."),
    ("seed", "0", "seed must be a whole number, got 0."),
    ("seed", True, "seed must be a whole number, got true."),
    ("seed", -1, "seed must be between 0 and 2**32 - 1, got -1."),
    ("epochs", "many", "epochs must be a number, got many."),
    ("epochs", float("nan"), "epochs must be a positive number, got nan."),
    ("epochs", 1e308, "epochs must be less than 2147483648, got 1e+308."),
    ("epochs", 10**400, "epochs must be a number, got 1000"),
    ("batch_size", 0, "batch_size must be at least 1, got 0."),
    ("batch_size", 24.5, "batch_size must be a whole number, got 24.5."),
    ("batch_size", 10**20, "batch_size must be less than 2147483648, got"),
    ("data_dir", 5, "data_dir must be a path or null, got 5."),
    ("data_dir", "a\0b", "data_dir must be a path or null"),
    ("data_dir", "\ud800", "data_dir must be a path or null"),
    ("progress", "yes", "progress must be true or false, got yes."),
    ("tta", {}, "tta must be one of none, mirror, mirror-shift, got {}."),
    ("optimisation", None, "null stands where optimiser, schedule,"),
    ("optimisation", [], "[] stands where optimiser, schedule,"),
    ("optimisation", {}, VERSION),
    ("optimisation.optimiser", "adamax", "optimiser must be one of sgd,"),
    ("optimisation.milestones", 0.5, "milestones must be a list of numbers, got 0.5."),
    ("optimisation.milestones", ["half"], 'milestones must be a list of numbers, got ["half"].'),
    ("optimisation.learning_rate", -1, "learning_rate must be a positive number, got -1."),
    ("augmentation.flip", "twice", "flip must be one of none, random, alternating, got twice."),
    ("safety.keep", None, "keep must be a whole number, got null."),
    ("hardware.devices", "all", "devices must be a whole number or null, got all."),
    ("colour", 3, "the options colour belong to another version of this program."),
]

# As OPTIONS, of what only going on asks for.
SIZES: list[tuple[str, Any, str]] = [
    (
        "train_images",
        4_000,
        "train_images must be at most the 3980 that are not held out, got 4000.",
    ),
    ("validation", 4_000, "validation must be less than the 4000 training images, got 4000."),
    ("batch_size", 73, "batch_size must be at most the 72 training images, got 73."),
    (
        "augmentation.cutout",
        29,
        "cutout must be at most the 28 pixels of the images' side, got 29.",
    ),
]

# (what is in config.json, what is told)
TEXTS: list[tuple[bytes | None, str]] = [
    (None, "config.json cannot be read (No such file or directory)."),
    (b"", "holds no run of this version: Expecting value"),
    (b"\0" * 512, "holds no run of this version: Expecting value"),
    (b"{", "holds no run of this version: Expecting property name"),
    (b"\xff\xfe{}", "holds no run of this version: 'utf-8' codec can't decode"),
    (b"\xef\xbb\xbf{}", "holds no run of this version: Unexpected UTF-8 BOM"),
    (b"null", "holds no run of this version: null stands where model, dataset,"),
    (b"[1]", "holds no run of this version: [1] stands where model, dataset,"),
    (b'"run"', "holds no run of this version: run stands where"),
    (b"1e999", "holds no run of this version: Infinity stands where"),
    (b"{}", VERSION),
    (DEEP.encode(), "holds no run of this version: it is nested too deeply."),
    (b'{"model": ' * 100_000, "holds no run of this version: it is nested too deeply."),
]


def _leaf(tree: Any) -> tuple[Any, str]:
    """A dict of arrays, and the name of one of them."""
    (inner,) = tree["params"].values()
    return inner, "bias"


def _with(change: Callable[[np.ndarray], Any]) -> Callable[[Any], None]:
    def changed(tree):
        inner, name = _leaf(tree)
        inner[name] = change(inner[name])

    return changed


def _put(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def changed(array):
        array = array.copy()
        array[0] = value
        return array

    return changed


# (what is done to {"params": …, "state": …} before it is saved again, what is told)
ARRAYS: list[tuple[str, Callable[[Any], Any], str]] = [
    (
        "NaN",
        _with(_put(np.nan)),
        "are no longer numbers: params/dense1/bias holds NaN",
    ),
    ("infinity", _with(_put(np.inf)), "params/dense1/bias holds NaN or infinity."),
    ("longer", _with(lambda a: np.append(a, a)), "bias is float32[20], expected float32[10]."),
    ("a column", _with(lambda a: a[:, None]), "bias is float32[10, 1], expected float32[10]."),
    ("halves", _with(lambda a: a.astype(np.float16)), "bias is float16[10], expected float32"),
    ("integers", _with(lambda a: a.astype(np.int32)), "bias is int32[10], expected float32[10]."),
    ("a scalar", _with(lambda a: a[0]), "bias is float32[], expected float32[10]."),
    ("one less", lambda tree: _leaf(tree)[0].pop("bias"), "bias is missing, expected float32[10]."),
    (
        "one more",
        lambda tree: tree["params"].update(more=np.zeros(3)),
        "params/more is float64[3], expected none.",
    ),
    ("none", lambda tree: tree["params"].clear(), "is missing, expected float32[10]."),
    ("a state", lambda tree: tree["state"].update(mean=np.zeros(3)), "state/mean is float64[3]"),
]


def unlinked(path: Path) -> None:
    """It is gone."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def emptied(path: Path) -> None:
    """As a loss of power leaves it."""
    path.write_bytes(b"")


def cut(path: Path) -> None:
    """Without its second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path: Path) -> None:
    """The same number of bytes, all zero: as a loss of power leaves it, too."""
    path.write_bytes(bytes(path.stat().st_size))


def flipped(path: Path) -> None:
    """Other bits in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def a_folder(path: Path) -> None:
    """A folder stands in its place."""
    unlinked(path)
    path.mkdir()


def a_file(path: Path) -> None:
    """A file stands in its place."""
    unlinked(path)
    path.write_bytes(b"{}")


def deep(path: Path) -> None:
    """JSON that is nested too deeply."""
    path.write_text(DEEP)


def saying(text: str) -> Callable[[Path], None]:
    """JSON, or nearly so, but not what was written."""

    def said(path: Path) -> None:
        path.write_text(text)

    return said


# What orbax's own readers of metadata do not expect.
SHAPES = [
    "[1]",
    "5",
    '"x"',
    '{"init_timestamp_nsecs": "x"}',
    '{"commit_timestamp_nsecs": 1e300}',
    '{"item_handlers": 5}',
    '{"metrics": [1]}',
    '{"custom_metadata": 7}',
    DEEP,
]
METADATA = [
    "_CHECKPOINT_METADATA",
    "state/_METADATA",
    "state/_sharding",
    "state/manifest.ocdbt",
    "state/array_metadatas/process_0",
    "progress/metadata",
    "metrics/metrics",
]

HARMS = [unlinked, emptied, cut, zeroed, flipped, a_folder, deep]

# (a file or folder, what happens to it, what predict, evaluate and inspect tell)
FILES: list[tuple[str, Callable[[Path], None], str]] = [
    ("parameters", unlinked, "holds no finished run: there is no folder parameters in it."),
    ("parameters", a_file, "holds no finished run: there is no folder parameters in it."),
    ("parameters", a_folder, "are damaged ("),
    ("parameters/files.json", emptied, "are damaged (files.json cannot be read)."),
    ("parameters/files.json", deep, "are damaged (files.json cannot be read)."),
    ("parameters/manifest.ocdbt", unlinked, "(the file manifest.ocdbt is missing)."),
    ("parameters/manifest.ocdbt", emptied, "(the file manifest.ocdbt is not as it was written)."),
    ("parameters/_METADATA", zeroed, "are damaged (the file _METADATA is not as it was written)."),
    ("parameters/_METADATA", a_folder, "are damaged (the file _METADATA is missing)."),
]

# (a file or folder of the last checkpoint, what happens to it, what --resume tells)
CHECKPOINTS: list[tuple[str, Callable[[Path], None], str]] = [
    ("metrics/metrics", emptied, "damaged (the file metrics/metrics is not as it was written)"),
    ("metrics/metrics", unlinked, "damaged (the file metrics/metrics is missing)"),
    ("metrics/metrics", flipped, "damaged (the file metrics/metrics is not as it was written)"),
    ("metrics/metrics", deep, "damaged (the file metrics/metrics is not as it was written)"),
    ("metrics", unlinked, "damaged (the file metrics/"),
    ("progress/metadata", zeroed, "damaged (the file progress/metadata is not as it was written)"),
    ("state/manifest.ocdbt", cut, "damaged (the file state/manifest.ocdbt is not as it was"),
    ("state", unlinked, "damaged (the file state/"),
    ("files.json", emptied, "damaged (files.json cannot be read)"),
    ("_CHECKPOINT_METADATA", emptied, "damaged (the file _CHECKPOINT_METADATA is not as it was"),
    ("_CHECKPOINT_METADATA", saying("[1]"), "damaged (the file _CHECKPOINT_METADATA is not as it"),
]


def set_option(folder: Path, option: str, value: Any) -> None:
    """Have config.json say that of the option, such as augmentation.flip."""
    path = folder / "config.json"
    stored = inner = json.loads(path.read_text())
    *groups, name = option.split(".")
    for group in groups:
        inner = inner[group]
    inner[name] = value
    path.write_text(json.dumps(stored))


def set_text(folder: Path, content: bytes | None) -> None:
    """Have config.json hold that, or be gone."""
    path = folder / "config.json"
    path.unlink() if content is None else path.write_bytes(content)


def set_arrays(folder: Path, change: Callable[[Any], Any]) -> None:
    """Save other parameters, with all digests right."""
    params, state = runs.load_parameters(folder)
    tree = {"params": params, "state": state}
    change(tree)
    runs.save_parameters(folder, tree["params"], tree["state"])


def every(run: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Harms to a copy of this run, by name: every option, every file."""
    for option in _names(TrainOptions):
        for value in (None, "", "x" * 1000, -1, 10**30, 1e308, float("nan"), True, [[]], {"": 0}):
            name = f"{option}: {str(value)[:20]}"
            yield name, lambda folder, o=option, v=value: set_option(folder, o, v)
    for path in sorted(run.rglob("*")):
        where = path.relative_to(run)
        for harm in HARMS if path.is_file() else [unlinked, a_file, a_folder]:

            def harmed(folder: Path, where=where, harm=harm) -> None:
                harm(folder / where)

            yield f"{where} {harm.__name__}", harmed


def _names(kind: type, before: str = "") -> Iterator[str]:
    hints = typing.get_type_hints(kind)
    for name, hint in hints.items():
        yield before + name
        if dataclasses.is_dataclass(hint):
            yield from _names(typing.cast(type, hint), f"{before}{name}.")

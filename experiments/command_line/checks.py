"""What no network could make sense of, refused before anything is read or written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from experiments.command_line.options import TrainOptions, UserError, flag, values

MANY = 2**31  # where XLA's counters end
# name: (least, whether least itself will do, what must not be reached)
_LIMITS: dict[str, tuple[float, bool, float]] = {
    "learning_rate": (0, False, math.inf),
    "momentum": (0, True, 1),
    "second_moment": (0, True, 1),
    "warmup": (0, True, 1),
    "warmup_from": (0, True, math.inf),
    "final_rate": (0, True, math.inf),
    "decay": (0, False, math.inf),
    "weight_decay": (0, True, math.inf),
    "clip": (0, False, math.inf),
    "rotation": (0, True, math.inf),
    "zoom": (0, True, 1),
    "scale": (1, True, math.inf),
    "translation": (0, True, math.inf),
    "shear": (0, True, 90),
    "stretch": (1, True, math.inf),
    "mixup": (0, True, math.inf),
    "cutmix": (0, True, math.inf),
    "label_smoothing": (0, True, 1),
    "average_decay": (0, True, 1),
    "checkpoint_seconds": (0, True, math.inf),
    "epochs": (0, False, math.inf),
    "validation_share": (0, True, 1),
    "test_share": (0, True, 1),
}
_LEAST = {
    "batch_size": 1,
    "accumulate": 1,
    "shift": 0,
    "cutout": 0,
    "validation": 0,
    "train_images": 1,
    "patience": 1,
    "keep": 1,
    "keep_every": 1,
    "segment": 1,
    "check_gradients": 1,
    "devices": 1,
    "processes": 1,
    "process": 0,
    "image_size": 1,
    "split_seed": 0,
    "resident_megabytes": 0,
}

PUBLISHED = ("mnist", "fashion_mnist", "cifar10", "imagenet2012")
FILES = (*PUBLISHED, "folder")
# name: (the option beside which it counts, and the values of that one)
_COUNTS_BESIDE = {
    "momentum": (
        "optimiser",
        ("momentum", "nesterov", "adam", "adamw", "muon", "airbench-sgd", "airbench-muon"),
    ),
    "second_moment": ("optimiser", ("adam", "adamw")),
    "final_rate": ("schedule", ("cosine", "linear")),
    "milestones": ("schedule", ("steps",)),
    "decay": ("schedule", ("steps", "exponential", "plateau")),
    "patience": ("schedule", ("plateau",)),
    "average_decay": ("average", ("ema",)),
    "data_dir": ("dataset", FILES),
    "manual_dir": ("dataset", PUBLISHED),
    "validation": ("dataset", ("mnist5k", *PUBLISHED)),
    **dict.fromkeys(
        ("image_size", "validation_share", "test_share", "split_seed", "resident_megabytes"),
        ("dataset", ("folder",)),
    ),
}
# name: the option that must not be zero for it to count
_COUNTS_WITH = {"warmup_from": "warmup", "shift_mode": "shift"}


def check_beside(name: str, other: str, value: Any, allowed: Sequence[Any]) -> None:
    """Refuse an option that counts only where another one has one of these values.

    Raises:
        UserError: it has not.
    """
    if value not in allowed:
        *most, last = map(str, allowed)
        shown = f"{', '.join(most)} and {last}" if most else last
        raise UserError(f"{flag(name)} is for {flag(other)} {shown} only.")


def check_used(options: TrainOptions, default: TrainOptions) -> None:
    """Refuse an option that differs from the preset's, or the run's, and would not be looked at.

    Raises:
        UserError: with one sentence that names it and what it is for.
    """
    found, before = values(options), values(default)
    given = {name for name in found if found[name] != before[name]}
    for name, (other, allowed) in _COUNTS_BESIDE.items():
        if name in given:
            check_beside(name, other, found[other], allowed)
    for name, other in _COUNTS_WITH.items():
        if name in given and found[other] == 0:
            raise UserError(f"{flag(name)} needs {flag(other)} beside it.")
    for name in ("train_images", "data_dir", "manual_dir"):
        if options.smoke and name in given:
            raise UserError(f"{flag(name)} is not for --smoke, which has images of its own.")


def check(options: TrainOptions) -> None:
    """Refuse a value out of its range, or options that exclude each other.

    Raises:
        UserError: with one sentence that names the option, its value, and what was expected.
    """
    found = values(options)
    for name, least in _LEAST.items():
        if found[name] is not None and found[name] < least:
            raise UserError(f"{flag(name)} must be at least {least}, got {found[name]}.")
    for name, limits in _LIMITS.items():
        if found[name] is not None:
            _number(flag(name), found[name], *limits)
    for name in (*_LEAST, "epochs"):
        if found[name] is not None and found[name] >= MANY:
            raise UserError(f"{flag(name)} must be less than {MANY}, got {found[name]}.")
    if not 0 <= options.seed < 2**32:
        raise UserError(f"--seed must be between 0 and 2**32 - 1, got {options.seed}.")
    _together(options, found)


def check_described(options: TrainOptions) -> None:
    """Refuse a stored run on a folder of pictures that does not say what the folder holds.

    Raises:
        UserError: without a full stop, for the sentence that names the file.
    """
    own = options.pictures
    alike = len(own.mean) == len(own.std) in (1, 3) and min(own.std, default=0) > 0
    if options.dataset == "folder" and not (alike and own.image_size and len(own.classes) > 1):
        raise UserError("it does not say the classes, the size and the pixels of its pictures")


def _number(name: str, value: float, least: float, inclusive: bool, below: float) -> None:
    if math.isfinite(value) and value < below and (value > least or (inclusive and value == least)):
        return
    if below != math.inf:
        limits = f"from {least} to less than {below}" if inclusive else f"in ({least}, {below})"
    elif least == 0:
        limits = "zero or positive" if inclusive else "a positive number"
    else:
        limits = f"at least {least}"
    raise UserError(f"{name} must be {limits}, got {value}.")


def _together(options: TrainOptions, found: dict[str, Any]) -> None:
    """What only makes sense, or does not, beside something else."""
    milestones = found["milestones"]
    if any(not 0 < m < 1 for m in milestones) or list(milestones) != sorted(set(milestones)):
        shown = " ".join(map(str, milestones))
        raise UserError(f"--milestones must be rising numbers between 0 and 1, got {shown}.")
    if found["validation_share"] + found["test_share"] >= 1:
        raise UserError(
            "--validation-share and --test-share must leave some to train on, "
            f"got {found['validation_share']} and {found['test_share']}."
        )
    if found["mixup"] > 0 and found["cutmix"] > 0:
        raise UserError("--mixup and --cutmix exclude each other: set one of them to 0.")
    if options.batch_size % options.accumulate:
        raise UserError(
            f"--accumulate must divide the batch size of {options.batch_size}, "
            f"got {options.accumulate}."
        )
    if found["schedule"] == "plateau" and options.validation == 0:
        raise UserError(
            "--schedule plateau watches the validation accuracy: --validation must be at least 1, "
            "got 0."
        )
    if found["schedule"] == "plateau" and options.optimisation.optimiser == "airbench-muon":
        raise UserError(
            "--schedule plateau scales what the optimiser returns, and --optimiser airbench-muon "
            "returns lengths of its own: choose another of them."
        )
    if found["schedule"] == "steps" and milestones and 0 < milestones[0] <= found["warmup"]:
        raise UserError(
            f"--milestones must come after the warm-up, which ends at {found['warmup']}, "
            f"got {milestones[0]}."
        )
    if found["schedule"] == "onecycle" and found["warmup"] > 0:
        raise UserError("--schedule onecycle has a warm-up of its own: leave --warmup at 0.")
    if found["coordinator"] is not None and None in (found["processes"], found["process"]):
        raise UserError("--coordinator needs --processes and --process beside it.")
    if found["coordinator"] is None and not found["distributed"]:
        for name in ("processes", "process"):
            if found[name] is not None:
                raise UserError(f"{flag(name)} needs --coordinator beside it.")
    if found["process"] is not None and found["processes"] is None:
        raise UserError("--process needs --processes beside it.")
    if found["process"] is not None and found["process"] >= found["processes"]:
        raise UserError(
            f"--process must be less than --processes, {found['processes']}, "
            f"got {found['process']}."
        )
    if options.precision == "bfloat16-products" and options.rules == "autodiff":
        raise UserError(
            "--precision bfloat16-products is for hand-written rules: choose other --rules."
        )
    if found["check_gradients"] is not None and options.rules == "autodiff":
        raise UserError("--check-gradients compares the rules with autodiff: choose other --rules.")

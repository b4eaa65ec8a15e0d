"""What JSON files hold, checked against the types of a dataclass's fields: such as a run's options.

A file may have been written by another version, edited, or damaged: whatever it holds is either an
object of the dataclass or one sentence about the first thing that is wrong.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from experiments.command_line.options import TrainOptions, UserError, flag, values


def read_json(path: Path) -> Any:
    """What the file holds.

    Raises:
        OSError, ValueError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@contextmanager
def stored_in(folder: Path | None) -> Iterator[None]:
    """Have what is wrong with options be told of the run's config.json that says them.

    folder: that of the run; None where the options are those of the command line: then what is
    wrong is told as it is.

    Raises:
        UserError: with the file's name, and options called as there: train_images, where the
            command line has --train-images.
    """
    try:
        yield
    except ValueError as error:
        if folder is None:
            raise
        reason = str(error).rstrip(".")
        for name in values(TrainOptions()):
            reason = re.sub(rf"(?<!\S){flag(name)}(?![\w-])", name, reason)
        path = folder / "config.json"
        raise UserError(f"{path} holds no run of this version: {reason}.") from error


def from_json(stored: Any, kind: type = TrainOptions) -> Any:
    """The options that config.json holds, or whatever else a dataclass says the types of.

    Raises:
        UserError: an option is unknown or missing, as another version of this program would write
            it, or is not of its type; without a full stop, for the sentence that names the file.
    """
    hints = typing.get_type_hints(kind)
    if not isinstance(stored, Mapping):
        raise UserError(f"{shortened(stored)} stands where {', '.join(hints)} should be")
    if set(stored) != set(hints):
        odd = sorted(set(stored) ^ set(hints))
        raise UserError(
            f"the options {shortened(', '.join(odd))} belong to another version of this program"
        )
    return kind(**{name: _converted(name, value, hints[name]) for name, value in stored.items()})


def _converted(name: str, value: Any, hint: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(value, typing.cast(type, hint))
    if not _is_a(value, hint):
        raise UserError(f"{name} must be {_called(hint)}, got {shortened(value)}")
    if isinstance(value, str) and Path in typing.get_args(hint):
        return Path(value)
    return tuple(value) if typing.get_origin(hint) is tuple else value


def _is_a(value: Any, hint: Any) -> bool:
    """Whether a value that JSON holds is of an option's type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return any(_is_a(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin in (tuple, list):
        return isinstance(value, list) and all(_is_a(one, inner[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)
    if hint is Path:
        return isinstance(value, str) and _names_a_file(value)
    return type(value) is hint


def _names_a_file(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


_CALLED = {
    bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path",
    types.NoneType: "null",
}  # fmt: skip


def _called(hint: Any) -> str:
    """What a value of this type is called in a sentence."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return " or ".join(map(_called, inner))
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in (tuple, list):
        return {float: "a list of numbers", str: "a list of text"}.get(
            inner[0], "a list of objects"
        )
    return _CALLED[hint]


def shortened(value: Any) -> str:
    """The value as JSON has it, in a sentence's length."""
    try:
        readable = isinstance(value, str) and value.isprintable()
        text = value if readable else json.dumps(value)
    except RecursionError:
        text = "something nested"
    return text if len(text) <= 60 else text[:57] + "…"

"""A run's folder: config, versions, metrics of each epoch, parameters, summary, curves."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.command_line.checks import check, check_described
from experiments.command_line.options import TrainOptions, UserError
from experiments.command_line.schema import from_json, read_json, stored_in
from experiments.training.devices import primary

LOCK = "lock"
# What a run that was killed while it made its folder may have left there.
UNFINISHED = {LOCK, "versions.json", "versions.json.tmp", "config.json.tmp"}


def folder_of(options: TrainOptions) -> Path:
    """The folder asked for, or runs/<utc time>-<model>-<dataset>-s<seed>."""
    if options.run_dir is not None:
        return _in_text(options.run_dir.expanduser())
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    model = options.model.rpartition(":")[2]  # of a user's own the function
    return Path("runs") / f"{time}-{model}-{options.dataset}-s{options.seed}"


def _in_text(folder: Path) -> Path:
    """The same; orbax takes no other bytes in the name of a folder.

    Raises:
        UserError: it holds others.
    """
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"The run folder must have a name in UTF-8, got {folder}.") from error
    return folder


def create(folder: Path, options: TrainOptions) -> None:
    """Make the folder, with versions.json and config.json; refuse one that is not empty.

    Raises:
        UserError: it is not empty, or cannot be written.
    """
    with written(folder):
        make(folder)
        write_json(folder / "versions.json", versions())
        # What makes the folder a run comes last.
        write_json(folder / "config.json", dataclasses.asdict(options))


def make(folder: Path) -> None:
    """Make the folder, if it is not there.

    Raises:
        UserError: it is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(path.name not in UNFINISHED for path in folder.iterdir()):
        raise UserError(
            f"The run folder {folder} is not empty: choose another with --run-dir, or go on with "
            "the run in it by --resume."
        )


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Have whatever cannot be written there be a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"The run folder {folder} cannot be written: {error.strerror or error}."
        ) from error


def stored_options(folder: Path) -> TrainOptions:
    """The options of the run in this folder.

    Raises:
        UserError: there is no run, or none of this version.
    """
    path = _in_text(folder) / "config.json"
    try:
        with stored_in(folder):
            options = from_json(read_json(path))
            check(options)
            check_described(options)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{folder} holds no run: {path} cannot be read ({reason}).") from error
    return options


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """One line per entry; no reader ever sees half a file."""
    lines = (f"  {json.dumps(name)}: {json.dumps(values[name], default=str)}" for name in values)
    write_whole(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Write beside the path, then put the file in its place: whole after a loss of power too."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def metrics_line(record: Mapping[str, Any]) -> str:
    """The record as a line of metrics.jsonl; NaN and Inf, which JSON lacks, are null."""
    finite = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(finite) + "\n"


def rewrite_metrics(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Make metrics.jsonl say these records and no more: those that a resumed run begins with."""
    write_whole(folder / "metrics.jsonl", "".join(map(metrics_line, records)).encode())


def forget_comparisons(folder: Path, done: int) -> None:
    """Take from gradients.jsonl what a resumed run will compare again, from this step on."""
    path = folder / "gradients.jsonl"
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        write_whole(path, b"".join(line for line in lines if _is_before(done, line)))


def _is_before(done: int, line: bytes) -> bool:
    """Whether the line is whole, and of an earlier step."""
    try:
        return line.endswith(b"\n") and bool(json.loads(line)["step"] < done)
    except (ValueError, TypeError, LookupError, RecursionError):  # as a loss of power leaves it
        return False


def append_metrics(folder: Path, record: Mapping[str, Any]) -> None:
    """Add one line to metrics.jsonl, readable at once."""
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(metrics_line(record))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of the run's epochs so far."""
    with (folder / "metrics.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# Parameters ---------------------------------------------------------------------------------------


def save_parameters(folder: Path, params: Any, net_state: Any, name: str = "parameters") -> None:
    """Write them as NumPy arrays, which belong to no device: any machine can restore them."""
    import orbax.checkpoint as ocp

    path = folder / name
    tree = jax.tree.map(np.asarray, {"params": params, "state": net_state})
    with ocp.StandardCheckpointer() as checkpointer:
        whole = {**tree, "digest": np.frombuffer(bytes.fromhex(digest(tree)), np.uint8)}
        checkpointer.save(path.resolve(), whole, force=True)
    seal(path)


def load_parameters(folder: Path, name: str = "parameters") -> tuple[Any, Any]:
    """(params, state) of the run, as NumPy arrays that `net.apply` takes.

    Raises:
        UserError: the run is not finished, or there is none, or its parameters are damaged.
    """
    import orbax.checkpoint as ocp

    path = folder / name
    if not path.is_dir():
        raise UserError(f"{folder} holds no finished run: there is no folder {name} in it.")
    damage = broken(path)
    if damage is not None:
        raise UserError(f"The parameters in {path} are damaged ({damage}).")
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            tree = checkpointer.restore(path.resolve())
        saved = tree.pop("digest").tobytes().hex()
        params, state = tree["params"], tree["state"]
    except Exception as error:  # orbax, tensorstore: whatever damage makes of them
        raise UserError(
            f"The parameters in {path} are damaged ({type(error).__name__})."
        ) from error
    if digest(tree) != saved:
        raise UserError(f"The parameters in {path} are not those that were saved.")
    return params, state


def digest(tree: Any) -> str:
    """Of the names and bits of all arrays."""
    found = hashlib.sha256()
    for path, leaf in jax.tree.flatten_with_path(tree)[0]:
        array = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)}{array.dtype}{np.shape(leaf)}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]


# Seals --------------------------------------------------------------------------------------------
#
# Orbax reads all arrays at once, and when one of them cannot be read it leaves the other reads
# behind, which Python finds unfinished much later, with warnings of their own. A folder that is
# damaged is therefore refused by its files, before orbax sees it.

SEAL = "files.json"


def seal(folder: Path) -> None:
    """Write the digests of all files in the folder into it, once: the last file, and never half."""
    if primary():
        write_json(folder / SEAL, _digests(folder))


def broken(folder: Path) -> str | None:
    """What is wrong with the first file that is not as it was sealed, or None.

    A folder whose writer was killed between its last file and its seal has none, and passes.
    """
    path = folder / SEAL
    if not path.is_file():
        return None
    try:
        sealed = dict(read_json(path))
    except (OSError, ValueError, TypeError):
        return f"{SEAL} cannot be read"
    found = _digests(folder)
    for name, written in sealed.items():
        if name not in found:
            return f"the file {name} is missing"
        if found[name] != written:
            return f"the file {name} is not as it was written"
    return None


def _digests(folder: Path) -> dict[str, str]:
    """By the files' names within the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SEAL:
            with path.open("rb") as file:
                name = path.relative_to(folder).as_posix()
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return found


# Versions -----------------------------------------------------------------------------------------


def versions() -> dict[str, Any]:
    """Whatever, besides the options, may change a run's numbers."""
    device = jax.devices()[0]
    packages = ("jax", "jaxlib", "jaxcnn", "optax", "numpy")
    return {
        "python": platform.python_version(),
        **{package: package_version(package) for package in packages},
        "platform": platform.platform(),
        "backend": device.platform,
        "device": device.device_kind,
        "cpu_count": os.cpu_count(),
        **_git(),
    }


def package_version(name: str) -> str | None:
    """Of an installed package; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return None


def _git() -> dict[str, Any]:
    """Revision and whether tracked files differ from it; None where this file is not under git."""
    here = Path(__file__).resolve()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(here.parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # not merely installed inside some checkout
        return {
            "git_revision": git("rev-parse", "HEAD"),
            "git_dirty": git("status", "--porcelain", "--untracked-files=no") != "",
        }
    except (OSError, subprocess.CalledProcessError):
        return {"git_revision": None, "git_dirty": None}

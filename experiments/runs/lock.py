"""One process at a time trains in a run's folder.

The lock is the system's own, on an open file: it goes when its holder ends, however that dies, and
the file that stays behind means nothing. Whoever only reads needs none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from experiments import runs
from experiments.command_line.options import TrainOptions, UserError
from experiments.runs.folder import LOCK


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from training in the folder; warn where its file system has no locks.

    Raises:
        UserError: another process trains there.
        OSError: the folder cannot be written.
    """
    with (folder / LOCK).open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"The run folder {folder} is taken: another process is training in this folder."
            ) from error
        except (ImportError, OSError) as error:
            print(
                f"Warning: {folder} is where files cannot be locked ({error}): see to it that no "
                "other process trains in this folder.",
                file=sys.stderr,
            )
        yield


def claim(folder: Path, options: TrainOptions, held: ExitStack) -> None:
    """Take the folder for as long as `held` is open, and make a new run's.

    Raises:
        UserError: another process trains there; it is not empty, or cannot be written.
    """
    new = options.safety.resume is None
    with runs.written(folder):
        if new:
            try:
                runs.make(folder)
            except UserError:  # nothing is to be left in a folder of other things
                if not (folder / LOCK).exists():
                    raise
        held.enter_context(alone(folder))
        if new:
            runs.create(folder, options)

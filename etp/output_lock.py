"""Locks of what a command writes: one run at a time, said at once to the second."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from etp.options import OptionError

logger = logging.getLogger(__name__)

LOCK_FILE = ".run.lock"  # in a folder
_SECONDS = 0.5  # a run that has just ended takes its lock away


def folder_lock(folder: Path, *, flag: str = "--output_dir") -> contextlib.AbstractContextManager[None]:
    """Hold an output folder for this run, in its main process; errors as of a file."""
    refusal = f"{flag} {folder}: another run is training there now. Wait for its end, stop it, or set another folder."
    return _held(folder / LOCK_FILE, refusal)


def file_lock(file: Path, *, flag: str = "--output") -> contextlib.AbstractContextManager[None]:
    """Hold an output file for this run, by a lock beside it.

    The system lets go of the lock of a process that ends, however it ends.

    Raises:
        OptionError: Another run holds it.
    """
    refusal = f"{flag} {file}: another run is writing it now. Wait for its end, stop it, or name another file."
    return _held(file.with_name(f".{file.name}.lock"), refusal)


@contextlib.contextmanager
def _held(path: Path, refusal: str) -> Iterator[None]:
    lock = FileLock(path, timeout=_SECONDS, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise OptionError(refusal) from error
    except OSError as error:  # a network file system without locks
        logger.warning(
            "%s can't be locked (%s): see to it that no other run writes there.", path.parent, error.strerror
        )
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # a file that stays on a failing disk is in nobody's way
                path.unlink()
            lock.release()

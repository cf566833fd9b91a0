"""Lets one run at a time train in an output folder."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from etp.options import OptionError

logger = logging.getLogger(__name__)

LOCK_FILE = ".run.lock"
_SECONDS = 0.5  # a run that has just ended takes its lock away


@contextlib.contextmanager
def output_lock(output_dir: Path) -> Iterator[None]:
    """Hold the folder for this run, in its main process.

    The system lets go of the lock of a process that ends, however it ends.

    Raises:
        OptionError: Another run holds it.
    """
    lock = FileLock(output_dir / LOCK_FILE, timeout=_SECONDS, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise OptionError(
            f"--output_dir {output_dir}: another run is training there now. Wait for its end, stop it, or set another "
            "folder."
        ) from error
    except OSError as error:  # a network file system without locks
        logger.warning(
            "%s can't be locked (%s): see to it that no other run writes there.", output_dir, error.strerror
        )
    try:
        yield
    finally:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # a file that stays on a failing disk is in nobody's way
                (output_dir / LOCK_FILE).unlink()
            lock.release()

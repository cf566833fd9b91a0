"""Atomic writes of files and folders."""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WINDOWS = os.name == "nt"
# How Rust (safetensors, tokenizers) and torch say that a write failed; neither raises an `OSError`.
_RUST = re.compile(r"os error (\d+)|code: (\d+), kind: ")
_TORCH = re.compile(r"PytorchStreamWriter failed|inline_container")


class NotWrittenError(OSError):
    """Something can't be written: the disk is full, the folder read-only …; the message names it and how to fix it."""


@contextmanager
def writing(what: str | Path) -> Iterator[None]:
    """Say of any error of writing what it was about.

    Args:
        what: The file or folder that is written, with the flag that gave it if there is one.

    Raises:
        NotWrittenError: In place of what Python, safetensors, tokenizers and torch raise if a file can't be written.
    """
    try:
        yield
    except NotWrittenError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise NotWrittenError(f"{what} can't be written: {reason}. Make room or choose another place.") from error


@contextmanager
def whole_file(path: str | Path, *, shared: bool = False) -> Iterator[Path]:
    """Give a path to write to, which gets the name `path` when the block ends well, and goes otherwise.

    What was there before stays until then.

    Args:
        shared: Whether other processes may write the same file at the same time.

    Raises:
        NotWrittenError: If it can't be written.
    """
    path = Path(path)
    unfinished = _unfinished(path, shared=shared)
    try:
        with writing(path):
            yield unfinished
            sync(unfinished)
            unfinished.replace(path)
    finally:
        if unfinished.exists():  # where nothing can be written, removing nothing fails too
            unfinished.unlink()


@contextmanager
def whole_folder(folder: str | Path) -> Iterator[Path]:
    """Give a new folder to write to, which gets the name `folder` when the block ends well, and goes otherwise.

    Raises:
        FileExistsError: If there is something of that name.
        NotWrittenError: If it can't be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already. Delete it, or choose another folder.")
    unfinished = _unfinished(folder, shared=False)
    try:
        with writing(folder):
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            unfinished.mkdir(parents=True)
            yield unfinished
            sync_all(unfinished)
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def files_added(folder: str | Path, *, last: str) -> Iterator[Path]:
    """Give an empty folder, whose files are moved into `folder` when the block ends well, and go otherwise.

    Args:
        folder: Made if missing; files of the same names in it are replaced, each in one go.
        last: Pattern of the files without which the others are of no use: they are moved last.

    Raises:
        NotWrittenError: If they can't be written.
    """
    folder = Path(folder)
    unfinished = folder / ".unfinished"
    try:
        with writing(folder):
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            yield unfinished
            sync_all(unfinished)
            for path in sorted(unfinished.iterdir(), key=lambda path: path.match(last)):
                if path.is_dir():
                    shutil.rmtree(folder / path.name, ignore_errors=True)
                path.replace(folder / path.name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file, or a folder's entries, to disk."""
    # Windows opens no folder, and syncs only what is open for writing.
    if WINDOWS and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Force a folder and all files in it to disk."""
    for path in [*folder.rglob("*"), folder]:
        sync(path)


def _unfinished(path: Path, *, shared: bool) -> Path:
    own = f".{uuid.uuid4().hex}" if shared else ""
    return path.with_name(f"{path.name}{own}.unfinished")


def _reason(error: BaseException) -> str | None:
    """Why a file could not be written; None if the error is about something else."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror
    text = str(error)
    if found := _RUST.search(text):
        return os.strerror(int(found[1] or found[2]))
    if _TORCH.search(text) and isinstance(error, RuntimeError):
        return (
            "No space left on device" if "strerror" not in text else text.partition("strerror: ")[2].partition("\n")[0]
        )
    return None

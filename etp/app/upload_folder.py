"""The folder of the page's uploads: read, emptied and measured so that a name which a visitor sends leads nowhere else."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Of the kernel, so that nothing can be put in the way between a check and what follows it.
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UploadFolder:
    """Uploads are regular files exactly one folder below the root; nothing else is read or deleted for a visitor.

    Args:
        root: The folder; it may not exist yet.
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(os.path.abspath(root))

    def size(self, file: Path) -> int:
        """Bytes of an upload.

        Raises:
            OSError, ValueError: If it is none.
        """
        with self._opened(file) as descriptor:
            return os.fstat(descriptor).st_size

    def read(self, file: Path, limit: int) -> bytes:
        """The first `limit` bytes of an upload.

        Raises:
            OSError, ValueError: If it is none.
        """
        with self._opened(file) as descriptor, open(descriptor, "rb", closefd=False) as content:
            return content.read(limit)

    def discard(self, file: Path) -> None:
        """Delete an upload, and its folder if that is empty then; nothing happens if it is none."""
        with suppress(OSError, ValueError), self._opened(file), self._folder(file) as (root, folder):
            os.unlink(file.name, dir_fd=folder)
            os.rmdir(file.parent.name, dir_fd=root)

    def usage(self) -> tuple[int, int]:
        """How many files there are, and their bytes."""
        sizes = [status.st_size for _, _, status in self._everything()]
        return len(sizes), sum(sizes)

    def sweep(self, seconds: float) -> None:
        """Delete what has lain here for so long: uploads that nobody asked for, what the server left, empty folders."""
        before = time.time() - seconds
        for folder, name, status in self._everything(with_folders=True):
            if max(status.st_mtime, status.st_ctime) < before:
                with suppress(OSError):  # taken meanwhile, or a folder that isn't empty
                    (os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink)(name, dir_fd=folder)

    def _everything(self, *, with_folders: bool = False) -> Iterator[tuple[int, str, os.stat_result]]:
        """Folder (a descriptor), name and status of what is here and one folder below, no link followed."""
        try:
            root = os.open(self.root, _FOLDER)
        except FileNotFoundError:
            return
        try:
            for name, status in _entries(root):
                if not stat.S_ISDIR(status.st_mode):
                    yield root, name, status
                    continue
                with suppress(FileNotFoundError):
                    folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
                    try:
                        yield from (
                            (folder, *entry) for entry in _entries(folder) if not stat.S_ISDIR(entry[1].st_mode)
                        )
                    finally:
                        os.close(folder)
                if with_folders:
                    yield root, name, status
        finally:
            os.close(root)

    @contextmanager
    def _folder(self, file: Path) -> Iterator[tuple[int, int]]:
        """Descriptors of the root and of the folder below it that a file is in."""
        if file.parts[:-2] != self.root.parts or ".." in file.parts[-2:]:
            raise FileNotFoundError(errno.ENOENT, f"expected a file one folder below {self.root}", str(file))
        root = os.open(self.root, _FOLDER)
        try:
            folder = os.open(file.parent.name, _FOLDER | os.O_NOFOLLOW, dir_fd=root)
            try:
                yield root, folder
            finally:
                os.close(folder)
        finally:
            os.close(root)

    @contextmanager
    def _opened(self, file: Path) -> Iterator[int]:
        with self._folder(file) as (_, folder):
            descriptor = os.open(file.name, _FILE, dir_fd=folder)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                raise OSError(errno.EINVAL, "expected a regular file of one name", str(file))
            yield descriptor
        finally:
            os.close(descriptor)


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    for name in os.listdir(folder):
        with suppress(FileNotFoundError):  # taken meanwhile
            yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)

"""Where HDF5 keeps texts of any length: looked at before they are read, because libhdf5 may never return from a damaged one."""

import mmap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from .ecg_errors_etp import EcgCorruptError

# HDF5 File Format Specification 3.0, section III.E: the signature, version 1 and three zeros; the size of the collection;
# then objects, each with its number (2 bytes), references (2), zeros (4) and size, and padded to 8 bytes. What has number 0
# is the space that is left, and its size is that of the whole object.
_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_BEFORE_SIZE = 8


def check_heaps(source_file: Path | bytes, source: str, size_bytes: int) -> None:
    """Refuse a file of whose global heaps one doesn't end.

    Args:
        source_file: The file, or its content.
        size_bytes: How long a size is in this file, which its superblock says.

    Raises:
        EcgCorruptError: If an object of a heap has no size, or one beyond its heap.
    """
    if isinstance(source_file, bytes):
        endless = _endless_heap(source_file, size_bytes)
    else:
        found = source_file.stat()
        endless = _endless_heap_of(source_file.absolute(), size_bytes, found.st_size, found.st_mtime_ns)
    if endless is not None:
        raise EcgCorruptError(
            source, f"its texts are damaged: the heap at byte {endless} doesn't end. Get the file again."
        )


@lru_cache(maxsize=64)  # a file of many records is opened for each of them
def _endless_heap_of(path: Path, size_bytes: int, *_state: int) -> int | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return _endless_heap(content, size_bytes)


def _endless_heap(content: bytes | mmap.mmap, size_bytes: int) -> int | None:
    """Where the first heap lies that doesn't end, if there is one."""
    for start in _places(content):
        end = start + _number(content, start + _BEFORE_SIZE, size_bytes)
        place = start + _BEFORE_SIZE + size_bytes
        if end > len(content):
            continue  # libhdf5 reads no such heap
        while place + _BEFORE_SIZE + size_bytes <= end:
            size = _number(content, place + _BEFORE_SIZE, size_bytes)
            is_space = _number(content, place, 2) == 0
            length = size if is_space else _BEFORE_SIZE + size_bytes + -(-size // 8) * 8
            if not 0 < length <= end - place:
                return start
            place += length
    return None


def _places(content: bytes | mmap.mmap) -> Iterator[int]:
    place = content.find(_SIGNATURE)
    while place >= 0:
        yield place
        place = content.find(_SIGNATURE, place + 1)


def _number(content: bytes | mmap.mmap, place: int, length: int) -> int:
    return int.from_bytes(content[place : place + length], "little")

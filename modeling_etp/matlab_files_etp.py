"""MATLAB files of versions 4 to 7 as plain Python values, for content that isn't trusted.

`scipy.io.loadmat` (1.17) reads outside its buffers on damaged version 5 files and takes the process down with it.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from .ecg_recording_etp import MAX_UNPACKED_VALUES, EcgCorruptError, EcgFormatError, EcgUnsafeError

MAX_UNPACKED_BYTES = 8 * MAX_UNPACKED_VALUES

# Cells and structs inside each other; the deepest that holds an ECG is a cell of lead names in a struct.
MAX_DEPTH = 8
MAX_PARTS = 10_000

# Types of stored data, MAT-File Format (MathWorks, R2024a), table 1-1.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15

# Classes of arrays, table 1-3.
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC_CLASSES = range(6, 16)

_PRECISIONS_4 = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}


def load_matlab(content: bytes, source: str | os.PathLike) -> dict[str, Any]:
    """Variables by name.

    Returns:
        Numeric matrices as arrays of their MATLAB shape, text as `str` (a list of them where it has several rows),
        cells as lists, a struct as a dict; `None` for what is neither (sparse, objects, functions, complex numbers).

    Raises:
        EcgFormatError: If the file is version 7.3, which is HDF5.
        EcgCorruptError: If it is damaged.
        EcgUnsafeError: If it unfolds to more than `MAX_UNPACKED_BYTES`.
    """
    if content[:10] == b"MATLAB 7.3" or content[:4] == b"\x89HDF":
        raise EcgFormatError(source, "MATLAB 7.3 (HDF5) isn't supported. Save it in MATLAB with `save(…, '-v7')`.")
    try:
        return _load_5(content, source) if content[:6] == b"MATLAB" else _load_4(content)
    except (ValueError, IndexError, KeyError, struct.error, zlib.error, UnicodeDecodeError) as error:
        if isinstance(error, (EcgCorruptError, EcgUnsafeError)):
            raise
        raise EcgCorruptError(source, f"damaged MATLAB data ({str(error)[:200]}). Fetch it again.") from error


def _load_4(content: bytes) -> dict[str, Any]:
    variables, position = {}, 0
    while position < len(content):
        (kind,) = struct.unpack_from("<i", content, position)
        order = "<" if 0 <= kind < 1000 else ">"  # 1000 is what big-endian machines add to the kind
        kind, rows, columns, is_complex, name_length = struct.unpack_from(f"{order}5i", content, position)
        precision, layout = divmod(kind % 100, 10)
        dtype = np.dtype(order + _PRECISIONS_4[precision])
        start = position + 20 + name_length
        count = rows * columns
        position = start + count * dtype.itemsize * (2 if is_complex else 1)
        if min(rows, columns, name_length) < 0 or position > len(content):
            raise ValueError(f"a matrix of {rows} x {columns} needs {position:,} bytes, the file has {len(content):,}")
        name = content[start - name_length : start].rstrip(b"\0").decode("latin-1")
        values = np.frombuffer(content, dtype, count, start).reshape((rows, columns), order="F")
        if layout == 0 and not is_complex:
            variables[name] = values
    return variables


@dataclass
class _Element:
    kind: int
    data: memoryview


class _Reader:
    """Elements of a version 5 file, one after the other."""

    def __init__(self, data: memoryview, order: str):
        self.data, self.order, self.position = data, order, 0

    def __bool__(self) -> bool:
        return self.position < len(self.data)

    def next(self) -> _Element:
        word, length = struct.unpack_from(f"{self.order}2I", self.data, self.position)
        start = self.position + 8
        if word >> 16:  # up to 4 bytes are packed into the tag
            word, length, start = word & 0xFFFF, word >> 16, self.position + 4
            if length > 4:
                raise ValueError(f"a small element of {length} bytes")
        stop = start + length
        if stop > len(self.data):
            raise ValueError(f"an element of {length:,} bytes where {len(self.data) - start:,} are left")
        self.position = stop if word == _COMPRESSED else -(-stop // 8) * 8
        return _Element(word, self.data[start:stop])


def _load_5(content: bytes, source: str | os.PathLike) -> dict[str, Any]:
    order = {b"IM": "<", b"MI": ">"}[content[126:128]]
    reader = _Reader(memoryview(content)[128:], order)
    variables, left = {}, MAX_UNPACKED_BYTES
    while reader:
        element = reader.next()
        if element.kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(element.data, left + 1)
            left -= len(unpacked)
            if left < 0:
                raise EcgUnsafeError(source, f"it unfolds to over {MAX_UNPACKED_BYTES:,} bytes. Save the ECG alone.")
            element = _Reader(memoryview(unpacked), order).next()
        if element.kind == _MATRIX:
            name, value = _matrix(element.data, order, MAX_DEPTH)
            variables[name] = value
    return variables


def _matrix(data: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Name and value of one array."""
    if not data:
        return "", np.empty((0, 0))
    if depth == 0:
        raise ValueError(f"more than {MAX_DEPTH} cells or structs inside each other")
    reader = _Reader(data, order)
    (flags,) = struct.unpack_from(f"{order}I", reader.next().data)
    array_class, is_complex = flags & 0xFF, bool(flags & 0x0800)
    shape = _numbers(reader.next(), order).tolist()
    if not all(isinstance(length, int) for length in shape):
        raise ValueError(f"lengths {shape}, which are no whole numbers")
    name = bytes(reader.next().data).decode("latin-1")
    if array_class == _CHAR:
        return name, _text(reader.next(), shape, order)
    if array_class in _NUMERIC_CLASSES and not is_complex:
        return name, _numbers(reader.next(), order).reshape(shape, order="F")
    if array_class == _CELL:
        return name, [_matrix(reader.next().data, order, depth - 1)[1] for _ in range(_count(shape))]
    if array_class == _STRUCT:
        length = int(_numbers(reader.next(), order)[0])
        packed = bytes(reader.next().data)
        if length < 1 or len(packed) > length * MAX_PARTS:
            raise ValueError(f"field names of {length} characters in {len(packed):,}")
        fields = [packed[at : at + length].split(b"\0")[0].decode("latin-1") for at in range(0, len(packed), length)]
        if _count(shape) != 1:
            return name, None
        return name, {field: _matrix(reader.next().data, order, depth - 1)[1] for field in fields}
    return name, None


def _count(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    if not 0 <= count <= MAX_PARTS:
        raise ValueError(f"{count:,} parts, expected at most {MAX_PARTS:,}")
    return count


def _numbers(element: _Element, order: str) -> np.ndarray:
    return np.frombuffer(element.data, np.dtype(order + _NUMBERS[element.kind]))


def _text(element: _Element, shape: list[int], order: str) -> str | list[str]:
    encoding = _TEXTS[element.kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if order == "<" else "-be"
    text = bytes(element.data).decode(encoding)
    if len(shape) != 2 or shape[0] <= 1:
        return text
    if shape[0] * shape[1] != len(text):
        raise ValueError(f"{len(text)} characters for a text of {shape}")
    return ["".join(text[row :: shape[0]]).rstrip() for row in range(shape[0])]

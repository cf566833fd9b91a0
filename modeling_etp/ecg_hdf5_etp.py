"""HDF5: MATLAB 7.3 files, files of many records as CODE-15 has them, and data sets with attributes."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .ecg_facts_etp import are_counts
from .ecg_hdf5_heaps_etp import check_heaps
from .ecg_named_arrays_etp import recording_from_arrays
from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgContentError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    errors_named,
    optional_module,
)

# CODE-15 (Ribeiro et al., zenodo.org/records/4916206): `tracings` is (records, 4096, 12) at 400 Hz, padded with zeros at
# both ends, `exam_id` names the records, and the leads come in this order.
_CODE_LEADS = ["DI", "DII", "DIII", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6"]
_CODE_RATE = 400
_MAX_OBJECTS = 1000


def read_hdf5(source_file: Path | bytes, source: str, *, record: str | None = None, **stated: Any) -> EcgRecording:
    """Read one record of an HDF5 file.

    Args:
        source_file: The file, or its content.
        record: Which record of a file of many: its number in `exam_id`, or its place, counted from 0.
        stated: As of `recording_from_arrays`.

    Raises:
        EcgContentError: If it holds many records and `record` is none of them, or no ECG.
        EcgCorruptError: If it is damaged.
    """
    h5py = optional_module("h5py", source)
    with errors_named(source, "h5py"):
        handle = source_file if isinstance(source_file, Path) else io.BytesIO(source_file)
        with h5py.File(handle, "r") as file:
            check_heaps(source_file, source, file.id.get_create_plist().get_sizes()[1])
            tracings = _inside(file, "tracings", h5py, source)
            if tracings is not None and getattr(tracings, "ndim", 0) == 3:
                _check_shape(tracings.shape, source)
                exams = _inside(file, "exam_id", h5py, source)
                place = _place(exams, len(tracings), source, record, is_content=isinstance(source_file, bytes))
                return _read_code(file, tracings, place, source, stated, h5py)
            if record is not None:
                raise EcgContentError(source, "the file holds one record. Pass its path without what follows it.")
            arrays = _arrays(file, h5py, source)
    matlab = content_is_matlab(source_file)
    return recording_from_arrays(arrays, source, "MATLAB" if matlab else "HDF5", **stated)


def content_is_matlab(source_file: Path | bytes) -> bool:
    if isinstance(source_file, bytes):
        return source_file[:6] == b"MATLAB"
    with source_file.open("rb") as file:
        return file.read(6) == b"MATLAB"


def _inside(file: Any, name: str, h5py: Any, source: str) -> Any:
    """A data set by name, `None` if there is none.

    Raises:
        EcgUnsafeError: If it lies in another file.
    """
    link = file.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise EcgUnsafeError(
            source, f"{name!r} is a link. Only what is in the file itself is read: store the data in it."
        )
    _check_stored(file[name], name, h5py, source)
    return file[name]


def _check_stored(item: Any, name: str, h5py: Any, source: str) -> None:
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise EcgUnsafeError(
            source,
            f"the values of {name!r} are in other files. Only what is in the file itself is read: store them in it.",
        )


def _check_shape(shape: tuple[int, ...], source: str) -> None:
    if shape[2] != len(_CODE_LEADS):
        raise EcgContentError(
            source, f"`tracings` has the shape {shape}, expected (records, samples, 12) as CODE-15 has it."
        )
    if shape[1] * shape[2] > MAX_UNPACKED_VALUES:
        raise EcgUnsafeError(source, f"a record of {shape[1]:,} samples, expected fewer. Cut it.")


def _read_code(file: Any, tracings: Any, place: int, source: str, stated: dict[str, Any], h5py: Any) -> EcgRecording:
    """The record of `tracings` (records, samples, 12) at a place."""
    signal = np.asarray(tracings[place], dtype=np.float64).T
    filled = np.flatnonzero(signal.any(axis=0))
    notes = [
        f"Record {place} of {len(tracings)}.",
        "400 Hz and the order DI to V6 are those of CODE-15; the file doesn't state them.",
    ]
    if len(filled) and len(filled) < signal.shape[1]:
        start, stop = int(filled[0]), int(filled[-1]) + 1
        notes.append(f"Cut off: {start} samples of zeros before it and {signal.shape[1] - stop} behind it.")
        signal = signal[:, start:stop]
    if stated.get("units") is None and "units" not in tracings.attrs and not are_counts(signal):
        raise EcgContentError(
            source,
            "'tracings' doesn't state its unit: the description of CODE-15 says 0.1 mV, other files of this layout hold mV. "
            'Pass `units="0.1 mV"` for CODE-15 itself, or `units="mV"`.',
        )
    arrays = {"signal": signal, "lead_names": _CODE_LEADS, "fs": _CODE_RATE, **_plain_attributes(tracings)}
    return recording_from_arrays(arrays, source, "CODE-15", notes=notes, **stated)


def _place(exams: Any, count: int, source: str, record: str | None, *, is_content: bool) -> int:
    """Where a record stands among so many.

    Args:
        exams: Their names, if they have any.
        is_content: Whether the caller gave bytes, behind which no record can be named.

    Raises:
        EcgContentError: If none is named, or one that isn't there.
    """
    if count == 1 and record is None:
        return 0
    names = np.asarray(exams[:]).ravel().tolist() if exams is not None else []
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    if record is not None and record in names:
        return names.index(record)
    if record is not None and record.isdecimal() and not names and int(record) < count:
        return int(record)
    example, named_by = (names[0], "exam_id") if names else ("0", "place")
    if is_content:
        raise EcgContentError(
            source,
            f"it holds {count} records. Save one of them as a file of its own, or read the file from disk and name one "
            f"by its {named_by} behind the path: …/{example}",
        )
    wrong = f", and {record!r} is none of them" if record is not None else ""
    path = source.removesuffix(f"/{record}") if record is not None else source
    raise EcgContentError(source, f"it holds {count} records{wrong}. Pass one by its {named_by}: {path}/{example}")


def _arrays(file: Any, h5py: Any, source: str) -> dict[str, Any]:
    """Data sets and attributes by name, as MATLAB and Python would have them."""
    found: dict[str, Any] = {}
    values = 0
    objects: list[tuple[str, Any]] = []
    file.visititems(lambda name, item: objects.append((name, item)) if not name.startswith("#") else None)
    if len(objects) > _MAX_OBJECTS:
        raise EcgUnsafeError(
            source, f"it holds {len(objects):,} parts, expected at most {_MAX_OBJECTS:,}. Save the ECG alone."
        )
    for name, item in objects:
        attributes = _plain_attributes(item)
        prefix = name.replace("/", ".")
        found |= {f"{prefix}.{key}": value for key, value in attributes.items()}
        if not isinstance(item, h5py.Dataset):
            continue
        _check_stored(item, name, h5py, source)
        values += item.size or 0
        if values > MAX_UNPACKED_VALUES:
            raise EcgUnsafeError(
                source,
                f"it unfolds to over {MAX_UNPACKED_VALUES:,} numbers. Save the ECG alone, or cut the recording.",
            )
        value = _value(item, file, h5py)
        if value is not None:
            found[prefix] = value
    found |= _plain_attributes(file)
    if not any(isinstance(value, np.ndarray) for value in found.values()):
        raise EcgFormatError(source, f"HDF5 without numbers; it holds {[name for name, _ in objects][:20]}.")
    return found


def _plain_attributes(item: Any) -> dict[str, Any]:
    return {key: value for key, value in item.attrs.items() if not key.startswith(("MATLAB_", "H5PATH", "CLASS", "_"))}


def _value(item: Any, file: Any, h5py: Any) -> Any:
    """What a data set holds, `None` if it is neither numbers nor text."""
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if item.attrs.get("MATLAB_empty"):
        return None
    if h5py.check_string_dtype(item.dtype) is not None:
        value = item.asstr()[()]
        return value if isinstance(value, str) else [str(text) for text in np.ravel(value)]
    if item.dtype == h5py.ref_dtype:
        parts = [_value(file[reference], file, h5py) for reference in np.ravel(item[()]) if reference]
        return parts if parts and len(parts) < _MAX_OBJECTS else None
    if item.dtype.kind not in "fiubS":
        return None
    value = np.asarray(item[()])
    if kind == "char":
        rows = np.atleast_2d(value.T)
        texts = ["".join(map(chr, row)).strip() for row in rows.tolist()]
        return texts[0] if len(texts) == 1 else texts
    return value.T if kind else value  # MATLAB writes its columns as rows


def arrays_in_memory(item: Any) -> Mapping[str, Any] | None:
    """The values of an h5py data set or group that is open, with their attributes; `None` if it is neither."""
    if type(item).__module__.partition(".")[0] != "h5py":
        return None
    if hasattr(item, "keys"):
        return {name: item[name][()] for name in item if hasattr(item[name], "shape")} | _plain_attributes(item)
    return {"signal": item[()], **_plain_attributes(item)}


__all__ = ["arrays_in_memory", "read_hdf5"]

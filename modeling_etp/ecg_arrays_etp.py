"""NumPy (`.npy`, `.npz`) and MATLAB (`.mat`) files: named arrays, of which one is the signal."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from .ecg_facts_etp import stated_rate, stated_unit
from .ecg_named_arrays_etp import is_fact, recording_from_arrays
from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    errors_named,
)
from .ecg_units_etp import unit_size
from .matlab_files_etp import MAX_UNPACKED_BYTES, load_matlab


def read_npy(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read an array of shape `(leads, samples)`; `stated` as of `recording_from_arrays`."""
    return recording_from_arrays({"signal": _load_npy(content, source)}, source, "NumPy", **stated)


def read_npz(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a signal with whatever else the archive names; `stated` as of `recording_from_arrays`."""
    with errors_named(source, "zipfile"), zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if not members:
            raise EcgFormatError(
                source, "a zip archive without NumPy arrays. Save with numpy.savez, or CSV for Excel."
            )
        # `zipfile` reads no more of a member than its declared size, so this also bounds one that lies.
        declared = sum(member.file_size for member in members)
        if declared > MAX_UNPACKED_BYTES or len(members) > 100:
            raise EcgUnsafeError(
                source,
                f"{len(members)} arrays that unfold to {declared:,} bytes, expected at most 100 and "
                f"{MAX_UNPACKED_BYTES:,}. Save the ECG alone.",
            )
        arrays = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    loaded: dict[str, np.ndarray] = {}
    objects: dict[str, EcgUnsafeError] = {}
    for name, packed in arrays.items():
        try:
            loaded[name] = _load_npy(packed, f"{source}:{name}.npy")
        except EcgUnsafeError as error:
            objects[name] = error
    # Objects beside the signal are left out, unless what they say of it can't be known without them.
    needed = [error for name, error in objects.items() if is_fact(name) or not loaded]
    if needed:
        raise needed[0]
    _check_counts(loaded, source)
    notes = [f"Not read, as they are Python objects: {', '.join(map(repr, objects))}."] if objects else []
    return recording_from_arrays(loaded, source, "NumPy", notes=notes, **stated)


def _load_npy(content: bytes, source: str) -> np.ndarray:
    stream = io.BytesIO(content)
    with errors_named(source, "numpy"):
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise EcgFormatError(source, f"expected a plain array, got .npy version {version}. Save plain numbers.")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran_order, dtype = read_header(stream)
    if dtype.hasobject or dtype.names:
        raise EcgUnsafeError(
            source,
            f"expected numbers, got {dtype}; Python objects are never loaded. Save numbers, and names as text: "
            "`numpy.array(names, dtype=str)`.",
        )
    start = stream.tell()
    # Python integers: the product of a lying shape overflows no type and allocates nothing.
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content) - start:
        raise EcgCorruptError(
            source,
            f"an array of shape {shape} and {dtype} takes {count * dtype.itemsize:,} bytes, the file has "
            f"{len(content) - start:,}. Fetch or save it again.",
        )
    with errors_named(source, "numpy"):
        return np.frombuffer(content, dtype, count, start).reshape(shape, order="F" if fortran_order else "C")


def read_matlab(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a MATLAB file: the struct `ECG` of CPSC2018, or a matrix `val` and the like.

    A `.mat` of the PhysioNet Challenges doesn't say its rate, unit or leads; its `.hea` does, and where that lies
    beside it, `read_ecg` reads it instead.
    """
    loaded = load_matlab(content, source)
    variables = {name: value for name, value in loaded.items() if value is not None}
    unread = [repr(name) for name, value in loaded.items() if value is None]
    notes = [f"Not read, as they are neither numbers nor text: {', '.join(unread[:20])}."] if unread else []
    _check_counts(variables, source)
    ecg = variables.get("ECG")
    if isinstance(ecg, dict) and "data" in ecg and set(ecg) <= {"data", "sex", "age"}:
        return _read_cpsc2018(ecg, source, **stated)
    return recording_from_arrays(variables, source, "MATLAB", notes=notes, **stated)


def _check_counts(arrays: Mapping[str, Any], source: str) -> None:
    """Refuse compressed bytes that would become eight times as many as numbers."""
    values = sum(value.size for value in arrays.values() if isinstance(value, np.ndarray))
    if values > MAX_UNPACKED_VALUES:
        raise EcgUnsafeError(
            source, f"it unfolds to {values:,} numbers, expected at most {MAX_UNPACKED_VALUES:,}. Cut the recording."
        )


def _read_cpsc2018(ecg: dict[str, Any], source: str, *, sampling_rate, lead_names, units) -> EcgRecording:
    """The struct of the CPSC2018 archive: `data` is 12 leads in mV at 500 Hz by the definition of that archive."""
    rate, unit = stated_rate(sampling_rate, source), stated_unit(units, source)
    if rate not in (None, 500) or unit_size(unit) not in (None, 1.0):
        raise EcgContentError(
            source,
            f"the CPSC2018 archive is in mV at 500 Hz, got {sampling_rate} and {units}. Leave `sampling_rate` and `units` out.",
        )
    recording = recording_from_arrays(
        ecg, source, "CPSC2018", sampling_rate=500, lead_names=lead_names, units=None,
        notes=["Taken for a record of the CPSC2018 archive: 12 leads in mV at 500 Hz by its definition."],
    )  # fmt: skip
    return recording

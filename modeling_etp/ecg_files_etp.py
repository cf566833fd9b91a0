"""Any ECG file as signal in mV, sampling rate, lead names and metadata."""

import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .ecg_arrays_etp import read_matlab, read_npy, read_npz
from .ecg_dicom_etp import read_dicom
from .ecg_edf_etp import read_edf
from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgDependencyError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    with_derived_leads,
)
from .ecg_scp_etp import read_scp
from .ecg_table_etp import read_table
from .ecg_wfdb_etp import read_wfdb, read_wfdb_int16
from .ecg_wfdb_header_etp import WfdbHeader, parse_wfdb_header, read_wfdb_header
from .ecg_xml_etp import read_xml
from .leads_etp import STANDARD_LEADS, canonical_lead

# A day of 12 leads at 500 Hz in 16 bits is 1.0 GB. What is smaller is read whole, and takes a few times its size.
MAX_FILE_BYTES = 2_000_000_000
MAX_TEXT_BYTES = 32_000_000

_HEAD_BYTES = 4096
_PART_BYTES = 1 << 26
_WFDB_FIRST_LINE = re.compile(rb"(?:#[^\n]*\n|\s)*[\w.-]+(?:/\d+)?[ \t]+\d+([ \t]+[\d./()-]+)*", re.ASCII)
_WFDB_SECOND_LINE = re.compile(
    rb"[^\n]*\n\s*(?:[\w.~-]+[ \t]+\d+[x:+\d]*[ \t]+\S*\d[^\n]*|[\w~-]+[ \t]+\d+[ \t\r]*)(?:\n|$)", re.ASCII
)
_KNOWN = "WFDB, EDF/BDF, DICOM, NumPy, CSV, MATLAB, HL7 aECG, GE MUSE XML and SCP-ECG"


def read_ecg(
    source: str | os.PathLike | bytes | bytearray | memoryview | BinaryIO,
    *,
    sampling_rate: float | None = None,
    lead_names: Sequence[str] | None = None,
    units: str | None = None,
    verify_checksum: bool = True,
) -> EcgRecording:
    """Read one ECG from a file; the format is recognised by its content.

    WFDB records (`.hea` with `.dat` or `.mat`), EDF and BDF, DICOM waveforms, `.npy` and `.npz`, CSV and TSV, MATLAB
    `.mat`, HL7 aECG, GE MUSE XML and SCP-ECG. Channels that are no ECG leads are left out and listed in
    `metadata["dropped_channels"]`.

    Args:
        source: Path of the file, or of a WFDB record without its extension; or the content, as bytes or as an open
            binary file. A WFDB record is several files, so it needs the path.
        sampling_rate: Hz, for files that don't state it (`.npy`, tables without a time column, some `.mat`). An error
            if the file states another.
        lead_names: Names of all channels in order, where the file has none or others.
        units: `"mV"`, `"uV"` or `"V"`, for files that don't state it or state an unknown one; an error if the file
            states another. Without it, fractional numbers of arrays and tables are mV.
        verify_checksum: Whether WFDB samples must add up to the checksum in their header.

    Returns:
        The signal as float32 `(leads, samples)` in mV, NaN where the file says that a sample is missing.

    Raises:
        EcgFileError: One of its kinds (see there), naming the file and what to do.

    Example:
        >>> recording = read_ecg("records100/00000/00001_lr")  # doctest: +SKIP
        >>> recording.signal.shape, recording.sampling_rate, recording.lead_names[:3]  # doctest: +SKIP
        ((12, 1000), 100, ('I', 'II', 'III'))
    """
    if isinstance(source, (str, os.PathLike)):
        path = _find_file(source)
        name, content = str(path), None
        head = _read(path, _HEAD_BYTES)
        header = _wfdb_header(path, head)
    else:
        name, content = "ECG data", _content(source)
        head, header = content[:_HEAD_BYTES], None
    if header is not None:
        recording = read_wfdb(header, lead_names=lead_names, units=units, verify_checksum=verify_checksum)
    else:
        kind = _recognise(head, name)
        limit = MAX_TEXT_BYTES if kind in ("table", "XML") else MAX_FILE_BYTES
        content = _read(Path(name), limit + 1) if content is None else content
        if len(content) > limit:
            raise EcgUnsafeError(name, f"expected at most {limit:,} bytes of {kind}, got more. Cut the recording.")
        if kind in _STATING_READERS:
            recording = _STATING_READERS[kind](content, name, lead_names=lead_names, units=units)
        else:
            stated: dict[str, Any] = {"sampling_rate": sampling_rate, "lead_names": lead_names, "units": units}
            return _ASKING_READERS[kind](content, name, **stated)

    if sampling_rate is not None and sampling_rate != recording.sampling_rate:
        raise EcgContentError(
            name,
            f"its sampling rate is {recording.sampling_rate} Hz, `sampling_rate` says {sampling_rate}. Leave it out.",
        )
    return recording


# Formats that state the rate and nearly always the unit, and those that may not and need to ask the caller.
_STATING_READERS = {"EDF": read_edf, "DICOM": read_dicom, "XML": read_xml, "SCP-ECG": read_scp}
_ASKING_READERS = {"npy": read_npy, "npz": read_npz, "MATLAB": read_matlab, "table": read_table}


def _find_file(source: str | os.PathLike) -> Path:
    path = Path(source)
    try:
        if path.is_file():
            return path
        # `with_suffix` would cut "A.1" of a record "A.1".
        header = path.parent / f"{path.name}.hea"
        if header.is_file():
            return header
        if path.is_dir():
            raise EcgFileNotFoundError(path, "a folder, expected a file. Pass the path of one record.")
        if path.exists():
            raise EcgUnsafeError(path, "it isn't a regular file, so it could be read without end. Copy it to a file.")
    except (OSError, ValueError) as error:
        if isinstance(error, EcgFileError):
            raise
        raise EcgFileNotFoundError(path, f"can't be looked up ({error}). Check the path.") from error
    raise EcgFileNotFoundError(path, "there is no such file, nor one with .hea after it. Check the path.")


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            # `read` makes room for what it is asked for, whatever there is.
            return file.read(min(limit, os.fstat(file.fileno()).st_size + 1))
    except OSError as error:
        raise EcgFileError(path, f"can't be read ({error.strerror}).") from error


def _content(source: Any) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if not hasattr(source, "read"):
        raise TypeError(f"expected a path, bytes or an open binary file, got {type(source).__name__}.")
    parts, left = [], MAX_FILE_BYTES + 1
    while left and (part := source.read(min(left, _PART_BYTES))):
        if not isinstance(part, bytes):
            raise TypeError('expected a file opened in binary mode: open(path, "rb").')
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _wfdb_header(path: Path, head: bytes) -> Path | None:
    """The header of the WFDB record that a file is or belongs to."""
    if path.suffix in (".dat", ".mat") and (header := path.with_suffix(".hea")).is_file():
        return header
    return path if path.suffix == ".hea" or looks_like_wfdb(head) else None


def _recognise(head: bytes, name: str) -> str:
    """Which reader the first bytes of a file, or of the content of one, belong to."""
    if not head:
        raise EcgCorruptError(name, "it is empty. Fetch or export it again.")
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[:4] == b"PK\x03\x04":
        return "npz"
    if head[128:132] == b"DICM":
        return "DICOM"
    if head[:8] == b"0       " or head[:8] == b"\xffBIOSEMI":
        return "EDF"
    if head[16:22] == b"SCPECG" or _looks_like_scp(head):
        return "SCP-ECG"
    if head[:6] == b"MATLAB" or head[:4] == b"\x89HDF" or _looks_like_matlab4(head):
        return "MATLAB"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text[:1] == b"<" or head[:4] in (b"\xff\xfe<\x00", b"\xfe\xff\x00<"):
        return "XML"
    if looks_like_wfdb(head):
        raise EcgFormatError(name, "a WFDB header, whose samples are in another file. Pass the path of the header.")
    if _looks_like_text(head):
        return "table"
    raise EcgFormatError(name, f"no known ECG format. Known are {_KNOWN}; a .dat needs its .hea beside it.")


def looks_like_wfdb(head: bytes) -> bool:
    """Whether these bytes, or the first of them, are a WFDB header's."""
    head = head[:_HEAD_BYTES]
    first = _WFDB_FIRST_LINE.match(head)
    return first is not None and bool(_WFDB_SECOND_LINE.match(head, first.end()))


def _looks_like_scp(head: bytes) -> bool:
    """Section 0 comes at byte 7 and its first pointer is to itself; not all devices write `SCPECG` into it."""
    return len(head) >= 32 and head[8:10] == head[22:24] == b"\0\0" and head[28:32] == b"\7\0\0\0"


def _looks_like_matlab4(head: bytes) -> bool:
    """Version 4 files have no signature: a type, two lengths, a flag and the length of a name come first."""
    if len(head) < 22:
        return False
    for order in "<>":
        kind, _, _, is_complex, name_length = struct.unpack_from(f"{order}5i", head)
        is_big = order == ">"
        if kind // 1000 == is_big and kind % 1000 in (0, 10, 20, 30, 40, 50) and is_complex in (0, 1):
            name = head[20 : 20 + name_length]
            if 2 <= name_length <= 64 and name[-1:] == b"\0" and name[:-1].decode("latin-1").isidentifier():
                return True
    return False


def _looks_like_text(head: bytes) -> bool:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 9 or 13 < byte < 32 for byte in head)


__all__ = [
    "STANDARD_LEADS",
    "EcgContentError",
    "EcgCorruptError",
    "EcgDependencyError",
    "EcgFileError",
    "EcgFileNotFoundError",
    "EcgFormatError",
    "EcgRecording",
    "EcgUnsafeError",
    "WfdbHeader",
    "canonical_lead",
    "looks_like_wfdb",
    "parse_wfdb_header",
    "read_ecg",
    "read_wfdb",
    "read_wfdb_header",
    "read_wfdb_int16",
    "with_derived_leads",
]

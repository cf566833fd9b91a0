"""Any ECG file as signal in mV, sampling rate, lead names and metadata."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .ecg_arrays_etp import read_matlab, read_npy, read_npz
from .ecg_dicom_etp import read_dicom
from .ecg_edf_etp import read_edf
from .ecg_facts_etp import stated_names, stated_rate, stated_unit
from .ecg_hdf5_etp import read_hdf5
from .ecg_kit_etp import read_ishne, read_kardia, read_mfer, read_philips
from .ecg_microvolts_etp import NO_SAMPLE, to_millivolts
from .ecg_pdf_etp import read_pdf
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
from .ecg_sniffing_etp import HEAD_BYTES, looks_like_wfdb, recognise
from .ecg_svg_etp import read_svg
from .ecg_table_etp import read_table
from .ecg_wfdb_etp import read_wfdb
from .ecg_wfdb_header_etp import WfdbHeader, parse_wfdb_header, read_wfdb_header
from .ecg_xml_etp import read_xml
from .leads_etp import STANDARD_LEADS, canonical_lead

# A day of 12 leads at 500 Hz in 16 bits is 1.0 GB. What is smaller is read whole, and takes a few times its size.
MAX_FILE_BYTES = 2_000_000_000
MAX_TEXT_BYTES = 32_000_000

_PART_BYTES = 1 << 26
# What is looked for in folders. Content decides what a file is; a file that is named is read whatever its name.
ECG_SUFFIXES = (
    ".bdf", ".csv", ".dat", ".dcm", ".ecg", ".edf", ".h5", ".hdf5", ".hea", ".mat", ".mwf", ".npy", ".npz", ".pdf", ".scp",
    ".svg", ".tsv", ".txt", ".xml",
)  # fmt: skip


def read_ecg(
    source: str | os.PathLike | bytes | bytearray | memoryview | BinaryIO,
    *,
    sampling_rate: float | str | None = None,
    lead_names: Sequence[str] | None = None,
    units: str | None = None,
    verify_checksum: bool = True,
) -> EcgRecording:
    """Read one ECG from a file; the format is recognised by its content.

    WFDB records (`.hea` with `.dat` or `.mat`), EDF and BDF, DICOM waveforms, `.npy` and `.npz`, CSV and TSV, MATLAB
    `.mat`, HDF5, HL7 aECG, GE MUSE and Philips XML, SCP-ECG, ISHNE and MFER. Channels that are no ECG leads are left out
    and listed in `metadata["dropped_channels"]`; `notes` says what else was left out or assumed.

    Args:
        source: Path of the file, or of a WFDB record without its extension; or the content, as bytes or as an open
            binary file. A WFDB record is several files, so it needs the path. Of an HDF5 file of many records, one is
            `FILE/RECORD`.
        sampling_rate: Hz, or a text such as `"0.5 kHz"`, for files that don't state it (`.npy`, tables without a time
            column, some `.mat`). An error if the file states another.
        lead_names: Names of all channels in order, where the file has none or others.
        units: `"mV"`, `"uV"`, `"V"` or the size of one count such as `"4.88 uV"` or `"1/200 mV"`, for files that don't
            state it or state an unknown one; an error if the file states another. Without it, fractional numbers of
            arrays and tables are mV.
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
    part = None
    if isinstance(source, (str, os.PathLike)):
        path, part = _find_file(source)
        name, content = str(source if part else path), None
        header = path if path.suffix == ".hea" and not part else None
        if header is None:
            head = _read(path, HEAD_BYTES)
            header = None if part else _wfdb_header(path, head)
    else:
        path, name, content = Path(), "ECG data", _content(source)
        head, header = content[:HEAD_BYTES], None
    rate, names = stated_rate(sampling_rate, name), stated_names(lead_names, name)
    if header is not None:
        recording = read_wfdb(header, lead_names=names, units=units, verify_checksum=verify_checksum)
    else:
        kind = recognise(head, name)
        if part and kind != "HDF5":
            raise EcgFileNotFoundError(
                name, f"{path} is a file of one ECG, expected a folder or HDF5. Check the path."
            )
        stated: dict[str, Any] = {"sampling_rate": rate, "lead_names": names, "units": stated_unit(units, name)}
        if kind == "HDF5":
            return read_hdf5(path if content is None else content, name, record=part, **stated)
        limit = MAX_TEXT_BYTES if kind in ("table", "XML", "SVG", "Philips XML") else MAX_FILE_BYTES
        content = _read(Path(name), limit + 1) if content is None else content
        if len(content) > limit:
            raise EcgUnsafeError(name, f"expected at most {limit:,} bytes of {kind}, got more. Cut the recording.")
        if kind in _STATING_READERS:
            recording = _STATING_READERS[kind](content, name, lead_names=names, units=units)
        else:
            return _ASKING_READERS[kind](content, name, **stated)

    if rate is not None and abs(rate - recording.sampling_rate) > 1e-3 * rate:
        raise EcgContentError(
            name,
            f"its sampling rate is {recording.sampling_rate} Hz, `sampling_rate` says {rate:g}. Leave `sampling_rate` out.",
        )
    return recording


# Formats that state the rate and nearly always the unit, and those that may not and need to ask the caller.
_STATING_READERS = {
    "EDF": read_edf,
    "DICOM": read_dicom,
    "ISHNE": read_ishne,
    "Kardia JSON": read_kardia,
    "MFER": read_mfer,
    "Philips XML": read_philips,
    "SCP-ECG": read_scp,
    "XML": read_xml,
}
_ASKING_READERS = {
    "MATLAB": read_matlab,
    "PDF": read_pdf,
    "SVG": read_svg,
    "npy": read_npy,
    "npz": read_npz,
    "table": read_table,
}


def _find_file(source: str | os.PathLike) -> tuple[Path, str | None]:
    """The file, and the name of a record inside it if the path goes on behind it."""
    path = Path(source)
    try:
        if path.is_file():
            return path, None
        # `with_suffix` would cut "A.1" of a record "A.1".
        header = path.parent / f"{path.name}.hea"
        if header.is_file():
            return header, None
        if path.parent.is_file():
            return path.parent, path.name
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
        raise TypeError(
            f"expected a path, bytes or an open binary file, got {type(source).__name__}. Arrays, dicts and data frames "
            "are ECGs in memory: pass them to the pipeline, or `open_ecg` of `modeling_etp.ecg_inputs_etp`."
        )
    parts, left = [], MAX_FILE_BYTES + 1
    while left and (part := source.read(min(left, _PART_BYTES))):
        if not isinstance(part, bytes):
            raise TypeError('expected a file opened in binary mode: open(path, "rb").')
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _wfdb_header(path: Path, head: bytes) -> Path | None:
    """The header of the WFDB record that a file belongs to, or is without being called so."""
    if path.suffix in (".dat", ".mat") and (header := path.with_suffix(".hea")).is_file():
        return header
    return path if looks_like_wfdb(head) else None


__all__ = [
    "ECG_SUFFIXES",
    "NO_SAMPLE",
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
    "to_millivolts",
    "with_derived_leads",
]

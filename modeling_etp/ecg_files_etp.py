"""Any ECG file as signal in mV, sampling rate, lead names and metadata."""

from collections.abc import Sequence
from pathlib import Path

from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgDependencyError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
)
from .ecg_wfdb_etp import read_wfdb, read_wfdb_int16
from .ecg_wfdb_header_etp import WfdbHeader, parse_wfdb_header
from .leads_etp import STANDARD_LEADS, canonical_lead


def read_ecg(source, *, lead_names: Sequence[str] | None = None, verify_checksum: bool = True) -> EcgRecording:
    """Read one ECG."""
    path = Path(source)
    if not path.is_file():
        path = path.with_name(path.name + ".hea")
    return read_wfdb(path, lead_names=lead_names, verify_checksum=verify_checksum)


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
    "parse_wfdb_header",
    "read_ecg",
    "read_wfdb",
    "read_wfdb_int16",
]

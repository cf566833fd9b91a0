"""Read WFDB records of an archive as int16 µV in the standard order of leads, alone or many of equal length at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_scripts.archive_errors import RecordError
from datasets_scripts.plain_wfdb import (
    checksum_error,
    find_wrong_checksums,
    parse_plain_header,
    read_samples_into,
    read_text,
)
from modeling_etp.ecg_files_etp import NO_SAMPLE, STANDARD_LEADS, read_ecg

_MAX_MICROVOLTS = 32767


@dataclass(frozen=True)
class Record:
    """One record of an archive.

    Args:
        signal: int16 µV, shape `(12, samples)`, leads as in `STANDARD_LEADS`; `NO_SAMPLE` where there is none.
        sampling_rate: In Hz.
        comments: The comment lines of its header, each without the leading `#`.
    """

    signal: np.ndarray
    sampling_rate: int
    comments: tuple[str, ...] = ()


def read_record(header_path: str | Path) -> Record:
    """Read one record of any length.

    Args:
        header_path: Its `.hea` file.

    Raises:
        RecordError: If the record can't be used; the message names its file and the cure.
    """
    name = _record_name(header_path)
    text = read_text(header_path)
    header = parse_plain_header(text, name)
    if header is None:
        return _read_other(header_path)
    signal_path = f"{str(header_path)[: -len(name) - 4]}{header.file}"
    stored = np.empty((header.num_samples, len(STANDARD_LEADS)), dtype=np.int16)
    read_samples_into(signal_path, stored, header.offset)
    signal = np.ascontiguousarray(stored.T)
    wrong = find_wrong_checksums(signal[None], [header.checksums])[0]
    if wrong.any():
        raise checksum_error(signal_path, wrong)
    comments = tuple(line.strip()[1:].strip() for line in header.comments.splitlines() if line.strip())
    return Record(signal, header.sampling_rate, comments)


def read_equal_records(
    header_paths: Sequence[str | Path], *, sampling_rate: int, num_samples: int
) -> tuple[np.ndarray, dict[int, RecordError]]:
    """Read records that all have one sampling rate and length.

    Args:
        header_paths: Their `.hea` files.
        sampling_rate: The rate they must have, in Hz.
        num_samples: The samples per lead that they must have.

    Returns:
        int16 µV of shape `(records, 12, num_samples)`, and the error of each record that can't be used, by its
        position; its row is undefined.
    """
    stored = np.empty((len(header_paths), num_samples, len(STANDARD_LEADS)), dtype=np.int16)
    checksums = np.zeros((len(header_paths), len(STANDARD_LEADS)), dtype=np.uint16)
    others: dict[int, np.ndarray] = {}
    errors: dict[int, RecordError] = {}
    for index, header_path in enumerate(header_paths):
        try:
            name = _record_name(header_path)
            header = parse_plain_header(read_text(header_path), name)
            if header is None:
                record = _read_other(header_path)
                _check_form(header_path, record.sampling_rate, record.signal.shape[1], sampling_rate, num_samples)
                others[index] = record.signal
                continue
            _check_form(header_path, header.sampling_rate, header.num_samples, sampling_rate, num_samples)
            signal_path = f"{str(header_path)[: -len(name) - 4]}{header.file}"
            read_samples_into(signal_path, stored[index], header.offset)
            checksums[index] = header.checksums
        except RecordError as error:
            errors[index] = error
    signals = np.ascontiguousarray(stored.transpose(0, 2, 1))
    wrong = find_wrong_checksums(signals, checksums)
    for index in np.flatnonzero(wrong.any(axis=1)).tolist():
        if index not in others and index not in errors:
            errors[index] = checksum_error(header_paths[index], wrong[index])
    for index, signal in others.items():
        signals[index] = signal
    return signals, errors


def to_microvolts(millivolts: np.ndarray, source: str | Path) -> np.ndarray:
    """Round mV of shape `(leads, samples)` to int16 µV; NaN becomes `NO_SAMPLE`.

    Raises:
        RecordError: If a voltage is infinite or beyond what int16 µV holds.
    """
    microvolts = np.rint(np.asarray(millivolts, dtype=np.float64) * 1000)
    missing = np.isnan(microvolts)
    beyond = np.flatnonzero((np.abs(np.where(missing, 0, microvolts)) > _MAX_MICROVOLTS).any(axis=1))
    if len(beyond):
        leads = ", ".join(STANDARD_LEADS[lead] for lead in beyond)
        raise RecordError(
            f"{source}: lead(s) {leads} exceed ±{_MAX_MICROVOLTS / 1000} mV, so the samples are damaged or not in mV."
        )
    return np.where(missing, NO_SAMPLE, microvolts).astype(np.int16)


def _record_name(header_path: str | Path) -> str:
    return str(header_path).replace("\\", "/").rpartition("/")[2].removesuffix(".hea")


def _read_other(header_path: str | Path) -> Record:
    """Read a record in another WFDB format, with other gains or another order of leads."""
    try:
        recording = read_ecg(Path(header_path))
    except ValueError as error:
        raise RecordError(str(error)) from error
    missing = [lead for lead in STANDARD_LEADS if lead not in recording.lead_names]
    if missing:
        raise RecordError(f"{header_path}: 12 leads are needed, {', '.join(missing)} not found in the record.")
    order = [recording.lead_names.index(lead) for lead in STANDARD_LEADS]
    if recording.sampling_rate != int(recording.sampling_rate):
        raise RecordError(f"{header_path}: a whole sampling rate in Hz is needed, got {recording.sampling_rate}.")
    return Record(
        to_microvolts(recording.signal[order], header_path),
        int(recording.sampling_rate),
        tuple(recording.metadata.get("comments", ())),
    )


def _check_form(path: str | Path, rate: float, samples: int, expected_rate: int, expected_samples: int) -> None:
    if (rate, samples) != (expected_rate, expected_samples):
        raise RecordError(
            f"{path}: expected {expected_samples} samples at {expected_rate} Hz, the record has {samples} at {rate:g} Hz. "
            "Take the records of the release that this builder names, or another config."
        )

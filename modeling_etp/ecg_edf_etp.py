"""European Data Format (`.edf`, EDF+) and its 24-bit form (`.bdf`), through `edfio`."""

import datetime
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgRecording,
    errors_named,
    make_recording,
    millivolts_per,
    optional_module,
)


def read_edf(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read the ECG channels of a file; all other channels are left out by name.

    Raises:
        EcgCorruptError: If the file's size isn't what its header declares.
    """
    _check_size(content, source)
    edfio = optional_module("edfio", source)
    is_bdf = content[:1] == b"\xff"
    with errors_named(source, "edfio"):
        recording = (edfio.read_bdf if is_bdf else edfio.read_edf)(io.BytesIO(content))
        scales = [millivolts_per(signal.physical_dimension) for signal in recording.signals]
        names = [
            signal.label if scale else f"{signal.label} [{signal.physical_dimension}]"
            for signal, scale in zip(recording.signals, scales, strict=True)
        ]
        rates = [float(signal.sampling_frequency) for signal in recording.signals]
        flat_gain = [
            signal.label
            for signal in recording.signals
            if signal.digital_min == signal.digital_max or signal.physical_min == signal.physical_max
        ]
        if flat_gain:
            raise EcgContentError(source, f"zero gain of {', '.join(flat_gain)}: minimum and maximum are equal.")
        channels = [
            (signal.data * (scale or 1.0)).astype(np.float32)
            for signal, scale in zip(recording.signals, scales, strict=True)
        ]
        metadata = {"format": "BDF" if is_bdf else "EDF", **_patient(recording)}
    return make_recording(source, channels, rates, names, metadata, lead_names=lead_names)


def _check_size(content: bytes, source: str) -> None:
    """Compare what the header declares with what is there, before anything is allocated for it."""
    try:
        num_signals = int(content[252:256])
        num_records = int(content[236:244])
        if not 0 < num_signals <= 1024:
            raise ValueError(num_signals)
        header_bytes = 256 * (1 + num_signals)
        at = 256 + 216 * num_signals
        samples = [int(content[at + 8 * index : at + 8 * index + 8]) for index in range(num_signals)]
    except ValueError as error:
        raise EcgCorruptError(source, f"its EDF header is malformed ({error}). Export it again.") from error
    sample_bytes = 3 if content[:1] == b"\xff" else 2
    record_bytes = sample_bytes * sum(samples)
    present = len(content) - header_bytes
    if min(samples) < 0 or record_bytes == 0 or num_records * record_bytes != present or not present:
        raise EcgCorruptError(
            source,
            f"its header declares {num_records:,} data records of {record_bytes:,} bytes, there are {present:,} bytes. "
            "Fetch or export the file again.",
        )


def _patient(recording: Any) -> dict:
    """Age at the recording and sex, where the EDF+ patient field has them."""
    metadata: dict[str, Any] = {}
    patient = recording.patient
    if patient.sex in ("M", "F"):
        metadata["sex"] = {"M": "male", "F": "female"}[patient.sex]
    try:
        born, recorded = patient.birthdate, recording.startdate
    except ValueError:  # edfio raises for "X", the EDF+ mark of an unknown date
        return metadata
    if isinstance(born, datetime.date) and 0 <= (days := (recorded - born).days) < 150 * 365:
        metadata["age"] = int(days / 365.25)
    return metadata

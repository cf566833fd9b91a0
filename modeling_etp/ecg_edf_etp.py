"""European Data Format (`.edf`, EDF+) and its 24-bit form (`.bdf`), through `edfio`."""

import datetime
import io
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgContentError,
    EcgCorruptError,
    EcgRecording,
    choose_leads,
    errors_named,
    optional_module,
    recording_of,
)

# The first annotation of a data record is empty and says when the record starts (EDF+ specification, 2.2.4).
_TIME_STAMP = re.compile(rb"\0*([+-]\d+(?:\.\d*)?)(?:\x15[^\x14]*)?\x14")


def read_edf(
    content: bytes, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read the ECG channels of a file; all other channels are left out by name.

    Raises:
        EcgCorruptError: If the file's size isn't what its header declares, or a discontinuous file doesn't say when
            its data records start.
        EcgContentError: If data records overlap.
    """
    layout = _check_size(content, source)
    edfio = optional_module("edfio", source)
    with errors_named(source, "edfio"):
        file = (edfio.read_bdf if layout.sample_bytes == 3 else edfio.read_edf)(io.BytesIO(content))
        channels = file.signals
        choice = choose_leads(
            source,
            [channel.label for channel in channels],
            [channel.physical_dimension for channel in channels],
            lead_names=lead_names,
            stated_units=units,
            faults={index: fault for index, channel in enumerate(channels) if (fault := _fault(channel))},
        )
        chosen = [channels[row] for row in choice.rows]
        gains = [_gain(channel) * scale for channel, scale in zip(chosen, choice.millivolts, strict=True)]
        masked = [_masked(channel, 8 * layout.sample_bytes) for channel in chosen]
        signals = [
            _millivolts(channel, gain, missing) for channel, gain, missing in zip(chosen, gains, masked, strict=True)
        ]
        metadata = {"format": "BDF" if layout.sample_bytes == 3 else "EDF", **_patient(file)}
    if not 0 < layout.record_seconds < float("inf"):
        raise EcgContentError(source, f"its data records last {layout.record_seconds:g} s, so its rate is unknown.")
    per_record = [len(signal) // layout.num_records for signal in signals]
    notes = [
        f"Samples of {name} outside the range that the file states are taken as missing: {missing.sum()}."
        for name, missing in zip(choice.lead_names, masked, strict=True)
        if missing.any()
    ]
    starts, note = _record_starts(content, layout, max(per_record) / layout.record_seconds, source)
    if note:
        notes.append(note)
    if starts is not None:
        signals, note = _with_gaps(signals, per_record, starts, layout.record_seconds)
        notes.append(note)
    rates = [count / layout.record_seconds for count in per_record]
    return recording_of(source, choice, signals, rates, metadata, gains=gains, notes=notes)


@dataclass(frozen=True)
class _Layout:
    """Where the data records are and what they hold; `stamps_at` is the place of the time stamp in a record."""

    kind: str
    num_records: int
    record_seconds: float
    sample_bytes: int
    header_bytes: int
    record_bytes: int
    stamps_at: int | None


def _check_size(content: bytes, source: str) -> _Layout:
    """Compare what the header declares with what is there, before anything is allocated for it."""
    try:
        num_signals = int(content[252:256])
        num_records = int(content[236:244])
        if not 0 < num_signals <= 1024:
            raise ValueError(num_signals)
        seconds = float(content[244:252])
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
    labels = [content[256 + 16 * index : 272 + 16 * index].strip() for index in range(num_signals)]
    stamps = next(
        (index for index, label in enumerate(labels) if label in (b"EDF Annotations", b"BDF Annotations")), None
    )
    return _Layout(
        kind=content[192:197].decode("latin-1"),
        num_records=num_records,
        record_seconds=seconds,
        sample_bytes=sample_bytes,
        header_bytes=header_bytes,
        record_bytes=record_bytes,
        stamps_at=None if stamps is None else sample_bytes * sum(samples[:stamps]),
    )


def _fault(channel: Any) -> str | None:
    if channel.digital_min == channel.digital_max or channel.physical_min == channel.physical_max:
        return f"zero gain of {channel.label}: minimum and maximum are equal."
    return None


def _gain(channel: Any) -> float:
    return (channel.physical_max - channel.physical_min) / (channel.digital_max - channel.digital_min)


def _masked(channel: Any, bits: int) -> np.ndarray:
    """Where the lowest number is stored that there is, although the range that the header states excludes it."""
    lowest = -(1 << bits - 1)
    return (channel.digital == lowest) & (channel.digital_min > lowest)


def _millivolts(channel: Any, gain: float, missing: np.ndarray) -> np.ndarray:
    scale = gain / _gain(channel)
    signal = ((channel.digital.astype(np.float64) - channel.digital_min) * gain + channel.physical_min * scale).astype(
        np.float32
    )
    signal[missing] = np.nan
    return signal


def _record_starts(content: bytes, layout: _Layout, rate: float, source: str) -> tuple[np.ndarray | None, str | None]:
    """Seconds at which the data records start, `None` where each starts as the one before ends; and a note."""
    discontinuous = layout.kind in ("EDF+D", "BDF+D")
    if layout.stamps_at is None or layout.kind[3:4] != "+":
        if discontinuous:
            raise EcgCorruptError(
                source, f"it is {layout.kind}, discontinuous, and has no annotations. Export it again."
            )
        return None, None
    stamps = []
    for record in range(layout.num_records):
        at = layout.header_bytes + record * layout.record_bytes
        match = _TIME_STAMP.match(content[at + layout.stamps_at : at + layout.record_bytes])
        if match is None:
            if not discontinuous:
                return None, None
            raise EcgCorruptError(
                source,
                f"it is {layout.kind} and its data record {record + 1} doesn't say when it starts. Export it again.",
            )
        stamps.append(float(match[1]))
    starts = np.array(stamps) - stamps[0]
    jumps = np.diff(starts) - layout.record_seconds
    if (np.abs(jumps) <= 0.5 / rate).all():
        return None, None
    if (jumps < -0.5 / rate).any():
        first = int(np.argmax(jumps < -0.5 / rate))
        if not discontinuous:
            return None, f"Its time stamps contradict {layout.kind}; its data records are joined as continuous."
        raise EcgContentError(
            source,
            f"its data record {first + 2} starts {-jumps[first]:g} s before the one before it ends. Overlapping records "
            "can't be put in order; export it again.",
        )
    note = None if discontinuous else f"Its header says {layout.kind}, continuous; its time stamps have gaps."
    return starts, note


def _with_gaps(
    signals: list[np.ndarray], per_record: list[int], starts: np.ndarray, seconds: float
) -> tuple[list[np.ndarray], str]:
    """Each data record at its time, NaN between; and a note."""
    breaks = np.flatnonzero(np.diff(starts) - seconds > 0.5 * seconds / max(per_record)) + 1
    edges = [0, *breaks.tolist(), len(starts)]
    total = starts[-1] + seconds
    held = seconds * len(starts)
    if total > 4 * held and total / seconds * sum(per_record) > MAX_UNPACKED_VALUES:
        first, last = max(itertools.pairwise(edges), key=lambda piece: piece[1] - piece[0])
        parts = [signal[first * count : last * count] for signal, count in zip(signals, per_record, strict=True)]
        return parts, (
            f"Its {len(edges) - 1} pieces are up to {total:,.0f} s apart; only the longest is kept, {(last - first) * seconds:g} s "
            f"from {starts[first]:g} s on."
        )
    placed = []
    for signal, count in zip(signals, per_record, strict=True):
        joined = np.full(round(total / seconds * count), np.nan, np.float32)
        for first, last in itertools.pairwise(edges):
            at = min(round(starts[first] / seconds * count), len(joined) - (last - first) * count)
            joined[at : at + (last - first) * count] = signal[first * count : last * count]
        placed.append(joined)
    return placed, (
        f"Its {len(edges) - 1} pieces are joined with gaps of {total - held:g} s in all (NaN), the first at "
        f"{edges[1] * seconds:g} s."
    )


def _patient(file: Any) -> dict:
    """Age at the recording and sex, where the EDF+ patient field has them."""
    metadata: dict[str, Any] = {}
    patient = file.patient
    if patient.sex in ("M", "F"):
        metadata["sex"] = {"M": "male", "F": "female"}[patient.sex]
    try:
        born, recorded = patient.birthdate, file.startdate
    except ValueError:  # edfio raises for "X", the EDF+ mark of an unknown date
        return metadata
    if isinstance(born, datetime.date) and 0 <= (days := (recorded - born).days) < 150 * 365:
        metadata["age"] = int(days / 365.25)
    return metadata

"""Multi-segment WFDB records: their segments on one time axis."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .ecg_recording_etp import (
    MAX_UNPACKED_VALUES,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    LeadChoice,
    choose_leads,
    is_other_quantity,
    millivolts_per,
)
from .ecg_wfdb_header_etp import WfdbHeader, gain_faults, open_beside, read_wfdb_header, signal_names
from .ecg_wfdb_signals_etp import read_channels
from .leads_etp import canonical_lead

# A record of which less than this has samples is refused if it would take much memory.
_LEAST_HELD = 0.25


@dataclass
class _Segment:
    """One segment; `start` and `length` are in frames."""

    start: int
    length: int
    path: Path
    header: WfdbHeader


def join_segments(
    header_path: str | os.PathLike,
    header: WfdbHeader,
    *,
    lead_names: Sequence[str] | None,
    units: str | None,
    verify_checksum: bool,
) -> tuple[LeadChoice, list[np.ndarray], list[float], list[float], list[str]]:
    """The leads of a multi-segment record, NaN in the gaps: choice, samples in mV, rates in Hz, gains and notes."""
    layout, segments, frames, by_name = _open_segments(header_path, header)
    names = layout.lead_names
    if lead_names is not None and len(lead_names) != len(names):
        raise EcgContentError(
            header_path,
            f"`lead_names` has {len(lead_names)} names, the file has {len(names)} channels. Name each channel.",
        )
    holders = [_holders(segments, names[lead] if by_name else lead) for lead in range(len(names))]
    held = [lead for lead, found in enumerate(holders) if found]
    first = [holders[lead][0] for lead in held]
    stated = signal_names(layout)
    choice = choose_leads(
        header_path,
        [stated[lead] for lead in held] if stated else None,
        [segment.header.units[row] for segment, row in first],
        lead_names=None if lead_names is None else [lead_names[lead] for lead in held],
        stated_units=units,
        faults={
            index: fault
            for index, lead in enumerate(held)
            for segment, row in holders[lead]
            if (fault := gain_faults(segment.header).get(row))
        },
    )
    notes = [f"Joined from {len(segments)} segments."] if len(segments) > 1 else []
    if never := [names[lead] for lead in range(len(names)) if lead not in held and canonical_lead(names[lead])]:
        notes.append(f"No segment holds {', '.join(never)}.")
    chosen = [holders[held[row]] for row in choice.rows]
    gains = [
        scale / segment.header.gains[row]
        for (segment, row), scale in zip((found[0] for found in chosen), choice.millivolts, strict=True)
    ]
    spfs = [segment.header.samples_per_frame[row] for segment, row in (found[0] for found in chosen)]
    _check_memory(header_path, chosen, spfs, frames)
    joined = [np.full(frames * spf, np.nan, np.float32) for spf in spfs]
    for segment in segments:
        here = [(lead, row) for lead, found in enumerate(chosen) for holder, row in found if holder is segment]
        if here:
            notes.extend(_place(header, segment, here, choice, units, joined, spfs, verify_checksum=verify_checksum))
    missing = [1 - sum(holder.length for holder, _ in found) / frames for found in chosen]
    if any(missing):
        parts = ", ".join(
            f"{share:.2%} of {name}" for name, share in zip(choice.lead_names, missing, strict=True) if share
        )
        notes.append(f"Without samples (NaN), as no segment holds them: {parts}.")
    rates = [header.sampling_rate * spf for spf in spfs]
    return choice, joined, rates, gains, list(dict.fromkeys(notes))


def _open_segments(header_path, header: WfdbHeader) -> tuple[WfdbHeader, list[_Segment], int, bool]:
    """The header that lists all signals, the segments that have samples, the frames of all, and whether signals go by name."""
    names = [name for name, _ in header.segments if name != "~"]
    if len(set(names)) < len(names):  # a small header could ask for one file a million times
        raise EcgUnsafeError(header_path, "it names a segment more than once. Read that segment by itself.")
    segments, start = [], 0
    layout = None
    for index, (name, length) in enumerate(header.segments):
        if name != "~":
            path = Path(header_path).parent / f"{name}.hea"
            os.close(open_beside(header_path, path.name))  # refuses a link out of the folder
            own = read_wfdb_header(path)
            if own.segments:
                raise EcgFormatError(header_path, f"its segment {name} has segments itself. Read that record instead.")
            if index == 0 and length == 0:
                layout = own
            else:
                segments.append(_Segment(start, length, path, own))
        start += length
    if header.num_samples not in (None, start):
        raise EcgCorruptError(
            header_path,
            f"its first line declares {header.num_samples:,} samples, its segments {start:,}. Correct the wrong one.",
        )
    if not segments:
        raise EcgContentError(header_path, "all of its segments are empty. It holds no ECG.")
    listed = (layout or segments[0].header).lead_names
    by_name = layout is not None or any(listed)
    if by_name and len(set(listed)) < len(listed):
        raise EcgContentError(header_path, f"lead names occur more than once in its segments: {', '.join(listed)}.")
    for segment in segments:
        _check_segment(header, segment, listed, by_name=by_name)
    return layout or segments[0].header, segments, start, by_name


def _check_segment(header: WfdbHeader, segment: _Segment, names: Sequence[str], *, by_name: bool) -> None:
    if segment.header.sampling_rate != header.sampling_rate:
        raise EcgContentError(
            segment.path, f"its sampling rate isn't the {header.sampling_rate} Hz of the whole record."
        )
    own = segment.header.lead_names
    if by_name and (not set(own) <= set(names) or len(set(own)) < len(own)):
        raise EcgContentError(segment.path, f"its signals {own} aren't among those of the record, {names}.")
    if not by_name and len(own) != len(names):
        raise EcgContentError(segment.path, f"it has {len(own)} signals without names, the record has {len(names)}.")


def _holders(segments: Sequence[_Segment], signal: str | int) -> list[tuple[_Segment, int]]:
    """The segments that hold a signal, and its position in each."""
    if isinstance(signal, int):
        return [(segment, signal) for segment in segments]
    return [
        (segment, segment.header.lead_names.index(signal))
        for segment in segments
        if signal in segment.header.lead_names
    ]


def _check_memory(header_path, chosen: Sequence[list[tuple[_Segment, int]]], spfs: Sequence[int], frames: int) -> None:
    """Refuse a few samples that would be spread over a long time, counted in time and not over leads that segments lack."""
    present = {id(segment): segment.length for found in chosen for segment, _ in found}
    if sum(present.values()) < _LEAST_HELD * frames and frames * sum(spfs) > MAX_UNPACKED_VALUES:
        raise EcgUnsafeError(
            header_path, f"it declares {frames:,} samples, nearly all of them gaps. Read its segments."
        )


def _place(
    header: WfdbHeader,
    segment: _Segment,
    here: Sequence[tuple[int, int]],
    choice: LeadChoice,
    units: str | None,
    joined: Sequence[np.ndarray],
    spfs: Sequence[int],
    *,
    verify_checksum: bool,
) -> list[str]:
    """Read the leads `here`, pairs of lead and position in the segment, into their places; returns notes."""
    scales = []
    for lead, row in here:
        name, unit = choice.lead_names[lead], segment.header.units[row]
        scale = millivolts_per(unit)
        if scale is None and (units is None or is_other_quantity(unit)):
            raise EcgContentError(segment.path, f"the unit of lead {name} is {unit!r} here, expected a voltage.")
        given = millivolts_per(units)
        if scale is not None and given is not None and scale != given:
            raise EcgContentError(
                segment.path, f"lead {name} is in {unit}, `units` says {units!r}. Leave `units` out."
            )
        if segment.header.samples_per_frame[row] != spfs[lead]:
            raise EcgContentError(
                segment.path,
                f"lead {name} has {segment.header.samples_per_frame[row] * header.sampling_rate:g} Hz here and "
                f"{spfs[lead] * header.sampling_rate:g} Hz in another segment. Read the segments by themselves.",
            )
        scales.append(choice.millivolts[lead] if scale is None else scale)
    rows = [row for _, row in here]
    channels, notes = read_channels(segment.path, segment.header, rows, scales, verify_checksum=verify_checksum)
    for (lead, _), channel in zip(here, channels, strict=True):
        spf = spfs[lead]
        if len(channel) > segment.length * spf or (
            len(channel) < segment.length * spf and not any(segment.header.skews)
        ):
            raise EcgCorruptError(
                segment.path, f"expected a segment of {segment.length:,} samples, it has {len(channel) // spf:,}."
            )
        joined[lead][segment.start * spf :][: len(channel)] = channel
    return notes

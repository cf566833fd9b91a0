"""SCP-ECG (EN 1064, ISO 11073-91064), through `ecgdatakit`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .ecg_pieces_etp import Piece, put_together
from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    LeadChoice,
    age_in_years,
    choose_leads,
    errors_named,
    optional_module,
    recording_of,
    sex_name,
    with_derived_leads,
)


def read_scp(
    content: bytes, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read the rhythm of a record; limb leads that it leaves out because they follow from I and II are derived.

    Raises:
        EcgCorruptError: If a checksum is wrong.
        EcgFormatError: If the rhythm is stored in a way that isn't supported.
        EcgContentError: If the amplitude isn't stated.
    """
    scp = optional_module("ecgdatakit.parsing.parsers.scp_ecg", source)
    with errors_named(source, "ecgdatakit"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.scp"  # the parser takes nothing but a path
        path.write_bytes(content)
        try:
            record = scp.SCPECGParser().parse(path)
        except scp.UnsupportedFormatError as error:
            raise EcgFormatError(source, f"{error}. Export it without, or in another format.") from error
        raw = record.raw_metadata
        if not raw["checksum_valid"]:
            raise EcgCorruptError(source, "its checksum doesn't match its content. Fetch or export it again.")
        rate = 1e6 / raw["rhythm_sample_interval_us"]
        read = _read_leads(record.leads, rate, source, lead_names, units)
        metadata: dict[str, Any] = {"format": "SCP-ECG"}
        if (age := age_in_years(record.patient.age)) is not None:
            metadata["age"] = age
        if sex := sex_name(record.patient.sex):
            metadata["sex"] = sex
        notes = []
        if record.median_beats:
            notes.append("Left out: the reference beats.")
        if "section12_length" in raw:
            notes.append("Left out: the long-term rhythm of section 12.")
    joined, joining = put_together(source, read.pieces)
    recording = recording_of(
        source, LeadChoice((), joined.lead_names, (), tuple(read.dropped)), joined.signal, [rate] * len(joined.signal),
        metadata, notes=[*notes, *read.notes, *joining],
    )  # fmt: skip
    return with_derived_leads(recording)


@dataclass
class _Read:
    pieces: list[Piece] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _read_leads(
    leads: Sequence[Any], rate: float, source: str, lead_names: Sequence[str] | None, units: str | None
) -> _Read:
    """The leads as pieces, each of those that start and end together."""
    if lead_names is not None and len(lead_names) != len(leads):
        raise EcgContentError(
            source, f"`lead_names` has {len(lead_names)} names, the file has {len(leads)} channels. Name each channel."
        )
    together: dict[tuple[int, int], list[int]] = {}
    for row, lead in enumerate(leads):
        start = int(lead.annotations.get("start_sample", 1)) - 1
        together.setdefault((start, len(lead.samples)), []).append(row)
    read = _Read()
    for (start, _), rows in together.items():
        # A lead that comes twice is numbered ("II_2"); no name in the standard has an underscore of its own.
        choice = choose_leads(
            source,
            [leads[row].label.partition("_")[0] for row in rows],
            [leads[row].resolution_unit or None for row in rows],
            lead_names=None if lead_names is None else [lead_names[row] for row in rows],
            stated_units=units,
            faults={
                index: "its amplitude multiplier is 0: the amplitude in mV is unknown."
                for index, row in enumerate(rows)
                if not leads[row].resolution_unit
            },
            required=len(together) == 1,
        )
        read.dropped.extend(choice.dropped)
        read.notes.extend(choice.notes)
        if choice.rows:
            signal = [
                leads[rows[row]].samples * (leads[rows[row]].resolution * scale)
                for row, scale in zip(choice.rows, choice.millivolts, strict=True)
            ]
            label = f"the leads from {start / rate:g} s on"
            read.pieces.append(Piece(label, start / rate, rate, choice.lead_names, np.array(signal, np.float32)))
    if not read.pieces:
        choose_leads(source, read.dropped, [None] * len(read.dropped))  # says that there is no lead
    return read

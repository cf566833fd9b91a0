"""SCP-ECG (EN 1064, ISO 11073-91064), through `ecgdatakit`."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgRecording,
    age_in_years,
    errors_named,
    make_recording,
    millivolts_per,
    optional_module,
    sex_name,
    with_derived_leads,
)


def read_scp(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read the rhythm of a record; limb leads that it leaves out because they follow from I and II are derived.

    Raises:
        EcgCorruptError: If a checksum is wrong.
        EcgContentError: If the amplitude isn't stated, or leads were recorded one after the other.
    """
    scp = optional_module("ecgdatakit.parsing.parsers.scp_ecg", source)
    with errors_named(source, "ecgdatakit"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.scp"  # the parser takes nothing but a path
        path.write_bytes(content)
        record = scp.SCPECGParser().parse(path)
        if not record.raw_metadata["checksum_valid"]:
            raise EcgCorruptError(source, "its checksum doesn't match its content. Fetch or export it again.")
        if len({lead.annotations.get("start_sample") for lead in record.leads}) > 1:
            raise EcgContentError(source, "its leads start at different times. Export simultaneous leads.")
        # A lead that comes twice is numbered ("II_2"); no name in the standard has an underscore of its own.
        names = [lead.label.partition("_")[0] for lead in record.leads]
        scales = [millivolts_per(lead.resolution_unit) for lead in record.leads]
        if None in scales:
            raise EcgContentError(source, "its amplitude multiplier is 0: the amplitude in mV is unknown.")
        signal = [lead.samples * (lead.resolution * scale) for lead, scale in zip(record.leads, scales, strict=True)]
        rate = 1e6 / record.raw_metadata["rhythm_sample_interval_us"]
        metadata: dict[str, Any] = {"format": "SCP-ECG"}
        if (age := age_in_years(record.patient.age)) is not None:
            metadata["age"] = age
        if sex := sex_name(record.patient.sex):
            metadata["sex"] = sex
    recording = make_recording(source, signal, [rate] * len(signal), names, metadata, lead_names=lead_names)
    return with_derived_leads(recording)

"""Formats read through `ecgdatakit`: Philips (Sierra) XML, ISHNE Holter, MFER and Kardia recordings."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .ecg_channels_etp import choose_leads
from .ecg_microvolts_etp import NO_SAMPLE
from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgRecording,
    EcgUnsafeError,
    age_in_years,
    errors_named,
    optional_module,
    recording_of,
    sex_name,
    with_derived_leads,
)
from .ecg_xml_etp import MAX_XML_BYTES


def read_philips(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read the rhythm of a Philips (Sierra) XML, with XLI compression too.

    Raises:
        EcgUnsafeError: If the file defines entities, as XML bombs do, or is too long.
    """
    if len(content) > MAX_XML_BYTES:
        raise EcgUnsafeError(source, f"expected at most {MAX_XML_BYTES:,} bytes of XML, it has {len(content):,}.")
    unsafe = optional_module("defusedxml.common", source).DefusedXmlException
    with errors_named(source, "defusedxml"):
        try:
            optional_module("defusedxml.ElementTree", source).fromstring(
                content, forbid_dtd=False, forbid_entities=True, forbid_external=True
            )
        except unsafe as error:
            raise EcgUnsafeError(
                source, f"its XML defines or includes entities ({error}). No ECG needs them."
            ) from error
    recording = _read(content, source, "sierra_xml", "SierraXMLParser", "Philips XML", **stated)
    return with_derived_leads(recording)


def read_ishne(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a Holter recording of the ISHNE format (Badilini 1998)."""

    def names(record: Any) -> list[str]:
        specs = record.raw_metadata["lead_spec"]
        # 0 is "unknown" and 1 "generic bipolar": the library calls both by their place, which is no lead.
        return [
            f"channel {index + 1}" if specs[index] in (-9, 0, 1) else lead.label.partition("_")[0]
            for index, lead in enumerate(record.leads)
        ]

    return _read(content, source, "ishne_holter", "ISHNEHolterParser", "ISHNE", names, **stated)


def read_mfer(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read a recording of the MFER format (ISO 22077)."""
    return with_derived_leads(_read(content, source, "mfer", "MFERParser", "MFER", **stated))


def read_kardia(content: bytes, source: str, **stated: Any) -> EcgRecording:
    """Read the raw leads of a recording as AliveCor's interface gives it out in JSON."""
    return with_derived_leads(_read(content, source, "alivecor_kardia", "AliveCorKardiaParser", "Kardia", **stated))


def _labels(record: Any) -> list[str]:
    # A lead that comes twice is numbered ("II_2"); no name in these formats has an underscore of its own.
    return [lead.label.partition("_")[0] for lead in record.leads]


def _read(
    content: bytes,
    source: str,
    module: str,
    parser: str,
    file_format: str,
    names_of: Callable[[Any], list[str]] = _labels,
    *,
    lead_names: Sequence[str] | None = None,
    units: str | None = None,
) -> EcgRecording:
    """Read the content by one of the library's parsers; `lead_names` and `units` as of `read_ecg`."""
    library = optional_module(f"ecgdatakit.parsing.parsers.{module}", source)
    with errors_named(source, "ecgdatakit"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record"  # the parsers take nothing but a path
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            record = getattr(library, parser)().parse(path)
        if not record.leads:
            raise EcgContentError(source, "it holds no waveform. Export it with its waveform.")
        names, raw = names_of(record), record.raw_metadata
        if raw.get("checksum_valid") is False:
            raise EcgCorruptError(source, "its checksum doesn't match its content. Fetch or export it again.")
        metadata: dict[str, Any] = {"format": file_format}
        if (age := age_in_years(record.patient.age)) is not None:
            metadata["age"] = age
        if sex := sex_name(record.patient.sex):
            metadata["sex"] = sex
    in_units = [lead.resolution_unit or lead.units or None for lead in record.leads]
    choice = choose_leads(source, names, in_units, lead_names=lead_names, stated_units=units)
    notes = [f"ecgdatakit says: {str(warning.message)[:200]}." for warning in said]
    leads = [record.leads[row] for row in choice.rows]
    signal = [
        _samples(lead, marks=file_format == "ISHNE") * scale
        for lead, scale in zip(leads, choice.millivolts, strict=True)
    ]
    missing = sum(int(np.isnan(lead).sum()) for lead in signal)
    notes += [f"{missing} values that the format marks count as no sample."] if missing else []
    # The library rounds rates to whole numbers and keeps those of MFER elsewhere.
    exact = raw.get("sampling_rates") or [float(lead.sampling_rate) for lead in record.leads]
    rates = [float(exact[row]) for row in choice.rows]
    return recording_of(source, choice, signal, rates, metadata, notes=notes)


def _samples(lead: Any, *, marks: bool) -> np.ndarray:
    """Samples in the unit of the file, NaN where none is; `marks` says that the lowest number of 16 bits marks those."""
    samples = np.asarray(lead.samples, dtype=np.float64)
    values = samples * lead.resolution + lead.offset
    return np.where(samples == NO_SAMPLE, np.nan, values) if marks else values


__all__ = ["read_ishne", "read_kardia", "read_mfer", "read_philips"]

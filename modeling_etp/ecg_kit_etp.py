"""Formats read through `ecgdatakit`: Philips (Sierra) XML, ISHNE Holter, MFER and Kardia recordings."""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .ecg_facts_etp import check_names
from .ecg_recording_etp import (
    EcgContentError,
    EcgRecording,
    EcgUnsafeError,
    age_in_years,
    errors_named,
    make_recording,
    optional_module,
    sex_name,
    with_derived_leads,
)
from .ecg_units_etp import millivolts_per
from .ecg_xml_etp import MAX_XML_BYTES

# Counts that the formats say are no measurement: ISHNE's fault, MFER's and Sierra's lowest number of 16 bits.
_NO_SAMPLE = -32768


def read_philips(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
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
    recording = _read(content, source, "sierra_xml", "SierraXMLParser", "Philips XML", lead_names)
    return with_derived_leads(recording)


def read_ishne(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read a Holter recording of the ISHNE format (Badilini 1998)."""

    def names(record: Any) -> list[str]:
        specs = record.raw_metadata["lead_spec"]
        # 0 is "unknown" and 1 "generic bipolar": the library calls both by their place, which is no lead.
        return [
            f"channel {index + 1}" if specs[index] in (-9, 0, 1) else lead.label.partition("_")[0]
            for index, lead in enumerate(record.leads)
        ]

    return _read(content, source, "ishne_holter", "ISHNEHolterParser", "ISHNE", lead_names, names)


def read_mfer(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read a recording of the MFER format (ISO 22077)."""
    return with_derived_leads(_read(content, source, "mfer", "MFERParser", "MFER", lead_names))


def read_kardia(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read the raw leads of a recording as AliveCor's interface gives it out in JSON."""
    return with_derived_leads(_read(content, source, "alivecor_kardia", "AliveCorKardiaParser", "Kardia", lead_names))


def _labels(record: Any) -> list[str]:
    # A lead that comes twice is numbered ("II_2"); no name in these formats has an underscore of its own.
    return [lead.label.partition("_")[0] for lead in record.leads]


def _read(
    content: bytes,
    source: str,
    module: str,
    parser: str,
    file_format: str,
    lead_names: Sequence[str] | None,
    names_of: Callable[[Any], list[str]] = _labels,
) -> EcgRecording:
    library = optional_module(f"ecgdatakit.parsing.parsers.{module}", source)
    with errors_named(source, "ecgdatakit"), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record"  # the parsers take nothing but a path
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            record = getattr(library, parser)().parse(path)
        if not record.leads:
            raise EcgContentError(source, "it holds no waveform. Export it with its waveform.")
        names = names_of(record)
        signal = [_millivolts(lead, source) for lead in record.leads]
        rates = [float(lead.sampling_rate) for lead in record.leads]
        metadata: dict[str, Any] = {"format": file_format}
        if (age := age_in_years(record.patient.age)) is not None:
            metadata["age"] = age
        if sex := sex_name(record.patient.sex):
            metadata["sex"] = sex
    check_names(names, lead_names, source)
    notes = [f"ecgdatakit says: {str(warning.message)[:200]}." for warning in said]
    missing = sum(int(np.isnan(lead).sum()) for lead in signal)
    notes += [f"{missing} values that the format marks count as no sample."] if missing else []
    return make_recording(source, signal, rates, names, metadata, lead_names=lead_names, notes=notes)


def _millivolts(lead: Any, source: str) -> np.ndarray:
    """Samples in mV, NaN where the lowest number of 16 bits marks none.

    Raises:
        EcgContentError: If the file doesn't state how large a count is.
    """
    samples = np.asarray(lead.samples, dtype=np.float64)
    unit = lead.resolution_unit or lead.units
    scale = millivolts_per(unit)
    if scale is None:
        raise EcgContentError(
            source,
            f"lead {lead.label} doesn't state the size of its counts: its amplitude is unknown. Export it again.",
        )
    values = (samples * lead.resolution + lead.offset) * scale
    return np.where(samples == _NO_SAMPLE, np.nan, values) if lead.is_raw else values


__all__ = ["read_ishne", "read_kardia", "read_mfer", "read_philips"]

"""GE MUSE exports in XML."""

import base64
import binascii
from collections.abc import Sequence
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
    recording_of,
    sex_name,
    with_derived_leads,
)

_NO_SAMPLE = -32768
# Fields that would move or shift a lead; no export is known that has another value than 0 in them.
_SHIFTS = ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline")


def read_muse(
    root: Any, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read the rhythm waveforms on one time axis; III and the augmented leads, which the device leaves out, are derived.

    Raises:
        EcgContentError: If there is no rhythm waveform, or the amplitude of a lead isn't known.
    """
    waveforms = root.findall("Waveform")
    kinds = [_text(waveform, "WaveformType") for waveform in waveforms]
    rhythms = [waveform for waveform, kind in zip(waveforms, kinds, strict=True) if kind.lower() == "rhythm"]
    if not rhythms:
        raise EcgContentError(source, f"it has no Rhythm waveform, only {kinds}. Export the rhythm.")
    notes = [f"Left out: the {kind} waveform." for kind in kinds if kind.lower() != "rhythm"]
    gains: dict[str, float] = {}
    dropped: list[str] = []
    pieces = []
    for number, waveform in enumerate(rhythms, 1):
        label = "the rhythm" if len(rhythms) == 1 else f"rhythm {number}"
        piece, choice, own = _rhythm(waveform, label, source, lead_names, units)
        pieces.append(piece)
        for name, gain in own.items():
            gains.setdefault(name, gain)
        dropped.extend(choice.dropped)
        notes.extend((*choice.notes, *_remarks(waveform, choice), *_masked(piece)))
    joined, joining = put_together(source, pieces)
    recording = recording_of(
        source, LeadChoice((), joined.lead_names, (), tuple(dropped)), joined.signal, [joined.rate] * len(joined.signal),
        {"format": "MUSE", **_patient(root)}, gains=[gains[name] for name in joined.lead_names], notes=[*notes, *joining],
    )  # fmt: skip
    return with_derived_leads(recording)


def _text(element: Any, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _rhythm(
    waveform: Any, label: str, source: str, lead_names: Sequence[str] | None, units: str | None
) -> tuple[Piece, LeadChoice, dict[str, float]]:
    """One waveform, the choice of its leads, and mV per stored unit of each."""
    rate = float(waveform.findtext("SampleBase")) * 10.0 ** int(waveform.findtext("SampleExponent") or 0)
    leads = waveform.findall("LeadData")
    if not leads:
        raise EcgContentError(source, "its Rhythm waveform has no leads. Export it with its waveform.")
    choice = choose_leads(
        source,
        [_text(lead, "LeadID") for lead in leads],
        [_text(lead, "LeadAmplitudeUnits") for lead in leads],
        lead_names=lead_names,
        stated_units=units,
        faults={row: fault for row, lead in enumerate(leads) if (fault := _fault(lead))},
    )
    gains = {
        name: float(_text(leads[row], "LeadAmplitudeUnitsPerBit")) * scale
        for row, name, scale in zip(choice.rows, choice.lead_names, choice.millivolts, strict=True)
    }
    stored = [_stored(leads[row], source) for row in choice.rows]
    if len({len(samples) for samples in stored}) > 1:
        lengths = ", ".join(f"{name} {len(samples)}" for name, samples in zip(choice.lead_names, stored, strict=True))
        raise EcgContentError(source, f"its leads have different numbers of samples: {lengths}. Export them alike.")
    values = np.array(stored, np.float64)
    values[values == _NO_SAMPLE] = np.nan
    signal = (values * np.array(list(gains.values()))[:, None]).astype(np.float32)
    start = float(_text(waveform, "WaveformStartTime") or 0)
    return Piece(label, start, rate, choice.lead_names, signal), choice, gains


def _fault(lead: Any) -> str | None:
    name = _text(lead, "LeadID")
    units_per_bit = float(_text(lead, "LeadAmplitudeUnitsPerBit") or "nan")
    if units_per_bit == 0 or not np.isfinite(units_per_bit):
        return f"lead {name} has {units_per_bit} units per bit: its amplitude is lost."
    for field in _SHIFTS:
        if float(_text(lead, field) or 0) != 0:
            return f"lead {name} has {_text(lead, field)!r} as {field}, which isn't understood. Export it without."
    return None


def _stored(lead: Any, source: str) -> np.ndarray:
    name = _text(lead, "LeadID")
    if (_text(lead, "LeadSampleSize") or "2") != "2":
        raise EcgFormatError(source, f"lead {name} isn't stored in 2 bytes a sample. Export it in 16 bits.")
    try:
        data = base64.b64decode("".join(lead.findtext("WaveFormData", "").split()), validate=True)
    except binascii.Error as error:
        raise EcgCorruptError(
            source, f"the waveform of lead {name} isn't base64 ({error}). Export it again."
        ) from error
    expected = int(lead.findtext("LeadSampleCountTotal", len(data) // 2))
    if len(data) != 2 * expected:
        raise EcgCorruptError(
            source, f"lead {name} should have {expected:,} samples, {len(data)} bytes came. Export the file again."
        )
    return np.frombuffer(data, "<i2")


def _remarks(waveform: Any, choice: LeadChoice) -> list[str]:
    leads = waveform.findall("LeadData")
    off = [
        name
        for row, name in zip(choice.rows, choice.lead_names, strict=True)
        if _text(leads[row], "LeadOff").upper() == "TRUE"
    ]
    return [f"The device says that {', '.join(off)} had come off."] if off else []


def _masked(piece: Piece) -> list[str]:
    missing = int(np.isnan(piece.signal).sum())
    return [f"{missing} samples of {_NO_SAMPLE} are taken as missing."] if missing else []


def _patient(root: Any) -> dict:
    patient = root.find("PatientDemographics")
    if patient is None:
        return {}
    metadata: dict[str, Any] = {}
    years_per = {"YEARS": 1.0, "MONTHS": 1 / 12, "WEEKS": 7 / 365.25, "DAYS": 1 / 365.25}
    per = years_per.get(patient.findtext("AgeUnits", "YEARS").strip().upper())
    number = patient.findtext("PatientAge", "").strip()
    if per and number.isdecimal() and (age := age_in_years(int(number) * per)) is not None:
        metadata["age"] = age
    if sex := sex_name(patient.findtext("Gender", "")):
        metadata["sex"] = sex
    return metadata

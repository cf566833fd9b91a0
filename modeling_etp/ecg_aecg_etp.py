"""HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1)."""

import datetime
import re
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
    is_other_quantity,
    millivolts_per,
    recording_of,
    sex_name,
)

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
# YYYYMMDDHHMMSS with fraction and zone (HL7 data type TS)
_TIME = re.compile(r"(\d{8})(\d{2})(\d{2})(\d{2})?(\.\d+)?(?:([+-]\d{2})(\d{2}))?\Z")


def read_aecg(
    root: Any, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read the sequence sets of all rhythm series on one time axis; representative beats are left out.

    Args:
        lead_names: Names of the leads of all rhythm series in the order of the file.

    Raises:
        EcgContentError: If there is no waveform, or its amplitude or rate isn't stated in a known unit.
    """
    series = root.findall("component/series")
    if not series:
        raise EcgContentError(source, "it has no <component><series> with a waveform. Export it with its waveform.")
    rhythms = [one for one in series if not _is_beat(one)]
    notes = []
    left_out = len(series) - len(rhythms) + sum(1 for _ in root.iter("derivedSeries"))
    if rhythms and left_out:
        notes.append(f"Left out: {left_out} derived series, such as representative beats.")
    if not rhythms:
        notes.append("It holds representative beats only.")
    sets = [
        (f"sequence set {number}", one, sequence_set)
        for number, (one, sequence_set) in enumerate(
            ((one, found) for one in rhythms or series for found in one.findall("component/sequenceSet")), 1
        )
    ]
    gains: dict[str, float] = {}
    dropped: list[str] = []
    pieces = []
    given = None if lead_names is None else list(lead_names)
    for label, one, sequence_set in sets:
        axes, leads = _sequences(sequence_set)
        if not leads:
            continue
        if len(axes) != 1:
            raise EcgContentError(
                source, f"{label} has {len(axes)} time axes and {len(leads)} leads, expected one axis."
            )
        names = given
        if given is not None and len(sets) > 1:
            names, given = given[: len(leads)], given[len(leads) :]
        start, rate = _time_axis(axes[0], one, source)
        choice, signal, own = _leads(leads, source, names, units)
        pieces.append(Piece(label, start, rate, choice.lead_names, signal))
        gains.update({name: gain for name, gain in own.items() if name not in gains})
        dropped.extend(choice.dropped)
        notes.extend(choice.notes)
    if not pieces:
        raise EcgContentError(source, "its series have no leads. Export it with its waveform.")
    first = min(piece.start for piece in pieces)
    for piece in pieces:
        piece.start -= first
    joined, joining = put_together(source, pieces)
    return recording_of(
        source, LeadChoice((), joined.lead_names, (), tuple(dropped)), joined.signal, [joined.rate] * len(joined.signal),
        {"format": "aECG", **_patient(root)}, gains=[gains[name] for name in joined.lead_names],
        notes=list(dict.fromkeys([*notes, *joining])),
    )  # fmt: skip


def _is_beat(series: Any) -> bool:
    code = series.find("code")
    return code is not None and code.get("code", "").upper() == "REPRESENTATIVE_BEAT"


def _sequences(sequence_set: Any) -> tuple[list[Any], list[tuple[str, Any]]]:
    """The time axes and the leads of a set, these with their names."""
    axes, leads = [], []
    for sequence in sequence_set.findall("component/sequence"):
        code, value = sequence.find("code").get("code", ""), sequence.find("value")
        if code.startswith("TIME_"):
            axes.append(value)
        else:
            leads.append((code, value))
    return axes, leads


def _time_axis(value: Any, series: Any, source: str) -> tuple[float, float]:
    """Start in seconds, of the calendar or of the series, and rate in Hz."""
    for field in ("denominator", "period"):
        element = value.find(field)
        if element is not None and float(element.get("value", "1")) != 1:
            raise EcgFormatError(source, f"its time axis has a {field}, which isn't supported. Export plain samples.")
    step = _quantity(value.find("increment"), _SECONDS, "increment", source)
    if not step > 0:
        raise EcgContentError(source, f"its sampling interval is {step} s. Export it again.")
    begins = series.find("effectiveTime/low")
    start = _seconds(begins.get("value", "")) if begins is not None else None
    head = value.find("head")
    if head is not None and head.get("unit") in _SECONDS:  # relative to the series
        start = (start or 0.0) + float(head.get("value", "0")) * _SECONDS[head.get("unit")]
    elif head is not None and (stamp := _seconds(head.get("value", ""))) is not None:
        start = stamp
    return start or 0.0, round(1 / step, 6)  # an increment such as 0.002 s is a rounded decimal


def _seconds(stamp: str) -> float | None:
    match = _TIME.match(stamp)
    if not match:
        return None
    try:
        day = datetime.datetime.strptime(match[1] + match[2] + match[3] + (match[4] or "00"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    zone = 60 * int(match[6]) + int(match[6][0] + match[7]) if match[6] else 0
    return (day - datetime.datetime(1970, 1, 1)).total_seconds() + float(match[5] or 0) - 60 * zone


def _leads(
    leads: Sequence[tuple[str, Any]], source: str, lead_names: Sequence[str] | None, units: str | None
) -> tuple[LeadChoice, np.ndarray, dict[str, float]]:
    """Which sequences are leads, their samples in mV, and mV per digit of each."""
    faults = {row: fault for row, (code, value) in enumerate(leads) if (fault := _fault(code, value))}
    choice = choose_leads(
        source,
        [code for code, _ in leads],
        [_unit(value) for _, value in leads],
        lead_names=lead_names,
        stated_units=units,
        faults=faults,
    )
    gains, signals = {}, []
    for row, name, scale in zip(choice.rows, choice.lead_names, choice.millivolts, strict=True):
        code, value = leads[row]
        gains[name] = float(value.find("scale").get("value")) * scale
        origin = value.find("origin")
        own = millivolts_per(origin.get("unit"))
        offset = float(origin.get("value")) * (scale if own is None else own)
        signals.append((_digits(value, code, source) * gains[name] + offset).astype(np.float32))
    if len({len(signal) for signal in signals}) > 1:
        lengths = ", ".join(f"{name} {len(signal)}" for name, signal in zip(choice.lead_names, signals, strict=True))
        raise EcgContentError(source, f"its leads have different numbers of samples: {lengths}. Export them alike.")
    return choice, np.array(signals), gains


def _unit(value: Any) -> str | None:
    scale = None if value is None else value.find("scale")
    return None if scale is None else scale.get("unit")


def _fault(code: str, value: Any) -> str | None:
    """Why the amplitude of a sequence is unknown."""
    parts = {}
    for what in ("scale", "origin"):
        element = value.find(what) if value is not None else None
        unit = None if element is None else element.get("unit")
        if element is None or element.get("value") is None or is_other_quantity(unit):
            return f"the {what} of {code} has the unit {unit!r}, expected a voltage."
        parts[what] = (float(element.get("value")), unit)
    (scale, unit), (origin, other) = parts["scale"], parts["origin"]
    if scale == 0:
        return f"the scale of {code} is 0: its amplitude is lost. Export it again."
    if origin != 0 and (millivolts_per(unit) is None) != (millivolts_per(other) is None):
        return f"the origin of {code} has the unit {other!r} and its scale {unit!r}, expected voltages."
    return None


def _digits(value: Any, code: str, source: str) -> np.ndarray:
    digits = (value.findtext("digits") or "").split()
    try:
        return np.array(digits, dtype=np.float64)
    except ValueError as error:
        raise EcgCorruptError(
            source, f"the digits of {code} aren't all numbers ({error}). Export it again."
        ) from error


def _quantity(element: Any, scales: dict[str, float], what: str, source: str) -> float:
    if element is None or element.get("unit") not in scales:
        unit = None if element is None else element.get("unit")
        raise EcgContentError(source, f"the {what} has the unit {unit!r}, expected one of {', '.join(scales)}.")
    return float(element.get("value")) * scales[element.get("unit")]


def _patient(root: Any) -> dict:
    metadata: dict[str, Any] = {}
    gender, birth, recorded = (
        next((element.get(key) for element in root.iter(tag) if element.get(key)), "")
        for tag, key in (("administrativeGenderCode", "code"), ("birthTime", "value"), ("low", "value"))
    )
    if sex := sex_name(gender):
        metadata["sex"] = sex
    try:
        born, taken = (datetime.datetime.strptime(text[:8], "%Y%m%d") for text in (birth, recorded))
    except ValueError:  # not stated, or to the year only
        return metadata
    if (age := age_in_years((taken - born).days / 365.25)) is not None:
        metadata["age"] = age
    return metadata

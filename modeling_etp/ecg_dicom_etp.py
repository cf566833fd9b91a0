"""DICOM ECG waveforms (12-Lead, General and Ambulatory ECG Waveform Storage), through `pydicom`."""

import io
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
    errors_named,
    is_other_quantity,
    optional_module,
    recording_of,
    sex_name,
    tidy_rate,
)
from .leads_etp import canonical_lead

# DICOM PS3.16, context group 3001: the codes of the leads in MDC ("2:1") and SCP-ECG ("5.6.3-9-1") end alike.
_LEAD_CODES = {
    "1": "I", "2": "II", "61": "III", "62": "aVR", "63": "aVL", "64": "aVF",
    "3": "V1", "4": "V2", "5": "V3", "6": "V4", "7": "V5", "8": "V6",
}  # fmt: skip
_LEAD_CODE = re.compile(r"^(?:2:|5\.6\.3-9-)(\d+)$")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_DTYPES = {
    ("SB", 8): "i1", ("UB", 8): "u1", ("SS", 16): "i2", ("US", 16): "u2", ("SL", 32): "i4", ("UL", 32): "u4",
}  # fmt: skip
# PS3.3 C.10.9.1.4.1: what a device may say of a channel beside "OK".
_DOUBTFUL = ("TEST DATA", "DISCONNECTED", "QUESTIONABLE", "INVALID", "UNCALIBRATED", "UNZEROED")


def read_dicom(
    content: bytes, source: str, *, lead_names: Sequence[str] | None = None, units: str | None = None
) -> EcgRecording:
    """Read the leads of all original multiplex groups on one time axis; medians and averages, which are derived, are left out.

    Args:
        lead_names: Names of the channels of the only original group, or of all groups in order.

    Raises:
        EcgFormatError: If there is no waveform, or the file is compressed as a whole.
    """
    if _DEFLATED in content:
        # pydicom would unfold it without a limit. The header that says so may be of any length.
        raise EcgFormatError(source, "the deflated transfer syntax isn't supported. Export it uncompressed.")
    pydicom = optional_module("pydicom", source)
    with errors_named(source, "pydicom"):
        dataset = pydicom.dcmread(io.BytesIO(content))
        groups = list(dataset.get("WaveformSequence") or [])
        if not groups:
            raise EcgFormatError(source, "this DICOM object holds no waveform. An image of an ECG can't be read.")
        original = [group for group in groups if str(group.get("WaveformOriginality", "ORIGINAL")) != "DERIVED"]
        notes = []
        if not original:
            notes.append("All of its waveforms are derived, such as median beats.")
        elif len(original) < len(groups):
            notes.append(f"Left out: {len(groups) - len(original)} derived waveform(s), such as median beats.")
        order = ">" if dataset.original_encoding[1] is False else "<"
        read = _Groups(source, original or groups, order, lead_names, units)
        pieces = read.pieces()
        metadata = {"format": "DICOM", **_patient(dataset)}
        joined, joining = put_together(source, pieces)
    choice = LeadChoice((), joined.lead_names, (), tuple(read.dropped))
    return recording_of(
        source, choice, joined.signal, [joined.rate] * len(joined.signal), metadata,
        gains=[read.gains[name] for name in joined.lead_names], notes=[*notes, *read.notes, *joining],
    )  # fmt: skip


class _Groups:
    """The multiplex groups of an object, with what has to be said of them.

    Attributes:
        gains: mV per stored unit of each lead.
        dropped: Names of channels that are no leads.
        notes: What was left out, masked or assumed.
    """

    def __init__(
        self, source: str, groups: Sequence[Any], order: str, lead_names: Sequence[str] | None, units: str | None
    ):
        self.source, self.order, self.units = source, order, units
        self.groups = groups
        self.gains: dict[str, float] = {}
        self.dropped: list[str] = []
        self.notes: list[str] = []
        self._measured: dict[int, list[str]] = {}  # leads in which a padding value is a measurement
        counts = [len(group.ChannelDefinitionSequence) for group in groups]
        if lead_names is not None and len(lead_names) != sum(counts):
            raise EcgContentError(
                source,
                f"`lead_names` has {len(lead_names)} names, the file has {sum(counts)} channels. Name each channel.",
            )
        edges = np.cumsum([0, *counts]).tolist()
        self._given = [
            None if lead_names is None else list(lead_names[edges[k] : edges[k + 1]]) for k in range(len(counts))
        ]

    def pieces(self) -> list[Piece]:
        starts = _starts(self.groups)
        if len(self.groups) > 1 and len(set(starts)) == 1 and len({_seconds(group) for group in self.groups}) > 1:
            self.notes.append("Its waveforms of different lengths are taken to start together.")
        pieces = []
        for index, (group, start, given) in enumerate(zip(self.groups, starts, self._given, strict=True)):
            piece = self._piece(group, index, start, given)
            if piece is not None:
                pieces.append(piece)
        if not pieces:
            choose_leads(self.source, self.dropped, [None] * len(self.dropped))  # says that there is no lead
        for value, names in self._measured.items():
            self.notes.append(
                f"{value} isn't taken as missing in {', '.join(names)}: it is the padding value, but measured."
            )
        return pieces

    def _piece(self, group: Any, index: int, start: float, given: list[str] | None) -> Piece | None:
        definitions = list(group.ChannelDefinitionSequence)
        names = [_lead_name(definition, number) for number, definition in enumerate(definitions)]
        unit_codes = [_unit(definition) for definition in definitions]
        faults = {
            number: fault
            for number, definition in enumerate(definitions)
            if (fault := _fault(definition, names[number], unit_codes[number]))
        }
        choice = choose_leads(
            self.source, names, unit_codes,
            lead_names=given, stated_units=self.units, faults=faults, required=False,
        )  # fmt: skip
        raw = _samples(group, len(definitions), self.order, self.source)
        rate = float(tidy_rate(float(group.SamplingFrequency), self.source))
        label = str(group.get("MultiplexGroupLabel") or f"waveform {index + 1}")
        self.dropped.extend(choice.dropped)
        self.notes.extend(choice.notes)
        if not choice.rows:
            return None
        signals, skews = [], []
        for row, name, scale in zip(choice.rows, choice.lead_names, choice.millivolts, strict=True):
            definition = definitions[row]
            gain = _sensitivity(definition) * scale
            # Channel Baseline is in units of the sensitivity (PS3.3 C.10.9.1.4.2).
            baseline = float(definition.get("ChannelBaseline", 0) or 0) * scale
            samples = self._without_padding(raw[row], group.get("WaveformPaddingValue"), name)
            signals.append((samples * gain + baseline).astype(np.float32))
            skews.append(_skew(definition, rate))
            self.gains.setdefault(name, gain)
            if (status := str(definition.get("ChannelStatus") or "OK").upper()) in _DOUBTFUL:
                self.notes.append(f"The device says of {name}: {status.lower()}.")
        signal, earliest = _unskewed(signals, skews)
        if any(skews):
            self.notes.append(
                f"Leads of {label} were moved by up to {max(map(abs, skews))} samples, as the file says."
            )
        return Piece(label, start + earliest / rate if rate else start, rate, choice.lead_names, signal)

    def _without_padding(self, stored: np.ndarray, padding: Any, name: str) -> np.ndarray:
        """Stored values as floats, NaN where they are padding, or the lowest number that there is."""
        samples = stored.astype(np.float64)
        limits = np.iinfo(stored.dtype)
        if limits.min < -128 and (lowest := stored == limits.min).any():
            samples[lowest] = np.nan
            self.notes.append(f"{lowest.sum()} samples of {limits.min} are taken as missing in {name}.")
        if padding is None:
            return samples
        value = padding if isinstance(padding, int) else int(np.frombuffer(padding, stored.dtype)[0])
        padded = samples == value
        others = samples[~padded & ~np.isnan(samples)]
        if not padded.any():
            return samples
        # A value among the others, or a little below or above them, was measured.
        reach = 0.25 * np.ptp(others) if others.size else 0.0
        if value == limits.max or not others.size or not others.min() - reach <= value <= others.max() + reach:
            samples[padded] = np.nan
        else:
            self._measured.setdefault(value, []).append(name)
        return samples


def _starts(groups: Sequence[Any]) -> list[float]:
    """Seconds at which each group starts, on one axis."""
    for keyword in ("MultiplexGroupTimeOffset", "TriggerTimeOffset"):
        if any(group.get(keyword) is not None for group in groups):
            return [float(group.get(keyword) or 0) / 1000 for group in groups]
    return [0.0] * len(groups)


def _seconds(group: Any) -> float:
    rate = float(group.SamplingFrequency)
    return int(group.NumberOfWaveformSamples) / rate if rate else 0.0


def _samples(group: Any, num_channels: int, order: str, source: str) -> np.ndarray:
    """Stored values, `(channels, samples)`."""
    bits, kind = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    dtype = _DTYPES.get((kind, bits))
    if dtype is None:
        raise EcgFormatError(source, f"samples of {bits} bits as {kind!r} aren't supported. Export as 16-bit SS.")
    data = bytes(group.WaveformData)
    num_samples = int(group.NumberOfWaveformSamples)
    expected = num_samples * num_channels * bits // 8
    # A value is padded to an even length.
    if int(group.NumberOfWaveformChannels) != num_channels or not 0 < expected <= len(data) <= expected + 1:
        raise EcgCorruptError(
            source,
            f"expected {num_samples:,} samples of {num_channels} channels = {expected:,} bytes of waveform, got "
            f"{len(data):,}. Fetch or export the file again.",
        )
    return np.frombuffer(data[:expected], order + dtype).reshape(num_samples, num_channels).T


def _lead_name(definition: Any, index: int) -> str:
    source = (definition.get("ChannelSourceSequence") or [{}])[0]
    meaning = str(source.get("CodeMeaning", ""))
    label = str(definition.get("ChannelLabel", ""))
    code = _LEAD_CODE.match(str(source.get("CodeValue", "")))
    for name in (meaning, label, _LEAD_CODES.get(code[1], "") if code else ""):
        if canonical_lead(name):
            return name
    return meaning or label or f"channel {index + 1}"


def _unit(definition: Any) -> str | None:
    units = definition.get("ChannelSensitivityUnitsSequence") or [{}]
    return str(units[0].get("CodeValue") or units[0].get("CodeMeaning") or "") or None


def _sensitivity(definition: Any) -> float:
    return float(definition.ChannelSensitivity) * float(definition.get("ChannelSensitivityCorrectionFactor", 1) or 1)


def _fault(definition: Any, name: str, unit: str | None) -> str | None:
    if definition.get("ChannelSensitivity") is None:
        return f"no sensitivity is stated for {name}: its amplitude in mV is unknown."
    if _sensitivity(definition) == 0:
        return f"the sensitivity of {name} is 0: its amplitude is lost. Export it again."
    if is_other_quantity(unit):  # DICOM codes its leads: what claims to be one contradicts itself
        return f"the unit of {name} is {unit!r}, expected a voltage."
    return None


def _skew(definition: Any, rate: float) -> int:
    """Samples by which a channel starts late: its skew, and its offset for aligning it with others (C.10.9.1.4.3)."""
    if definition.get("ChannelTimeSkew") is not None:
        samples = float(definition.ChannelTimeSkew) * rate
    else:
        samples = float(definition.get("ChannelSampleSkew") or 0)
    return round(samples + float(definition.get("ChannelOffset") or 0) * rate)


def _unskewed(signals: list[np.ndarray], skews: list[int]) -> tuple[np.ndarray, int]:
    """Each lead at its own start, NaN before and after, and the earliest start in samples."""
    earliest = min(skews)
    length = max(skew + len(samples) for samples, skew in zip(signals, skews, strict=True)) - earliest
    if length > 2 * len(signals[0]):
        raise ValueError(f"a channel is skewed by {max(skews) - earliest} samples of {len(signals[0])}")
    aligned = np.full((len(signals), length), np.nan, np.float32)
    for row, samples, skew in zip(aligned, signals, skews, strict=True):
        row[skew - earliest : skew - earliest + len(samples)] = samples
    return aligned, earliest


def _patient(dataset: Any) -> dict:
    metadata: dict[str, Any] = {}
    stated = re.fullmatch(r"(\d{3})([DWMY])", str(dataset.get("PatientAge", "")))
    years_per = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
    if stated and (age := age_in_years(int(stated[1]) * years_per[stated[2]])) is not None:
        metadata["age"] = age
    if sex := sex_name(dataset.get("PatientSex", "")):
        metadata["sex"] = sex
    return metadata

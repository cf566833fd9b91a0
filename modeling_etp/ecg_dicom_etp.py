"""DICOM ECG waveforms (12-Lead, General and Ambulatory ECG Waveform Storage), through `pydicom`."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    age_in_years,
    errors_named,
    make_recording,
    millivolts_per,
    optional_module,
    sex_name,
)
from .leads_etp import canonical_lead

# DICOM PS3.16, context group 3001: the codes of the leads in MDC ("2:1") and SCP-ECG ("5.6.3-9-1") end alike.
_LEAD_CODES = {
    "1": "I", "2": "II", "61": "III", "62": "aVR", "63": "aVL", "64": "aVF",
    "3": "V1", "4": "V2", "5": "V3", "6": "V4", "7": "V5", "8": "V6",
}  # fmt: skip
_LEAD_CODE = re.compile(r"^(?:2:|5\.6\.3-9-)(\d+)$")
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def read_dicom(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read the first original multiplex group with ECG leads, which is the rhythm; medians and averages are derived.

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
        group = next((group for group in groups if str(group.get("WaveformOriginality")) == "ORIGINAL"), groups[0])
        definitions = list(group.ChannelDefinitionSequence)
        raw = _samples(group, len(definitions), source)
        names = [_lead_name(definition, index) for index, definition in enumerate(definitions)]
        signal = [
            _millivolts(raw[index], definition, names[index], source) for index, definition in enumerate(definitions)
        ]
        metadata = {"format": "DICOM", **_patient(dataset)}
        rate = float(group.SamplingFrequency)
    return make_recording(source, signal, [rate] * len(signal), names, metadata, lead_names=lead_names)


def _samples(group: Any, num_channels: int, source: str) -> np.ndarray:
    """Stored values, `(channels, samples)`, NaN where they are the padding value."""
    bits, kind = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    dtype = {("SB", 8): "i1", ("UB", 8): "u1", ("SS", 16): "<i2", ("US", 16): "<u2", ("SL", 32): "<i4"}.get(
        (kind, bits)
    )
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
    stored = np.frombuffer(data[:expected], dtype).reshape(num_samples, num_channels).T
    samples = stored.astype(np.float64)
    padding = group.get("WaveformPaddingValue")
    if padding is not None:
        value = padding if isinstance(padding, int) else np.frombuffer(padding, dtype)[0]
        samples[stored == value] = np.nan
    return samples


def _lead_name(definition: Any, index: int) -> str:
    source = (definition.get("ChannelSourceSequence") or [{}])[0]
    meaning = str(source.get("CodeMeaning", ""))
    label = str(definition.get("ChannelLabel", ""))
    code = _LEAD_CODE.match(str(source.get("CodeValue", "")))
    for name in (meaning, label, _LEAD_CODES.get(code[1], "") if code else ""):
        if canonical_lead(name):
            return name
    return meaning or label or f"channel {index + 1}"


def _millivolts(raw: np.ndarray, definition: Any, name: str, source: str) -> np.ndarray:
    if "ChannelSensitivity" not in definition:
        raise EcgContentError(source, f"no sensitivity is stated for {name}: its amplitude in mV is unknown.")
    sensitivity = float(definition.ChannelSensitivity) * float(
        definition.get("ChannelSensitivityCorrectionFactor", 1) or 1
    )
    units = definition.get("ChannelSensitivityUnitsSequence") or [{}]
    scale = millivolts_per(str(units[0].get("CodeValue", "")))
    if scale is None:
        raise EcgContentError(source, f"the unit of {name} is {units[0].get('CodeValue')!r}, expected a voltage.")
    if sensitivity == 0:
        raise EcgContentError(source, f"the sensitivity of {name} is 0: its amplitude is lost. Export it again.")
    # Channel Baseline is in units of the sensitivity (PS3.3 C.10.9.1.4.2).
    return (raw * sensitivity + float(definition.get("ChannelBaseline", 0) or 0)) * scale


def _patient(dataset: Any) -> dict:
    metadata: dict[str, Any] = {}
    stated = re.fullmatch(r"(\d{3})([DWMY])", str(dataset.get("PatientAge", "")))
    years_per = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
    if stated and (age := age_in_years(int(stated[1]) * years_per[stated[2]])) is not None:
        metadata["age"] = age
    if sex := sex_name(dataset.get("PatientSex", "")):
        metadata["sex"] = sex
    return metadata

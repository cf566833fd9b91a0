"""ECGs in XML: HL7 annotated ECG (aECG, ANSI/HL7 V3 ECG R1) and GE MUSE exports."""

import base64
import binascii
import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    age_in_years,
    errors_named,
    make_recording,
    millivolts_per,
    optional_module,
    sex_name,
    with_derived_leads,
)

# Parsed numbers take some 25 times their text. A 10 s record is 0.2 to 1 MB, so this is generous.
MAX_XML_BYTES = 8_000_000
MAX_XML_TAGS = 500_000

_MUSE_UNITS = {"MICROVOLTS": "uV", "MILLIVOLTS": "mV"}


def read_xml(content: bytes, source: str, *, lead_names: Sequence[str] | None = None) -> EcgRecording:
    """Read an XML file of a kind that is known by its root element.

    Raises:
        EcgFormatError: If the root element belongs to another kind of XML.
        EcgUnsafeError: If the file defines entities, as XML bombs do.
    """
    if len(content) > MAX_XML_BYTES or content.count(b"<") > MAX_XML_TAGS:
        raise EcgUnsafeError(
            source,
            f"expected at most {MAX_XML_BYTES:,} bytes of XML and {MAX_XML_TAGS:,} tags, it has {len(content):,} and "
            f"{content.count(b'<'):,}. Export the ECG alone.",
        )
    root = _parse(content, source)
    if root.tag == "AnnotatedECG":
        read = _read_aecg
    elif root.tag == "RestingECG":
        read = _read_muse
    else:
        raise EcgFormatError(
            source,
            f"XML with the root element <{root.tag[:40]}>. Known are HL7 aECG (<AnnotatedECG>) and GE MUSE "
            "(<RestingECG>); export one of these, or DICOM.",
        )
    with errors_named(source, "the XML reader"):
        return read(root, source, lead_names)


def _parse(content: bytes, source: str) -> Any:
    """The root element, with names free of their namespaces."""
    tree = optional_module("defusedxml.ElementTree", source)
    unsafe = optional_module("defusedxml.common", source).DefusedXmlException
    try:
        # MUSE files start with a document type, which is harmless as long as it defines no entity.
        root = tree.fromstring(content, forbid_dtd=False, forbid_entities=True, forbid_external=True)
    except unsafe as error:
        raise EcgUnsafeError(source, f"its XML defines or includes entities ({error}). No ECG needs them.") from error
    except Exception as error:
        raise EcgCorruptError(source, f"malformed XML ({str(error)[:200]}). Fetch or export it again.") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
    return root


def _read_aecg(root: Any, source: str, lead_names: Sequence[str] | None) -> EcgRecording:
    # The first series is the rhythm; representative beats come in a <derivedSeries> inside it.
    series = root.find("component/series")
    if series is None:
        raise EcgContentError(source, "it has no <component><series> with a waveform. Export it with its waveform.")
    steps, channels, names = [], [], []
    for sequence_set in series.findall("component/sequenceSet"):
        for sequence in sequence_set.findall("component/sequence"):
            code, value = sequence.find("code").get("code", ""), sequence.find("value")
            if code.startswith("TIME_"):
                steps.append(
                    _quantity(value.find("increment"), {"s": 1.0, "ms": 1e-3, "us": 1e-6}, "increment", source)
                )
            else:
                names.append(code)
                channels.append(_aecg_lead(value, code, source))
    if not steps or not channels:
        raise EcgContentError(source, f"its first series has {len(steps)} time axes and {len(channels)} leads.")
    if len(set(steps)) > 1:
        raise EcgContentError(source, f"its sequence sets have different sampling intervals, {steps} s.")
    if not steps[0] > 0:
        raise EcgContentError(source, f"its sampling interval is {steps[0]} s. Export it again.")
    rate = round(1 / steps[0], 6)  # an increment such as 0.002 s is a rounded decimal
    metadata = {"format": "aECG", **_aecg_patient(root)}
    return make_recording(source, channels, [rate] * len(channels), names, metadata, lead_names=lead_names)


def _aecg_lead(value: Any, code: str, source: str) -> np.ndarray:
    voltages = {"V": 1e3, "mV": 1.0, "uV": 1e-3, "nV": 1e-6}
    scale = _quantity(value.find("scale"), voltages, f"scale of {code}", source)
    origin = _quantity(value.find("origin"), voltages, f"origin of {code}", source)
    if scale == 0:
        raise EcgContentError(source, f"the scale of {code} is 0: its amplitude is lost. Export it again.")
    digits = (value.findtext("digits") or "").split()
    try:
        return np.array(digits, dtype=np.float64) * scale + origin
    except ValueError as error:
        raise EcgCorruptError(
            source, f"the digits of {code} aren't all numbers ({error}). Export it again."
        ) from error


def _quantity(element: Any, scales: dict[str, float], what: str, source: str) -> float:
    if element is None or element.get("unit") not in scales:
        unit = None if element is None else element.get("unit")
        raise EcgContentError(source, f"the {what} has the unit {unit!r}, expected one of {', '.join(scales)}.")
    return float(element.get("value")) * scales[element.get("unit")]


def _aecg_patient(root: Any) -> dict:
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


def _read_muse(root: Any, source: str, lead_names: Sequence[str] | None) -> EcgRecording:
    waveforms = {waveform.findtext("WaveformType", "").strip(): waveform for waveform in root.findall("Waveform")}
    waveform = waveforms.get("Rhythm")
    if waveform is None:
        raise EcgContentError(source, f"it has no Rhythm waveform, only {list(waveforms)}. Export the rhythm.")
    rate = float(waveform.findtext("SampleBase")) * 10.0 ** int(waveform.findtext("SampleExponent") or 0)
    leads = [_muse_lead(lead, source) for lead in waveform.findall("LeadData")]
    if not leads:
        raise EcgContentError(source, "its Rhythm waveform has no leads. Export it with its waveform.")
    metadata = {"format": "MUSE", **_muse_patient(root)}
    names, channels = zip(*leads, strict=True)
    recording = make_recording(source, channels, [rate] * len(leads), names, metadata, lead_names=lead_names)
    return with_derived_leads(recording)


def _muse_lead(lead: Any, source: str) -> tuple[str, np.ndarray]:
    name = lead.findtext("LeadID", "").strip()
    unit = lead.findtext("LeadAmplitudeUnits", "").strip().upper()
    scale = millivolts_per(_MUSE_UNITS.get(unit))
    if scale is None:
        raise EcgContentError(source, f"lead {name} is in {unit!r}, expected MICROVOLTS or MILLIVOLTS.")
    units_per_bit = float(lead.findtext("LeadAmplitudeUnitsPerBit"))
    if units_per_bit == 0 or not np.isfinite(units_per_bit):
        raise EcgContentError(source, f"lead {name} has {units_per_bit} units per bit: its amplitude is lost.")
    if lead.findtext("LeadSampleSize", "2").strip() != "2":
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
    return name, np.frombuffer(data, "<i2") * (units_per_bit * scale)


def _muse_patient(root: Any) -> dict:
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

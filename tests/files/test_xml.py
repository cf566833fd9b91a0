"""MUSE and aECG files: scaled leads, patients, and what is refused."""

import numpy as np
import pytest

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)


def test_muse_leads_are_scaled_and_the_limb_leads_derived(muse_xml, microvolts):
    recording = read_ecg(muse_xml().encode())
    stored = microvolts // 4 * 4 / 1000
    assert recording.lead_names == STANDARD_LEADS
    np.testing.assert_allclose(recording.signal[[0, 1, *range(6, 12)]], stored[[0, 1, *range(6, 12)]], atol=1e-6)
    np.testing.assert_allclose(recording.signal[2], stored[1] - stored[0], atol=1e-6)
    np.testing.assert_allclose(recording.signal[3], -(stored[0] + stored[1]) / 2, atol=1e-6)
    np.testing.assert_allclose(recording.signal[4], stored[0] - stored[1] / 2, atol=1e-6)
    np.testing.assert_allclose(recording.signal[5], stored[1] - stored[0] / 2, atol=1e-6)
    assert recording.sampling_rate == 100
    assert recording.metadata == {
        "format": "MUSE", "age": 61, "sex": "female", "derived_leads": ["III", "aVR", "aVL", "aVF"],
    }  # fmt: skip


def test_aecg_origin_scale_and_patient(aecg_xml, millivolts):
    recording = read_ecg(aecg_xml().encode())
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)
    assert recording.metadata == {"format": "aECG", "sex": "male", "age": 69}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_xml_in_other_encodings(aecg_xml, millivolts, encoding):
    text = aecg_xml().replace('encoding="UTF-8"', 'encoding="UTF-16"' if encoding == "utf-16" else "")
    np.testing.assert_allclose(read_ecg(text.encode(encoding)).signal, millivolts, atol=1e-6)


BILLION_LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><RestingECG>&b;</RestingECG>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><RestingECG>&a;</RestingECG>'


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (BILLION_LAUGHS, EcgUnsafeError, "defines or includes entities"),
        (EXTERNAL, EcgUnsafeError, "defines or includes entities"),
        ("<a/>" * 500_001, EcgUnsafeError, "500,000 tags, it has"),
        ("<RestingECG>", EcgCorruptError, "malformed XML"),
        ("<svg/>", EcgFormatError, "root element <svg>"),
        ("<RestingECG/>", EcgContentError, "no Rhythm waveform"),
        ("<AnnotatedECG/>", EcgContentError, "with a waveform"),
        (
            "<RestingECG><Waveform><WaveformType>Rhythm</WaveformType></Waveform></RestingECG>",
            EcgCorruptError,
            "XML reader",
        ),
    ],
)
def test_wrong_xml_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        read_ecg(text.encode())


@pytest.mark.parametrize(
    ("stated", "error", "message"),
    [
        ({"units_per_bit": "0"}, EcgContentError, "0.0 units per bit"),
        ({"units": "FURLONGS"}, EcgContentError, "'FURLONGS', expected a voltage"),
        ({"samples": 10**12}, EcgCorruptError, "should have 1,000,000,000,000 samples, 400 bytes came"),
    ],
)
def test_wrong_muse_file_is_refused(muse_xml, stated, error, message):
    with pytest.raises(error, match=message):
        read_ecg(muse_xml(**stated).encode())


@pytest.mark.parametrize(
    ("stated", "error", "message"),
    [
        ({"scale": '<scale value="0" unit="uV"/>'}, EcgContentError, "scale of MDC_ECG_LEAD_I is 0"),
        ({"scale": '<scale value="2" unit="Pa"/>'}, EcgContentError, "has the unit 'Pa'"),
        ({"scale": ""}, EcgContentError, "has the unit None"),
        ({"increment": '<increment value="0" unit="s"/>'}, EcgContentError, "sampling interval is 0.0 s"),
        ({"increment": '<increment value="x" unit="s"/>'}, EcgCorruptError, "the XML reader can't read it"),
    ],
)
def test_wrong_aecg_file_is_refused(aecg_xml, stated, error, message):
    with pytest.raises(error, match=message):
        read_ecg(aecg_xml(**stated).encode())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("<LeadSampleSize>2<", "<LeadSampleSize>1<"), EcgFormatError, "lead I isn't stored in 2 bytes a sample"),
        (("<WaveFormData>\n", "<WaveFormData>\n*"), EcgCorruptError, "the waveform of lead I isn't base64"),
        (("<WaveformType>Rhythm", "<WaveformType>Noise"), EcgContentError, r"only \['Median', 'Noise'\]"),
        (("UnitsPerBit>4", "UnitsPerBit>nan"), EcgContentError, "lead I has nan units per bit"),
    ],
)
def test_damage_to_a_muse_file_is_named(muse_xml, change, error, message):
    with pytest.raises(error, match=message):
        read_ecg(muse_xml().replace(*change).encode())


def test_muse_rhythm_without_leads_is_refused(muse_xml):
    text = muse_xml()
    text = text[: text.index("<LeadData>")] + text[text.rindex("</LeadData>") + len("</LeadData>") :]
    with pytest.raises(EcgContentError, match="its Rhythm waveform has no leads"):
        read_ecg(text.encode())


@pytest.mark.parametrize(
    ("age", "unit", "years"),
    [("61", "YEARS", 61), ("30", "MONTHS", 2), ("25", "MONTHS", 2), ("36", "MONTHS", 3), ("400", "DAYS", 1), ("60", "WEEKS", 1), ("61", "EONS", None), ("x", "YEARS", None), ("400", "YEARS", None)],
)  # fmt: skip
def test_muse_ages_are_in_years(muse_xml, age, unit, years):
    text = muse_xml().replace("<PatientAge>61<", f"<PatientAge>{age}<").replace(">YEARS<", f">{unit}<")
    assert read_ecg(text.encode()).metadata.get("age") == years


def test_muse_rate_has_an_exponent_and_patients_may_be_unknown(muse_xml):
    text = muse_xml().replace("<SampleExponent>0<", "<SampleExponent>1<").replace(">FEMALE<", ">?<")
    recording = read_ecg(text.encode())
    assert recording.sampling_rate == 1000
    assert "sex" not in recording.metadata
    start, stop = text.index("<PatientDemographics>"), text.index("</PatientDemographics>")
    without = read_ecg((text[:start] + text[stop + len("</PatientDemographics>") :]).encode())
    assert without.metadata == {"format": "MUSE", "derived_leads": ["III", "aVR", "aVL", "aVF"]}


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("<digits>", "<digits>x ", EcgCorruptError, "the digits of MDC_ECG_LEAD_I aren't all numbers"),
        ("TIME_ABSOLUTE", "MDC_ECG_LEAD_X", EcgContentError, "sequence set 1 has 0 time axes and 13 leads"),
    ],
)  # fmt: skip
def test_damage_to_an_aecg_file_is_named(aecg_xml, old, new, error, message):
    with pytest.raises(error, match=message):
        read_ecg(aecg_xml().replace(old, new, 1).encode())


def test_aecg_without_leads_is_refused(aecg_xml):
    text = aecg_xml()
    start = text.index('<component><sequence><code code="MDC')
    stop = text.rindex("</sequence></component>") + len("</sequence></component>")
    with pytest.raises(EcgContentError, match="its series have no leads"):
        read_ecg((text[:start] + text[stop:]).encode())


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('code="M"', 'code="UN"', {"age": 69}),
        ('value="19500302"', 'value="1950"', {"sex": "male"}),
        ('value="19500302"', 'value="20500302"', {"sex": "male"}),
    ],
)
def test_aecg_patients_may_be_unknown(aecg_xml, old, new, expected):
    assert read_ecg(aecg_xml().replace(old, new).encode()).metadata == {"format": "aECG", **expected}


@pytest.mark.parametrize("increment", ['value="2" unit="ms"', 'value="2000" unit="us"'])
def test_aecg_interval_may_be_in_milliseconds_or_microseconds(aecg_xml, millivolts, increment):
    recording = read_ecg(aecg_xml(increment=f"<increment {increment}/>").encode())
    assert recording.sampling_rate == pytest.approx(500)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)

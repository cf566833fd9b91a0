"""DICOM objects of several multiplex groups, and channels with skews, baselines, paddings and other units."""

import numpy as np
import pytest
from container_writers import dicom_group, dicom_object
from pydicom.uid import ExplicitVRBigEndian

from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgContentError, EcgUnsafeError, read_ecg


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    """Twelve distinct leads of 4 s at 500 Hz, whole µV."""
    time = np.arange(2000) / 500
    return np.round([(300 + 40 * k) * np.sin(2 * np.pi * (1 + 0.3 * k) * time) for k in range(12)]).astype(int)


def group(stored, leads, samples=slice(None), **options):
    rows = [STANDARD_LEADS.index(lead) for lead in leads]
    return dicom_group(stored[rows, samples], leads, **options)


def rows_of(recording, leads):
    return recording.signal[[recording.lead_names.index(lead) for lead in leads]]


def test_simultaneous_groups_are_one_ecg(stored):
    for leads in (STANDARD_LEADS[:6], STANDARD_LEADS[6:]), (STANDARD_LEADS[::2], STANDARD_LEADS[1::2]):
        recording = read_ecg(dicom_object(*(group(stored, part) for part in leads)))
        np.testing.assert_allclose(rows_of(recording, STANDARD_LEADS), stored / 1000, atol=1e-6)


def test_groups_of_two_rates_are_put_at_the_higher_one(stored):
    slow = dicom_group(stored[6:, ::2], STANDARD_LEADS[6:], rate=250)
    recording = read_ecg(dicom_object(slow, group(stored, STANDARD_LEADS[:6])))
    assert recording.sampling_rate == 500
    inner = slice(50, -50)
    np.testing.assert_allclose(rows_of(recording, STANDARD_LEADS)[:, inner], stored[:, inner] / 1000, atol=0.01)
    assert "Resampled from 250 to 500 Hz: V1, V2, V3, V4, V5, V6." in recording.notes


def test_time_offsets_put_groups_after_each_other(stored):
    """Four groups of three leads, one second each, as carts print them; milliseconds."""
    groups = [
        group(stored, STANDARD_LEADS[3 * k : 3 * k + 3], slice(500 * k, 500 * k + 500), MultiplexGroupTimeOffset=str(1000 * k))
        for k in range(4)
    ]  # fmt: skip
    rhythm = group(stored, ["II"], MultiplexGroupTimeOffset="0", label="RHYTHM")
    for order in ([*groups, rhythm], [rhythm, *groups[::-1]]):
        recording = read_ecg(dicom_object(*order))
        signal = rows_of(recording, STANDARD_LEADS)
        assert signal.shape == (12, 2000)
        for k in range(12):
            kept = slice(0, 2000) if k == 1 else slice(500 * (k // 3), 500 * (k // 3) + 500)
            np.testing.assert_allclose(signal[k, kept], stored[k, kept] / 1000, atol=1e-6)
            assert np.isfinite(signal[k]).sum() == kept.stop - kept.start
        assert any("different times" in note for note in recording.notes)


def test_second_recording_of_the_same_leads_comes_after_a_gap(stored):
    first = group(stored, STANDARD_LEADS, slice(0, 500), MultiplexGroupTimeOffset="250")
    second = group(stored, STANDARD_LEADS, slice(500, 1000), MultiplexGroupTimeOffset="2250")
    signal = rows_of(read_ecg(dicom_object(second, first)), STANDARD_LEADS)
    assert signal.shape == (12, 1500)
    np.testing.assert_allclose(signal[:, :500], stored[:, :500] / 1000, atol=1e-6)
    np.testing.assert_allclose(signal[:, 1000:], stored[:, 500:1000] / 1000, atol=1e-6)
    assert np.isnan(signal[:, 500:1000]).all()


def test_longer_rhythm_strip_gives_no_gaps(stored):
    twelve = group(stored, STANDARD_LEADS, slice(0, 1000), label="12 LEADS")
    recording = read_ecg(dicom_object(group(stored, ["II"], label="STRIP"), twelve))
    np.testing.assert_allclose(rows_of(recording, STANDARD_LEADS), stored[:, :1000] / 1000, atol=1e-6)
    assert "Left out: 2 s of STRIP (II) outside 12 LEADS." in recording.notes


def test_two_recordings_of_unknown_times_are_not_mixed(stored):
    """Both say nothing of their time and differ: one is read, the other named."""
    other = dicom_group(stored[::-1], STANDARD_LEADS, label="AFTER EXERCISE")
    recording = read_ecg(dicom_object(group(stored, STANDARD_LEADS, label="REST"), other))
    np.testing.assert_allclose(recording.signal, stored / 1000, atol=1e-6)
    (note,) = recording.notes
    assert note.startswith("Left out: AFTER EXERCISE, whose I, II")
    assert note.endswith("differ from those of REST.")


def test_skews_and_offsets_of_channels_are_undone(stored):
    channel = {
        "II": {"ChannelSampleSkew": "3"},
        "III": {"ChannelTimeSkew": "0.004"},
        "aVR": {"ChannelSampleSkew": "1", "ChannelOffset": "0.008"},
        "aVL": {"ChannelSampleSkew": "0.3"},
    }
    recording = read_ecg(dicom_object(group(stored, STANDARD_LEADS, channel=channel)))
    skews = [{"II": 3, "III": 2, "aVR": 5}.get(lead, 0) for lead in STANDARD_LEADS]
    assert recording.signal.shape == (12, 2005)
    for lead, skew in enumerate(skews):
        np.testing.assert_allclose(recording.signal[lead, skew : skew + 2000], stored[lead] / 1000, atol=1e-6)
        assert np.isnan(recording.signal[lead]).sum() == 5
    assert recording.notes == ("Leads of waveform 1 were moved by up to 5 samples, as the file says.",)


def test_baseline_correction_and_unit_of_each_channel_count(stored):
    channel = {
        "II": {"ChannelBaseline": "-40", "ChannelSensitivityCorrectionFactor": "1.5"},
        "III": {"units": "mV", "ChannelSensitivity": "0.001", "ChannelBaseline": "0.25"},
        "aVR": {"units": "nV", "ChannelSensitivity": "1000"},
        "aVL": {"units": "V", "ChannelSensitivity": "0.000001"},
    }
    signal = read_ecg(dicom_object(group(stored, STANDARD_LEADS, channel=channel))).signal
    expected = stored / 1000
    expected[1] = expected[1] * 1.5 - 0.04
    expected[2] += 0.25
    np.testing.assert_allclose(signal, expected, atol=1e-6)


def test_pressure_beside_the_leads_is_left_out(stored):
    beside = dicom_group(stored[:2], ["II", "ART"], channel={"ART": {"units": "mm[Hg]"}})
    alone = dicom_group(stored[:1], ["ART"], units="mm[Hg]", rate=125)
    recording = read_ecg(dicom_object(alone, beside))
    assert recording.lead_names == ("II",)
    np.testing.assert_allclose(recording.signal, stored[:1] / 1000, atol=1e-6)
    assert recording.metadata["dropped_channels"] == ["ART [mm[Hg]]", "ART [mm[Hg]]"]
    with pytest.raises(EcgContentError, match="none of its channels is an ECG lead"):
        read_ecg(dicom_object(alone))


def test_channel_without_sensitivity_that_nobody_wants_refuses_nothing(stored):
    item = dicom_group(stored[:2], ["II", "Marker"])
    del item.ChannelDefinitionSequence[1].ChannelSensitivity
    assert read_ecg(dicom_object(item)).lead_names == ("II",)


def test_padding_value_is_missing_where_it_is_no_measurement(stored):
    padded = stored.copy()
    padded[3, 1500:] = -32768
    padded[4] = padded[4] + 9000
    padded[4, :7] = 0
    for value, missing in ((-32768, {3: 500}), (0, {3: 500, 4: 7})):
        recording = read_ecg(dicom_object(group(padded, STANDARD_LEADS, WaveformPaddingValue=value)))
        nan = np.isnan(recording.signal).sum(axis=1)
        assert {lead: count for lead, count in enumerate(nan.tolist()) if count} == missing
    assert any(note.startswith("0 isn't taken as missing in I, II") for note in recording.notes)


def test_lowest_number_is_missing_without_a_padding_value_too(stored):
    lost = stored.copy()
    lost[2, :4] = -32768
    recording = read_ecg(dicom_object(group(lost, STANDARD_LEADS)))
    assert np.isnan(recording.signal).sum(axis=1).tolist() == [0, 0, 4, *[0] * 9]
    assert recording.notes == ("4 samples of -32768 are taken as missing in III.",)


def test_big_endian_samples(stored):
    item = group(stored, STANDARD_LEADS, WaveformPaddingValue=-32768)
    for keyword in ("WaveformData", "WaveformPaddingValue"):
        item[keyword].value = np.frombuffer(item[keyword].value, "<i2").astype(">i2").tobytes()
    recording = read_ecg(dicom_object(item, syntax=ExplicitVRBigEndian))
    np.testing.assert_allclose(recording.signal, stored / 1000, atol=1e-6)


@pytest.mark.parametrize("rate", ["0", "-5", "nan"])
def test_rate_that_is_none_is_refused(stored, rate):
    item = group(stored, STANDARD_LEADS[:6])
    item.SamplingFrequency = rate
    with pytest.raises(EcgContentError, match="expected a sampling rate above 0 Hz"):
        read_ecg(dicom_object(item, group(stored, STANDARD_LEADS[6:])))


def test_groups_whose_rates_would_unfold_without_end_are_refused(stored):
    slow = dicom_group(stored[:1], ["I"], rate=1)
    fast = dicom_group(stored[1:2, :10], ["II"], rate=90_000)
    with pytest.raises(EcgUnsafeError, match="would unfold from 1 to 90000 Hz"):
        read_ecg(dicom_object(slow, fast))


def test_units_argument_supplies_what_a_dicom_object_lacks(stored):
    content = dicom_object(group(stored, ["I", "II"], units="LSB"))
    with pytest.raises(EcgContentError, match=r"the unit of lead\(s\) 'I', 'II' is 'LSB'.*`units=\"mV\"`"):
        read_ecg(content)
    np.testing.assert_allclose(read_ecg(content, units="uV").signal, stored[:2] / 1000, atol=1e-6)


def test_lead_names_name_the_channels_of_all_groups(stored):
    content = dicom_object(dicom_group(stored[:1], ["channel A"]), dicom_group(stored[1:2], ["channel B"]))
    recording = read_ecg(content, lead_names=["V1", "V2"])
    np.testing.assert_allclose(rows_of(recording, ["V1", "V2"]), stored[:2] / 1000, atol=1e-6)
    with pytest.raises(EcgContentError, match="`lead_names` has 1 names, the file has 2 channels"):
        read_ecg(content, lead_names=["V1"])


def test_what_the_device_says_of_a_channel_is_passed_on(stored):
    notes = read_ecg(dicom_object(group(stored, ["I", "II"], channel={"II": {"ChannelStatus": "DISCONNECTED"}}))).notes
    assert notes == ("The device says of II: disconnected.",)

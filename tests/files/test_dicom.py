"""DICOM waveforms: what a decoding by hand gives comes back."""

import numpy as np
import pydicom
import pytest
from ecg_writers import dicom_bytes
from pydicom.data import get_testdata_file

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    read_ecg,
)


@pytest.fixture(scope="module")
def dicom() -> pydicom.Dataset:
    """The 12-lead recording that pydicom ships for its own tests."""
    return pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))


def test_dicom_equals_a_decoding_by_hand(dicom):
    group = dicom.WaveformSequence[0]
    stored = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12).T
    # Each step is 1.25 µV, with a correction factor of 1 and no baseline, for each of the twelve channels.
    assert {float(channel.ChannelSensitivity) for channel in group.ChannelDefinitionSequence} == {1.25}
    recording = read_ecg(get_testdata_file("waveform_ecg.dcm"))
    np.testing.assert_allclose(recording.signal, stored * 0.00125, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (1000, STANDARD_LEADS)
    assert recording.metadata == {"format": "DICOM", "age": 42, "sex": "female"}


def set_channel(index, **values):
    return lambda dataset: [
        setattr(dataset.WaveformSequence[0].ChannelDefinitionSequence[index], name, value)
        for name, value in values.items()
    ]


def test_dicom_padding_value_is_nan_and_baseline_is_added(dicom):
    stored = np.frombuffer(dicom.WaveformSequence[0].WaveformData, "<i2").reshape(-1, 12).T.copy()
    stored[4, 7] = stored[4].max() + 3000

    def change(dataset):
        dataset.WaveformSequence[0].WaveformData = stored.T.tobytes()
        dataset.WaveformSequence[0].add_new("WaveformPaddingValue", "OW", stored[4, 7].tobytes())
        set_channel(0, ChannelBaseline="40")(dataset)

    signal = read_ecg(dicom_bytes(dicom, change)).signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[4, 7]]
    np.testing.assert_allclose(signal[0], stored[0] * 0.00125 + 0.04, atol=1e-6)


def test_dicom_leads_are_known_by_code_where_the_name_is_unknown(dicom):
    def change(dataset):
        source = dataset.WaveformSequence[0].ChannelDefinitionSequence[3].ChannelSourceSequence[0]
        source.CodeMeaning, source.CodeValue = "unnamed", "2:62"

    assert read_ecg(dicom_bytes(dicom, change)).lead_names == STANDARD_LEADS


@pytest.mark.parametrize("before", [2, 70_000])
def test_deflated_dicom_is_refused_before_it_unfolds(dicom, before):
    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
        dataset.file_meta.FileMetaInformationVersion = bytes(before)

    with pytest.raises(EcgFormatError, match="deflated transfer syntax"):
        read_ecg(dicom_bytes(dicom, change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda ds: setattr(ds.WaveformSequence[0], "NumberOfWaveformSamples", 2**31), EcgCorruptError, "expected 2,147,483,648 samples"),
        (lambda ds: setattr(ds.WaveformSequence[0], "WaveformData", b"\0" * 100), EcgCorruptError, "got 100"),
        (lambda ds: setattr(ds.WaveformSequence[0], "NumberOfWaveformChannels", 11), EcgCorruptError, "expected 10,000 samples of 12 channels"),
        (lambda ds: setattr(ds.WaveformSequence[0], "WaveformSampleInterpretation", "MB"), EcgFormatError, "16 bits as 'MB'"),
        (lambda ds: setattr(ds.WaveformSequence[0], "SamplingFrequency", 0), EcgContentError, "above 0 Hz"),
        (lambda ds: delattr(ds, "WaveformSequence"), EcgFormatError, "holds no waveform"),
        (set_channel(2, ChannelSensitivity="0"), EcgContentError, r"sensitivity of .*III.* is 0"),
        (lambda ds: delattr(ds.WaveformSequence[0].ChannelDefinitionSequence[0], "ChannelSensitivity"), EcgContentError, "no sensitivity is stated"),
        (lambda ds: setattr(ds.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSensitivityUnitsSequence[0], "CodeValue", "mm[Hg]"), EcgContentError, "expected a voltage"),
    ],
)  # fmt: skip
def test_wrong_dicom_is_refused(dicom, change, error, message):
    with pytest.raises(error, match=message):
        read_ecg(dicom_bytes(dicom, change))


@pytest.mark.parametrize(
    ("age", "years"),
    [("018M", 1), ("024M", 2), ("200W", 3), ("999D", 2), ("061Y", 61), ("999Y", None), ("61", None), ("", None)],
)
def test_dicom_ages_are_in_years(dicom, age, years):
    metadata = read_ecg(dicom_bytes(dicom, lambda ds: setattr(ds, "PatientAge", age))).metadata
    assert metadata == {"format": "DICOM", "sex": "female", **({} if years is None else {"age": years})}


def test_dicom_channel_is_known_by_its_label_or_left_out(dicom):
    def change(dataset):
        definitions = dataset.WaveformSequence[0].ChannelDefinitionSequence
        del definitions[0].ChannelSourceSequence
        definitions[0].ChannelLabel = "Lead I"
        del definitions[1].ChannelSourceSequence
        definitions[2].ChannelSourceSequence[0].CodeMeaning = "Pulse"
        definitions[2].ChannelSourceSequence[0].CodeValue = "9-9"

    recording = read_ecg(dicom_bytes(dicom, change))
    assert recording.lead_names == ("I", *STANDARD_LEADS[3:])
    assert recording.metadata["dropped_channels"] == ["channel 2", "Pulse"]


def test_dicom_correction_factor_counts(dicom):
    def change(dataset):
        dataset.WaveformSequence[0].ChannelDefinitionSequence[0].ChannelSensitivityCorrectionFactor = "2"

    twice, once = (read_ecg(dicom_bytes(dicom, how)).signal for how in (change, lambda ds: None))
    np.testing.assert_allclose(twice[0], 2 * once[0], rtol=1e-6)
    np.testing.assert_array_equal(twice[1:], once[1:])


@pytest.mark.parametrize(
    ("bits", "kind", "dtype"), [(8, "SB", "i1"), (8, "UB", "u1"), (16, "US", "<u2"), (32, "SL", "<i4")]
)
def test_dicom_samples_of_other_widths(dicom, bits, kind, dtype):
    stored = np.arange(120).reshape(10, 12).astype(dtype)

    def change(dataset):
        (group,) = dataset.WaveformSequence = dataset.WaveformSequence[:1]
        group.WaveformBitsAllocated, group.WaveformSampleInterpretation = bits, kind
        group.NumberOfWaveformSamples, group.WaveformData = 10, stored.tobytes()

    np.testing.assert_allclose(read_ecg(dicom_bytes(dicom, change)).signal, stored.T * 0.00125, atol=1e-6)


def test_dicom_of_several_groups_gives_the_original_one(dicom):
    """The second group of pydicom's example holds median beats, which are derived."""

    def derived_first(dataset):
        dataset.WaveformSequence = list(reversed(dataset.WaveformSequence))

    assert [group.WaveformOriginality for group in dicom.WaveformSequence] == ["ORIGINAL", "DERIVED"]
    recording = read_ecg(dicom_bytes(dicom, derived_first))
    np.testing.assert_array_equal(recording.signal, read_ecg(dicom_bytes(dicom)).signal)

"""Every format but WFDB: what was written, or what a decoding by hand gives, comes back."""

import contextlib
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ecg_writers import dicom_bytes, edf_bytes, saved, scp_bytes, table
from ecgdatakit import FileParser
from pydicom.data import get_testdata_file
from scipy.io import savemat

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgDependencyError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgUnsafeError,
    canonical_lead,
    read_ecg,
)

# NumPy


def test_npy_in_microvolts(microvolts, millivolts):
    recording = read_ecg(saved(np.save, microvolts), sampling_rate=100, units="uV")
    np.testing.assert_allclose(recording.signal, millivolts, rtol=1e-6)
    assert recording.lead_names == STANDARD_LEADS


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_number_type_and_order(millivolts, dtype, order):
    content = saved(np.save, np.asarray(millivolts[:3], dtype=dtype, order=order))
    recording = read_ecg(content, sampling_rate=250.5, lead_names=["x", "II", "v2"])
    np.testing.assert_allclose(recording.signal, millivolts[:3], rtol=1e-3)
    assert recording.lead_names == ("X", "II", "V2")
    assert recording.sampling_rate == 250.5


def test_npz_states_rate_leads_and_unit(microvolts, millivolts):
    content = saved(np.savez_compressed, ecg=microvolts[:2], fs=500, leads=["MLII", "v5"], units="uV")
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts[:2], rtol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (500, ("II", "V5"))


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (lambda mv: saved(np.save, mv), EcgContentError, "sampling rate isn't in the file"),
        (lambda mv: saved(np.save, mv.T), EcgContentError, r"got \(200, 12\). It looks transposed"),
        (lambda mv: saved(np.save, mv[0]), EcgContentError, r"expected one matrix|of shape \(leads, samples\)"),
        (lambda mv: saved(np.save, (mv * 1000).astype(int)), EcgContentError, 'whole numbers without a unit.*units="uV"'),
        (lambda mv: saved(np.save, np.array([{}], object)), EcgUnsafeError, "Python objects are never loaded"),
        (lambda mv: saved(np.save, mv)[:-1], EcgCorruptError, "takes 9,600 bytes, the file has 9,599"),
        (lambda mv: saved(np.save, mv) + b"0", EcgCorruptError, "the file has 9,601"),
        (lambda mv: saved(np.save, mv).replace(b"(12, 200)", b"(12,10**9)"), EcgCorruptError, "numpy can't read it"),
        (lambda mv: saved(np.save, mv).replace(b"(12, 200)", b"(99999999"), EcgCorruptError, "numpy can't read it"),
        (lambda mv: saved(np.save, np.full((12, 9), np.inf)), EcgContentError, r"infinite values in lead\(s\) I, II"),
        (lambda mv: saved(np.save, mv[:8]), EcgContentError, "8 channels and doesn't name them"),
        (lambda mv: saved(np.savez, a=mv, b=mv), EcgContentError, "expected one matrix called"),
        (lambda mv: saved(np.savez, ecg=mv, fs=100, leads=["I"] * 12), EcgContentError, r"lead\(s\) I occur more than once"),
        (lambda mv: saved(np.savez, ecg=mv, fs=0), EcgContentError, "above 0 Hz"),
        (lambda mv: saved(np.savez, ecg=mv, fs=100, units="mmHg"), EcgContentError, "'mmHg' is no unit of voltage"),
        (lambda mv: saved(np.savez, ecg=mv, fs=100)[:-9], EcgCorruptError, "zipfile can't read it"),
        (lambda mv: saved(np.savez_compressed, ecg=np.zeros((12, 2_000_000), "i1")), EcgUnsafeError, "unfolds to 24,000,000 numbers"),
        (lambda mv: saved(np.savez, x=np.array([{}], object)), EcgUnsafeError, "x.npy.*never loaded"),
    ],
)  # fmt: skip
def test_wrong_numpy_file_is_refused(millivolts, content, error, message):
    content = content(millivolts.astype(np.float32))
    with pytest.raises(error, match=message):
        read_ecg(content, sampling_rate=None if "rate" in message or content[:2] == b"PK" else 100)


def test_rate_of_the_caller_and_of_the_file_must_agree(millivolts):
    with pytest.raises(EcgContentError, match=r"its sampling rate is 500 Hz, `sampling_rate` says 100"):
        read_ecg(saved(np.savez, ecg=millivolts, fs=500), sampling_rate=100)


def test_zip_bomb_is_refused_before_it_unfolds():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("ecg.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "<f8", "fortran_order": False, "shape": (12, 2_000_000)}
        )
        for _ in range(200):
            member.write(bytes(1_000_000))
    assert len(stream.getvalue()) < 300_000
    with pytest.raises(EcgUnsafeError, match="unfold to 200,000,"):
        read_ecg(stream.getvalue())


def test_spreadsheet_is_refused_with_a_cure():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(EcgFormatError, match="CSV for Excel"):
        read_ecg(stream.getvalue())


# MATLAB


@pytest.mark.parametrize("compressed", [False, True])
def test_cpsc2018_struct(millivolts, compressed):
    struct_of = {"ECG": {"sex": "Female", "age": 48, "data": millivolts.astype(np.float64)}}
    recording = read_ecg(saved(savemat, struct_of, do_compression=compressed))
    np.testing.assert_array_equal(recording.signal, millivolts)
    assert recording.sampling_rate == 500
    assert recording.metadata == {"format": "CPSC2018", "sex": "female", "age": 48}


def test_cpsc2018_age_may_be_nan(millivolts):
    content = saved(savemat, {"ECG": {"sex": "Male", "age": np.nan, "data": millivolts}})
    assert read_ecg(content).metadata == {"format": "CPSC2018", "sex": "male"}


@pytest.mark.parametrize("version", ["4", "5"])
def test_matlab_matrix_with_what_the_caller_states(microvolts, millivolts, version):
    content = saved(savemat, {"val": microvolts}, format=version)
    recording = read_ecg(content, sampling_rate=500, units="µV")
    np.testing.assert_allclose(recording.signal, millivolts, rtol=1e-6)


def test_matlab_cell_of_lead_names(millivolts):
    leads = np.array(["I", "II"], dtype=object)
    recording = read_ecg(saved(savemat, {"ecg": millivolts[:2].astype(float), "fs": 360.0, "leads": leads}))
    assert (recording.sampling_rate, recording.lead_names) == (360, ("I", "II"))


def test_challenge_matrix_without_its_header_asks_for_what_is_missing(microvolts):
    with pytest.raises(EcgContentError, match="sampling rate isn't in the file"):
        read_ecg(saved(savemat, {"val": microvolts}, format="4"))
    with pytest.raises(EcgContentError, match="whole numbers without a unit"):
        read_ecg(saved(savemat, {"val": microvolts}, format="4"), sampling_rate=500)


def matlab5_bomb() -> bytes:
    packed = zlib.compress(bytes(170_000_000), 1)
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<2I", 15, len(packed)) + packed


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (lambda: b"MATLAB 7.3 MAT-file".ljust(600), EcgFormatError, "-v7"),
        (lambda: b"\x89HDF\r\n\x1a\n".ljust(600), EcgFormatError, "-v7"),
        (matlab5_bomb, EcgUnsafeError, "unfolds to over 160,000,000 bytes"),
        (lambda: saved(savemat, {"val": np.ones((12, 99))}, do_compression=True)[:-30], EcgCorruptError, "damaged MATLAB data"),
        (lambda: saved(savemat, {"val": np.ones((12, 99))}).replace(b"\5\0\0\0\x08", b"\7\0\0\0\x08", 1), EcgCorruptError, "no whole numbers"),
        (lambda: saved(savemat, {"name": "no signal"}), EcgContentError, "expected one matrix called"),
        (lambda: saved(savemat, {"ECG": {"data": np.ones((12, 99)).T}}), EcgContentError, "looks transposed"),
    ],
)  # fmt: skip
def test_wrong_matlab_file_is_refused(content, error, message):
    with pytest.raises(error, match=message):
        read_ecg(content(), sampling_rate=500)


@pytest.mark.real_data
def test_real_cpsc2018_structs_equal_scipy(data_root):
    from scipy.io import loadmat

    files = sorted(data_root.glob("cpsc2018/original/*.mat"))
    assert len(files) == 11
    for file in files:
        reference = loadmat(file)["ECG"][0, 0]
        recording = read_ecg(file)
        np.testing.assert_array_equal(recording.signal, reference["data"].astype(np.float32))
        assert recording.metadata["age"] == reference["age"].item()


# Tables


@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), ("\t", "."), (";", "."), (";", ","), ("\t", ","), (" ", ".")]
)
def test_table_with_time_in_any_dialect(millivolts, separator, decimal):
    time = np.arange(200) / 100
    content = table(np.column_stack([time, millivolts.T]), separator, ["time", *STANDARD_LEADS], decimal)
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)


def test_table_without_header_or_time_takes_the_callers_word(millivolts):
    recording = read_ecg(table(millivolts.T), sampling_rate=500)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert recording.sampling_rate == 500


def test_table_units_in_the_names_and_a_running_number(microvolts, millivolts):
    rows = np.column_stack([np.arange(200), microvolts[1] / 1000, microvolts[6], 37 + microvolts[0] / 1e5])
    content = b"# exported, sampling rate: 360 Hz\n" + table(
        rows, header=["sample", "II [mV]", "V1 (uV)", "Temp (degC)"]
    )
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts[[1, 6]], atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (360, ("II", "V1"))
    assert recording.metadata["dropped_channels"] == ["Temp (degC)"]


def test_table_as_rdsamp_writes_it(microvolts, millivolts):
    """PhysioNet's rdsamp: quoted names, a row of units, clock times."""
    rows = [f"'0:{k / 100:06.3f}',{microvolts[1, k]},{microvolts[10, k]}" for k in range(200)]
    content = "\n".join(["'Elapsed time','MLII','V5'", "'hh:mm:ss.mmm','uV','uV'", *rows]).encode()
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, millivolts[[1, 10]], atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (100, ("II", "V5"))


def test_table_time_in_milliseconds_and_rounded(millivolts):
    time = np.round(np.arange(200) / 360, 3) * 1000
    content = table(np.column_stack([time, millivolts[:1].T]), header=["Time (ms)", "I"])
    assert read_ecg(content).sampling_rate == 360


def test_table_empty_cell_is_a_missing_sample(millivolts):
    lines = table(millivolts[:2].T, header=["I", "II"]).decode().splitlines()
    lines[5] = lines[5].split(",")[0] + ","
    signal = read_ecg("\n".join(lines).encode(), sampling_rate=100).signal
    assert np.argwhere(np.isnan(signal)).tolist() == [[1, 4]]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_table_in_any_encoding(millivolts, encoding):
    text = "time,I (µV),II (µV)\n" + table(np.column_stack([np.arange(200) / 100, 1000 * millivolts[:2].T])).decode()
    np.testing.assert_allclose(read_ecg(text.encode(encoding)).signal, millivolts[:2], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "I,II\n0.1,0.2\n0.3,=cmd|' /C calc'!A0\n",
            EcgCorruptError,
            "line 3, column II: expected a number, got .=cmd",
        ),
        ("I,II\n0.1,0.2\n0.3\n", EcgCorruptError, "line 3 has 1 columns, expected 2"),
        ("I,I\n0.1,0.2\n0.3,0.4\n", EcgContentError, r"lead\(s\) I occur more than once"),
        ("I,II\n", EcgContentError, "column names and no rows"),
        ("name,age\n0.1,0.2\n", EcgContentError, "none of its channels is an ECG lead"),
        ("time,I\n0,0.2\n0,0.4\n", EcgContentError, "doesn't advance"),
        ("time,I\n0,0.2\n0.01,0.4\n0.02,0.4\n0.5,1.4\n", EcgContentError, "gaps or uneven steps"),
        ("time,I\n0,0.2\n0.01,0.4\n", EcgContentError, r"disagree: 100 Hz and 500 Hz"),
        ("I,II\n612,300\n-40,-700\n", EcgContentError, "whole numbers without a unit"),
        (("0.5," * 50)[:-1] + "\n" + ("\n".join([("0.5," * 50)[:-1]] * 11)), EcgContentError, "looks transposed"),
        ("a," * 40_000 + "a\n" + "1\n" * 90_000, EcgCorruptError, "expected 40001 columns"),
        ("# only a comment\n", EcgFormatError, "without rows"),
        ("1," * 60_000 + "1\n", EcgUnsafeError, "at most 100,000 characters in a row, got 120,001"),
        ("I,II\n" + "\n" * 2_000_001, EcgUnsafeError, "at most 2,000,000 rows"),
    ],
)
def test_wrong_table_is_refused_by_row_and_column(text, error, message):
    with pytest.raises(error, match=message):
        read_ecg(text.encode(), sampling_rate=500)


def test_table_without_rate_asks_for_it():
    with pytest.raises(EcgContentError, match=r"no column `time`. Pass e.g. `sampling_rate=500`"):
        read_ecg(b"I,II\n0.1,0.2\n0.3,0.4\n")


# EDF and BDF


def decode_edf_by_hand(content: bytes) -> np.ndarray:
    """The EDF specification in ten lines: µV of each signal, all of one rate."""
    count, records = int(content[252:256]), int(content[236:244])

    def fields(start, width):
        at = 256 + start * count
        return [content[at + width * k : at + width * (k + 1)].decode().strip() for k in range(count)]

    low, high = (np.array(fields(at, 8), float)[:, None] for at in (104, 112))
    digital_low, digital_high = (np.array(fields(at, 8), float)[:, None] for at in (120, 128))
    per_record = int(fields(216, 8)[0])
    stored = np.frombuffer(content[256 * (1 + count) :], "<i2").reshape(records, count, per_record)
    stored = stored.transpose(1, 0, 2).reshape(count, -1)
    return (stored - digital_low) * (high - low) / (digital_high - digital_low) + low


def test_edf_equals_a_decoding_by_hand(millivolts):
    content = edf_bytes(millivolts)
    recording = read_ecg(content)
    np.testing.assert_allclose(recording.signal, decode_edf_by_hand(content) / 1000, atol=1e-5)
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-3)
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS)
    assert recording.metadata == {"format": "EDF", "sex": "female", "age": 69}


def test_bdf_holds_24_bits(millivolts):
    recording = read_ecg(edf_bytes(millivolts, bdf=True))
    np.testing.assert_allclose(recording.signal, millivolts, atol=2e-6)
    assert recording.metadata["format"] == "BDF"


def test_edf_channels_of_other_rates_are_left_out_by_name(millivolts):
    names = ["ECG II", "Resp", "ECG V5"]
    recording = read_ecg(edf_bytes(millivolts[:3], names=names, rates={"Resp": 10}))
    assert recording.lead_names == ("II", "V5")
    assert recording.metadata["dropped_channels"] == ["Resp"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda edf: edf[:-2], EcgCorruptError, "declares 2 data records of 2,400 bytes, there are 4,798 bytes"),
        (lambda edf: edf + b"00", EcgCorruptError, "there are 4,802 bytes"),
        (lambda edf: edf[:236] + b"99999999" + edf[244:], EcgCorruptError, "declares 99,999,999 data records"),
        (lambda edf: edf[:252] + b"9999" + edf[256:], EcgCorruptError, "EDF header is malformed"),
        (lambda edf: edf[:300], EcgCorruptError, "EDF header is malformed"),
        (lambda edf: edf.replace(b"-5000   ", b"5000    "), EcgContentError, "zero gain of I, II, III"),
        (lambda edf: edf.replace(b"V6 ", b"V5 ", 1), EcgContentError, r"lead\(s\) V5 occur more than once"),
        (lambda edf: edf.replace(b"uV  ", b"mmHg"), EcgContentError, "none of its channels is an ECG lead"),
    ],
)
def test_wrong_edf_is_refused(millivolts, change, error, message):
    with pytest.raises(error, match=message):
        read_ecg(change(edf_bytes(millivolts)))


def test_edf_leads_of_different_rates_are_refused(millivolts):
    with pytest.raises(EcgContentError, match=r"different sampling rates \(Hz\): I 100.0, II 50.0"):
        read_ecg(edf_bytes(millivolts[:2], names=["I", "II"], rates={"II": 50}))


# DICOM


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
    stored = np.frombuffer(dicom.WaveformSequence[0].WaveformData, "<i2").reshape(-1, 12).T

    def change(dataset):
        dataset.WaveformSequence[0].add_new("WaveformPaddingValue", "OW", stored[4, 7].tobytes())
        set_channel(0, ChannelBaseline="40")(dataset)

    signal = read_ecg(dicom_bytes(dicom, change)).signal
    assert np.isnan(signal[4, 7])
    good = np.isfinite(signal[0])
    np.testing.assert_allclose(signal[0, good], stored[0, good] * 0.00125 + 0.04, atol=1e-6)


def test_dicom_leads_are_known_by_code_where_the_name_is_unknown(dicom):
    def change(dataset):
        source = dataset.WaveformSequence[0].ChannelDefinitionSequence[3].ChannelSourceSequence[0]
        source.CodeMeaning, source.CodeValue = "unnamed", "2:62"

    assert read_ecg(dicom_bytes(dicom, change)).lead_names == STANDARD_LEADS


def test_deflated_dicom_is_refused_before_it_unfolds(dicom):
    def change(dataset):
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"

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


# XML


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
        ({"units": "FURLONGS"}, EcgContentError, "'FURLONGS', expected MICROVOLTS"),
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


# SCP-ECG


def test_scp_is_scaled_and_the_limb_leads_derived(microvolts, millivolts):
    recording = read_ecg(scp_bytes(microvolts))
    assert (recording.sampling_rate, recording.lead_names) == (100, STANDARD_LEADS[:7])
    np.testing.assert_allclose(recording.signal, millivolts[:7], atol=1e-6)
    assert recording.metadata == {
        "format": "SCP-ECG", "age": 61, "sex": "female", "derived_leads": ["III", "aVR", "aVL", "aVF"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "change", "error", "message"),
    [
        ({}, lambda scp: scp[:-20] + b"\1" + scp[-19:], EcgCorruptError, "checksum doesn't match"),
        ({}, lambda scp: scp[:-2], EcgCorruptError, "ecgdatakit can't read it"),
        ({"multiplier": 0}, lambda scp: scp, EcgContentError, "amplitude multiplier is 0"),
        ({"interval": 0}, lambda scp: scp, EcgCorruptError, "sample interval is 0"),
        (
            {"codes": (1, 2, 2)},
            lambda scp: scp,
            EcgContentError,
            r"lead\(s\) II occur more than once",
        ),
        ({"starts": [1, 201, 1]}, lambda scp: scp, EcgContentError, "leads start at different times"),
    ],
)
def test_wrong_scp_is_refused(microvolts, stated, change, error, message):
    with pytest.raises(error, match=message):
        read_ecg(change(scp_bytes(microvolts, **stated)))


# Another reader of the same files


@pytest.mark.parametrize("kind", ["muse", "aecg", "edf", "dicom"])
def test_leads_equal_those_of_ecgdatakit(kind, tmp_path, millivolts, muse_xml, aecg_xml):
    path = tmp_path / f"ecg{ {'muse': '.xml', 'aecg': '.xml', 'edf': '.edf', 'dicom': '.dcm'}[kind] }"
    path.write_bytes(
        {
            "muse": lambda: muse_xml().encode(),
            "aecg": lambda: aecg_xml().encode(),
            "edf": lambda: edf_bytes(millivolts),
            "dicom": lambda: Path(get_testdata_file("waveform_ecg.dcm")).read_bytes(),
        }[kind]()
    )
    recording = read_ecg(path)
    ours = dict(zip(recording.lead_names, recording.signal, strict=True))
    theirs = FileParser().parse(path).to_physical()
    compared = 0
    for lead in theirs.leads:
        assert lead.sampling_rate == recording.sampling_rate
        scale = {"uV": 1e-3, "µV": 1e-3, "mV": 1.0}[lead.units]
        np.testing.assert_allclose(ours[canonical_lead(lead.label)], lead.samples * scale, atol=1e-5)
        compared += 1
    assert compared in (8, 12)


# Any file


@pytest.mark.parametrize("suffix", [".edf", ".csv", ""])
def test_content_decides_not_the_name(tmp_path, muse_xml, suffix):
    path = tmp_path / f"exported{suffix}"
    path.write_text(muse_xml())
    assert read_ecg(path).metadata["format"] == "MUSE"


def test_open_file_and_bytes_read_alike(tmp_path, millivolts):
    path = tmp_path / "ecg.npy"
    np.save(path, millivolts)
    with path.open("rb") as file:
        np.testing.assert_array_equal(read_ecg(file, sampling_rate=100).signal, millivolts)
    np.testing.assert_array_equal(read_ecg(memoryview(path.read_bytes()), sampling_rate=100).signal, millivolts)
    with path.open("rb") as file, pytest.raises(TypeError, match="binary mode"):
        read_ecg(io.TextIOWrapper(file, "latin-1"))
    with pytest.raises(TypeError, match="expected a path, bytes or an open binary file, got int"):
        read_ecg(3)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", EcgCorruptError, "it is empty"),
        (bytes(range(256)), EcgFormatError, "no known ECG format. Known are WFDB"),
        (b"\x12\x34" + bytes(14) + b"SCPECG" + bytes(99), EcgCorruptError, "ecgdatakit can't read it"),
        (
            b"00001_lr 1 100 5\n00001_lr.dat 16 1000.0(0)/mV 16 0 1 2 0 I\n",
            EcgFormatError,
            "Pass the path of the header",
        ),
        (b"%PDF-1.7\n\x00", EcgFormatError, "no known ECG format"),
    ],
)
def test_unknown_content_is_refused(content, error, message):
    with pytest.raises(error, match=message):
        read_ecg(content)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(EcgFileNotFoundError, match=r"nowhere: there is no such file, nor one with \.hea"):
        read_ecg(tmp_path / "nowhere")
    with pytest.raises(EcgFileNotFoundError, match="a folder, expected a file"):
        read_ecg(tmp_path)
    with pytest.raises(EcgFileNotFoundError, match="Check the path"):
        read_ecg("null\0byte")


def test_missing_package_names_the_extra(monkeypatch, muse_xml):
    import sys

    monkeypatch.setitem(sys.modules, "defusedxml.ElementTree", None)
    with pytest.raises(EcgDependencyError, match=r'read by defusedxml.*pip install "etp-ecg\[files\]"'):
        read_ecg(muse_xml().encode())


def test_what_the_file_states_is_not_overruled(muse_xml):
    with pytest.raises(EcgContentError, match="its sampling rate is 100 Hz, `sampling_rate` says 500"):
        read_ecg(muse_xml().encode(), sampling_rate=500)
    with pytest.raises(EcgContentError, match="the file states the unit"):
        read_ecg(muse_xml().encode(), units="V")


def test_errors_cross_process_borders():
    import pickle

    error = pickle.loads(pickle.dumps(EcgCorruptError("file.hea", "is broken.")))
    assert (type(error), str(error), error.source) == (EcgCorruptError, "file.hea: is broken.", "file.hea")
    assert isinstance(error, ValueError)


def test_metadata_is_plain_data(muse_xml, aecg_xml, millivolts):
    for content in (muse_xml().encode(), aecg_xml().encode(), edf_bytes(millivolts)):
        json.dumps(read_ecg(content).metadata)


@pytest.mark.parametrize("kind", ["npy", "npz", "mat4", "mat5", "mat7", "csv", "edf", "bdf", "muse", "aecg", "scp"])
def test_a_file_cut_anywhere_is_read_or_refused_by_name(kind, millivolts, microvolts, muse_xml, aecg_xml):
    content = {
        "npy": lambda: saved(np.save, millivolts),
        "npz": lambda: saved(np.savez_compressed, ecg=millivolts, leads=STANDARD_LEADS),
        "mat4": lambda: saved(savemat, {"val": microvolts}, format="4"),
        "mat5": lambda: saved(savemat, {"ECG": {"sex": "Male", "age": 50, "data": millivolts}}),
        "mat7": lambda: saved(
            savemat, {"ecg": millivolts, "leads": np.array(STANDARD_LEADS, object)}, do_compression=True
        ),
        "csv": lambda: table(millivolts.T[:40], header=STANDARD_LEADS),
        "edf": lambda: edf_bytes(millivolts),
        "bdf": lambda: edf_bytes(millivolts, bdf=True),
        "muse": lambda: muse_xml().encode(),
        "aecg": lambda: aecg_xml().encode(),
        "scp": lambda: scp_bytes(microvolts, rows=(0, 1, *range(6, 12)), codes=range(1, 9)),
    }[kind]()
    stated = {} if kind in ("edf", "bdf", "muse", "aecg", "scp") else {"sampling_rate": 500, "units": "mV"}
    assert len(read_ecg(content, **stated).lead_names) == 12
    for length in [*range(0, 300, 3), *range(300, len(content), len(content) // 50)]:
        with contextlib.suppress(EcgFileError):
            recording = read_ecg(content[:length], **stated)
            assert len(recording.lead_names) == len(recording.signal)


@pytest.mark.parametrize(
    "cell_of",
    [
        lambda inner: {"ecg": inner, "fs": 500.0, "rest": {"a": [1.0, "text"]}},
        lambda inner: {"ecg": inner.astype(">f4"), "fs": np.uint16(500), "units": "mV"},
        lambda inner: {"other": "x", "p_signal": np.asfortranarray(inner), "sample_rate": 500},
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_values_equal_what_scipy_wrote(millivolts, cell_of, compressed):
    recording = read_ecg(saved(savemat, cell_of(millivolts), do_compression=compressed))
    np.testing.assert_array_equal(recording.signal, millivolts)
    assert recording.sampling_rate == 500


def test_matlab_rows_of_text_name_the_leads(millivolts):
    content = saved(savemat, {"ecg": millivolts[:3], "fs": 500, "leads": np.array(["I", "II", "aVR"])})
    assert read_ecg(content).lead_names == ("I", "II", "aVR")


def test_matlab_of_a_big_endian_machine(millivolts):
    """Version 4 as the format's document lays it out: 1000 marks big-endian, 0 is double."""
    content = struct.pack(">5i", 1000, 12, 200, 0, 4) + b"ecg\0" + millivolts.T.astype(">f8").tobytes()
    np.testing.assert_array_equal(read_ecg(content, sampling_rate=500).signal, millivolts)


def test_matlab_parts_inside_each_other_without_end_are_refused(millivolts):
    value = 1.0
    for _ in range(20):
        value = {"a": value}
    with pytest.raises(EcgCorruptError, match="inside each other"):
        read_ecg(saved(savemat, {"ecg": millivolts, "deep": value}), sampling_rate=500)

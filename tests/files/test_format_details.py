"""What only some files have: patients without an age, other encodings and units, and damage to single fields."""

import io
import struct

import numpy as np
import pydicom
import pytest
from ecg_writers import dicom_bytes, edf_bytes, saved, scp_bytes, table
from pydicom.data import get_testdata_file
from scipy.io import savemat

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)
from modeling_etp.matlab_files_etp import load_matlab

# NumPy


def test_npy_of_a_later_version_is_refused(millivolts):
    content = bytearray(saved(np.save, millivolts))
    content[6] = 3
    with pytest.raises(EcgFormatError, match=r"got \.npy version \(3, 0\)"):
        read_ecg(bytes(content), sampling_rate=100)


def test_npy_with_a_long_header_is_read(millivolts):
    """Version 2 counts the bytes of its header in four, not two."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, millivolts, version=(2, 0))
    np.testing.assert_array_equal(read_ecg(stream.getvalue(), sampling_rate=100).signal, millivolts)


def test_npz_of_too_many_arrays_is_refused(millivolts):
    with pytest.raises(EcgUnsafeError, match="101 arrays that unfold"):
        read_ecg(saved(np.savez, **{f"a{k}": np.zeros(1) for k in range(101)}))
    assert len(read_ecg(saved(np.savez, ecg=millivolts, fs=100, **{f"a{k}": 0 for k in range(98)})).signal) == 12


# MATLAB


@pytest.mark.parametrize("stated", [{"sampling_rate": 250}, {"units": "uV"}])
def test_what_the_archive_defines_of_a_cpsc2018_struct_is_not_overruled(millivolts, stated):
    content = saved(savemat, {"ECG": {"data": millivolts}})
    with pytest.raises(EcgContentError, match="the CPSC2018 archive is in mV at 500 Hz"):
        read_ecg(content, **stated)
    assert read_ecg(content, sampling_rate=500, units="mV").sampling_rate == 500


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_values_of_every_kind(compressed):
    """As scipy writes them: numbers keep type and shape; complex numbers and several structs in one are no ECG's."""
    values = {
        "double": np.arange(6.0).reshape(2, 3),
        "short": np.arange(-3, 3, dtype=np.int16).reshape(3, 2),
        "text": "äb",
        "rows": np.array(["one", "three"]),
        "cell": np.array([["a", 2.0], [np.eye(2), "b"]], dtype=object),
        "nested": {"inner": {"x": 5.0}},
        "complex": np.ones((2, 2)) * 1j,
        "many": np.array([(1.0,), (2.0,)], dtype=[("x", object)]),
        "nothing": np.empty((0, 0)),
    }
    loaded = load_matlab(saved(savemat, values, do_compression=compressed), "file.mat")
    for name in ("double", "short"):
        np.testing.assert_array_equal(loaded[name], values[name])
        assert loaded[name].dtype == values[name].dtype
    assert loaded["text"] == "äb"
    assert loaded["rows"] == ["one", "three"]
    a, eye, two, b = loaded["cell"]  # column by column
    assert (a, two.item(), b) == ("a", 2, "b")
    np.testing.assert_array_equal(eye, np.eye(2))
    assert loaded["nested"]["inner"]["x"].item() == 5
    assert loaded["complex"] is None
    assert loaded["many"] is None
    assert loaded["nothing"].size == 0


def test_matlab_4_keeps_numbers_and_passes_over_the_rest(microvolts):
    content = saved(savemat, {"text": "abc", "val": microvolts, "z": np.ones((2, 2)) * 1j}, format="4")
    loaded = load_matlab(content, "file.mat")
    assert set(loaded) == {"val"}
    np.testing.assert_array_equal(loaded["val"], microvolts)


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<2I", kind, len(data)) + data + bytes(-len(data) % 8)


def _matlab5(*parts: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"".join(parts)


def _array(array_class: int, shape: tuple[int, ...], *parts: bytes, name: bytes = b"ecg") -> bytes:
    head = _element(6, struct.pack("<2I", array_class, 0)) + _element(5, struct.pack(f"<{len(shape)}i", *shape))
    return _element(14, head + _element(1, name) + b"".join(parts))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (_matlab5(struct.pack("<2I", 1 | 5 << 16, 0)), "a small element of 5 bytes"),
        (_matlab5(struct.pack("<2I", 14, 80)), "an element of 80 bytes where 0 are left"),
        (_matlab5(_array(4, (2, 4), _element(16, b"one"))), r"3 characters for a text of \[2, 4\]"),
        (_matlab5(_array(1, (1, 20_000))), "20,000 parts, expected at most 10,000"),
        (_matlab5(_array(1, (1, -1))), "-1 parts"),
        (_matlab5(_array(2, (1, 1), _element(5, struct.pack("<i", 0)), _element(1, b""))), "field names of 0 characters"),
        (_matlab5(_array(2, (1, 1), _element(5, struct.pack("<i", 1)), _element(1, b"a" * 10_001))), "field names of 1 characters in 10,001"),
        (_matlab5(_array(6, (2, 2), _element(9, bytes(24)))), "cannot reshape"),
        (_matlab5(_array(6, (2, 2), _element(99, bytes(32)))), "99"),
        (struct.pack("<5i", 0, 2, 2, 0, 4) + b"ecg\0" + bytes(31), "a matrix of 2 x 2 needs 56 bytes, the file has 55"),
    ],
)  # fmt: skip
def test_damage_to_a_matlab_file_is_named(content, message):
    with pytest.raises(EcgCorruptError, match=message):
        load_matlab(content, "file.mat")


def test_matlab_text_of_a_big_endian_machine():
    head = struct.pack(">2I", 6, 8) + struct.pack(">2I", 4, 0) + struct.pack(">2I2i", 5, 8, 1, 2)
    data = (
        head
        + struct.pack(">2I", 1, 4)
        + b"name"
        + bytes(4)
        + struct.pack(">2I", 4, 4)
        + "äb".encode("utf-16-be")
        + bytes(4)
    )
    content = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + struct.pack(">2I", 14, len(data)) + data
    assert load_matlab(content, "file.mat") == {"name": "äb"}


# Tables


def test_damaged_utf16_is_refused(millivolts):
    content = table(millivolts.T, header=STANDARD_LEADS).decode().encode("utf-16")
    with pytest.raises(EcgCorruptError, match="damaged UTF-16 text"):
        read_ecg(content[:-1], sampling_rate=100)


def test_names_of_the_caller_stand_for_a_missing_first_row(millivolts):
    content = table(millivolts[:2].T)
    assert read_ecg(content, sampling_rate=100, lead_names=["II", "V5"]).lead_names == ("II", "V5")
    with pytest.raises(EcgContentError, match="`lead_names` has 3 names for 2 columns"):
        read_ecg(content, sampling_rate=100, lead_names=["I", "II", "V5"])


def test_a_table_may_come_from_any_system(millivolts):
    text = table(millivolts[:2].T, header=["I", "II"]).decode()
    for end in ("\r\n", "\r"):
        recording = read_ecg(text.replace("\n", end).encode(), sampling_rate=100)
        np.testing.assert_allclose(recording.signal, millivolts[:2], atol=1e-6)


# EDF


def test_edf_without_a_birthdate_or_sex(millivolts):
    content = edf_bytes(millivolts)
    assert content[8:88].rstrip() == b"X F 01-JUN-1950 X"
    for patient, expected in (
        (b"X F X X", {"sex": "female"}),
        (b"X X 01-JUN-1950 X", {"age": 69}),
        (b"X X 01-JUN-2030 X", {}),
    ):
        metadata = read_ecg(content[:8] + patient.ljust(80) + content[88:]).metadata
        assert metadata == {"format": "EDF", **expected}


def test_edf_record_length_that_is_no_number_of_samples_is_refused(millivolts):
    content = edf_bytes(millivolts)
    with pytest.raises(EcgCorruptError, match=r"EDF header is malformed \(1025\)"):
        read_ecg(content[:252] + b"1025" + content[256:])


# DICOM


@pytest.fixture(scope="module")
def dicom() -> pydicom.Dataset:
    return pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))


@pytest.mark.parametrize(
    ("age", "years"), [("018M", 1), ("200W", 3), ("999D", 2), ("061Y", 61), ("999Y", None), ("61", None), ("", None)]
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


@pytest.mark.parametrize(("bits", "kind", "dtype"), [(8, "SB", "i1"), (16, "US", "<u2"), (32, "SL", "<i4")])
def test_dicom_samples_of_other_widths(dicom, bits, kind, dtype):
    stored = np.arange(120).reshape(10, 12).astype(dtype)

    def change(dataset):
        (group,) = dataset.WaveformSequence = dataset.WaveformSequence[:1]
        group.WaveformBitsAllocated, group.WaveformSampleInterpretation = bits, kind
        group.NumberOfWaveformSamples, group.WaveformData = 10, stored.tobytes()

    np.testing.assert_allclose(read_ecg(dicom_bytes(dicom, change)).signal, stored.T * 0.00125, atol=1e-6)


# XML


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
    [("61", "YEARS", 61), ("30", "MONTHS", 2), ("400", "DAYS", 1), ("60", "WEEKS", 1), ("61", "EONS", None), ("x", "YEARS", None), ("400", "YEARS", None)],
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
        ("TIME_ABSOLUTE", "MDC_ECG_LEAD_X", EcgContentError, "has the unit None"),
        ("</sequenceSet></component>", "</sequenceSet></component><component><sequenceSet><component><sequence>"
         '<code code="TIME_RELATIVE"/><value><increment value="2" unit="ms"/></value></sequence></component>'
         "</sequenceSet></component>", EcgContentError, r"different sampling intervals, \[0.01, 0.002\] s"),
    ],
)  # fmt: skip
def test_damage_to_an_aecg_file_is_named(aecg_xml, old, new, error, message):
    with pytest.raises(error, match=message):
        read_ecg(aecg_xml().replace(old, new, 1).encode())


def test_aecg_without_leads_is_refused(aecg_xml):
    text = aecg_xml()
    start = text.index('<component><sequence><code code="MDC')
    stop = text.rindex("</sequence></component>") + len("</sequence></component>")
    with pytest.raises(EcgContentError, match="its first series has 1 time axes and 0 leads"):
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


def test_aecg_interval_may_be_in_milliseconds(aecg_xml, millivolts):
    recording = read_ecg(aecg_xml(increment='<increment value="2" unit="ms"/>').encode())
    assert recording.sampling_rate == 500
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)


# SCP-ECG


def test_scp_patients_may_be_unknown(microvolts, monkeypatch):
    import ecgdatakit.parsing.parsers.scp_ecg as scp

    parse = scp.SCPECGParser.parse

    def without_patient(self, path):
        record = parse(self, path)
        record.patient.age = record.patient.sex = None
        return record

    monkeypatch.setattr(scp.SCPECGParser, "parse", without_patient)
    assert set(read_ecg(scp_bytes(microvolts)).metadata) == {"format", "derived_leads"}


# Any file


def test_too_large_a_table_is_refused(millivolts, monkeypatch):
    monkeypatch.setattr("modeling_etp.ecg_files_etp.MAX_TEXT_BYTES", 1000)
    with pytest.raises(EcgUnsafeError, match="expected at most 1,000 bytes of table, got more"):
        read_ecg(table(millivolts.T), sampling_rate=100)


def test_what_is_no_regular_file_is_refused():
    with pytest.raises(EcgUnsafeError, match="it isn't a regular file"):
        read_ecg("/dev/null")


def test_what_the_system_refuses_is_named(tmp_path, monkeypatch):
    with pytest.raises(EcgFileNotFoundError, match=r"can't be looked up.*Check the path"):
        read_ecg(tmp_path / ("x" * 5000))
    path = tmp_path / "ecg.csv"
    path.write_text("I,II\n")

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(EcgFileError, match=r"ecg\.csv: can't be read \(Permission denied\)"):
        read_ecg(path)


def test_names_for_another_number_of_channels_are_refused(millivolts):
    with pytest.raises(EcgContentError, match="`lead_names` has 2 names, the file has 12 channels"):
        read_ecg(saved(np.save, millivolts), sampling_rate=100, lead_names=["I", "II"])


def test_a_file_without_a_sample_is_refused():
    with pytest.raises(EcgContentError, match="it holds no samples"):
        read_ecg(saved(np.save, np.zeros((12, 0))), sampling_rate=100)

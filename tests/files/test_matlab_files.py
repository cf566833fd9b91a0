"""MATLAB files of versions 4 to 7: what scipy wrote, structs of CPSC2018, and damage."""

import struct
import zlib

import numpy as np
import pytest
from ecg_writers import saved
from scipy.io import savemat

from modeling_etp.ecg_files_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgUnsafeError,
    read_ecg,
)
from modeling_etp.matlab_files_etp import load_matlab


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
        (lambda: b"MATLAB 7.3 MAT-file".ljust(600), EcgCorruptError, "h5py can't read it"),
        (lambda: b"\x89HDF\r\n\x1a\n".ljust(600), EcgCorruptError, "h5py can't read it"),
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

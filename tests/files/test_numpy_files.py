"""NumPy files: arrays and archives of arrays, and what is refused of them."""

import io
import zipfile

import numpy as np
import pytest
from ecg_writers import saved

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)


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
        (lambda mv: saved(np.save, mv[0]), EcgContentError, "1 channels and doesn't name them"),
        (lambda mv: saved(np.save, (mv * 1000).astype(int)), EcgContentError, 'whole numbers without a unit.*units="uV"'),
        (lambda mv: saved(np.save, np.array([{}], object)), EcgUnsafeError, "Python objects are never loaded"),
        (lambda mv: saved(np.save, mv)[:-1], EcgCorruptError, "takes 9,600 bytes, the file has 9,599"),
        (lambda mv: saved(np.save, mv) + b"0", EcgCorruptError, "the file has 9,601"),
        (lambda mv: saved(np.save, mv).replace(b"(12, 200)", b"(12,10**9)"), EcgCorruptError, "numpy can't read it"),
        (lambda mv: saved(np.save, mv).replace(b"(12, 200)", b"(99999999"), EcgCorruptError, "numpy can't read it"),
        (lambda mv: saved(np.save, np.full((12, 9), np.inf)), EcgContentError, r"infinite values in lead\(s\) I, II"),
        (lambda mv: saved(np.save, mv[:8]), EcgContentError, "8 channels and doesn't name them"),
        (lambda mv: saved(np.savez, a=mv, b=2 * mv), EcgContentError, "expected one matrix called"),
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


def test_npy_with_a_damaged_header_is_named(millivolts, tmp_path):
    content = bytearray(saved(np.save, millivolts))
    content[12] = 0
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(EcgCorruptError, match=r"a\.npy: "):
        read_ecg(tmp_path / "a.npy", sampling_rate=100)


@pytest.mark.parametrize("change", [lambda ecg: ecg[None], lambda ecg: ecg > 0, lambda ecg: ecg.astype(complex)])
def test_what_is_no_array_of_leads_and_samples_is_refused_with_a_cure(millivolts, change):
    with pytest.raises(EcgContentError, match=r"expected numbers of shape \(leads, samples\), got .* Save one ECG so"):
        read_ecg(saved(np.save, change(millivolts)), sampling_rate=100)

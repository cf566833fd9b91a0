"""What holds for every format: content decides, errors name the file, another reader agrees."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from ecg_writers import edf_bytes, saved, scp_bytes, table
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


def test_a_missing_package_is_named_as_pip_names_it(monkeypatch, muse_xml):
    import sys

    monkeypatch.setitem(sys.modules, "defusedxml.ElementTree", None)
    with pytest.raises(
        EcgDependencyError, match=r"read by defusedxml, which is not installed: pip install defusedxml\."
    ):
        read_ecg(muse_xml().encode())
    monkeypatch.setitem(sys.modules, "pdfminer.layout", None)
    with pytest.raises(EcgDependencyError, match=r"read by pdfminer, .*: pip install pdfminer\.six\."):
        read_ecg(b"%PDF-1.4\n")


def test_what_the_file_states_is_not_overruled(muse_xml):
    with pytest.raises(EcgContentError, match="its sampling rate is 100 Hz, `sampling_rate` says 500"):
        read_ecg(muse_xml().encode(), sampling_rate=500)
    with pytest.raises(EcgContentError, match=r"lead I is in 'MICROVOLTS', `units` says 'V'\. Leave `units` out"):
        read_ecg(muse_xml().encode(), units="V")
    stated = read_ecg(muse_xml().encode(), sampling_rate=100, units="uV").signal
    np.testing.assert_array_equal(stated, read_ecg(muse_xml().encode()).signal)


def test_what_an_error_quotes_from_a_file_is_escaped_once():
    error = EcgCorruptError("file.hea", "lead \x1b[2J\x9bI\u202e\nis é, café.")
    assert str(error) == r"file.hea: lead \x1b[2J\x9bI\u202e is é, café."
    assert str(EcgCorruptError(error.source, error.problem)) == str(error)


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


def test_of_many_names_twenty_are_shown():
    signal = np.zeros((2, 21))
    for count in (20, 21):
        text = ",".join(f"c{number}" for number in range(count)) + "\n" + table(signal[:, :count]).decode()
        with pytest.raises(EcgContentError, match="none of its channels is an ECG lead") as refused:
            read_ecg(text.encode(), sampling_rate=100)
        assert "'c19'" in str(refused.value)
        assert "c20" not in str(refused.value)
        assert ("… 21 in all" in str(refused.value)) == (count == 21)
        assert (" in all" in str(refused.value)) == (count == 21)

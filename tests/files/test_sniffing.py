"""Every detector of a format meets files of all formats, and files that nearly are of its format."""

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import ecg_writers
import numpy as np
import pytest
from ecg_writers import edf_bytes, saved, scp_bytes, table
from pydicom.data import get_testdata_file
from scipy.io import savemat

from modeling_etp import ecg_sniffing_etp
from modeling_etp.ecg_files_etp import STANDARD_LEADS, EcgFileError, EcgFormatError, looks_like_wfdb, read_ecg
from modeling_etp.ecg_sniffing_etp import recognise

UV = ecg_writers.make_microvolts()
MV = (UV / 1000).astype(np.float32)
LINES = "\n".join(
    f"100.dat 16 1000(0)/mV 16 0 {row[0]} 0 0 {name}" for row, name in zip(UV, STANDARD_LEADS, strict=True)
)


def hdf5(*, user_block: int = 0) -> bytes:
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=user_block) as file:
        file["ecg"] = MV
    return stream.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


# What a file is -> files of it, as other programs write them.
FILES = {
    "npy": [lambda: saved(np.save, MV), lambda: saved(np.save, UV)],
    "npz": [lambda: saved(np.savez, ecg=MV, fs=100), lambda: saved(np.savez_compressed, ecg=MV)],
    "DICOM": [lambda: Path(get_testdata_file("waveform_ecg.dcm")).read_bytes()],
    "HDF5": [hdf5, lambda: b"MATLAB 7.3 MAT-file".ljust(512) + hdf5(user_block=512)[512:]],
    "EDF": [lambda: edf_bytes(MV), lambda: edf_bytes(MV, bdf=True)],
    "ISHNE": [lambda: b"ISHNE1.0" + bytes(1000)],
    "MFER": [lambda: b"@\x20MFR " + bytes(100)],
    "SCP-ECG": [lambda: scp_bytes(UV), lambda: scp_bytes(UV).replace(b"SCPECG", bytes(6), 1)],
    "MATLAB": [
        lambda: saved(savemat, {"val": UV}, format="4"),
        lambda: saved(savemat, {"val": UV}),
        lambda: saved(savemat, {"val": MV}, do_compression=True),
    ],
    "PDF": [lambda: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", lambda: b"\n%!PS-Adobe\n%PDF-1.4\n"],
    "SVG": [
        lambda: b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://x">\n<!-- <html> -->\n<svg/>',
        lambda: b'<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>',
    ],
    "Philips XML": [lambda: b'<?xml version="1.0"?>\n<restingecgdata xmlns="http://www3.medical.philips.com"/>'],
    "XML": [
        lambda: ecg_writers.muse_xml(UV).encode(),
        lambda: ecg_writers.aecg_xml(UV).encode(),
        lambda: ecg_writers.aecg_xml(UV).replace("UTF-8", "UTF-16").encode("utf-16"),
    ],
    "Kardia JSON": [lambda: json.dumps({"id": "x", "recordedAt": "2020", "data": {}}).encode()],
    "WFDB": [
        lambda: f"100 12 100 200\n{LINES}\n".encode(),
        lambda: f"# made by hand\n100 12 100 200 10:00:00 1/1/2020\r\n{LINES}\r\n#Age: 74\r\n".encode(),
        lambda: b"s1/2 12 500 10000\ns1a 5000\ns1b 5000\n",
        lambda: b"JS00001 12 500 5000\n" + b"".join(b"JS00001.mat 16+24 1000/mV 16 0 -254 21756 0 I\n" for _ in range(12)),
        lambda: "Müller_Å1 1 100 200\nMüller_Å1.dat 16 1000 16 0 0 0 0 I\n".encode(),
        lambda: b"100 1\n~ 0 200 16 0 0 0 0 I\n",
    ],
    "table": [
        lambda: table(MV.T, header=STANDARD_LEADS),
        lambda: table(UV.T),
        # Whole numbers in columns, as rdsamp writes them; the first line could be a record "0" of 16 leads.
        lambda: "\n".join("\t".join(f"{v:8d}" for v in (k, *row)) for k, row in enumerate(UV.T.tolist())).encode(),
        lambda: "\n".join(" ".join(map(str, (k, 16, 212, 500))) for k in range(50)).encode(),
        lambda: b"0       0       0       0\n" * 40,  # starts like EDF
        lambda: b"0       12      250     8 \n0       16      212     8 \n" * 10,
        lambda: b"MATLAB export of a signal\nI,II\n0.1,0.2\n0.3,0.4\n",
        lambda: b"sample 12 500\n0.1 16 200\n0.2 16 200\n",
        lambda: b"time I II\n0.00 0.1 0.2\n0.01 0.1 0.2\n",
        lambda: table(MV.T, header=STANDARD_LEADS).decode().encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + table(MV.T, header=STANDARD_LEADS),
        lambda: b"# OpenSignals Text File Format\n# {}\n# EndOfHeader\n0\t1\t512\n1\t1\t513\n",
        lambda: b"100 200 300\n400 500 600\n",
        lambda: b"Interval=\t0.002 s\nChannelTitle=\tI\n0\t0.1\n",
        lambda: b"xxxxxxxxxxxxxxxxSCPECG,II\n0.1,0.2\n",
    ],
}  # fmt: skip

# Nobody's file -> what its error says.
OTHERS = {
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(99), r"a picture \(PNG\): scans and photographs"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(99), r"a picture \(JPEG\)"),
    "tiff": (b"II*\0" + bytes(99), r"a picture \(TIFF\)"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(99), "a picture"),
    "gzip": (b"\x1f\x8b\x08" + bytes(99), "packed by gzip. Unpack it"),
    "pickle": (pickle.dumps(MV), r"never loaded. Save the ECG with numpy\.save"),
    "json": (b'{"signal": [[1, 2]]}', "JSON. Load it with Python's json"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    "parquet": (b"PAR1" + bytes(99), "a Parquet table"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "Save the table as CSV"),
    "rtf": (b"{\\rtf1\\ansi I,II}", "rich text"),
    "noise": (bytes(range(256)), "no known ECG format"),
    "zeros": (bytes(600), "no known ECG format"),
    "dat": (UV.T.astype("<i2").tobytes(), r"no known ECG format.*a \.dat needs its \.hea"),
    # Near misses of signatures.
    "npy cut": (b"\x93NUMP\0\0", "no known ECG format"),
    "dicom late": (bytes(129) + b"DICM", "no known ECG format"),
    "edf name": (b"\xffBIOSEMA" + bytes(300), "no known ECG format"),
    "hdf late": (bytes(513) + b"\x89HDF\r\n\x1a\n" + bytes(99), "no known ECG format"),
    "scp pointer": (bytes(28) + b"\x08\0\0\0" + bytes(99), "no known ECG format"),
}  # fmt: skip

CASES = [(kind, index) for kind, files in FILES.items() for index in range(len(files))]

# A detector that also takes what a later one is named for; `recognise` asks the narrower one first.
WIDER = {("XML", "Philips XML"), ("XML", "SVG")}


@pytest.mark.parametrize(("kind", "index"), CASES)
def test_each_file_is_told_from_all_other_kinds(kind, index):
    head = FILES[kind][index]()[: ecg_sniffing_etp.HEAD_BYTES]
    if kind == "WFDB":
        with pytest.raises(EcgFormatError, match="a WFDB header"):
            recognise(head, "file")
    else:
        assert recognise(head, "file") == kind
    claims = {detector for detector, looks_like in ecg_sniffing_etp._DETECTORS.items() if looks_like(head)}
    claims -= {wider for wider, narrower in WIDER if narrower == kind}
    if kind == "WFDB":
        claims -= {"table"}  # a header is text, and is asked for before
    assert claims == {kind}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_nobodys_is_refused_for_what_it_is(other):
    content, message = OTHERS[other]
    claims = {detector for detector, looks_like in ecg_sniffing_etp._DETECTORS.items() if looks_like(content)}
    assert claims == set()
    with pytest.raises(EcgFormatError, match=message):
        read_ecg(content)


def test_every_detector_is_in_the_matrix():
    assert set(FILES) == set(ecg_sniffing_etp._DETECTORS)


@pytest.mark.parametrize("index", range(len(FILES["table"])))
def test_a_table_is_never_given_to_the_reader_of_wfdb(tmp_path, monkeypatch, index):
    def refuse(*_, **__):
        raise AssertionError("read as WFDB")

    monkeypatch.setattr("modeling_etp.ecg_files_etp.read_wfdb", refuse)
    path = tmp_path / "record.txt"
    path.write_bytes(FILES["table"][index]())
    with contextlib.suppress(EcgFileError):
        assert read_ecg(path, sampling_rate=100, units="uV").metadata["format"] in ("CSV", "OpenSignals")


def test_a_wfdb_header_that_is_cut_at_the_first_bytes_is_known():
    lines = "\n".join(f"{'x' * 300}_{k}.dat 16 1000 16 0 0 0 0 I" for k in range(12))
    assert looks_like_wfdb(f"r 12 100 200\n{lines}\n".encode())


@pytest.mark.parametrize("name", ["Müller", "записи_1", "心電図", "a b".replace(" ", "_")])
def test_records_with_other_letters_in_their_names(tmp_path, name):
    (tmp_path / f"{name}.dat").write_bytes(UV[:2].T.astype("<i2").tobytes())
    lines = [
        f"{name}.dat 16 1000 16 0 {row[0]} {int(row.sum()) % 65536} 0 {lead}"
        for row, lead in zip(UV[:2], "I II".split(), strict=True)
    ]
    (tmp_path / f"{name}.hea").write_text("\n".join([f"{name} 2 100 200", *lines]) + "\n", encoding="utf-8")
    for path in (tmp_path / name, tmp_path / f"{name}.hea", tmp_path / f"{name}.dat"):
        np.testing.assert_allclose(read_ecg(path).signal, MV[:2], rtol=1e-6)

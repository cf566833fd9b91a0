"""HDF5: MATLAB 7.3, CODE-15's layout of many records, and data sets with attributes."""

import io

import numpy as np
import pytest

from modeling_etp.ecg_files_etp import (
    STANDARD_LEADS,
    EcgContentError,
    EcgCorruptError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgUnsafeError,
    read_ecg,
)

h5py = pytest.importorskip("h5py")


def hdf5(write, *, user_block=0) -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w", userblock_size=user_block) as file:
        write(file)
    return stream.getvalue()


def code15(millivolts, *, ids=(1001, 1002, 77)) -> bytes:
    """Each record of 200 samples in the middle of 300, in 0.1 mV, as `exams_part0.hdf5`."""

    def write(file):
        tracings = np.zeros((len(ids), 300, 12), np.float32)
        for place in range(len(ids)):
            tracings[place, 40:240] = millivolts.T * 10 * (place + 1)
        file["tracings"] = tracings
        if ids[0] is not None:
            file["exam_id"] = np.array(ids)

    return hdf5(write)


def test_one_of_many_records_by_its_number(tmp_path, millivolts):
    path = tmp_path / "exams_part0.hdf5"
    path.write_bytes(code15(millivolts))
    for place, exam in enumerate((1001, 1002, 77)):
        recording = read_ecg(path / str(exam), units="0.1 mV")
        filled = np.flatnonzero(millivolts.any(axis=0))
        expected = millivolts[:, filled[0] : filled[-1] + 1] * (place + 1)
        np.testing.assert_allclose(recording.signal, expected, atol=1e-5)
        assert (recording.sampling_rate, recording.lead_names) == (400, STANDARD_LEADS)
        assert recording.metadata["format"] == "CODE-15"
        assert any("samples of zeros before" in note for note in recording.notes)
    with pytest.raises(EcgContentError, match=rf"holds 3 records. Pass one by its exam_id: {path}/1001"):
        read_ecg(path, units="mV")
    with pytest.raises(EcgContentError, match=rf"holds 3 records, and '5' is none of them. Pass .*{path}/1001"):
        read_ecg(path / "5", units="mV")
    with pytest.raises(EcgContentError, match=r"Save one of them as a file of its own.*behind the path: …/1001"):
        read_ecg(path.read_bytes(), units="mV")


def test_a_record_by_its_place_and_a_unit_that_is_not_stated(tmp_path, millivolts):
    path = tmp_path / "tracings.hdf5"
    path.write_bytes(code15(millivolts, ids=(None, None)))
    with pytest.raises(EcgContentError, match=r'units="0\.1 mV"` for CODE-15 itself, or `units="mV"'):
        read_ecg(f"{path}/1")
    assert read_ecg(f"{path}/1", units="mV").signal.max() == pytest.approx(20 * millivolts.max(), rel=1e-5)
    assert read_ecg(code15(millivolts, ids=(5,)), units="0.1 mV").signal.max() == pytest.approx(
        millivolts.max(), rel=1e-5
    )


def test_a_path_inside_a_file_of_one_ecg_is_refused(tmp_path, millivolts):
    np.save(tmp_path / "a.npy", millivolts)
    with pytest.raises(EcgFileNotFoundError, match="is a file of one ECG, expected a folder or HDF5"):
        read_ecg(tmp_path / "a.npy" / "3", sampling_rate=100)


def test_a_data_set_with_attributes(millivolts, microvolts):
    def write(file):
        data = file.create_dataset("record/ecg", data=microvolts)
        data.attrs.update({"fs": 500, "units": "uV", "leads": [*STANDARD_LEADS[::-1]]})

    recording = read_ecg(hdf5(write))
    np.testing.assert_allclose(recording.signal, millivolts, atol=1e-6)
    assert (recording.sampling_rate, recording.lead_names) == (500, STANDARD_LEADS[::-1])
    assert recording.metadata["format"] == "HDF5"


def test_data_sets_of_text_and_numbers_beside_each_other(millivolts):
    def write(file):
        file["signal"], file["sampling_rate"] = millivolts[:2], 250.0
        file["lead_names"] = ["V1", "II"]
        file["report"] = "sinus rhythm"

    recording = read_ecg(hdf5(write))
    assert (recording.sampling_rate, recording.lead_names) == (250, ("V1", "II"))
    assert any("'report'" in note for note in recording.notes)


def test_matlab_7_3(millivolts):
    """MATLAB writes its columns as rows, text as numbers, cells as references."""

    def write(file):
        def variable(name, value, kind):
            data = file.create_dataset(name, data=value)
            data.attrs["MATLAB_class"] = np.bytes_(kind)
            return data

        variable("val", millivolts[:3].T.astype(float), "double")
        variable("fs", np.array([[360.0]]), "double")
        variable("units", np.array([[ord(c)] for c in "mV"], np.uint16), "char")
        cells = []
        for place, lead in enumerate(("II", "V1", "aVF")):
            variable(f"#refs#/{place}", np.array([[ord(c)] for c in lead], np.uint16), "char")
            cells.append(file[f"#refs#/{place}"].ref)
        variable("leads", np.array(cells, dtype=h5py.ref_dtype).reshape(3, 1), "cell")

    content = hdf5(write, user_block=512)
    content = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + content[512:]
    recording = read_ecg(content)
    np.testing.assert_array_equal(recording.signal, millivolts[:3])
    assert (recording.sampling_rate, recording.lead_names) == (360, ("II", "V1", "aVF"))
    assert recording.metadata["format"] == "MATLAB"


def test_what_lies_in_other_files_is_not_read(tmp_path, millivolts):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(millivolts.T.astype("<f4").tobytes())
    (tmp_path / "other.h5").write_bytes(hdf5(lambda file: file.create_dataset("tracings", data=millivolts.T[None])))
    folder = tmp_path / "upload"
    folder.mkdir()

    def outside(file):
        file.create_dataset("ecg", (12, 200), "<f4", external=[(str(secret), 0, secret.stat().st_size)])

    def link(file):
        file["tracings"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "tracings")

    def virtual(file):
        layout = h5py.VirtualLayout((1, 200, 12), "<f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "tracings", (1, 200, 12))
        file.create_virtual_dataset("tracings", layout)

    for number, write in enumerate((outside, link, virtual)):
        path = folder / f"{number}.h5"
        with h5py.File(path, "w") as file:
            write(file)
        with pytest.raises(EcgUnsafeError, match="Only what is in the file itself is read"):
            read_ecg(path, sampling_rate=100, units="mV")


def test_hdf5_without_an_ecg():
    with pytest.raises(EcgFormatError, match="HDF5 without numbers"):
        read_ecg(hdf5(lambda file: file.create_group("empty")))
    with pytest.raises(EcgContentError, match="expected one matrix called"):
        read_ecg(hdf5(lambda file: file.create_dataset("label", data=np.arange(3))))
    with pytest.raises(EcgContentError, match=r"expected \(records, samples, 12\)"):
        read_ecg(hdf5(lambda file: file.create_dataset("tracings", data=np.ones((2, 9, 8)))))


@pytest.mark.parametrize(
    ("number", "size"),
    [(0, 0), (0, 1 << 63), (1, (1 << 64) - 16), (1, 1 << 40)],
    ids=["no-space", "space-beyond", "object-of-no-size", "object-beyond"],
)
@pytest.mark.parametrize("from_disk", [False, True])
def test_a_heap_without_an_end_is_refused_before_it_is_read(number, size, from_disk, tmp_path, microvolts):
    """From two of them libhdf5 2.0 never returns, and no signal of Python stops it."""
    content = bytearray(named_leads(microvolts))
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 18] = number.to_bytes(2, "little")
    content[heap + 24 : heap + 32] = size.to_bytes(8, "little")
    path = tmp_path / "ecg.h5"
    path.write_bytes(content)
    with pytest.raises(EcgCorruptError, match=rf"the heap at byte {heap} doesn't end"):
        read_ecg(path if from_disk else bytes(content))


def test_a_heap_that_is_whole_is_read(tmp_path, microvolts):
    """Also in a file that was put in the place of one that wasn't."""
    path = tmp_path / "ecg.h5"
    content = named_leads(microvolts)
    damaged = bytearray(content)
    damaged[content.index(b"GCOL") + 24 : content.index(b"GCOL") + 32] = bytes([255] * 8)
    path.write_bytes(damaged)
    with pytest.raises(EcgCorruptError):
        read_ecg(path)
    path.write_bytes(content)
    assert read_ecg(path).lead_names == STANDARD_LEADS
    assert read_ecg(content).lead_names == STANDARD_LEADS


def named_leads(microvolts) -> bytes:
    """Leads named by texts of any length, which HDF5 keeps in a heap."""

    def write(file):
        file["ecg"] = microvolts
        file["units"], file["fs"] = "uV", 100
        file["leads"] = list(STANDARD_LEADS)

    return hdf5(write)

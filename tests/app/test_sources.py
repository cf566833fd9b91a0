"""Uploads and examples: what is read of them, and that nothing of them stays on the disk."""

import errno
import time
from pathlib import Path

import numpy as np
import pytest

from etp.app import sources
from etp.app.sources import AppError, ExampleEcg, SharedUploads, UploadedEcg, read_source, take_upload
from etp.samples import list_samples
from modeling_etp.ecg_files_etp import STANDARD_LEADS, read_ecg

HEADER = "00001_lr.hea"


@pytest.fixture(scope="session")
def record(archive_dir) -> dict[str, bytes]:
    """One WFDB record, file name -> content."""
    folder = archive_dir / "records100" / "00000"
    return {name: (folder / name).read_bytes() for name in (HEADER, "00001_lr.dat")}


def npy(tmp_path, signal) -> bytes:
    np.save(tmp_path / "ecg.npy", signal)
    return (tmp_path / "ecg.npy").read_bytes()


def test_a_wfdb_record_is_read_whatever_the_order_of_its_files(upload, record, archive_dir):
    taken = take_upload(upload(dict(reversed(record.items()))), SharedUploads())
    assert taken.name == HEADER
    expected = read_ecg(archive_dir / "records100" / "00000" / HEADER)
    np.testing.assert_array_equal(read_source(taken).signal, expected.signal)


def test_uploaded_files_are_gone_once_they_are_taken(upload, record, tmp_path):
    take_upload(upload(record), SharedUploads())
    assert not list((tmp_path / "uploads").iterdir())


def test_refused_files_are_gone_too(upload, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_UPLOAD_BYTES", 1_000_000)
    with pytest.raises(AppError, match=r"1\.2 MB came, this page takes up to 1 MB"):
        take_upload(upload({"a.npy": bytes(600_000), "b.npy": bytes(600_000)}), SharedUploads())
    assert not list((tmp_path / "uploads").iterdir())


def test_reading_a_record_leaves_no_file_behind(upload, record, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    taken = take_upload(upload(record), SharedUploads())
    read_source(taken)
    with pytest.raises(AppError):
        UploadedEcg({HEADER: record[HEADER]}).read()
    assert not list((tmp_path / "temporary").iterdir())


def test_what_the_file_does_not_state_is_asked_for_by_the_names_of_the_fields(tmp_path):
    taken = UploadedEcg({"ecg.npy": npy(tmp_path, np.ones((12, 5000), np.float32))})
    with pytest.raises(
        AppError, match=r"ecg\.npy: .*“Sampling rate” 500 \(Hz\).*“What the file doesn't state”"
    ) as error:
        taken.read()
    assert "sampling_rate" not in str(error.value)
    assert taken.read(sampling_rate=500).signal.shape == (12, 5000)


def test_a_header_alone_asks_for_its_signals_and_names_no_folder_of_the_server(record):
    with pytest.raises(
        AppError, match=r"00001_lr\.dat.*Choose the \.hea and the files that it names together"
    ) as error:
        UploadedEcg({HEADER: record[HEADER]}).read()
    assert "/" not in str(error.value)


def test_a_full_disk_names_no_folder_of_the_server(record, monkeypatch):
    def full(path, *args):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AppError, match=r"00001_lr\.hea: .*\(No space left on device\)\. Try again later") as error:
        UploadedEcg(record).read()
    assert "/" not in str(error.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.dat", "b.dat"], "2 files came and none of them is a .hea"),
        (["a.hea", "b.hea"], "2 WFDB headers came at once"),
    ],
)
def test_files_that_are_not_one_ecg_are_refused(names, message):
    with pytest.raises(AppError, match=message):
        read_source(UploadedEcg(dict.fromkeys(names, b"")))


def test_too_many_files_and_files_of_one_name_are_refused(upload, uploads):
    with pytest.raises(AppError, match="9 files came, expected at most 8"):
        take_upload(upload({f"{number}.dat": b"" for number in range(9)}), SharedUploads())
    with pytest.raises(AppError, match=r"Two files have the same name among a\.dat, a\.dat"):
        take_upload([uploads / "one" / "a.dat", uploads / "two" / "a.dat"], SharedUploads())


def test_two_visitors_with_the_same_file_are_both_served(upload):
    """Gradio names the folder of an upload by its content, so both have one file, and the first deletes it."""
    paths = upload({"a.npy": b"content"})
    shared = SharedUploads()
    first, second = take_upload(paths, shared), take_upload(paths, shared)
    assert not any(Path(path).exists() for path in paths)
    assert first.files == second.files == {"a.npy": b"content"}


def test_what_visitors_share_is_forgotten(upload, monkeypatch):
    paths, shared = upload({"a.npy": b"content"}), SharedUploads()
    take_upload(paths, shared)
    now = time.monotonic()
    monkeypatch.setattr("etp.app.sources.time.monotonic", lambda: now + 121)
    with pytest.raises(AppError, match="The upload was lost on its way"):
        take_upload(paths, shared)


def test_what_visitors_share_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("etp.app.sources.SHARED_BYTES", 10)
    shared = SharedUploads()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"123456")
        shared.read(tmp_path / name, (tmp_path / name).read_bytes)
        (tmp_path / name).unlink()
    assert shared.read(tmp_path / "b", (tmp_path / "b").read_bytes) == b"123456"
    with pytest.raises(FileNotFoundError):
        shared.read(tmp_path / "a", (tmp_path / "a").read_bytes)


def test_an_upload_that_vanished_or_is_none_says_so(uploads):
    with pytest.raises(AppError, match="The upload was lost on its way"):
        take_upload([uploads / "gone" / "a.npy"], SharedUploads())
    with pytest.raises(AppError, match="No file came"):
        take_upload([], SharedUploads())


def test_a_recording_of_hours_is_refused_before_anything_is_computed(tmp_path):
    taken = UploadedEcg({"ecg.npy": npy(tmp_path, np.ones((12, 20_000), np.float32))})
    with pytest.raises(AppError, match="333 minutes long at 1 Hz, this page takes up to 30"):
        read_source(taken, sampling_rate=1)


def test_every_sample_is_an_example_with_its_report_and_whose_it_is():
    for sample in list_samples():
        source = ExampleEcg(sample.name)
        recording = source.read(sampling_rate=1)  # what files may not state doesn't concern it
        assert recording.lead_names == STANDARD_LEADS
        assert recording.signal.shape[1] == 10 * recording.sampling_rate
        report, owner = source.about
        assert report == "; ".join(sample.statements)
        assert f"CC BY 4.0), record {sample.record_id}" in owner


def test_an_example_that_there_is_not_is_refused():
    with pytest.raises(AppError, match=r"no example 'asystole', there are normal, atrial-fibrillation"):
        ExampleEcg("asystole").read()

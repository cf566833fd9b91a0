"""Fetching an archive from a server that fails in all the ways servers do."""

import errno
import shutil
import threading
import time
import zipfile

import pytest
from archive_server import write_sums
from small_archives import signal_of, write_original_record

from datasets_scripts import download
from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.cpsc2018 import Cpsc2018
from datasets_scripts.download import RemoteFile, fetch_files, fetch_listed_files
from datasets_scripts.ptb_xl import PtbXl
from datasets_scripts.unzip import unzip_flat

SIGNAL = "records100/00000/00017_lr.dat"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_PAUSE", 0.01)


@pytest.fixture
def server(ptb_xl, serve):
    (ptb_xl / "records500").mkdir()
    (ptb_xl / "records500/00001_hr.dat").write_bytes(b"not wanted at 100 Hz")
    write_sums(ptb_xl)
    return serve(ptb_xl)


def fetch(server, folder):
    fetch_listed_files(server.url, folder, wanted=lambda path: not path.startswith("records500/"))


def same_files(server, folder):
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert not [name for name in names if name.suffix == ".part"]
    return (
        all((folder / name).read_bytes() == (server.root / name).read_bytes() for name in names) and len(names) == 15
    )


def test_a_builder_without_a_folder_fetches_its_archive(server, tmp_path):
    builder = PtbXl(tmp_path / "cache", url=server.url)
    builder.download_and_prepare()
    assert builder.as_dataset()["train"]["record_id"][:] == ["1", "2", "17"]
    assert not any(path.startswith("records500") for path, _ in server.requests)


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")
    count = len(server.requests)
    fetch(server, tmp_path / "copy")
    assert len(server.requests) == count


def test_a_cut_connection_is_resumed_where_it_ended(server, tmp_path):
    server.faults[SIGNAL] = ["cut"]
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")
    assert [asked for path, asked in server.requests if path == SIGNAL] == [None, "bytes=12000-"]


def test_an_interrupted_call_is_resumed_by_the_next_one(server, tmp_path):
    server.faults[SIGNAL] = ["cut", 503, 503, 503, 503]
    with pytest.raises(
        ArchiveError, match=r"00017_lr\.dat could not be fetched in 5 attempts.*503.* 12000 bytes are kept"
    ):
        fetch(server, tmp_path / "copy")
    assert not (tmp_path / "copy" / SIGNAL).exists()
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")
    assert [asked for path, asked in server.requests if path == SIGNAL][-1] == "bytes=12000-"


def test_a_server_without_ranges_sends_the_whole_file_again(server, tmp_path):
    server.faults[SIGNAL] = ["cut", "no ranges"]
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")
    assert sum(path == SIGNAL for path, _ in server.requests) == 2


def test_damaged_content_is_fetched_again(server, tmp_path):
    server.faults[SIGNAL] = ["damaged"]
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")


def test_content_that_stays_wrong_never_gets_the_files_name(server, tmp_path):
    server.faults[SIGNAL] = ["damaged"] * 5
    with pytest.raises(
        ArchiveError, match=r"00017_lr\.dat .*its SHA256 is [0-9a-f]{64}, the publisher gives [0-9a-f]{64}"
    ):
        fetch(server, tmp_path / "copy")
    assert not (tmp_path / "copy" / SIGNAL).exists()
    assert not (tmp_path / "copy" / (SIGNAL + ".part")).exists()


def test_a_stale_part_longer_than_the_file_is_dropped(server, tmp_path):
    part = tmp_path / "copy" / (SIGNAL + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(30_000))
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")


def test_a_missing_file_is_named_at_once(server, tmp_path):
    server.faults[SIGNAL] = [404] * 5
    with pytest.raises(ArchiveError, match=r"00017_lr\.dat: the server answers 404 .*give its folder as `data_dir`"):
        fetch(server, tmp_path / "copy")
    assert sum(path == SIGNAL for path, _ in server.requests) == 1


def test_a_slow_server_is_waited_for(server, tmp_path):
    server.faults[SIGNAL] = ["slow"]
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")


def test_a_server_that_hangs_is_asked_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", 0.1)
    server.faults[SIGNAL] = ["slow"]  # longer than that
    fetch(server, tmp_path / "copy")
    assert same_files(server, tmp_path / "copy")
    assert sum(path == SIGNAL for path, _ in server.requests) == 2


def test_no_server_at_all_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(
        ArchiveError, match=r"http://127\.0\.0\.1:9/SHA256SUMS\.txt could not be fetched in 5 attempts"
    ):
        fetch_listed_files("http://127.0.0.1:9/", tmp_path / "copy", wanted=lambda path: True)


def test_an_error_page_in_place_of_the_checksums_is_refused(server, tmp_path):
    (server.root / "SHA256SUMS.txt").write_text("<html>Please log in</html>\n")
    with pytest.raises(ArchiveError, match=r"SHA256SUMS\.txt, line 1: expected a SHA256 and a path, got '<html>"):
        fetch(server, tmp_path / "copy")
    assert not (tmp_path / "copy/SHA256SUMS.txt").exists()


@pytest.mark.parametrize("path", ["../outside.dat", "/etc/passwd", "a/../../b", "a//b", "C:\\b", ""])
def test_a_path_out_of_the_folder_is_refused(server, tmp_path, path):
    with pytest.raises(ArchiveError, match=r"no plain relative path"):
        fetch_files([RemoteFile(server.url + SIGNAL, path)], tmp_path / "copy")


def test_two_fetches_at_once_do_not_disturb_each_other(server, tmp_path):
    server.faults[SIGNAL] = ["slow"]
    threads = [threading.Thread(target=fetch, args=(server, tmp_path / "copy")) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert same_files(server, tmp_path / "copy")
    assert sum(path == SIGNAL for path, _ in server.requests) == 1


def test_challenge_records_are_fetched(cpsc2018, serve, tmp_path):
    extra = cpsc2018 / "training/cpsc_2018_extra/g1"
    extra.mkdir(parents=True)
    (extra / "Q0001.hea").write_text("another data set of the Challenge")
    write_sums(cpsc2018)
    builder = Cpsc2018(tmp_path / "cache", config_name="challenge", url=serve(cpsc2018).url)
    builder.download_and_prepare()
    assert sorted(record for split in builder.as_dataset().values() for record in split["record_id"]) == [
        "A0001",
        "A0002",
        "A0015",
    ]


def test_original_records_are_fetched_and_unpacked(tmp_path, serve):
    published = tmp_path / "published"
    rows = ["Recording,First_label,Second_label,Third_label"]
    for number in (1, 2, 3):
        folder = published / f"TrainingSet{number}"
        write_original_record(folder, f"A000{number}", signal_of(number, 3000), age=50, sex="Male")
        rows.append(f"A000{number},{number},,")
        shutil.make_archive(str(folder), "zip", published, folder.name)
        shutil.rmtree(folder)
    (published / "REFERENCE.csv").write_text("\n".join(rows) + "\n")
    builder = Cpsc2018(tmp_path / "cache", config_name="original", url=serve(published).url)
    builder.download_and_prepare()
    labels = {row["record_id"]: row["labels"] for split in builder.as_dataset().values() for row in split}
    assert labels == {"A0001": [0], "A0002": [1], "A0003": [2]}


def test_a_damaged_zip_leaves_nothing_behind(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/A0001.mat", bytes(1000))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[500] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip is damaged .*Delete it and fetch it again"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))
    assert {path.name for path in tmp_path.iterdir()} - {"a.lock"} == {"a.zip"}


def test_a_damaged_compressed_member_is_an_error_that_names_the_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("A0001.mat", bytes(range(256)) * 40)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[40:60] = b"\xff" * 20
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip is damaged .*Delete it and fetch it again"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))
    assert not (tmp_path / "a").exists()


def test_a_full_disk_is_not_taken_for_a_damaged_zip(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("A0001.mat", b"x")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(ArchiveError, match=r"a\.zip can't be unpacked to .*/a: No space left on device\. Make room"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "a.lock"}


def test_many_small_members_are_no_way_around_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_scripts.unzip._MAX_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"A{number:04d}.mat", bytes(1000))
    with pytest.raises(ArchiveError, match=r"a\.zip unfolds to 20000 bytes"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))


def test_many_empty_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_scripts.unzip._MAX_MEMBERS", 10)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(11):
            archive.writestr(f"A{number:04d}.mat", b"")
    with pytest.raises(ArchiveError, match=r"a\.zip holds 11 records"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))
    assert not (tmp_path / "a").exists()


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets_scripts.unzip._MAX_MEMBER_BYTES", 10_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("A0001.mat", bytes(1_000_000))
    with pytest.raises(ArchiveError, match=r"'A0001\.mat' unfolds to 1000000 bytes"):
        unzip_flat(tmp_path / "a.zip", tmp_path / "a", endings=(".mat",))


def test_members_of_a_zip_stay_in_its_folder(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("../../A0001.mat", b"x")
    unzip_flat(tmp_path / "a.zip", tmp_path / "sub/a", endings=(".mat",))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mat")] == ["sub/a/A0001.mat"]

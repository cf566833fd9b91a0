"""Records that can't be used: errors name the record, the file and the cure; `on_error="skip"` goes on without them."""

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_archives import signal_of, write_record

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.cpsc2018 import Cpsc2018
from datasets_scripts.ptb_xl import PtbXl

FOLDER = "records100/00000"


def truncate(root: Path) -> None:
    path = root / FOLDER / "00017_lr.dat"
    path.write_bytes(path.read_bytes()[:-100])


def lengthen(root: Path) -> None:
    path = root / FOLDER / "00017_lr.dat"
    path.write_bytes(path.read_bytes() + b"\0\0")


def flip_a_bit(root: Path) -> None:
    path = root / FOLDER / "00017_lr.dat"
    content = bytearray(path.read_bytes())
    content[24 * 500 + 2] ^= 4  # sample 500 of the second lead
    path.write_bytes(content)


def name_a_file_outside(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    shutil.copy(root / FOLDER / "00017_lr.dat", root / "outside.dat")
    path.write_text(path.read_text().replace("00017_lr.dat", "../../outside.dat"))


def name_another_record(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(path.read_text().replace("00017_lr", "00002_lr"))


def link_the_signal(root: Path) -> None:
    path = root / FOLDER / "00017_lr.dat"
    path.rename(root / "elsewhere.dat")
    path.symlink_to(root / "elsewhere.dat")


def link_the_header(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.rename(root / "elsewhere.hea")
    path.symlink_to(root / "elsewhere.hea")


def put_a_pipe(root: Path) -> None:
    path = root / FOLDER / "00017_lr.dat"
    path.unlink()
    os.mkfifo(path)


def claim_a_million_million_samples(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(path.read_text().replace(" 100 1000\n", " 100 1000000000000\n", 1))


def halve_the_rate(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(path.read_text().replace(" 100 1000\n", " 50 1000\n", 1))


def leave_out_a_lead(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(path.read_text().replace(" V6\n", " V7\n"))


def zero_the_gain(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(re.sub(r"1000\.0\(0\)/mV|1000/mV", "0(0)/mV", path.read_text(), count=1))


def make_the_header_huge(root: Path) -> None:
    path = root / FOLDER / "00017_lr.hea"
    path.write_text(path.read_text() + "# x\n" * 100_000)


FAULTS = {
    truncate: r"00017_lr\.dat is truncated: 1000 samples of 12 leads need 24000 bytes, it has 23900\. Fetch",
    lengthen: r"00017_lr\.dat is longer than its header says: .* need 24000 bytes, it has 24002\. Fetch",
    flip_a_bit: r"00017_lr.*lead\(s\) II don't add up to the checksum in the header.*Fetch both files again",
    name_a_file_outside: r"00017_lr\.hea: .*outside",
    name_another_record: r"00017_lr\.hea",
    link_the_signal: r"00017_lr\.dat is a symbolic link.*Copy the file itself",
    link_the_header: r"00017_lr\.hea is a symbolic link.*Copy the file itself",
    put_a_pipe: r"00017_lr\.dat is truncated",
    claim_a_million_million_samples: r"00017_lr\.hea",
    halve_the_rate: r"00017_lr\.hea: expected 1000 samples at 100 Hz, the record has 1000 at 50 Hz",
    leave_out_a_lead: r"00017_lr\.hea: 12 leads are needed, V6 not found",
    zero_the_gain: r"00017_lr\.hea: .*gain",
    make_the_header_huge: r"00017_lr\.hea: a WFDB header has some hundred bytes",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_bad_record_stops_the_build_and_is_named(ptb_xl, tmp_path, fault):
    fault(ptb_xl)
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl)
    with pytest.raises(RecordError, match=r"(?s)Record 17: .*" + FAULTS[fault]):
        builder.download_and_prepare()
    assert not Path(builder.cache_dir).exists()  # nothing is left half written
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_a_bad_record_is_skipped_counted_and_listed_if_asked(ptb_xl, tmp_path, caplog):
    truncate(ptb_xl)
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    builder.download_and_prepare()
    assert builder.as_dataset()["train"]["record_id"][:] == ["1", "2"]
    assert [(row["record_id"], row["split"]) for row in builder.skipped_records] == [("17", "train")]
    assert "is truncated" in builder.skipped_records[0]["error"]
    again = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    again.download_and_prepare()  # from the cache
    assert again.skipped_records == builder.skipped_records


def append_what_is_missing(broken: Path, good: Path) -> None:
    with broken.open("ab") as file:
        file.write(good.read_bytes()[broken.stat().st_size :])


def copy_with_its_times(broken: Path, good: Path) -> None:
    subprocess.run(["cp", "-a", good, broken], check=True)


def change_in_place(broken: Path, good: Path) -> None:
    times = broken.stat().st_atime_ns, broken.stat().st_mtime_ns
    with broken.open("r+b") as file:
        file.write(good.read_bytes())
    os.utime(broken, ns=times)


@pytest.mark.parametrize(
    ("fault", "repair"),
    [
        (truncate, append_what_is_missing),
        (truncate, copy_with_its_times),
        (flip_a_bit, copy_with_its_times),
        (flip_a_bit, change_in_place),
    ],
)
def test_a_build_that_skipped_records_notices_that_they_were_repaired(ptb_xl, tmp_path, fault, repair):
    broken, good = ptb_xl / FOLDER / "00017_lr.dat", tmp_path / "good.dat"
    shutil.copy2(broken, good)
    fault(ptb_xl)
    os.utime(broken, ns=(good.stat().st_atime_ns, good.stat().st_mtime_ns))  # a copy that broke off keeps its times
    skipped = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    skipped.download_and_prepare()
    assert skipped.as_dataset()["train"]["record_id"][:] == ["1", "2"]
    repair(broken, good)
    repaired = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    repaired.download_and_prepare()
    assert repaired.as_dataset()["train"]["record_id"][:] == ["1", "2", "17"]
    assert not repaired.skipped_records


def test_a_change_behind_a_linked_folder_is_noticed(ptb_xl, tmp_path):
    """Records may lie on another disk; a link that leads in a circle or out to everything is not followed."""
    top = FOLDER.partition("/")[0]
    (ptb_xl / top).rename(tmp_path / "another disk")
    (ptb_xl / top).symlink_to(tmp_path / "another disk")
    for name, target in (("circle", ptb_xl), ("everything", "/"), ("again", tmp_path / "another disk")):
        (tmp_path / "another disk" / name).symlink_to(target)
    flip_a_bit(ptb_xl)
    skipped = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    skipped.download_and_prepare()
    assert skipped.skipped_records
    flip_a_bit(ptb_xl)  # back
    repaired = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    repaired.download_and_prepare()
    assert not repaired.skipped_records


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.ESTALE])
def test_a_fault_of_the_system_is_no_fault_of_a_record(ptb_xl, tmp_path, monkeypatch, number):
    """Good records were left out for good, for the cache holds what a build found."""
    original = os.open

    def failing(path, *arguments, **options):
        if str(path).endswith("00017_lr.dat"):
            raise OSError(number, os.strerror(number), str(path))
        return original(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing)
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip").download_and_prepare()
    again = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    again.download_and_prepare()
    assert not again.skipped_records


def test_a_build_that_skips_is_not_taken_for_a_whole_one(ptb_xl, tmp_path):
    skipping = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    assert skipping.cache_dir != PtbXl(tmp_path / "cache", data_dir=ptb_xl).cache_dir


def test_a_split_without_a_usable_record_is_an_error(ptb_xl, tmp_path):
    (ptb_xl / "records100/01000/01002_lr.dat").unlink()  # the only record for test
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    with pytest.raises(ArchiveError, match=r"No record of test can be used: .*01002_lr\.dat is missing"):
        builder.download_and_prepare()


def test_skipped_records_of_two_splits_are_all_listed(ptb_xl, tmp_path):
    for name in ("00000/00001_lr.hea", "01000/01001_lr.dat"):
        (ptb_xl / "records100" / name).unlink()
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    builder.download_and_prepare()
    assert [row["record_id"] for row in builder.skipped_records] == ["1", "1001"]


def test_an_unknown_way_to_handle_errors_is_refused(ptb_xl, tmp_path):
    with pytest.raises(ValueError, match='`on_error` must be "raise" or "skip", got \'ignore\''):
        PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="ignore")


def test_a_half_unpacked_archive_tells_what_is_missing(ptb_xl, tmp_path):
    shutil.rmtree(ptb_xl / "records100/01000")
    (ptb_xl / FOLDER / "00002_lr.dat").unlink()
    with pytest.raises(ArchiveError, match=r"5 of 12 files are missing: records100/00000/00002_lr\.dat, .*physionet"):
        PtbXl(tmp_path / "cache", data_dir=ptb_xl).download_and_prepare()


def test_a_folder_without_the_tables_tells_which(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArchiveError, match=r"2 of 2 files are missing: /?ptbxl_database\.csv"):
        PtbXl(tmp_path / "cache", data_dir=tmp_path / "empty").download_and_prepare()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ArchiveError, match=r"data_dir='.*nowhere' is not a folder"):
        PtbXl(tmp_path / "cache", data_dir=tmp_path / "nowhere")


def test_the_wrong_rate_names_the_missing_records(ptb_xl, tmp_path):
    with pytest.raises(ArchiveError, match=r"12 of 12 files are missing: records500/00000/00001_hr\.hea"):
        PtbXl(tmp_path / "cache", config_name="500hz", data_dir=ptb_xl).download_and_prepare()


def test_a_missing_sample_stays_missing(ptb_xl, tmp_path):
    signal = signal_of(17, 1000)
    signal[3, 10:20] = -32768
    write_record(ptb_xl / FOLDER, "00017_lr", signal, rate=100)
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl)
    builder.download_and_prepare()
    assert builder.as_dataset("train")[2]["ecg"][3][8:22] == signal[3, 8:22].tolist()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda root: (root / "training/cpsc_2018/g1/A0001.mat").unlink(), r"1 of 3 files are missing: .*A0001\.mat"),
        (lambda root: (root / "training/cpsc_2018/g1/A0001.hea").unlink(), r"Record A0001: .*A0001\.hea is missing"),
        (
            lambda root: (root / "original/A0025.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200)),
            r"Record A0025: .*A0025\.mat: damaged MATLAB data .* Fetch it again",
        ),
        (
            lambda root: (root / "REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\n"),
            r"Record A0025: .*no REFERENCE\.csv has labels for it",
        ),
        (
            lambda root: (root / "REFERENCE.csv").write_text(
                "Recording,First_label,Second_label,Third_label\nA0025,10,,\n"
            ),
            r"REFERENCE\.csv, row 2: record A0025: expected one to three labels from 1 to 9, got 10",
        ),
        (
            lambda root: shutil.copy(root / "original/A0025.mat", root / "original/A9999.mat"),
            r"A9999 are no training records of CPSC2018",
        ),
        (
            lambda root: shutil.copytree(root / "original", root / "copy"),
            r"record A0025 is there twice, .*A0025\.mat and .*A0025\.mat",
        ),
    ],
)
def test_bad_archives_of_cpsc2018_are_named(cpsc2018, tmp_path, fault, message):
    fault(cpsc2018)
    with pytest.raises(ArchiveError, match=r"(?s)" + message):
        Cpsc2018(tmp_path / "cache", data_dir=cpsc2018).download_and_prepare()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#Dx: 59118001", "#Dx: 12345", r"#Dx: expected names or SNOMED CT codes of the classes NORM, .* got '12345'"),
        ("#Dx: 59118001", "#Dx: ", r"#Dx: expected names .* got ''"),
        ("#Dx: 59118001", "#Rx: 1", r"the header has no diagnosis"),
        (" 500 3000 ", " 250 3000 ", r"expected 500 Hz, the header says 250 Hz"),
    ],
)
def test_bad_headers_of_cpsc2018_are_named(cpsc2018, tmp_path, old, new, message):
    header = cpsc2018 / "training/cpsc_2018/g1/A0001.hea"
    header.write_text(header.read_text().replace(old, new))
    with pytest.raises(RecordError, match=r"Record A0001: .*A0001\.hea: " + message):
        Cpsc2018(tmp_path / "cache", data_dir=cpsc2018).download_and_prepare()


def test_what_a_killed_build_left_is_not_taken_over(ptb_xl, tmp_path):
    truncate(ptb_xl)
    builder = PtbXl(tmp_path / "cache", data_dir=ptb_xl, on_error="skip")
    unfinished = Path(f"{builder.cache_dir}.incomplete")
    unfinished.mkdir(parents=True)
    row = '{"record_id": "17", "split": "train", "position": 2, "error": "stale"}\n'
    (unfinished / "skipped_records.jsonl").write_text(row)
    (unfinished / "ptb_xl-train.arrow").write_bytes(b"half")
    builder.download_and_prepare()
    assert [row["record_id"] for row in builder.skipped_records] == ["17"]
    assert "stale" not in builder.skipped_records[0]["error"]

"""What no archive may hold is refused by one check, whichever archive it is: the file, the rows and the cure are named."""

import csv
import os
import re

import pytest

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import read_columns
from etp.archives import open_archive


def change(path, old, new):
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))


def repeat_row(path, number):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[number - 1]]))


PTB_XL_FAULTS = {
    "a doubled id": (
        lambda path: change(path, b"\n2,13243.0", b"\n1,13243.0"),
        r"record 1 is there twice \(rows 2 and 3\)\. Keep one of the rows",
    ),
    "a doubled row": (lambda path: repeat_row(path, 2), r"record 1 is there twice \(rows 2 and 8\)"),
    "one file under two ids": (
        lambda path: change(path, b"records100/00000/00002_lr", b"records100/00000/00001_lr"),
        r"file records100/00000/00001_lr is there twice \(rows 2 and 3\), as record 1 and as record 2",
    ),
    "a patient in two splits": (
        lambda path: change(path, b"\n1002,9.0", b"\n1002,17014.0"),
        r"patient 17014 is in validation and in test \(row 7\)\. Put all records of a patient into one split",
    ),
    "an age below 0": (
        lambda path: change(path, b",56.0,", b",-5,"),
        r"row 2: record 1, age: expected an age from 0 to 150 or a blank, got '-5'",
    ),
    "an age beyond all numbers": (
        lambda path: change(path, b",56.0,", b",1e300,"),
        r"row 2: record 1, age: expected an age .* got '1e300'",
    ),
    "an infinite age": (lambda path: change(path, b",56.0,", b",inf,"), r"row 2: record 1, age: .* got 'inf'"),
    "an infinite patient": (lambda path: change(path, b",15709.0,", b",inf,"), r"row 2: record 1, patient_id: "),
    "a report that is no UTF-8": (
        lambda path: change(path, b"periphere niederspannung", "gro\u00dfe".encode("latin-1")),
        r"row 2: b'\\xdf' is not UTF-8\. Save the table as CSV UTF-8",
    ),
    "a missing column": (
        lambda path: change(path, b"strat_fold", b"fold"),
        r"row 1: PTB-XL's table of records has the columns .*; strat_fold is missing",
    ),
    "a column twice": (lambda path: change(path, b"recording_date", b"report"), r"recording_date is missing"),
}


@pytest.mark.parametrize("fault", PTB_XL_FAULTS)
def test_the_table_of_ptb_xl_is_checked(ptb_xl, tmp_path, fault):
    spoil, message = PTB_XL_FAULTS[fault]
    spoil(ptb_xl / "ptbxl_database.csv")
    with pytest.raises(ArchiveError, match=rf"ptbxl_database\.csv.*{message}") as raised:
        open_archive("ptb_xl", ptb_xl, cache_dir=tmp_path / "cache")
    assert "\n" not in str(raised.value)


FOLDER_FAULTS = {
    "an age below 0": ("61.0", "-5", r"record 1 \(2024/a1\): age must be a number in its range or blank, got '-5'"),
    "an age beyond all numbers": ("61.0", "1e300", r"record 1 \(2024/a1\): age .* got '1e300'"),
    "one file under two ids": ("2024/a2,", "2024/a1,", r"record 2024/a1 is there twice \(rows 2 and 3\)"),
    "one file in two spellings": ("2024/a2,", "./2024/a1.hea,", r"2024/a1 is there twice \(rows 2 and 3\)"),
    "a patient in two splits": ("b1.npy,p2", "b1.npy,p1", r"patient p1 is in train and in validation \(row 4\)"),
    "a path outside": ("2024/a2", "../a2", r"file must be a path inside the folder, written with /, got '\.\./a2'"),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_the_table_of_a_folder_is_checked_for_the_same(ecg_folder, tmp_path, fault):
    old, new, message = FOLDER_FAULTS[fault]
    change(ecg_folder / "records.csv", old.encode(), new.encode())
    with pytest.raises(ArchiveError, match=rf"records\.csv.*{message}"):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


def test_labels_of_cpsc2018_in_another_encoding_are_named(cpsc2018, tmp_path):
    (cpsc2018 / "REFERENCE.csv").write_bytes(b"Recording,First_label,Second_label,Third_label\nA0001,5,,\nA\xe4,1,,\n")
    with pytest.raises(ArchiveError, match=r"REFERENCE\.csv, row 3: b'\\xe4' is not UTF-8"):
        open_archive("cpsc2018", cpsc2018, cache_dir=tmp_path / "cache")


def test_labels_of_cpsc2018_without_their_columns_are_named(cpsc2018, tmp_path):
    (cpsc2018 / "REFERENCE.csv").write_text("Recording,First_label\nA0001,5\n")
    with pytest.raises(ArchiveError, match=r"REFERENCE\.csv, row 1: .*; Second_label, Third_label is missing"):
        open_archive("cpsc2018", cpsc2018, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("link", ["2024", "b1.npy", "2024/a1.hea", "2024/a1.dat"])
def test_a_folder_is_not_left_through_a_link(ecg_folder, tmp_path, link):
    path, elsewhere = ecg_folder / link, tmp_path / "elsewhere" / link
    elsewhere.parent.mkdir(parents=True)
    os.rename(path, elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(
        RecordError, match=rf"{re.escape(link)}.* is a link out of the archive .* Copy the file itself"
    ):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


def test_a_header_is_not_read_through_a_link_either(ecg_folder, tmp_path):
    """A row may name the signal file; the header beside it is what is read first."""
    table = ecg_folder / "records.csv"
    change(table, b"2024/a1", b"2024/a1.dat")
    os.rename(ecg_folder / "2024/a1.hea", tmp_path / "a1.hea")
    (ecg_folder / "2024/a1.hea").symlink_to(tmp_path / "a1.hea")
    with pytest.raises(RecordError, match=r"a1\.hea is a link out of the archive"):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("what", ["a link", "a pipe"])
def test_a_table_is_a_file_of_the_archive(ecg_folder, tmp_path, what):
    table = ecg_folder / "records.csv"
    os.rename(table, tmp_path / "records.csv")
    if what == "a pipe":  # which the build would wait for
        os.mkfifo(table)
    else:
        table.symlink_to(tmp_path / "records.csv")
    with pytest.raises(ArchiveError, match=r"records\.csv is no regular file of the archive .* Copy the table itself"):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


def test_a_link_inside_a_folder_is_followed(ecg_folder, tmp_path):
    os.rename(ecg_folder / "b1.npy", ecg_folder / "kept.npy")
    (ecg_folder / "b1.npy").symlink_to(ecg_folder / "kept.npy")
    assert len(open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")["validation"]) == 1


@pytest.mark.parametrize("head", ["a,b", "\ufeffa,b", " a , b ", '"a","b"', '"x, y",b,a', "b,c,a"])
def test_columns_are_found_however_their_names_are_written(tmp_path, head):
    path = tmp_path / "table.csv"
    cells = {"a": "1", "b": "2"}
    names = [name.strip().strip('"\ufeff') for name in next(csv.reader([head]))]
    path.write_text(head + "\r\n" + ",".join(cells.get(name, "9") for name in names) + "\r\n", encoding="utf-8")
    table = read_columns(path, ["a", "b"], what="a table", cure="Write it again.")
    assert table.to_pylist() == [{"a": "1", "b": "2"}]

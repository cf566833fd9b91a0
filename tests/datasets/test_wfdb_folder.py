"""An archive of one's own becomes the same rows as the published ones, and says what is wrong with its table."""

import numpy as np
import pytest
from small_archives import signal_of

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import fold_of
from datasets_scripts.records_table import read_records_table, split_report
from datasets_scripts.wfdb_folder import WfdbFolder
from etp import cli
from etp.archives import open_archive
from etp.arrow_batches import read_signals
from modeling_etp.ecg_files_etp import STANDARD_LEADS


@pytest.fixture
def splits(ecg_folder, tmp_path):
    return open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


def table_of(folder, text):
    folder.mkdir(exist_ok=True)
    path = folder / "records.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_signals_are_the_files_microvolts(splits):
    signals = read_signals(splits["train"], [0, 1])
    np.testing.assert_array_equal(signals[0], signal_of(1, 1000))
    np.testing.assert_array_equal(signals[1], signal_of(2, 5000))
    assert splits["train"]["sampling_rate"][:] == [100, 500]


@pytest.mark.parametrize(("split", "seed", "samples"), [("validation", 3, 2000), ("test", 4, 2500)])
def test_limb_leads_that_follow_from_two_are_derived(splits, split, seed, samples):
    (signal,) = read_signals(splits[split], [0])
    given = signal_of(seed, samples).astype(int)
    np.testing.assert_array_equal(signal[[0, 1, *range(6, 12)]], given[[0, 1, *range(6, 12)]])
    third, avr = (signal[STANDARD_LEADS.index(lead)] for lead in ("III", "aVR"))
    np.testing.assert_array_equal(third, given[1] - given[0])
    np.testing.assert_allclose(avr, -(given[0] + given[1]) / 2, atol=0.5)


def test_a_lead_that_was_not_recorded_is_zero(ecg_folder, tmp_path):
    np.save(ecg_folder / "b1.npy", signal_of(3, 2000)[[0, 1]])
    text = (ecg_folder / "records.csv").read_text().replace("I II V1 V2 V3 V4 V5 V6", "I II")
    table_of(ecg_folder, text)
    (signal,) = read_signals(open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")["validation"], [0])
    assert signal[:6].any(axis=1).all()
    assert not signal[6:].any()


def test_columns_are_those_of_the_other_archives(splits):
    first, second = splits["train"]
    assert (first["record_id"], first["patient_id"], first["age"], first["sex"]) == ("2024/a1", "p1", 61, "female")
    assert first["statements"] == ["Sinus rhythm", "Left axis deviation"]
    labels = splits["train"].features["labels"].feature
    assert [labels.names[label] for label in first["labels"]] == ["LAD", "SR"]
    assert second["labels"] == [labels.str2int("AFIB")]
    assert splits["test"][0]["statements"] == []


def test_statements_of_the_table_are_taken_as_they_are(tmp_path):
    path = table_of(
        tmp_path, "file;split;report;statements\na;train;Sinusrhythmus. AFib.;sinus rhythm|AF 0.5 s. long\n"
    )
    assert read_records_table(path).rows["statements"].to_pylist() == [["sinus rhythm", "AF 0.5 s. long"]]


def test_sentences_end_where_a_space_follows():
    report = "Sinus rhythm, rate 61.5/min. QTc 0.45 s; LAD.\nNo change. Sinus rhythm, rate 61.5/min."
    assert split_report(report) == ["Sinus rhythm, rate 61.5/min", "QTc 0.45 s", "LAD", "No change"]


def test_a_report_over_several_lines_stays_one_record(tmp_path):
    path = table_of(tmp_path, 'file,report,split\na,"Sinus rhythm\nST depression, ""mild""",train\nb,x,test\n')
    assert read_records_table(path).rows["statements"].to_pylist() == [
        ["Sinus rhythm", 'ST depression, "mild"'],
        ["x"],
    ]


def test_splits_are_by_patient_and_stay_when_the_archive_grows(tmp_path):
    lines = [f"r{number},p{number // 2},x" for number in range(400)]
    first, grown = (
        read_records_table(table_of(tmp_path, "\n".join(["file,patient_id,report", *lines[:count]]))).rows
        for count in (300, 400)
    )
    assert first["split"].to_pylist() == grown["split"].to_pylist()[:300]
    by_patient = {}
    for patient, split in zip(grown["patient_id"].to_pylist(), grown["split"].to_pylist(), strict=True):
        assert by_patient.setdefault(patient, split) == split
    shares = [list(by_patient.values()).count(split) for split in ("train", "validation", "test")]
    assert shares[0] > 130
    assert min(shares[1:]) > 8
    assert {fold_of(f"p{number}") for number in range(100)} == set(range(1, 11))


def test_strat_fold_decides_the_split_as_in_ptb_xl(tmp_path):
    lines = ["file,report,strat_fold", *(f"r{fold},x,{fold}.0" for fold in range(1, 11))]
    rows = read_records_table(table_of(tmp_path, "\n".join(lines))).rows
    assert rows["split"].to_pylist() == ["train"] * 8 + ["validation", "test"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line must name a column file"),
        ("path,report\na,x\n", "first line must name a column file"),
        ("file,report\n", "has no record below its first line"),
        ("file,report,diagnosis\na,x,y\n", r"unknown column\(s\) diagnosis\. Known are file, record_id"),
        ("file,report,split\na,x,dev\n", r"record 1 \(a\): split must be one of train, validation, test, got 'dev'"),
        ("file,age,split\na,old,train\n", "age must be a number in its range or blank, got 'old'"),
        ("file,sex,split\na,7,train\n", "sex must be one of male, m, female, f or blank, got '7'"),
        ("file,strat_fold\na,11\n", "strat_fold must be a number in its range"),
        ("file,strat_fold\na,\n", "strat_fold must be 1 to 10 in every row"),
        ("file,split\n../a,train\n", r"file must be a path inside the folder, written with /, got '\.\./a'"),
        ("file,split\n/etc/passwd,train\n", "file must be a path inside the folder"),
        ("file,split\na,train\na,test\n", r"record a is there twice \(rows 2 and 3\)\. Keep one"),
        ("file,patient_id,split\na,p,train\nb,p,test\n", "patient p is in train and in test"),
        ("file,labels,split\na,,train\n", "the column labels is empty in every row"),
        ("file,report,split\na,x,train,more\n", "line 2: more cells than columns"),
        ("file,report\na,x\nb,y\n", "its 2 records are too few to be dealt to splits by patient, none falls into"),
    ],
)
def test_what_is_wrong_with_the_table_is_said(tmp_path, text, message):
    with pytest.raises(ArchiveError, match=message):
        read_records_table(table_of(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,report\na\0.csv,x\n", r"line 2: file holds characters that can't be printed: 'a\\x00\.csv'"),
        ("file,record_id\na.csv,\x1b[2J\n", r"line 2: record_id holds .* '\\x1b\[2J'"),
        ("file,patient_id\na.csv,1\nb.csv,\x9b1m\n", r"line 3: patient_id holds .* '\\x9b1m'"),
        ("file,\x1b[2J\na.csv,1\n", r"its first line holds .* 'file,\\x1b\[2J'"),
    ],
    ids=["null", "record", "patient", "column"],
)
def test_names_that_a_terminal_would_obey_are_refused(tmp_path, text, message):
    with pytest.raises(ArchiveError, match=message) as caught:
        read_records_table(table_of(tmp_path / "own", text))
    assert str(caught.value).isprintable()


def test_the_check_says_nothing_that_a_terminal_would_obey(tmp_path, capsys):
    folder = table_of(tmp_path / "own", "file,report,split\na.hea,x,train\n").parent
    (folder / "a.hea").write_text("a 1 500 10\na.dat 16 0/mV 16 0 0 0 0 \x1b[2JI\n")
    assert cli.main(["check", "--dataset", "folder", "--data_dir", str(folder)]) != 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"\x1b[2JI" in said.out + said.err


def test_a_table_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "records.csv").write_bytes("file,report,split\na,Vorhofflimmern für 3 s,train\n".encode("latin-1"))
    with pytest.raises(ArchiveError, match=r"records\.csv, row 2: .* is not UTF-8\. Save the table as CSV UTF-8"):
        read_records_table(tmp_path / "records.csv")


def test_a_folder_without_table_and_no_folder_at_all_are_refused(tmp_path):
    with pytest.raises(ArchiveError, match=r"There is no .*records\.csv: a table with the columns file and report"):
        WfdbFolder(tmp_path / "cache", data_dir=tmp_path)
    with pytest.raises(ArchiveError, match=r"give the folder with its records\.csv as data_dir"):
        WfdbFolder(tmp_path / "cache")


def test_a_bad_record_stops_the_build_by_name_or_is_left_out(ecg_folder, tmp_path):
    (ecg_folder / "2024" / "a2.dat").write_bytes(b"short")
    with pytest.raises(RecordError, match=r"Record 2024/a2: .*a2\.dat"):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")
    opened = open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache", on_error="skip")
    assert opened["train"]["record_id"][:] == ["2024/a1"]


def test_a_file_that_does_not_state_its_rate_needs_it_in_the_table(ecg_folder, tmp_path):
    table_of(ecg_folder, (ecg_folder / "records.csv").read_text().replace("validation,250,", "validation,,"))
    with pytest.raises(RecordError, match=r"Record b1: .*sampling rate"):
        open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")


def test_a_changed_table_builds_anew(ecg_folder, splits, tmp_path):
    table_of(ecg_folder, (ecg_folder / "records.csv").read_text().replace("Atrial fibrillation", "Atrial flutter"))
    changed = open_archive("folder", ecg_folder, cache_dir=tmp_path / "cache")
    assert (splits["train"][1]["report"], changed["train"][1]["report"]) == ("Atrial fibrillation", "Atrial flutter")

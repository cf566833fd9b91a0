"""Sets of the PhysioNet/CinC Challenges, and Chapman-Shaoxing-Ningbo: small archives in the publishers' layouts."""

import csv

import numpy as np
import pytest
from archive_server import write_sums
from small_archives import signal_of, write_challenge_record, write_csn

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.challenge import SETS, Challenge
from datasets_scripts.cpsc2018_splits import read_splits
from datasets_scripts.csn import Csn, merl_splits
from datasets_scripts.snomed_ecg import class_names, labels_of_codes
from etp.archives import open_archive
from etp.arrow_batches import read_signals

GEORGIA = "training/georgia/g1"
CSN_RECORDS = {
    "JS00001": {"signal": signal_of(1, 5000), "age": "85", "sex": "Male", "dx": "164889003,59118001"},
    "JS00010": {"signal": signal_of(10, 5000), "age": "NaN", "sex": "Female", "dx": "426177001,426177001,164865005"},
    "JS00011": {
        "signal": signal_of(11, 5000),
        "age": "7",
        "sex": "Female",
        "dx": "270492004",
        "head": "JS00011.mat 12",
    },
}


@pytest.fixture
def challenge(tmp_path):
    """Records of three sets, with each spelling of a header."""
    root = tmp_path / "challenge"
    for number, dx in enumerate(["426783006", "164934002, 426177001,164934002", "713427006", "Unknown"], start=1):
        sex = ["Male", "F", "Unknown", "female"][number - 1]
        age = ["56", "NaN", "-1", "300"][number - 1]
        write_challenge_record(root / GEORGIA, f"E{number:05d}", signal_of(number, 5000), age=age, sex=sex, dx=dx)
    write_challenge_record(
        root / "training/cpsc_2018/g1", "A0001", signal_of(1, 3000), age="74", sex="Male", dx="59118001"
    )
    write_challenge_record(
        root / "training/st_petersburg_incart/g1", "I0001", signal_of(7, 257 * 1800), age="65", sex="M", dx="123456789"
    )
    long = root / "training/st_petersburg_incart/g1/I0001.hea"
    long.write_text(long.read_text().replace(" 500 ", " 257 ", 1))
    return root


def rows_of(splits):
    return {row["record_id"]: (split, row) for split, data in splits.items() for row in data.remove_columns("ecg")}


def open_rows(name, root, tmp_path, config=None):
    splits = open_archive(name, root, config=config, cache_dir=tmp_path / "cache")
    signals = {
        record: signal
        for data in splits.values()
        for record, signal in zip(data["record_id"], read_signals(data, range(len(data))), strict=True)
    }
    return splits, rows_of(splits), signals


def test_every_record_below_a_folder_is_a_row(challenge, tmp_path):
    splits, rows, signals = open_rows("challenge", challenge, tmp_path)
    assert sorted(rows) == ["A0001", "E00001", "E00002", "E00003", "E00004", "I0001"]
    np.testing.assert_array_equal(signals["E00002"], signal_of(2, 5000))
    names = splits["train"].features["labels"].feature.names
    known = {record: [names[label] for label in row["labels"]] for record, (_, row) in rows.items()}
    assert known["E00001"] == ["sinus rhythm"]
    assert sorted(known["E00002"]) == ["T wave abnormality", "sinus bradycardia"]
    assert rows["E00002"][1]["codes"] == ["164934002", "426177001"]
    assert known["E00003"] == known["A0001"] == ["right bundle branch block"]  # scored as one class
    assert known["E00004"] == rows["E00004"][1]["codes"] == []
    assert known["I0001"] == []  # a code without a name is kept as a code
    assert rows["I0001"][1]["codes"] == ["123456789"]
    assert signals["I0001"].shape == (12, 257 * 1800)
    assert rows["I0001"][1]["sampling_rate"] == 257
    assert [rows[f"E0000{number}"][1]["age"] for number in (1, 2, 3, 4)] == [56, None, None, None]
    assert [rows[f"E0000{number}"][1]["sex"] for number in (1, 2, 3, 4)] == ["male", "female", None, "female"]
    assert (rows["A0001"][0], rows["A0001"][1]["strat_fold"]) == read_splits()["A0001"]


@pytest.mark.parametrize(
    ("config", "records"), [("georgia", 4), ("incart", 1), ("cpsc_2018", 1), ("ningbo", 6), ("all", 6)]
)
def test_a_config_takes_the_folder_of_its_set_or_else_the_whole(challenge, tmp_path, config, records):
    rows = open_rows("challenge", challenge, tmp_path, config)[1]
    assert len(rows) == records


def test_a_folder_of_ones_own_in_that_form_is_read(tmp_path):
    write_challenge_record(tmp_path / "own/x", "rec-1", signal_of(1, 700), age="3", sex="F", dx="10370003")
    (row,) = open_rows("challenge", tmp_path / "own", tmp_path)[1].values()
    assert (row[1]["record_id"], row[1]["codes"]) == ("rec-1", ["10370003"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("E00001 12", "E00001.mat 12", None),
        ("#Dx: 426783006", "# Dx: 426783006", None),
        ("#Dx: 426783006", "#Dx: 426783006,426783006", None),
        ("#Age: 56", "#Age: nan", None),
        ("#Dx: 426783006", "#Rx: 1", r"E00001\.hea: the header has no diagnosis"),
        ("#Dx: 426783006", "#Dx: sinus", r"E00001\.hea: #Dx: expected SNOMED CT codes .*, got sinus"),
        (" 500 5000 ", " 500 6000 ", r"E00001\.mat is truncated: 6000 samples"),
    ],
)
def test_headers_that_others_refuse_are_read_and_contradictions_named(challenge, tmp_path, old, new, message):
    header = challenge / GEORGIA / "E00001.hea"
    text = header.read_text()
    assert old in text
    header.write_text(text.replace(old, new, 1))
    if message is None:
        rows, signals = open_rows("challenge", challenge, tmp_path, "georgia")[1:]
        np.testing.assert_array_equal(signals["E00001"], signal_of(1, 5000))
        assert rows["E00001"][1]["codes"] == ["426783006"]
    else:
        with pytest.raises(RecordError, match=message):
            open_archive("challenge", challenge, config="georgia", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("name", ["challenge", "csn"])
def test_a_folder_without_records_says_what_belongs_there(tmp_path, name):
    (tmp_path / "ConditionNames_SNOMED-CT.csv").write_text("Acronym Name,Full Name,Snomed_CT\nSB,Sinus,426177001\n")
    with pytest.raises(ArchiveError, match=r"holds no record.* Fetch"):
        open_archive(name, tmp_path, cache_dir=tmp_path / "cache")


def test_a_record_that_is_there_twice_is_named(challenge, tmp_path):
    write_challenge_record(challenge / "copy", "E00001", signal_of(1, 500), age="1", sex="F", dx="426783006")
    with pytest.raises(
        ArchiveError, match=r"record E00001 is there twice, .*E00001\.hea and .*E00001\.hea\. Keep one"
    ):
        open_archive("challenge", challenge, cache_dir=tmp_path / "cache")


def test_missing_signals_are_counted_before_the_build(challenge, tmp_path):
    (challenge / GEORGIA / "E00002.mat").unlink()
    with pytest.raises(ArchiveError, match=r"1 of 6 files are missing: training/georgia/g1/E00002\.mat"):
        open_archive("challenge", challenge, cache_dir=tmp_path / "cache")


def test_a_set_is_fetched_from_its_publisher(challenge, tmp_path, serve):
    write_sums(challenge)
    builder = Challenge(tmp_path / "cache", config_name="georgia", url=serve(challenge).url)
    builder.download_and_prepare()
    assert sum(len(data) for data in builder.as_dataset().values()) == 4


def test_codes_that_the_challenge_scored_as_equal_are_one_class():
    for one, other in (
        ("713427006", "59118001"),
        ("63593006", "284470004"),
        ("17338001", "427172004"),
        ("733534002", "164909002"),
    ):
        assert labels_of_codes([one]) == labels_of_codes([other]) == labels_of_codes([one, other])
    assert len(set(class_names())) == len(class_names())


def test_published_sizes_add_up():
    """Table 1 of the Challenge 2021 without PTB-XL, which has a builder of its own: 88,253 - 21,837."""
    assert sum(count for _, count in SETS.values()) == 88253 - 21837


def test_rows_of_csn_have_codes_labels_and_the_publishers_acronyms(tmp_path):
    root = write_csn(tmp_path / "csn", CSN_RECORDS)
    splits, rows, signals = open_rows("csn", root, tmp_path)
    for name, record in CSN_RECORDS.items():
        np.testing.assert_array_equal(signals[name], record["signal"])
    names = next(iter(splits.values())).features["labels"].feature.names
    assert [names[label] for label in rows["JS00001"][1]["labels"]] == [
        "atrial fibrillation",
        "right bundle branch block",
    ]
    assert rows["JS00001"][1]["acronyms"] == ["AFIB"]
    assert rows["JS00010"][1]["codes"] == ["426177001", "164865005"]
    assert rows["JS00010"][1]["acronyms"] == ["SB", "MI"]
    assert (rows["JS00010"][1]["age"], rows["JS00011"][1]["age"]) == (None, 7)
    for name, (split, row) in rows.items():
        assert (name in merl_splits()) == (row["strat_fold"] is None)
        assert merl_splits().get(name, split) == split


def test_the_config_of_merl_holds_its_records_only(tmp_path):
    listed = next(name for name, split in merl_splits().items() if split == "train")
    other = next(f"JS{n:05d}" for n in range(1, 45552) if f"JS{n:05d}" not in merl_splits())
    records = {name: CSN_RECORDS["JS00001"] for name in (listed, other)}
    root = write_csn(tmp_path / "csn", records)
    splits = open_archive("csn", root, config="merl", cache_dir=tmp_path / "cache")
    assert {name: data["record_id"][:] for name, data in splits.items()} == {"train": [listed]}


def test_merl_uses_as_many_records_of_csn_as_it_says():
    splits = list(merl_splits().values())
    assert [splits.count(name) for name in ("train", "validation", "test")] == [16546, 1860, 4620]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Acronym Name,Full Name\nSB,Sinus\n", r"row 1: .*; Snomed_CT is missing"),
        (b"Acronym Name,Full Name,Snomed_CT\nSB,Sinus,sb\n", r"row 2: expected a SNOMED CT code, got 'sb'"),
        (b"Acronym Name,Full Name,Snomed_CT\nSB,Sin\xfcs,426177001\n", r"row 2: b'\\xfc' is not UTF-8"),
        (None, r"There is no .*ConditionNames_SNOMED-CT\.csv, the table of conditions"),
    ],
)
def test_a_table_of_conditions_that_is_none_is_named(tmp_path, content, message):
    root = write_csn(tmp_path / "csn", {"JS00001": CSN_RECORDS["JS00001"]})
    table = root / "ConditionNames_SNOMED-CT.csv"
    table.unlink() if content is None else table.write_bytes(content)
    with pytest.raises(ArchiveError, match=message):
        open_archive("csn", root, cache_dir=tmp_path / "cache")


def test_csn_is_fetched_from_its_publisher(tmp_path, serve):
    root = write_csn(tmp_path / "csn", CSN_RECORDS)
    write_sums(root)
    builder = Csn(tmp_path / "cache", url=serve(root).url)
    builder.download_and_prepare()
    assert sum(len(data) for data in builder.as_dataset().values()) == 3


def test_the_table_of_names_is_what_a_table_is():
    from datasets_scripts import snomed_ecg

    with snomed_ecg._FILE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["code"] for row in rows}) == len(rows)
    assert all(row["code"].isdigit() and row["name"] for row in rows)
    codes = {row["code"] for row in rows}
    assert all(not row["counts_as"] or row["counts_as"] in codes for row in rows)

"""The restored archives themselves: published counts, membership, and signals equal to wfdb's."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from datasets_scripts import cpsc2018_labels
from datasets_scripts.cpsc2018_labels import CLASSES, labels_of_reference
from datasets_scripts.cpsc2018_splits import read_splits, stratified_folds
from datasets_scripts.ptb_xl_labels import SUPERCLASSES
from datasets_scripts.snomed_ecg import class_names, labels_of_codes
from etp.archives import open_archive
from etp.arrow_batches import read_signals

pytestmark = pytest.mark.real_data

# Of PTB-XL 1.0.3: records with a label in train, validation and test.
LABELLED = {
    "superclass": (17084, 2146, 2158),
    "subclass": (17084, 2146, 2158),
    "form": (7197, 901, 880),
    "rhythm": (16832, 2100, 2098),
}
MEMBERSHIP = {"superclass": "super_class", "subclass": "sub_class", "form": "form", "rhythm": "rhythm"}
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def ptb_xl_splits(data_root: Path, tmp_path_factory: pytest.TempPathFactory):
    return open_archive("ptb_xl", data_root / "ptb-xl", cache_dir=tmp_path_factory.mktemp("ptb_xl"))


@pytest.fixture(scope="module")
def cpsc2018_splits(data_root: Path, tmp_path_factory: pytest.TempPathFactory):
    return open_archive("cpsc2018", data_root / "cpsc2018", cache_dir=tmp_path_factory.mktemp("cpsc2018"))


def membership(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["record"]: {"val": "validation"}.get(row["split"], row["split"]) for row in csv.DictReader(file)}


def test_ptb_xl_is_whole(ptb_xl_splits):
    assert [len(ptb_xl_splits[split]) for split in SPLITS] == [17418, 2183, 2198]
    patients = [set(ptb_xl_splits[split]["patient_id"]) for split in SPLITS]
    assert len(set.union(*patients)) == sum(map(len, patients)) == 18869


@pytest.mark.parametrize("task", LABELLED)
def test_labelled_records_are_the_published_ones(task, ptb_xl_splits, data_root):
    published = membership(data_root / "splits" / f"ptbxl_{MEMBERSHIP[task]}.csv")
    for split, count in zip(SPLITS, LABELLED[task], strict=True):
        rows = ptb_xl_splits[split].select_columns(["record_id", task])
        labelled = {record for record, labels in zip(rows["record_id"], rows[task], strict=True) if labels}
        assert len(labelled) == count
        assert labelled == {record for record, own in published.items() if own == split}


def test_superclasses_have_the_published_sizes(ptb_xl_splits):
    counts = Counter(label for split in ptb_xl_splits.values() for labels in split["superclass"] for label in labels)
    published = {"NORM": 9514, "MI": 5469, "STTC": 5235, "CD": 4898, "HYP": 2649}
    assert {name: counts[index] for index, name in enumerate(SUPERCLASSES)} == published


@pytest.mark.parametrize("split", SPLITS)
def test_signals_of_ptb_xl_equal_those_of_wfdb(split, ptb_xl_splits, data_root):
    rows = range(0, len(ptb_xl_splits[split]), 97)
    records = ptb_xl_splits[split]["record_id"][:]
    for row, signal in zip(rows, read_signals(ptb_xl_splits[split], rows), strict=True):
        record = int(records[row])
        path = data_root / f"ptb-xl/records100/{record // 1000 * 1000:05d}/{record:05d}_lr"
        np.testing.assert_array_equal(signal, wfdb.rdrecord(str(path), physical=False).d_signal.T)


def test_nearly_every_record_has_statements_and_none_is_empty(ptb_xl_splits):
    # Without one are blank reports and those that say nothing of the ECG, such as "trace only requested".
    for split in ptb_xl_splits.values():
        rows = split["statements"][:]
        assert all(statement.strip() for statements in rows for statement in statements)
        assert sum(map(bool, rows)) > 0.95 * len(rows)


def test_records_at_500_hz_are_read(data_root, tmp_path):
    splits = open_archive("ptb_xl", data_root / "ptb-xl-500hz", config="500hz", cache_dir=tmp_path)
    assert sum(map(len, splits.values())) == 60
    signals = read_signals(splits["train"], range(len(splits["train"])))
    record = int(splits["train"][0]["record_id"])
    path = data_root / f"ptb-xl-500hz/records500/00000/{record:05d}_hr"
    np.testing.assert_array_equal(signals[0], wfdb.rdrecord(str(path), physical=False).d_signal.T)


def test_cpsc2018_has_the_labels_and_splits_of_its_tables(cpsc2018_splits, data_root):
    with (data_root / "cpsc2018/labels_9class.csv").open(newline="") as file:
        expected = {row["record"]: row for row in csv.DictReader(file)}
    published = membership(data_root / "splits/icbeb.csv")
    rows = {}
    for split, data in cpsc2018_splits.items():
        data = data.select_columns(["record_id", "labels"])
        for record, labels in zip(data["record_id"], data["labels"], strict=True):
            rows[record] = [CLASSES[index] for index in labels]
            assert published[record] == split
    assert rows == {
        record: [name for name in CLASSES if row[name] == "1"] for record, row in expected.items()
    }  # 150 from names, 15 from SNOMED codes, 11 from REFERENCE.csv


def test_signals_of_cpsc2018_equal_those_of_wfdb(cpsc2018_splits, data_root):
    headers = {path.stem: path for path in (data_root / "cpsc2018/training").rglob("*.hea")}
    test = cpsc2018_splits["test"]
    for record, signal in zip(test["record_id"], read_signals(test, range(len(test))), strict=True):
        if record in headers:
            expected = wfdb.rdrecord(str(headers[record].with_suffix("")), physical=False).d_signal.T
            np.testing.assert_array_equal(signal, expected)


def test_shipped_splits_of_cpsc2018_follow_from_merl_and_the_labels(data_root):
    with (data_root / "cpsc2018/REFERENCE.csv").open(newline="") as file:
        folds = stratified_folds({row["Recording"]: labels_of_reference(row) for row in csv.DictReader(file)})
    shipped = read_splits()
    assert {record: split for record, (split, _) in shipped.items()} == membership(data_root / "splits/icbeb.csv")
    assert {record: fold for record, (_, fold) in shipped.items()} == folds


def test_cpsc2018_reads_the_same_through_the_challenge(data_root, tmp_path):
    root = data_root / "cpsc2018/training"
    own = open_archive("cpsc2018", root, config="challenge", cache_dir=tmp_path)
    challenge = open_archive("challenge", root, config="cpsc_2018", cache_dir=tmp_path)
    assert {name: len(split) for name, split in own.items()} == {name: len(split) for name, split in challenge.items()}
    names = class_names()
    label_of = {names[labels_of_codes([code])[0]]: label for code, label in cpsc2018_labels._SNOMED.items()}
    same = [name for name in own["train"].column_names if name not in ("ecg", "labels")]
    for split in own:
        one, other = own[split], challenge[split]
        assert one.select_columns(same)[:] == other.select_columns(same)[:]
        for ours, theirs in zip(one["labels"], other["labels"], strict=True):
            assert [CLASSES[label] for label in ours] == sorted(
                {label_of[names[label]] for label in theirs}, key=CLASSES.index
            )
        rows = range(len(one))
        for ours, theirs in zip(read_signals(one, rows), read_signals(other, rows), strict=True):
            np.testing.assert_array_equal(ours, theirs)

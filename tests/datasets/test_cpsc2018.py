"""Cpsc2018: both published forms, three ways to write labels, splits and folds."""

import numpy as np
import pytest
from small_archives import signal_of, write_challenge_record, write_original_record

from datasets_scripts.cpsc2018 import Cpsc2018
from datasets_scripts.cpsc2018_labels import _NAMES, _SNOMED, CLASSES, labels_of_diagnoses, labels_of_numbers
from datasets_scripts.cpsc2018_splits import NUM_FOLDS, read_splits, stratified_folds


def build(root, cache, config=None):
    builder = Cpsc2018(cache, config_name=config, data_dir=root)
    builder.download_and_prepare()
    return {row["record_id"]: row for split in builder.as_dataset().values() for row in split}


def test_records_of_both_forms_are_rows(cpsc2018, tmp_path):
    rows = build(cpsc2018, tmp_path / "cache")
    assert set(rows) == {"A0001", "A0002", "A0025", "A0015"}
    for record, seed, samples in (("A0001", 1, 3000), ("A0002", 2, 3500), ("A0025", 4, 4000), ("A0015", 3, 3000)):
        np.testing.assert_array_equal(rows[record]["ecg"], signal_of(seed, samples))
        assert rows[record]["sampling_rate"] == 500
        assert (rows[record]["report"], rows[record]["statements"]) == ("", [])


def test_labels_from_snomed_codes_names_and_reference(cpsc2018, tmp_path):
    rows = build(cpsc2018, tmp_path / "cache")
    names = {record: [CLASSES[index] for index in row["labels"]] for record, row in rows.items()}
    assert names == {"A0001": ["CRBBB"], "A0002": ["NORM"], "A0025": ["1AVB", "VPC"], "A0015": ["AFIB", "STD"]}


def test_demographics_of_both_forms(cpsc2018, tmp_path):
    rows = build(cpsc2018, tmp_path / "cache")
    assert {record: (row["age"], row["sex"]) for record, row in rows.items()} == {
        "A0001": (74, "male"),
        "A0002": (None, "female"),
        "A0025": (61, "male"),
        "A0015": (49, "female"),
    }


@pytest.mark.parametrize("dx", ["164889003,59118001", "AF,RBBB"])
def test_equal_content_in_either_form_and_dialect_gives_equal_rows(tmp_path, dx):
    signal = signal_of(7, 3300)
    write_challenge_record(tmp_path / "a", "A0007", signal, age="50", sex="Female", dx=dx)
    write_original_record(tmp_path / "b", "A0007", signal, age=50, sex="Female")
    (tmp_path / "b/REFERENCE.csv").write_text("Recording,First_label,Second_label,Third_label\nA0007,5,2,\n")
    assert build(tmp_path / "a", tmp_path / "cache") == build(tmp_path / "b", tmp_path / "cache")


@pytest.mark.real_data
@pytest.mark.parametrize("dialect", [_NAMES, _SNOMED], ids=["names", "codes"])
def test_the_originals_written_anew_for_the_challenge_are_equal_rows(data_root, tmp_path, dialect):
    originals = build(data_root / "cpsc2018", tmp_path / "cache", "original")
    assert len(originals) == 11
    words = {label: word for word, label in dialect.items()}
    for record, row in originals.items():
        age = "NaN" if row["age"] is None else str(row["age"])
        dx = ",".join(words[CLASSES[label]] for label in row["labels"])
        signal = np.array(row["ecg"], dtype=np.int16)
        write_challenge_record(tmp_path / "again", record, signal, age=age, sex=row["sex"].capitalize(), dx=dx)
    assert build(tmp_path / "again", tmp_path / "cache", "challenge") == originals


def test_a_record_in_both_forms_is_one_row(cpsc2018, tmp_path):
    write_original_record(cpsc2018 / "original", "A0001", signal_of(1, 3000), age=74, sex="Male")
    assert len(build(cpsc2018, tmp_path / "cache")) == 4


@pytest.mark.parametrize(("config", "records"), [("challenge", {"A0001", "A0002", "A0015"}), ("original", {"A0025"})])
def test_configs_choose_the_form(cpsc2018, tmp_path, config, records):
    assert set(build(cpsc2018, tmp_path / "cache", config)) == records


def test_a_part_of_the_archive_is_said_to_be_one(cpsc2018, tmp_path, caplog):
    logger = "datasets_scripts.cpsc2018"
    with caplog.at_level("WARNING", logger=logger):
        build(cpsc2018, tmp_path / "cache")
    assert "has 4 of the 6,877 records of CPSC2018" in caplog.text


def test_split_is_that_of_merl(cpsc2018, tmp_path):
    builder = Cpsc2018(tmp_path / "cache", data_dir=cpsc2018)
    builder.download_and_prepare()
    assert {name: split["record_id"][:] for name, split in builder.as_dataset().items()} == {
        "train": ["A0001", "A0002"],
        "validation": ["A0015"],
        "test": ["A0025"],
    }


def test_membership_of_merl_has_its_published_sizes():
    splits = [split for split, _ in read_splits().values()]
    assert [splits.count(name) for name in ("train", "validation", "test")] == [4950, 551, 1376]


def test_folds_of_the_records_are_equally_large():
    folds = np.bincount([fold for _, fold in read_splits().values()], minlength=NUM_FOLDS + 1)
    assert folds[0] == 0
    assert folds[1:].min() > 0.97 * folds[1:].max()


def test_stratified_folds_share_every_class_equally():
    rng = np.random.default_rng(0)
    labels = {
        f"A{i:04d}": sorted(set(rng.choice(9, size=rng.integers(1, 3), p=np.arange(1, 10) / 45))) for i in range(997)
    }
    folds = stratified_folds(labels)
    for label in range(9):
        shares = np.bincount(
            [folds[record] for record, own in labels.items() if label in own], minlength=NUM_FOLDS + 1
        )
        assert np.ptp(shares[1:]) <= 2


def test_folds_do_not_depend_on_the_order_of_the_records():
    labels = {f"A{i:04d}": [i % 9] for i in range(200)}
    assert stratified_folds(labels) == stratified_folds(dict(reversed(labels.items())))


@pytest.mark.parametrize("name", ["RBBB", "59118001", "713427006", " RBBB , "])
def test_every_name_of_a_class_means_it(name):
    assert labels_of_diagnoses(name) == [CLASSES.index("CRBBB")] == labels_of_numbers(["5"])


def test_a_label_given_twice_counts_once():
    assert labels_of_diagnoses("284470004,63593006,PAC") == [CLASSES.index("PAC")]

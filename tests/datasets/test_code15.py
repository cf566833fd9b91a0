"""CODE-15% in the layout of its release: exams.csv and HDF5 parts."""

import numpy as np
import pytest
from small_archives import signal_of, write_code15

from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.code15 import Code15
from etp.archives import open_archive
from etp.arrow_batches import read_signals

h5py = pytest.importorskip("h5py")


def plain(seed, samples):
    """A signal without a sample of zeros at either end, which would be taken for padding."""
    signal = signal_of(seed, samples)
    signal[:, [0, -1]] = 7
    return signal


def record(exam, patient, samples=2800, part=0, **columns):
    return {
        "exam_id": exam,
        "patient_id": patient,
        "signal": plain(exam % 97, samples),
        "trace_file": f"exams_part{part}.hdf5",
        **columns,
    }


RECORDS = [
    record(1169160, 523632, 4000, age=38, is_male="True", normal_ecg="True"),
    record(2873686, 1724173, AF="True", RBBB="True", age="", is_male="False", part=1),
    record(168405, 523632, normal_ecg=""),
    *(record(9000 + number, 100 + number, SB="True", part=number % 2) for number in range(15)),
]


@pytest.fixture
def code15(tmp_path):
    return write_code15(tmp_path / "code15", RECORDS)


def open_rows(root, tmp_path):
    splits = open_archive("code15", root, cache_dir=tmp_path / "cache")
    return {row["record_id"]: (split, row) for split, data in splits.items() for row in data}, splits


def test_tracings_are_millivolts_without_their_padding(code15, tmp_path):
    _, splits = open_rows(code15, tmp_path)
    own = {str(row["exam_id"]): row["signal"] for row in RECORDS}
    for data in splits.values():
        for exam, signal in zip(data["record_id"], read_signals(data, range(len(data))), strict=True):
            np.testing.assert_array_equal(signal, own[exam])
        assert set(data["sampling_rate"]) == {400}


def test_rows_have_labels_age_and_sex_of_the_table(code15, tmp_path):
    rows, splits = open_rows(code15, tmp_path)
    names = next(iter(splits.values())).features["labels"].feature.names
    labels = {exam: [names[label] for label in row["labels"]] for exam, (_, row) in rows.items()}
    assert labels["1169160"] == ["normal ECG"]
    assert labels["2873686"] == ["right bundle branch block", "atrial fibrillation"]
    assert labels["168405"] == []
    assert [(rows[exam][1]["age"], rows[exam][1]["sex"]) for exam in ("1169160", "2873686")] == [
        (38, "male"),
        (None, "female"),
    ]
    assert rows["1169160"][0] == rows["168405"][0]  # one patient


FAULTS = {
    "a missing column": ("normal_ecg", "normal", r"row 1: .*; normal_ecg is missing"),
    "a path outside": ("exams_part1.hdf5", "../exams_part1.hdf5", r"row 3: exam 2873686: trace_file: expected a name such as"),
    "an age below 0": (",38,", ",-5,", r"row 2: exam 1169160: expected an age from 0 to 150 or a blank, got '-5'"),
    "an age beyond all numbers": (",38,", ",1e300,", r"row 2: exam 1169160: expected an age"),
    "a doubled exam": ("2873686,", "1169160,", r"record 1169160 is there twice \(rows 2 and 3\)"),
    "a word for a truth": ("True,False,False", "perhaps,False,False", r"exam \d+: \w+: expected True or False, got 'perhaps'"),
    "a part that is missing": ("exams_part1.hdf5", "exams_part7.hdf5", r"1 of the HDF5 parts that exams\.csv names are missing: exams_part7"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_table_that_is_wrong_is_named_with_row_and_cure(code15, tmp_path, fault):
    old, new, message = FAULTS[fault]
    table = code15 / "exams.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(ArchiveError, match=message):
        open_archive("code15", code15, cache_dir=tmp_path / "cache")


def test_a_part_that_contradicts_the_table_is_named(code15, tmp_path):
    table = code15 / "exams.csv"
    table.write_text(table.read_text().replace("2873686", "2873687"))
    with pytest.raises(
        RecordError, match=r"exams_part1\.hdf5: exam 2873687, which exams\.csv puts there, is not in it"
    ):
        open_archive("code15", code15, cache_dir=tmp_path / "cache")


def test_what_is_no_part_is_named(code15, tmp_path):
    (code15 / "exams_part1.hdf5").write_bytes(b"no HDF5")
    with pytest.raises(RecordError, match=r"exams_part1\.hdf5: no HDF5 file with exam_id and tracings"):
        open_archive("code15", code15, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("name", ["exam_id", "tracings"])
def test_texts_in_the_place_of_numbers_are_refused_unread(code15, tmp_path, name):
    with h5py.File(code15 / "exams_part1.hdf5", "a") as part:
        shape = part[name].shape
        del part[name]
        part.create_dataset(name, shape, dtype=h5py.string_dtype())
    with pytest.raises(
        RecordError, match=rf"exams_part1\.hdf5: no HDF5 file with exam_id and tracings .*{name}.*object"
    ):
        open_archive("code15", code15, cache_dir=tmp_path / "cache")


def test_a_group_in_the_place_of_numbers_is_named(code15, tmp_path):
    with h5py.File(code15 / "exams_part1.hdf5", "a") as part:
        del part["exam_id"]
        part.create_group("exam_id")
    with pytest.raises(RecordError, match=r"exams_part1\.hdf5: no HDF5 file with exam_id and tracings"):
        open_archive("code15", code15, cache_dir=tmp_path / "cache")


def test_a_tracing_of_nothing_but_zeros_is_skipped_and_listed(tmp_path):
    empty = {**RECORDS[0], "exam_id": 5, "patient_id": 6, "signal": np.zeros((12, 2800), np.int16)}
    root = write_code15(tmp_path / "code15", [*RECORDS, empty])
    builder = Code15(tmp_path / "cache", data_dir=root, on_error="skip")
    builder.download_and_prepare()
    assert [row["record_id"] for row in builder.skipped_records] == ["5"]


def test_nothing_is_fetched_that_is_not_published_plainly(tmp_path):
    with pytest.raises(ArchiveError, match=r"give its folder as `data_dir`"):
        Code15(tmp_path / "cache").download_and_prepare()

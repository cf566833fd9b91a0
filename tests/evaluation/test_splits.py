"""Which records are evaluated, and that labels are found by name."""

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value, concatenate_datasets

from etp.evaluation.splits import EvaluationRecords, content_sha256, open_splits
from etp.scoring.labels import label_targets


def make_split(labels, *, names=("AFIB", "AF", "SR"), first_record=1, patients=None):
    """A split whose column `rhythm` lists labels by name."""
    ids = [str(first_record + row) for row in range(len(labels))]
    features = Features(
        {
            "record_id": Value("string"),
            "patient_id": Value("string"),
            "sampling_rate": Value("int32"),
            "ecg": List(List(Value("int16"), length=4), length=2),
            "rhythm": List(ClassLabel(names=list(names))),
        }
    )
    rows = {
        "record_id": ids,
        "patient_id": patients or ids,
        "sampling_rate": [100] * len(ids),
        "ecg": [[[int(record)] * 4] * 2 for record in ids],
        "rhythm": [[list(names).index(label) for label in own] for own in labels],
    }
    return Dataset.from_dict(rows, features=features)


def make_splits(**sizes):
    splits, first = {}, 1
    for name in ("train", "validation", "test"):
        splits[name] = make_split([["SR"]] * sizes.get(name, 2), first_record=first)
        first += sizes.get(name, 2)
    return DatasetDict(splits)


def test_a_label_that_is_part_of_anothers_name_is_not_taken_for_it():
    targets, labelled = label_targets(make_split([["AFIB"], ["AF"], ["AFIB", "SR"]]), "rhythm", ["AF", "AFIB"])
    assert targets.tolist() == [[False, True], [True, False], [False, True]]
    assert labelled.all()


def test_splits_whose_label_columns_differ_in_order_give_the_same_targets():
    rows = [["AFIB"], ["SR"], ["AF", "SR"]]
    one = label_targets(make_split(rows, names=("AFIB", "AF", "SR")), "rhythm", ["SR", "AFIB", "AF"])[0]
    other = label_targets(make_split(rows, names=("SR", "AFIB", "AF")), "rhythm", ["SR", "AFIB", "AF"])[0]
    np.testing.assert_array_equal(one, other)


def test_a_record_without_any_label_of_the_column_is_left_out_even_if_a_wanted_label_is_absent_too():
    _, labelled = label_targets(make_split([["AFIB"], [], ["SR"]]), "rhythm", ["AF"])
    assert labelled.tolist() == [True, False, True]


def test_every_evaluated_record_is_there_once_and_validation_beside_it():
    splits = make_splits(train=5, validation=3, test=4)
    for split, evaluated, total in (("test", 4, 7), ("validation", 3, 3), ("all", 12, 12), ("train", 5, 8)):
        records = EvaluationRecords.select(splits, split)
        assert (records.evaluated.sum(), records.validation.sum(), len(records.dataset)) == (evaluated, 3, total)
        assert len(set(records.dataset["record_id"][:])) == total
    names = np.array(records.dataset["record_id"][:])
    assert sorted(names[records.evaluated]) == sorted(splits["train"]["record_id"][:])


def test_records_of_a_patient_share_a_cluster():
    splits = DatasetDict(
        train=make_split([]),
        validation=make_split([["SR"]] * 2, patients=["p", "q"]),
        test=make_split([["SR"]] * 3, first_record=3, patients=["q", "r", "r"]),
    )
    records = EvaluationRecords.select(splits, "test")
    patients = records.dataset["patient_id"][:]
    for first, one in zip(patients, records.patient, strict=True):
        for second, other in zip(patients, records.patient, strict=True):
            assert (first == second) == (one == other)


@pytest.mark.parametrize(
    ("sizes", "message"), [({"test": 0}, "'test' holds no record"), ({"validation": 0}, "validation split")]
)
def test_an_empty_split_is_said(sizes, message):
    with pytest.raises(ValueError, match=message):
        EvaluationRecords.select(make_splits(**sizes), "test")


def test_a_task_nobody_is_labelled_for_is_said():
    splits = make_splits()
    splits["test"] = make_split([[], []], first_record=7)
    records = EvaluationRecords.select(splits, "test")
    with pytest.raises(ValueError, match="No evaluated record carries a label of 'rhythm'"):
        records.of_task("rhythm", ["SR"])


def test_an_unknown_label_or_column_is_named():
    with pytest.raises(ValueError, match="no label STACH; its labels are AFIB, AF, SR"):
        label_targets(make_split([["AF"]]), "rhythm", ["AF", "STACH"])
    with pytest.raises(ValueError, match="no label column 'form'"):
        label_targets(make_split([["AF"]]), "form", ["AF"])


def test_the_fingerprint_of_signals_follows_content_and_order_only():
    one, two = make_split([["SR"]] * 2), make_split([["SR"]] * 2, first_record=3)
    joined = concatenate_datasets([one, two])
    assert content_sha256(joined) == content_sha256(concatenate_datasets([one, two]))
    assert content_sha256(joined) != content_sha256(concatenate_datasets([two, one]))
    assert content_sha256(joined) != content_sha256(joined.select([0, 1, 2]))
    assert content_sha256(joined) == content_sha256(concatenate_datasets([two, one]).select([2, 3, 0, 1]))


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--data_dir .*nowhere is not a folder"):
        open_splits("ptb_xl", tmp_path / "nowhere")

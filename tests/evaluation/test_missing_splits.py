"""A folder may lack a split: what needs it says so."""

import pytest
from datasets import Dataset, DatasetDict

from etp.evaluation.splits import EvaluationRecords, training_split


def splits_of(*names):
    return DatasetDict({name: Dataset.from_dict({"patient_id": ["p1"]}) for name in names})


@pytest.mark.parametrize(
    ("names", "split", "message"),
    [
        (("train", "test"), "test", "The validation split holds no record, and thresholds are chosen there"),
        (("train", "validation"), "test", "The split 'test' holds no record, so there is nothing to evaluate"),
    ],
)
def test_a_missing_split_is_named(names, split, message):
    with pytest.raises(ValueError, match=message):
        EvaluationRecords.select(splits_of(*names), split)


def test_all_splits_are_those_that_are_there():
    assert len(EvaluationRecords.select(splits_of("validation", "test"), "all").dataset) == 2


def test_training_records_that_are_missing_are_named():
    assert len(training_split(splits_of("train"))) == 1
    with pytest.raises(ValueError, match="No record is in the split train, only in validation, test"):
        training_split(splits_of("validation", "test"))

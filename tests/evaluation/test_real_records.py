"""The records of every task on the real archives are those of MERL's evaluation."""

import csv

import numpy as np
import pytest

from etp.archives import open_archive
from etp.evaluation.prompts import load_prompts
from etp.evaluation.splits import EvaluationRecords

pytestmark = pytest.mark.real_data
FILES = {"superclass": "super_class", "subclass": "sub_class", "form": "form", "rhythm": "rhythm"}
SPLITS = {"train": "train", "val": "validation", "test": "test"}


@pytest.fixture(scope="module")
def ptb_xl(data_root, tmp_path_factory):
    return open_archive("ptb_xl", data_root / "ptb-xl", cache_dir=tmp_path_factory.mktemp("arrow"))


@pytest.mark.parametrize("task", FILES)
def test_each_task_judges_the_records_that_merl_judges(data_root, ptb_xl, task):
    with (data_root / "splits" / f"ptbxl_{FILES[task]}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (prompts,) = load_prompts("ptb_xl", [task])
    for theirs, ours in SPLITS.items():
        records = EvaluationRecords.select(ptb_xl, ours)
        labelled, task_records = records.of_task(prompts.column, prompts.labels)
        names = np.array(records.dataset["record_id"][:])
        expected = {row["record"] for row in rows if row["split"] == theirs}
        assert set(names[labelled & records.evaluated]) == expected
        assert task_records.evaluated.sum() == len(expected)

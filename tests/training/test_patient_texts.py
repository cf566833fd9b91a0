"""The objective `patient`: what is said of age and sex, and of whom it is true."""

import numpy as np
import pytest

from etp.evaluation.patients import YEARS
from etp.options import OptionError
from etp.run_files import read_metrics
from etp.texts.patients import SAME_AGE, PatientText, PatientTexts

AGES = [72, 70, 30, None, 300, 72]
SEXES = ["female", "female", "female", "male", "male", None]
STATEMENTS = [["sinus rhythm"], ["sinus rhythm", "lvh"], ["lvh"], ["lvh"], ["sinus rhythm"], ["sinus rhythm"]]
ALL = np.arange(len(AGES))


@pytest.fixture
def texts() -> PatientTexts:
    return PatientTexts(AGES, SEXES, STATEMENTS, seed=0)


@pytest.mark.parametrize(
    ("text", "words", "true"),
    [
        (PatientText("female", None, None, 1), "a woman", [1, 1, 1, 0, 0, 0]),
        (PatientText("male", None, None, 0), "male", [0, 0, 0, 1, 1, 0]),
        (PatientText(None, 72, None, 0), "72 years old", [1, 1, 0, 0, 0, 1]),
        (PatientText(None, 89, None, 1), "aged 89", [0, 0, 0, 0, 0, 0]),  # 300 stands for "over 89": unknown
        (PatientText("female", 67, None, 0), "67-year-old female", [1, 1, 0, 0, 0, 0]),
        (PatientText("female", 70, "lvh", 0), "70-year-old female. lvh", [0, 1, 0, 0, 0, 0]),
        (PatientText("female", 70, "lvh", 3), "70-year-old female with lvh", [0, 1, 0, 0, 0, 0]),
        (PatientText("male", 70, "lvh", 1), "male, 70 years. lvh", [0, 0, 0, 0, 0, 0]),  # of unknown age: not said
    ],
)
def test_a_text_is_true_of_whom_it_describes(texts, text, words, true):
    assert str(text) == words
    assert texts.positives(ALL, [text])[:, 0].tolist() == true


def test_every_text_is_true_of_the_record_it_was_drawn_for(texts):
    kinds = set()
    for epoch in range(200):
        drawn = texts.draw(epoch)
        for record, text in enumerate(drawn):
            assert text is not None
            assert texts.positives(np.array([record]), [text]).item() == 1
            kinds.add((text.sex is None, text.age is None, text.statement is None))
        assert drawn == texts.draw(epoch)
    assert len(kinds) == 4


def test_nothing_is_said_of_a_patient_of_whom_nothing_is_known():
    assert PatientTexts([None, 300], [None, "x"], [["lvh"], ["lvh"]], seed=0).draw(0) == [None, None]


def test_no_text_is_a_prompt_of_the_tasks_sex_and_age():
    many = PatientTexts(list(range(18, 90)) * 4, ["female", "male"] * 144, [["lvh"]] * 288, seed=0)
    said = {str(text) for epoch in range(50) for text in many.draw(epoch)}
    assert len(said) > 600
    assert not said & {"woman", "man", *(f"{year}-year-old patient" for year in YEARS)}
    assert SAME_AGE < 10  # a decade's middle is not true of the next decade's


def test_it_trains_beside_the_other_objectives_and_learns(run, tmp_path):
    options = "--objectives batch=1 patient=0.5 --num_epochs 6 --learning_rate 0.01".split()
    assert run(tmp_path / "run", *options) == 0
    found = [
        line["loss_patient"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if "loss_patient" in line
    ]
    assert np.mean(found[-3:]) < np.mean(found[:3])


def test_an_archive_without_ages_and_sexes_is_refused(run, archive, tmp_path, monkeypatch):
    from etp.training.data import records

    monkeypatch.setattr(
        records, "column_values", lambda data, name: [None] * len(data) if name in ("age", "sex") else data[name][:]
    )
    with pytest.raises(OptionError, match="no record has an age or a sex"):
        run(tmp_path / "run", "--objectives", "batch=1", "patient=0.5")

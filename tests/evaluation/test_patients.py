"""Sex and age from the ECG and prompts alone: metrics, baselines, and where they stand."""

import json
import re

import numpy as np
import pytest
from datasets import Dataset

from etp import cli
from etp.evaluation.patients import YEARS, known_patients, report_age, report_sex
from etp.evaluation.splits import EvaluationRecords


def records(**columns) -> EvaluationRecords:
    """Records of patients of their own; even ones are evaluated, odd ones validate."""
    count = len(next(iter(columns.values())))
    even = np.arange(count) % 2 == 0
    return EvaluationRecords(Dataset.from_dict(columns), even, ~even, np.arange(count))


def test_sex_is_told_by_the_difference_of_the_two_prompts():
    sexes = ["female", "female", "male", "male", None, None] * 10
    fits = np.array([{"female": 1.0, "male": -1.0, None: 9.0}[sex] for sex in sexes])
    common = np.arange(60) * 5.0  # of both prompts, so it says nothing

    def score(prompts):
        assert prompts.labels == ["woman", "man"]
        return [np.stack([common + fits, common], axis=1), np.zeros((60, 2))]

    report = report_sex(score, records(sex=sexes), num_resamples=20, seed=0)
    assert report["macro_auroc"] == 1
    assert report["baselines"]["random_encoder"]["macro_auroc"] == 0.5
    assert (report["num_records"], report["per_class"]["female"]["num_positive"]) == (20, 10)


def test_age_is_the_expected_value_over_decades_and_compared_with_the_median():
    ages = [20, 30, 40, 50, 60, 70, 90, None] * 5  # 90 is "over 89"
    sure = np.full((40, len(YEARS)), -100.0)
    sure[:, YEARS.index(35)] = sure[:, YEARS.index(45)] = 0

    def score(prompts):
        assert prompts.labels[2] == "25-year-old patient"
        return [sure, np.zeros((40, len(YEARS)))]

    report = report_age(score, records(age=ages), num_resamples=50, seed=0)
    assert report["num_records"] == 15  # of 20, 40, 60
    assert report["mean_absolute_error"] == pytest.approx((20 + 0 + 20) / 3)
    low, high = report["intervals_95"]["mean_absolute_error"]
    assert low < report["mean_absolute_error"] < high
    assert report["baselines"]["median"] == {"mean_absolute_error": pytest.approx((30 + 10 + 10) / 3), "years": 50}
    assert report["baselines"]["random_encoder"]["mean_absolute_error"] == pytest.approx((30 + 10 + 10) / 3)


@pytest.mark.parametrize(("task", "values"), [("sex", ["female", None]), ("age", [None, 90, 90, 50])])
def test_a_data_set_that_does_not_know_its_patients_is_refused(task, values):
    with pytest.raises(ValueError, match=rf"--tasks {task}: it is known of no (evaluated|validation) record. Leave"):
        known_patients(records(**{task: values}), task)


def test_patients_stand_beside_the_tasks_in_results_and_tables(
    checkpoint_dir, archive_dir, arrow_cache, tmp_path, capsys
):
    output = tmp_path / "r.json"
    argv = ["--model", checkpoint_dir, "--data_dir", archive_dir, "--cache_dir", arrow_cache, "--output", output]
    argv += ["--tasks", "superclass", "sex", "age", "--num_resamples", "20", "--precision", "fp32"]
    argv += ["--contrast", "negated", "--describe_patient"]  # neither has a say in what is asked of the patient
    assert cli.main(["evaluate", "zero-shot", *map(str, argv)]) == 0
    result = json.loads(output.read_text())
    assert list(result["tasks"]) == ["superclass", "sex", "age"]
    age = result["tasks"]["age"]
    assert f"{age['mean_absolute_error']:.1f} [" in capsys.readouterr().out
    picture, rows = tmp_path / "r.png", tmp_path / "rows"
    asked = ["--picture", str(picture), "--rows", str(rows)]
    assert cli.main(["evaluate", "tables", str(output), *asked]) == 0
    page = re.sub(" +", " ", capsys.readouterr().out)
    assert "Zero-shot, ptb_xl, test split: sex and age" in page
    assert f"{age['baselines']['median']['mean_absolute_error']:.1f} |" in page
    assert "| sex" in page
    assert "age,all," in (rows / "r.csv").read_text()
    assert cli.main(["evaluate", "ablations", str(output)]) == 0
    assert "zero-shot: sex" in capsys.readouterr().out

"""The `evaluate` module, loaded in every way it can be, against scikit-learn and against the evaluation's own metrics."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from etp.scoring.metrics import SENSITIVITY, decision_metrics, macro, ranking_metrics
from etp.scoring.thresholds import best_f1_thresholds

evaluate = pytest.importorskip("evaluate")
FOLDER = Path(__file__).resolve().parents[2] / "metrics" / "ecg_zero_shot"


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    return evaluate.load(str(FOLDER), cache_dir=str(tmp_path_factory.mktemp("metrics")))


@pytest.fixture(scope="module")
def case():
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 4)) < [0.05, 0.2, 0.5, 0.9]).astype(int)
    return np.round(generator.normal(size=targets.shape) + targets, 1), targets  # rounded: ties


def test_macro_figures_equal_scikit_learn_to_1e_12(metric, case):
    scores, targets = case
    thresholds = [0.5, 0.4, 0.3, 0.2]
    result = metric.compute(predictions=scores, references=targets, thresholds=thresholds)
    assert result["macro_auroc"] == pytest.approx(roc_auc_score(targets, scores, average="macro"), abs=1e-12)
    assert result["macro_average_precision"] == pytest.approx(
        average_precision_score(targets, scores, average="macro"), abs=1e-12
    )
    assert result["macro_f1"] == pytest.approx(f1_score(targets, scores >= thresholds, average="macro"), abs=1e-12)


def test_it_agrees_with_the_evaluation_scripts(metric, case):
    scores, targets = case
    result = metric.compute(predictions=scores, references=targets)
    ours = ranking_metrics(scores, targets)
    assert result["macro_auroc"] == pytest.approx(float(macro(ours["auroc"][0])), abs=1e-12)
    assert result["macro_sensitivity"] == pytest.approx(float(macro(ours[SENSITIVITY][0])), abs=1e-12)
    on_test = decision_metrics(scores >= best_f1_thresholds(scores, targets), targets)
    assert result["macro_f1_threshold_on_test"] == pytest.approx(float(macro(on_test["f1"][0])), abs=1e-12)
    assert result["macro_accuracy_threshold_on_test"] == pytest.approx(float(macro(on_test["accuracy"][0])), abs=1e-12)


def test_it_is_one_file_that_loads_by_its_class_and_in_batches(case, tmp_path):
    scores, targets = case
    copy = tmp_path / "ecg_zero_shot.py"
    copy.write_text((FOLDER / "ecg_zero_shot.py").read_text(encoding="utf-8"), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("ecg_zero_shot_alone", copy)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    metric = module.EcgZeroShot(cache_dir=str(tmp_path))
    whole = metric.compute(predictions=scores, references=targets)
    for rows in np.split(np.arange(200), 4):
        metric.add_batch(predictions=scores[rows], references=targets[rows])
    assert metric.compute() == whole


def test_without_thresholds_there_is_no_f1_that_looks_honest(metric, case):
    result = metric.compute(predictions=case[0], references=case[1])
    assert "macro_f1" not in result
    assert "macro_f1_threshold_on_test" in result


def test_a_label_nobody_has_is_named_and_left_out(metric):
    result = metric.compute(predictions=[[0.1, 0.5], [0.9, 0.4]], references=[[0, 0], [1, 0]], labels=["AFIB", "STE"])
    assert result["undefined"] == ["STE"]
    assert result["macro_auroc"] == 1.0
    assert list(result["per_class"]) == ["AFIB"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predictions": [[0.1, 0.2]], "references": [[1]]}, r"\(1, 2\) and \(1, 1\)"),
        ({"predictions": [[0.1, float("nan")]], "references": [[1, 0]]}, "NaN"),
        ({"predictions": [[0.1, 0.2]], "references": [[1, 2]]}, "0 or 1"),
        (
            {"predictions": [[0.1, 0.2]], "references": [[1, 0]], "labels": ["a"]},
            "`labels` needs one entry per label, 2",
        ),
        ({"predictions": [[0.1, 0.2]], "references": [[1, 0]], "specificity": 2}, "between 0 and 1"),
    ],
)
def test_bad_input_is_refused(metric, arguments, message):
    with pytest.raises(ValueError, match=message):
        metric.compute(**arguments)

"""Thresholds and probabilities come from validation records, and never from the record they evaluate."""

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.metrics import f1_score

from etp.evaluation.task_metrics import ON_TEST, TaskRecords, report_scores
from etp.scoring.calibration import PlattScaling, calibration_errors, reliability
from etp.scoring.thresholds import best_f1_thresholds, decide


def random_case(*, records=200, labels=3, seed=0):
    generator = np.random.default_rng(seed)
    targets = generator.random((records, labels)) < [0.1, 0.3, 0.6][:labels]
    return np.round(generator.normal(size=targets.shape) + targets, 2), targets


def as_records(targets, evaluated, validation, patient=None):
    patient = np.arange(len(targets)) if patient is None else patient
    return TaskRecords([f"L{i}" for i in range(targets.shape[1])], targets, evaluated, validation, patient)


def test_no_other_threshold_has_a_higher_f1():
    scores, targets = random_case(records=60)
    thresholds = best_f1_thresholds(scores, targets)
    for label in range(3):
        f1 = {cut: f1_score(targets[:, label], scores[:, label] >= cut) for cut in np.unique(scores[:, label])}
        assert thresholds[label] == max(cut for cut, value in f1.items() if value == max(f1.values()))


def test_a_label_without_a_validation_positive_is_predicted_for_nobody():
    scores, targets = random_case()
    targets[:, 1] = False
    assert best_f1_thresholds(scores, targets)[1] == np.inf


def test_the_test_split_has_no_say_in_thresholds_and_calibration():
    scores, targets = random_case()
    test, validation = np.arange(200) < 100, np.arange(200) >= 100
    arguments = {"evaluated": test, "validation": validation, "patient": np.arange(200)}
    before = decide(scores, targets, **arguments)
    flipped = np.where(test[:, None], ~targets, targets)
    after = decide(scores, flipped, **arguments)
    np.testing.assert_array_equal(before.thresholds, after.thresholds)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    moved = np.where(test[:, None], scores + 5, scores)
    np.testing.assert_array_equal(before.thresholds, decide(moved, targets, **arguments).thresholds)


def test_a_validation_patient_does_not_help_to_choose_the_threshold_it_is_judged_by():
    scores, targets = random_case(records=60, labels=2)
    everyone, patient = np.ones(60, dtype=bool), np.repeat(np.arange(20), 3)
    before = decide(scores, targets, evaluated=everyone, validation=everyone, patient=patient)
    for one in range(20):
        rows = patient == one
        changed = targets.copy()
        changed[rows] = ~changed[rows]
        after = decide(scores, changed, evaluated=everyone, validation=everyone, patient=patient)
        np.testing.assert_array_equal(before.predictions[rows], after.predictions[rows])
        np.testing.assert_array_equal(before.probabilities[rows], after.probabilities[rows])


def test_choosing_the_threshold_on_test_is_reported_apart_and_never_looks_worse():
    scores, targets = random_case(seed=4)
    report = report_scores(scores, as_records(targets, np.arange(200) < 100, np.arange(200) >= 100), num_resamples=50)
    assert report[f"macro_f1_{ON_TEST}"] >= report["macro_f1"]
    assert report["intervals_95"]["macro_f1"][0] <= report["macro_f1"] <= report["intervals_95"]["macro_f1"][1]


def test_an_undefined_label_counts_in_no_macro_figure():
    scores, targets = random_case()
    test, validation = np.arange(200) < 100, np.arange(200) >= 100
    targets[test, 0] = False
    whole = report_scores(scores, as_records(targets, test, validation), num_resamples=20)
    others = report_scores(scores[:, 1:], as_records(targets[:, 1:], test, validation), num_resamples=20)
    assert whole["undefined_labels"] == ["L0"]
    for name in ("macro_auroc", "macro_f1", "macro_accuracy", f"macro_accuracy_{ON_TEST}", "macro_calibration_error"):
        assert whole[name] == pytest.approx(others[name], abs=1e-12), name
    for name, interval in whole["intervals_95"].items():
        assert interval == pytest.approx(others["intervals_95"][name], abs=1e-12), name


def test_no_validation_record_is_an_error():
    scores, targets = random_case()
    with pytest.raises(ValueError, match="thresholds cannot be chosen"):
        decide(scores, targets, evaluated=np.ones(200, bool), validation=np.zeros(200, bool), patient=np.arange(200))


def test_platt_scaling_is_the_maximum_of_its_likelihood():
    scores, targets = random_case(labels=2)
    scaling = PlattScaling.fit(scores, targets)
    for label in range(2):
        score, target = scores[:, label], targets[:, label]
        positives = target.sum()
        smoothed = np.where(target, (positives + 1) / (positives + 2), 1 / (len(target) - positives + 2))

        def loss(parameters, score=score, smoothed=smoothed):
            logits = parameters[0] * score + parameters[1]
            return (np.logaddexp(0, logits) - smoothed * logits).sum()

        expected = minimize(loss, [0.0, 0.0], method="BFGS").x
        assert [scaling.scale[label], scaling.bias[label]] == pytest.approx(expected, abs=1e-4)


def test_calibration_keeps_the_order_and_stays_finite_where_labels_are_separable():
    scores = np.linspace(-100, 100, 50)[:, None]
    probabilities = PlattScaling.fit(scores, scores > 0)(scores)
    assert np.isfinite(probabilities).all()
    assert (np.diff(probabilities[:, 0]) >= 0).all()


def test_scores_that_rank_the_wrong_way_round_give_everybody_the_prevalence():
    scores, targets = random_case(labels=1)
    probabilities = PlattScaling.fit(-scores, targets)(-scores)
    assert np.ptp(probabilities) == 0
    assert probabilities[0, 0] == pytest.approx(targets.mean(), abs=0.02)


def test_calibration_error_of_known_cases():
    targets = np.array([[True], [False], [True], [False]])
    assert calibration_errors(np.full((4, 1), 0.5), targets) == pytest.approx([0])
    assert calibration_errors(np.full((4, 1), 0.95), targets) == pytest.approx([0.45])
    assert calibration_errors(targets.astype(float), targets) == pytest.approx([0])
    assert sum(row["count"] for row in reliability(np.random.default_rng(0).random((40, 3)), np.zeros((40, 3)))) == 120

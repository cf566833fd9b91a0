"""Metrics and intervals against scikit-learn and against plain loops."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score, roc_curve

from etp.evaluation.intervals import bootstrap_weights, percentile_interval
from etp.scoring.metrics import SENSITIVITY, decision_metrics, macro, ranking_metrics
from etp.scoring.patients import patient_numbers


def random_case(*, records=300, labels=6, distinct=None, seed=0):
    """Scores that know something about the targets; `distinct` rounds them so that ties are common."""
    generator = np.random.default_rng(seed)
    targets = generator.random((records, labels)) < np.linspace(0.02, 0.6, labels)
    targets[0] = True
    scores = generator.normal(size=(records, labels)) + targets
    return (np.round(scores * distinct) / distinct if distinct else scores), targets


@pytest.mark.parametrize("distinct", [None, 1, 5])
def test_ranking_equals_scikit_learn_to_1e_12(distinct):
    scores, targets = random_case(distinct=distinct)
    ours = ranking_metrics(scores, targets)
    for label in range(scores.shape[1]):
        pair = targets[:, label], scores[:, label]
        assert ours["auroc"][0, label] == pytest.approx(roc_auc_score(*pair), abs=1e-12)
        assert ours["average_precision"][0, label] == pytest.approx(average_precision_score(*pair), abs=1e-12)
        false_positive_rate, sensitivity, _ = roc_curve(*pair, drop_intermediate=False)
        expected = sensitivity[false_positive_rate <= 0.1 + 1e-12].max()
        assert ours[SENSITIVITY][0, label] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("distinct", [None, 2])
def test_a_resample_equals_repeating_its_records(distinct):
    scores, targets = random_case(distinct=distinct, records=120)
    weights = bootstrap_weights(np.arange(120), num_resamples=20, seed=3)
    ours = ranking_metrics(scores, targets, weights)
    for resample in range(20):
        rows = np.repeat(np.arange(120), weights[:, resample].astype(int))
        alone = ranking_metrics(scores[rows], targets[rows])
        for name, values in ours.items():
            np.testing.assert_allclose(values[resample], alone[name][0], atol=1e-12, err_msg=name)


def test_decisions_equal_scikit_learn_in_every_resample():
    scores, targets = random_case(records=90, labels=4)
    weights = bootstrap_weights(np.arange(90), num_resamples=10, seed=1)
    ours = decision_metrics(scores > 0.5, targets, weights)
    for resample in range(10):
        for label in range(4):
            pair = targets[:, label], scores[:, label] > 0.5
            counts = weights[:, resample]
            if (targets[:, label] * counts).sum() == 0:
                assert np.isnan(ours["f1"][resample, label])
                continue
            assert ours["f1"][resample, label] == pytest.approx(f1_score(*pair, sample_weight=counts), abs=1e-12)
            expected = accuracy_score(*pair, sample_weight=counts)
            assert ours["accuracy"][resample, label] == pytest.approx(expected, abs=1e-12)


def test_metrics_of_a_record_do_not_depend_on_its_neighbours_order():
    scores, targets = random_case(distinct=3)
    shuffled = np.random.default_rng(1).permutation(len(scores))
    for name, values in ranking_metrics(scores, targets).items():
        np.testing.assert_array_equal(values, ranking_metrics(scores[shuffled], targets[shuffled])[name])


def test_a_label_without_positives_is_undefined_and_left_out_of_the_macro_figure():
    scores, targets = random_case(labels=3)
    targets[:, 1] = False
    auroc = ranking_metrics(scores, targets)["auroc"][0]
    assert np.isnan(auroc).tolist() == [False, True, False]
    assert macro(auroc) == (auroc[0] + auroc[2]) / 2
    assert np.isnan(macro(np.array([np.nan, np.nan])))


def test_records_of_one_patient_are_drawn_together():
    patient = patient_numbers(["a", "b", "a", None, None])
    assert patient.tolist() == [0, 1, 0, 2, 3]
    weights = bootstrap_weights(patient, num_resamples=200)
    np.testing.assert_array_equal(weights[0], weights[2])
    assert (weights[[0, 1, 3, 4]].sum(axis=0) == 4).all()
    assert not (weights[3] == weights[4]).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        scores, targets = random_case(records=200, labels=1, seed=seed)
        targets[:, 0] = np.random.default_rng(1000 + seed).random(200) < 0.4
        scores[:, 0] = np.random.default_rng(2000 + seed).normal(size=200) + targets[:, 0]
        weights = bootstrap_weights(np.arange(200), num_resamples=200, seed=seed)
        low, high = percentile_interval(ranking_metrics(scores, targets, weights)["auroc"])[:, 0]
        covered += low <= 0.7602 <= high  # Phi(1 / sqrt(2)), the AUROC of two normals one deviation apart
    assert 52 <= covered <= 60


@pytest.mark.parametrize(
    ("scores", "targets", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2)), r"\(2, 3\) and \(2, 2\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "at least one record"),
        (np.array([[0.0, np.nan]]), np.zeros((1, 2)), "record 0, label 1 is nan"),
        (np.zeros((1, 2)), np.array([[0, 2]]), "0 or 1"),
    ],
)
def test_scores_that_cannot_be_judged_are_refused(scores, targets, message):
    with pytest.raises(ValueError, match=message):
        ranking_metrics(scores, targets)

"""The linear probe against scikit-learn, and which records have a say in it."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from etp.scoring.labels import stratified_fraction
from etp.scoring.probe import STRENGTHS, choose_probe, fit_probe


def random_case(*, records=300, features=8, labels=3, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(records, features)) * generator.uniform(0.1, 10, features)
    hidden = generator.normal(size=(features, labels)) / inputs.std(axis=0)[:, None]
    targets = inputs @ hidden + generator.logistic(size=(records, labels)) > [0, 1, 3]
    return torch.from_numpy(inputs), targets


@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_the_probe_is_scikit_learns(strength):
    features, targets = random_case()
    probe = fit_probe(features, targets, strength=strength, max_steps=500)
    inputs = ((features - features.mean(dim=0)) / features.std(dim=0, correction=0)).numpy()
    for label in range(3):
        expected = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(inputs, targets[:, label])
        np.testing.assert_allclose(probe(features)[:, label], expected.decision_function(inputs), atol=2e-4)


def test_starting_from_another_strength_ends_in_the_same_probe():
    features, targets = random_case()
    cold = fit_probe(features, targets, strength=0.1, max_steps=500)
    warm = fit_probe(features, targets, strength=0.1, max_steps=500, start=fit_probe(features, targets, strength=1e-3))
    np.testing.assert_allclose(warm(features), cold(features), atol=2e-4)


def test_the_strength_is_chosen_on_the_validation_records():
    features, targets = random_case(records=120, features=40, seed=1)
    targets ^= np.random.default_rng(1).random(targets.shape) < 0.25  # noise that a close fit learns by heart
    training, validation = slice(0, 60), slice(60, 120)
    split = features[training], targets[training], features[validation], targets[validation]
    probe, strength = choose_probe(*split)
    aurocs = {}
    for candidate in STRENGTHS:
        scores = fit_probe(*split[:2], strength=candidate)(features)
        aurocs[candidate] = roc_auc_score(targets[validation], scores[validation], average="macro")
        if candidate == strength:
            np.testing.assert_allclose(probe(features), scores, atol=1e-2)
    assert aurocs[strength] == pytest.approx(max(aurocs.values()), abs=1e-3)
    assert aurocs[STRENGTHS[-1]] < max(aurocs.values()) - 1e-3


def test_constant_features_and_labels_without_positives_are_no_obstacle():
    features, targets = random_case()
    features[:, 0], targets[:, 1] = 3.0, False
    scores = fit_probe(features, targets, strength=1.0)(features)
    assert np.isfinite(scores).all()
    assert (scores[:, 1] < 0).all()


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_every_label_keeps_its_share_and_at_least_one_positive(fraction):
    generator = np.random.default_rng(0)
    targets = generator.random((2000, 4)) < [0, 0.05, 0.3, 0.6]
    targets[[5, 700], 0] = True
    rows = stratified_fraction(targets, fraction, seed=0, patient_ids=[None] * 2000)
    assert len(set(rows)) == len(rows) == pytest.approx(2000 * fraction, abs=3)
    assert (targets[rows].sum(axis=0) >= 1).all()
    wanted = fraction * targets[:, 1:3].sum(axis=0)
    assert targets[rows][:, 1:3].sum(axis=0) == pytest.approx(wanted, rel=0.3, abs=4)


def test_a_seed_draws_the_same_records_and_another_seed_others():
    targets = np.random.default_rng(0).random((500, 3)) < 0.3
    patients = [f"p{row // 2}" for row in range(500)]
    first = stratified_fraction(targets, 0.1, seed=0, patient_ids=patients)
    np.testing.assert_array_equal(first, stratified_fraction(targets, 0.1, seed=0, patient_ids=patients))
    assert set(first) != set(stratified_fraction(targets, 0.1, seed=1, patient_ids=patients))
    np.testing.assert_array_equal(stratified_fraction(targets, 1.0, seed=5, patient_ids=patients), np.arange(500))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5])
def test_no_patient_has_labels_that_are_used_and_others_that_are_not(fraction):
    generator = np.random.default_rng(0)
    patient = generator.integers(700, size=2000)
    targets = generator.random((2000, 4)) < [0, 0.05, 0.3, 0.6]
    targets[5, 0] = True
    rows = stratified_fraction(targets, fraction, seed=0, patient_ids=[f"p{number}" for number in patient])
    assert set(rows) == set(np.flatnonzero(np.isin(patient, patient[rows])))
    assert len(rows) == pytest.approx(2000 * fraction, abs=20)
    assert 5 in rows
    wanted = fraction * targets[:, 1:3].sum(axis=0)
    assert targets[rows][:, 1:3].sum(axis=0) == pytest.approx(wanted, rel=0.3, abs=7)


def test_a_share_that_is_none_is_refused():
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        stratified_fraction(np.ones((3, 1), dtype=bool), 0, seed=0, patient_ids=[None] * 3)

"""Decision thresholds and calibrated probabilities, fitted on validation records only."""

from dataclasses import dataclass

import numpy as np

from .calibration import PlattScaling
from .metrics import RankedLabel, check_scores


@dataclass(frozen=True)
class Decisions:
    """What is decided about the evaluated records.

    Attributes:
        predictions: Score at or above the label's threshold, boolean `(evaluated records, labels)`.
        probabilities: Calibrated, `(evaluated records, labels)`.
        thresholds: Scores, from all validation records, `(labels,)`; infinite for a label without a positive there.
        scaling: Calibration from all validation records.
    """

    predictions: np.ndarray
    probabilities: np.ndarray
    thresholds: np.ndarray
    scaling: PlattScaling


def decide(
    scores: np.ndarray, targets: np.ndarray, *, evaluated: np.ndarray, validation: np.ndarray, patient: np.ndarray
) -> Decisions:
    """Fit on the validation records, evaluate the evaluated ones.

    An evaluated record that is a validation record itself is evaluated by what was fitted on the half of the validation
    patients that it does not belong to, so no record helps to choose its own threshold.

    Args:
        scores: Shape `(records, labels)`.
        targets: Boolean, same shape.
        evaluated: Boolean, `(records,)`.
        validation: Boolean, `(records,)`.
        patient: Patient number of each record, `(records,)`.

    Raises:
        ValueError: If there is no validation record.
    """
    scores, targets = check_scores(scores, targets)
    if not validation.any():
        raise ValueError("No validation record carries a label of the task: thresholds cannot be chosen.")
    thresholds = best_f1_thresholds(scores[validation], targets[validation])
    scaling = PlattScaling.fit(scores[validation], targets[validation])
    predictions, probabilities = scores >= thresholds, scaling(scores)
    if (evaluated & validation).any():
        second_half = _second_half(patient, validation)
        for half in (validation & second_half, validation & ~second_half):
            others = validation & ~half
            if half.any() and others.any():
                predictions[half] = scores[half] >= best_f1_thresholds(scores[others], targets[others])
                probabilities[half] = PlattScaling.fit(scores[others], targets[others])(scores[half])
            else:  # one single patient: nothing else could set its threshold
                predictions[half] = False
    return Decisions(predictions[evaluated], probabilities[evaluated], thresholds, scaling)


def best_f1_thresholds(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The score of each label whose "score >= threshold" has the highest F1, the highest of equally good ones.

    Returns:
        Shape `(labels,)`; infinity, which predicts nobody, for a label without a positive.
    """
    thresholds = np.full(scores.shape[1], np.inf)
    for label in np.flatnonzero(targets.any(axis=0)):
        ranked = RankedLabel.rank(scores[:, label], targets[:, label])
        positives, negatives = (count[:, 0] for count in ranked.counts(np.ones((len(scores), 1))))
        found = positives.cumsum()
        f1 = 2 * found / ((positives + negatives).cumsum() + found[-1])
        thresholds[label] = ranked.thresholds[f1.argmax()]
    return thresholds


def _second_half(patient: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Every other patient of the validation records, in the order of their first record; boolean `(records,)`."""
    patients = np.unique(patient[validation])
    return np.isin(patient, patients[1::2])

"""Ranking and decision metrics of many labels and many bootstrap resamples at once."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

SPECIFICITY = 0.9
SENSITIVITY = f"sensitivity_at_specificity_{SPECIFICITY:.0%}".rstrip("%")
RANKING_METRICS = ("auroc", "average_precision", SENSITIVITY)
DECISION_METRICS = ("f1", "accuracy")
_ELEMENTS_AT_ONCE = 16_000_000  # float64 values of one intermediate array: 128 MB


@dataclass(frozen=True)
class RankedLabel:
    """The records of one label in groups of falling score, kept just as fine as its metrics need.

    Every set of tied scores that holds a positive is a group of its own; runs of negatives between them are one group,
    because no metric here can change inside such a run.

    Attributes:
        thresholds: Lowest score of each group, shape `(groups,)`; "score >= threshold" takes in that group.
        records: Sums records into groups, sparse `(groups, records)`.
        positives: The same for the positive records only.
    """

    thresholds: np.ndarray
    records: csr_matrix
    positives: csr_matrix

    @classmethod
    def rank(cls, scores: np.ndarray, targets: np.ndarray) -> "RankedLabel":
        """Group records by score, both arguments of shape `(records,)`."""
        order = np.argsort(-scores, kind="stable")
        sorted_scores, sorted_targets = scores[order], targets[order]
        is_first_of_tie = np.r_[True, sorted_scores[1:] != sorted_scores[:-1]]
        tie = np.cumsum(is_first_of_tie) - 1
        has_positive = np.bincount(tie, weights=sorted_targets) > 0
        starts_group = has_positive | np.r_[True, has_positive[:-1]]
        group = (np.cumsum(starts_group) - 1)[tie]

        shape = (group[-1] + 1, len(scores))
        ones = np.ones(len(scores))
        is_last_of_group = np.r_[group[1:] != group[:-1], True]
        return cls(
            thresholds=sorted_scores[is_last_of_group],
            records=csr_matrix((ones, (group, order)), shape=shape),
            positives=csr_matrix((sorted_targets.astype(float), (group, order)), shape=shape),
        )

    def counts(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of positives and of negatives per group, each `(groups, resamples)`, for `(records, resamples)`."""
        positives = self.positives @ weights
        return positives, self.records @ weights - positives


def ranking_metrics(
    scores: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """AUROC, average precision and sensitivity at 90% specificity of every label, in every resample.

    Definitions are scikit-learn's (`roc_auc_score`, `average_precision_score`), ties included. The sensitivity is the
    highest one among thresholds whose specificity is at least 90%, without interpolation.

    Args:
        scores: Shape `(records, labels)`; higher means more likely. Finite.
        targets: 0/1 or boolean, shape `(records, labels)`.
        weights: How often each record counts in each resample, shape `(records, resamples)`. Once, if omitted.

    Returns:
        Name -> array of shape `(resamples, labels)`, NaN where a resample lacks positives or negatives of a label.

    Raises:
        ValueError: If shapes do not fit, a score is not finite or a target is not 0 or 1.
    """
    scores, targets = check_scores(scores, targets)
    weights = np.ones((len(scores), 1)) if weights is None else np.asarray(weights, dtype=np.float64)
    result = {name: np.full((weights.shape[1], scores.shape[1]), np.nan) for name in RANKING_METRICS}
    for label in range(scores.shape[1]):
        ranked = RankedLabel.rank(scores[:, label], targets[:, label])
        step = max(1, _ELEMENTS_AT_ONCE // max(1, ranked.records.shape[0]))
        for start in range(0, weights.shape[1], step):
            block = slice(start, start + step)
            values = _ranking_of_one_label(*ranked.counts(weights[:, block]))
            for name, value in zip(RANKING_METRICS, values, strict=True):
                result[name][block, label] = value
    return result


def _ranking_of_one_label(positives: np.ndarray, negatives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Metrics of one label per resample, from the weights of its groups `(groups, resamples)` in falling order."""
    true_positives, false_positives = positives.cumsum(axis=0), negatives.cumsum(axis=0)
    num_positives, num_negatives = true_positives[-1], false_positives[-1]
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is the NaN that says "undefined here"
        beaten = num_negatives - false_positives + negatives / 2
        auroc = (positives * beaten).sum(axis=0) / (num_positives * num_negatives)
        precision = true_positives / np.maximum(true_positives + false_positives, np.finfo(float).tiny)
        average_precision = (positives * precision).sum(axis=0) / num_positives
        allowed = false_positives <= (1 - SPECIFICITY) * num_negatives + 1e-9  # 0.1 * 30 is 3.0000000000000004
        sensitivity = np.where(allowed, true_positives, 0).max(axis=0) / num_positives
    sensitivity[num_negatives == 0] = np.nan
    return auroc, average_precision, sensitivity


def decision_metrics(
    predictions: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """F1 and accuracy of every label, in every resample.

    Args:
        predictions: Boolean, shape `(records, labels)`.
        targets: 0/1 or boolean, shape `(records, labels)`.
        weights: As for [`ranking_metrics`].

    Returns:
        Name -> array of shape `(resamples, labels)`; F1 is NaN where a resample has no positive of a label.
    """
    predictions, targets = np.asarray(predictions, dtype=bool), np.asarray(targets, dtype=bool)
    if predictions.shape != targets.shape:
        raise ValueError(f"Predictions {predictions.shape} and targets {targets.shape} need the same shape.")
    weights = np.ones((len(predictions), 1)) if weights is None else np.asarray(weights, dtype=np.float64)
    hits, wrong, positives = (
        weights.T @ mask.astype(np.float64) for mask in (predictions & targets, predictions != targets, targets)
    )
    total = weights.sum(axis=0)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(positives > 0, 2 * hits / (2 * hits + wrong), np.nan)
    return {"f1": f1, "accuracy": 1 - wrong / total}


def macro(values: np.ndarray) -> np.ndarray:
    """Mean over the labels `(…, labels)` for which a value is defined; NaN if it is for none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=-1)
    total = np.where(defined, values, 0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def check_scores(scores: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scores as float64 and targets as booleans, or say what is wrong with them."""
    scores, targets = np.asarray(scores, dtype=np.float64), np.asarray(targets)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(
            f"Scores and targets are both (records, labels), got shapes {scores.shape} and {targets.shape}."
        )
    if len(scores) == 0:
        raise ValueError("Metrics need at least one record, got none.")
    if not np.isfinite(scores).all():
        record, label = np.argwhere(~np.isfinite(scores))[0]
        raise ValueError(f"The score of record {record}, label {label} is {scores[record, label]}, expected a number.")
    if not np.isin(targets, (0, 1)).all():
        raise ValueError("Targets are 0 or 1 per record and label; other values came.")
    return scores, targets.astype(bool)

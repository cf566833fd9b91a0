"""Platt scaling per label, and calibration errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

NUM_BINS = 10
_NEWTON_STEPS = 50


@dataclass(frozen=True)
class PlattScaling:
    """`probability = sigmoid(scale * score + bias)` with a scale and a bias of each label's own, shape `(labels,)`.

    It keeps the order of the records: a score that ranks validation records the wrong way round gets the scale 0 and
    every record the label's prevalence.
    """

    scale: np.ndarray
    bias: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, targets: np.ndarray) -> "PlattScaling":
        """Maximise the likelihood of Platt's smoothed targets, which keeps separable labels finite (Platt 1999).

        Args:
            scores: Finite, shape `(records, labels)`.
            targets: Boolean, same shape.
        """
        positives, records = targets.sum(axis=0), len(targets)
        smoothed = np.where(targets, (positives + 1) / (positives + 2), 1 / (records - positives + 2))
        prevalence = smoothed.mean(axis=0)
        centre, spread = scores.mean(axis=0), scores.std(axis=0)
        spread = np.where(spread > 0, spread, 1)
        standardised = (scores - centre) / spread
        scale, bias = _newton(standardised, smoothed, prevalence)
        wrong = scale <= 0
        scale, bias = np.where(wrong, 0, scale), np.where(wrong, logit(prevalence), bias)
        return cls(scale / spread, bias - scale * centre / spread)

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities of the same shape `(records, labels)`."""
        return expit(self.scale * scores + self.bias)


def _newton(scores: np.ndarray, targets: np.ndarray, prevalence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of a logistic regression per label, all at once, with steps halved until they help."""
    scale, bias = np.zeros(scores.shape[1]), logit(prevalence)
    loss = _cross_entropy(scores, targets, scale, bias)
    for _ in range(_NEWTON_STEPS):
        probability = expit(scale * scores + bias)
        residual, weight = probability - targets, probability * (1 - probability)
        gradient = np.stack([(residual * scores).sum(axis=0), residual.sum(axis=0)])
        a, b, d = ((weight * power).sum(axis=0) for power in (scores**2, scores, 1))
        a, d = a + 1e-9, d + 1e-9  # a constant score leaves the slope undetermined: keep it at 0
        determinant = a * d - b * b
        step = np.stack([d * gradient[0] - b * gradient[1], a * gradient[1] - b * gradient[0]]) / determinant
        size = np.ones_like(loss)
        for _ in range(30):
            trial = _cross_entropy(scores, targets, scale - size * step[0], bias - size * step[1])
            worse = trial > loss
            if not worse.any():
                break
            size = np.where(worse, size / 2, size)
        better = trial <= loss
        scale, bias = np.where(better, scale - size * step[0], scale), np.where(better, bias - size * step[1], bias)
        improvement, loss = loss - np.where(better, trial, loss), np.where(better, trial, loss)
        if (improvement < 1e-10).all():
            break
    return scale, bias


def _cross_entropy(scores: np.ndarray, targets: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    logits = scale * scores + bias
    return (np.logaddexp(0, logits) - targets * logits).sum(axis=0)


def calibration_errors(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Expected calibration error of each label, `(labels,)`: the mean distance of probability and frequency over ten bins."""
    return np.array(
        [
            sum(
                abs(row["probability"] - row["frequency"]) * row["count"]
                for row in reliability(p[:, None], t[:, None])
            )
            / len(p)
            for p, t in zip(probabilities.T, targets.T, strict=True)
        ]
    )


def reliability(probabilities: np.ndarray, targets: np.ndarray) -> list[dict[str, Any]]:
    """Mean probability, observed frequency and number of predictions in ten equally wide bins, empty ones left out.

    Args:
        probabilities: Shape `(records, labels)`; the predictions of all labels are taken together.
        targets: Boolean, same shape.
    """
    probabilities, targets = probabilities.ravel(), targets.ravel()
    bins = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    probability = np.bincount(bins, weights=probabilities, minlength=NUM_BINS)
    frequency = np.bincount(bins, weights=targets, minlength=NUM_BINS)
    return [
        {"probability": probability[i] / counts[i], "frequency": frequency[i] / counts[i], "count": int(counts[i])}
        for i in np.flatnonzero(counts)
    ]

"""Validation metrics of each task, and what is fitted on the validation records: calibration and thresholds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from etp.scoring.calibration import PlattScaling
from etp.scoring.metrics import macro, ranking_metrics
from etp.scoring.thresholds import best_f1_thresholds

from .labels import SINGLE, LabelHead

_TEMPERATURES = (1e-2, 1e2)


@dataclass(frozen=True)
class Fitted:
    """What the configuration of a classifier holds of its validation records.

    Attributes:
        calibration: "scale" and "bias" of each label.
        thresholds: Probability from which a label is called present, with the best F1; None without a positive.
    """

    calibration: dict[str, list[float]]
    thresholds: list[float | None]


def pool(logits: np.ndarray, windows: int) -> np.ndarray:
    """Logits of windows `(records * windows, labels)` as means `(records, labels)`, float64."""
    return logits.astype(np.float64).reshape(-1, windows, logits.shape[-1]).mean(axis=1)


def label_scores(logits: np.ndarray, problem_type: str) -> np.ndarray:
    """Scores that rank the records of each label, `(records, labels)`: logits, of single labels log-probabilities."""
    return log_softmax(logits, axis=1) if problem_type == SINGLE else logits


def validation_metrics(logits: np.ndarray, targets: np.ndarray, head: LabelHead) -> dict[str, float]:
    """Macro AUROC of each task over the records that have a label of it, and their mean.

    Args:
        logits: Of the records, `(records, labels)`.
        targets: 1, 0 or unknown, `(records, labels)`.
    """
    scores, result = label_scores(logits, head.problem_type), {}
    for task, own in head.slices.items():
        known = targets[:, own.start] >= 0
        result[f"auroc_{task}"] = (
            float(macro(ranking_metrics(scores[known, own], targets[known, own])["auroc"][0]))
            if known.any()
            else float("nan")
        )
    result["auroc"] = float(np.nanmean(list(result.values())))
    if head.problem_type == SINGLE:
        result["accuracy"] = float((logits.argmax(axis=1) == targets.argmax(axis=1)).mean())
    return result


def describe_metrics(metrics: dict[str, float]) -> str:
    """[`validation_metrics`] in words: `AUROC 93.4% (superclass 93.5%, rhythm 93.3%)`."""
    tasks = [
        f"{name.removeprefix('auroc_')} {value:.1%}" for name, value in metrics.items() if name.startswith("auroc_")
    ]
    behind = f" ({', '.join(tasks)})" if len(tasks) > 1 else ""
    accuracy = f", accuracy {metrics['accuracy']:.1%}" if "accuracy" in metrics else ""
    return f"AUROC {metrics['auroc']:.1%}{behind}{accuracy}"


def undefined_tasks(targets: np.ndarray, head: LabelHead) -> list[str]:
    """Tasks of which no label has both positives and negatives, so that nothing can be chosen by them."""
    found = []
    for task, own in head.slices.items():
        known = targets[targets[:, own.start] >= 0, own] == 1
        if not len(known) or not (known.any(axis=0) & ~known.all(axis=0)).any():
            found.append(task)
    return found


def fit_probabilities(logits: np.ndarray, targets: np.ndarray, head: LabelHead) -> Fitted:
    """Platt scaling of each label, or one temperature for labels of which each ECG has one, and thresholds.

    Args:
        logits: Of the validation records, `(records, labels)`.
        targets: 1, 0 or unknown, `(records, labels)`.
    """
    scale, bias, thresholds = np.ones(logits.shape[1]), np.zeros(logits.shape[1]), np.full(logits.shape[1], np.inf)
    if head.problem_type == SINGLE:
        scale[:] = 1 / _temperature(logits, targets.argmax(axis=1))
        thresholds = best_f1_thresholds(softmax(logits * scale, axis=1), targets == 1)
    else:
        for own in head.slices.values():
            known = targets[:, own.start] >= 0
            if not known.any():
                continue
            hot = targets[known, own] == 1
            scaling = PlattScaling.fit(logits[known, own], hot)
            scale[own], bias[own] = scaling.scale, scaling.bias
            thresholds[own] = best_f1_thresholds(scaling(logits[known, own]), hot)
    return Fitted(
        {"scale": scale.tolist(), "bias": bias.tolist()},
        [float(value) if np.isfinite(value) else None for value in thresholds],
    )


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the highest likelihood (arXiv:1706.04599, section 4.2)."""

    def loss(log_temperature: float) -> Any:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(labels)), labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded").x))

"""Metrics of one task as a JSON-ready dict."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from etp.scoring.calibration import calibration_errors, reliability
from etp.scoring.metrics import decision_metrics, macro, ranking_metrics
from etp.scoring.thresholds import Decisions, best_f1_thresholds, decide

from .intervals import NUM_RESAMPLES, bootstrap_weights, percentile_interval

ON_TEST = "threshold_on_test"  # the figure that chooses its threshold on the records it evaluates, as MERL does


@dataclass(frozen=True)
class TaskRecords:
    """What is known about the records of one task, whatever model scores them.

    Attributes:
        labels: Names of the labels, in the order of the columns of `targets`.
        targets: Boolean, `(records, labels)`.
        evaluated: Records that are evaluated, boolean `(records,)`.
        validation: Records that thresholds are fitted on, boolean `(records,)`.
        patient: Patient number of each record, `(records,)`.
    """

    labels: list[str]
    targets: np.ndarray
    evaluated: np.ndarray
    validation: np.ndarray
    patient: np.ndarray

    def keep(self, rows: np.ndarray) -> "TaskRecords":
        """Only some of the records, boolean `(records,)`."""
        return TaskRecords(
            self.labels, self.targets[rows], self.evaluated[rows], self.validation[rows], self.patient[rows]
        )


def report_scores(
    scores: np.ndarray, records: TaskRecords, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Macro and per-label metrics of one task with 95% intervals, thresholds, calibration and undefined labels.

    Args:
        scores: Shape `(records, labels)`, all records of `records`, evaluated or not.
        num_resamples: Bootstrap resamples; with 0 there are no intervals.
    """
    decisions = decide(
        scores,
        records.targets,
        evaluated=records.evaluated,
        validation=records.validation,
        patient=records.patient,
    )
    scores, targets, patient = (a[records.evaluated] for a in (scores, records.targets, records.patient))
    metrics = _metrics(scores, targets, decisions.predictions)
    intervals = None
    if num_resamples:
        compact = np.unique(patient, return_inverse=True)[1]
        weights = bootstrap_weights(compact, num_resamples=num_resamples, seed=seed)
        intervals = _metrics(scores, targets, decisions.predictions, weights)
    on_test = decision_metrics(scores >= best_f1_thresholds(scores, targets), targets)
    on_test = {f"{name}_{ON_TEST}": values for name, values in on_test.items()}
    # A label that nobody has would count as right by predicting nobody: it is left out of every macro figure alike.
    defined = targets.any(axis=0) & ~targets.all(axis=0)
    errors = calibration_errors(decisions.probabilities, targets)

    return {
        **{f"macro_{name}": float(macro(values[0, defined])) for name, values in (metrics | on_test).items()},
        "macro_calibration_error": float(macro(errors[defined])),
        "intervals_95": _intervals(intervals, defined),
        "num_records": len(targets),
        "num_patients": len(np.unique(patient)),
        "num_validation_records": int(records.validation.sum()),
        "undefined_labels": [label for label, ok in zip(records.labels, defined, strict=True) if not ok],
        "per_class": {
            label: _class_report(index, metrics | on_test, intervals, targets, decisions, errors)
            for index, label in enumerate(records.labels)
        },
        "reliability": reliability(decisions.probabilities[:, defined], targets[:, defined]),
    }


def summarise_scores(scores: np.ndarray, records: TaskRecords) -> dict[str, float]:
    """The macro metrics alone, for a baseline."""
    report = report_scores(scores, records, num_resamples=0)
    return {name: value for name, value in report.items() if name.startswith("macro_")}


def _metrics(
    scores: np.ndarray, targets: np.ndarray, predictions: np.ndarray, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    return ranking_metrics(scores, targets, weights) | decision_metrics(predictions, targets, weights)


def _intervals(resampled: dict[str, np.ndarray] | None, defined: np.ndarray) -> dict[str, list[float]]:
    """Name of a macro figure -> lower and upper end."""
    if resampled is None:
        return {}
    return {
        f"macro_{name}": percentile_interval(macro(values[:, defined])).tolist() for name, values in resampled.items()
    }


def _class_report(
    label: int,
    metrics: dict[str, np.ndarray],
    resampled: dict[str, np.ndarray] | None,
    targets: np.ndarray,
    decisions: Decisions,
    errors: np.ndarray,
) -> dict[str, Any]:
    return {
        **{name: float(values[0, label]) for name, values in metrics.items()},
        "calibration_error": float(errors[label]),
        "intervals_95": {
            name: percentile_interval(values[:, label]).tolist() for name, values in (resampled or {}).items()
        },
        "num_positive": int(targets[:, label].sum()),
        "threshold": float(decisions.thresholds[label]),
        "calibration": {
            "scale": float(decisions.scaling.scale[label]),
            "bias": float(decisions.scaling.bias[label]),
        },
    }

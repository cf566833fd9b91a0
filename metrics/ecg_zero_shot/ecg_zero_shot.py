"""Multi-label metrics of zero-shot ECG classification as one `evaluate` module, figures by scikit-learn."""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score, roc_curve

_DESCRIPTION = """\
Judges scores of many labels against multi-label targets as ECG papers do: AUROC, average precision and sensitivity at a
fixed specificity of every label and their macro means; F1 and accuracy at given thresholds; and, under names of their
own, F1 and accuracy at the threshold that is best on the very records that are judged.
"""
_CITATION = """\
@article{scikit-learn,
  title = {Scikit-learn: Machine Learning in {P}ython},
  author = {Pedregosa, F. and Varoquaux, G. and Gramfort, A. and Michel, V. and Thirion, B. and others},
  journal = {Journal of Machine Learning Research}, volume = {12}, pages = {2825--2830}, year = {2011}
}
"""
_KWARGS_DESCRIPTION = """
Args:
    predictions: Scores, higher means more likely, shape `(records, labels)`.
    references: 0 or 1, shape `(records, labels)`.
    labels: Names of the labels; "0", "1" … if omitted.
    thresholds: One per label, chosen on other records; "score >= threshold" is positive. Without them there is no
        honest F1, and none is given.
    specificity: At which sensitivity is given; 0.9.
Returns:
    `macro_auroc`, `macro_average_precision`, `macro_sensitivity`, `macro_f1_threshold_on_test`,
    `macro_accuracy_threshold_on_test`, with `thresholds` also `macro_f1` and `macro_accuracy`; `per_class`: label -> the
    same without "macro_" and `num_positive`; `undefined`: labels that all records have or none, left out of the means.
Examples:
    >>> metric = evaluate.load("metrics/ecg_zero_shot")
    >>> result = metric.compute(
    ...     predictions=[[0.9, 0.2], [0.4, 0.8], [0.1, 0.3]], references=[[1, 0], [1, 1], [0, 0]], labels=["AFIB", "CLBBB"]
    ... )
    >>> result["macro_auroc"]
    1.0
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class EcgZeroShot(evaluate.Metric):
    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Sequence(datasets.Value("int64")),
                }
            ),
            reference_urls=["https://scikit-learn.org/stable/modules/model_evaluation.html"],
        )

    def _compute(self, predictions, references, labels=None, thresholds=None, specificity=0.9) -> dict:
        scores, targets = np.asarray(predictions, dtype=np.float64), np.asarray(references)
        labels = [str(index) for index in range(scores.shape[-1])] if labels is None else list(labels)
        _check(scores, targets, labels, thresholds, specificity)
        defined = (targets.min(axis=0) == 0) & (targets.max(axis=0) == 1)
        per_class = {
            label: _figures(
                scores[:, index], targets[:, index], None if thresholds is None else thresholds[index], specificity
            )
            for index, label in enumerate(labels)
            if defined[index]
        }
        names = [name for figures in per_class.values() for name in figures if name != "num_positive"]
        means = {
            f"macro_{name}": float(np.mean([figures[name] for figures in per_class.values()]))
            for name in dict.fromkeys(names)
        }
        undefined = [label for label, is_defined in zip(labels, defined, strict=True) if not is_defined]
        return {**means, "per_class": per_class, "undefined": undefined}


def _figures(scores: np.ndarray, targets: np.ndarray, threshold: float | None, specificity: float) -> dict:
    """All figures of one label, scores and targets of shape `(records,)`."""
    false_positive_rate, sensitivity, _ = roc_curve(targets, scores, drop_intermediate=False)
    precision, recall, cuts = precision_recall_curve(targets, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = scores >= cuts[len(cuts) - 1 - np.argmax(f1[:-1][::-1])]  # of equally good cuts the highest
    figures = {
        "auroc": float(roc_auc_score(targets, scores)),
        "average_precision": float(average_precision_score(targets, scores)),
        # 1e-12, because 1 - 0.9 is a little less than 0.1
        "sensitivity": float(sensitivity[false_positive_rate <= 1 - specificity + 1e-12].max()),
        "f1_threshold_on_test": float(f1_score(targets, best)),
        "accuracy_threshold_on_test": float(np.mean(best == targets)),
    }
    if threshold is not None:
        positive = scores >= threshold
        figures["f1"] = float(f1_score(targets, positive, zero_division=0))
        figures["accuracy"] = float(np.mean(positive == targets))
    return {**figures, "num_positive": int(targets.sum())}


def _check(scores: np.ndarray, targets: np.ndarray, labels: list, thresholds, specificity: float) -> None:
    if scores.ndim != 2 or scores.shape != targets.shape or not len(scores):
        raise ValueError(
            f"`predictions` and `references` are both (records, labels) with at least one record, got shapes "
            f"{scores.shape} and {targets.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("`predictions` hold NaN or infinite values.")
    if not np.isin(targets, (0, 1)).all():
        raise ValueError("`references` are 0 or 1 per record and label; other values came.")
    for name, values in (("labels", labels), ("thresholds", thresholds)):
        if values is not None and len(values) != scores.shape[1]:
            raise ValueError(f"`{name}` needs one entry per label, {scores.shape[1]}, got {len(values)}.")
    if len(set(labels)) < len(labels):
        raise ValueError("`labels` must be distinct.")
    if not 0 <= specificity <= 1:
        raise ValueError(f"`specificity` is between 0 and 1, got {specificity}.")

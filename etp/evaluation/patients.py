"""Sex and age of the patient as two tasks: from the ECG and prompts alone."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from .baselines import constant_baselines
from .intervals import bootstrap_weights, percentile_interval
from .prompts import OVER_89, LabelPrompts
from .splits import EvaluationRecords
from .task_metrics import TaskRecords, report_scores, summarise_scores

PATIENT_TASKS = ("sex", "age")
YEARS = tuple(range(5, 100, 10))  # the middle of each decade
ERROR = "mean_absolute_error"
Score = Callable[
    [LabelPrompts], Sequence[np.ndarray]
]  # prompts -> scores (records, prompts), model and untrained twin


def known_patients(records: EvaluationRecords, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Whether each patient is a woman, or the age in years, and of which records that is known; both `(records,)`.

    An age that is only known to be over 89 counts as unknown.

    Raises:
        ValueError: If it is known of no evaluated or no validation record.
    """
    values = records.dataset[task][:]
    if task == "sex":
        known = np.array([value is not None for value in values])
        found = np.array([value == "female" for value in values])
    else:
        known = np.array([value is not None and value < OVER_89 for value in values])
        found = np.array([value if ok else 0 for value, ok in zip(values, known, strict=True)], dtype=float)
    for rows, what in ((records.evaluated, "evaluated"), (records.validation, "validation")):
        if not (known & rows).any():
            raise ValueError(f"--tasks {task}: it is known of no {what} record. Leave that task out.")
    return found, known


def report_sex(score: Score, records: EvaluationRecords, *, num_resamples: int, seed: int) -> dict[str, Any]:
    """All metrics of telling women from men, by how much better "woman" fits than "man"."""
    female, known = known_patients(records, "sex")
    of_task = TaskRecords(["female"], female[:, None], records.evaluated, records.validation, records.patient).keep(
        known
    )
    prompts = _prompts("sex", ["woman", "man"])
    scores, untrained = ((woman_man[:, :1] - woman_man[:, 1:])[known] for woman_man in score(prompts))
    return {
        **report_scores(scores, of_task, num_resamples=num_resamples, seed=seed),
        "baselines": {
            **constant_baselines(of_task.targets[of_task.evaluated]),
            "random_encoder": summarise_scores(untrained, of_task),
        },
        "prompts": _described(prompts),
    }


def report_age(score: Score, records: EvaluationRecords, *, num_resamples: int, seed: int) -> dict[str, Any]:
    """Mean absolute error in years of the expected value over the decades, whose probabilities are a softmax of scores.

    The baseline is the median age of the validation records.
    """
    years, known = known_patients(records, "age")
    rows = known & records.evaluated
    prompts = _prompts("age", [f"{year}-year-old patient" for year in YEARS])
    found, untrained = (softmax(scores, axis=1)[rows] @ np.array(YEARS) for scores in score(prompts))
    error = np.abs(found - years[rows])
    intervals = {}
    if num_resamples:
        patient = np.unique(records.patient[rows], return_inverse=True)[1]
        weights = bootstrap_weights(patient, num_resamples=num_resamples, seed=seed)
        intervals = {ERROR: percentile_interval(error @ weights / weights.sum(axis=0)).tolist()}
    median = np.median(years[known & records.validation])
    return {
        ERROR: float(error.mean()),
        "intervals_95": intervals,
        "num_records": int(rows.sum()),
        "baselines": {
            "median": {ERROR: float(np.abs(median - years[rows]).mean()), "years": float(median)},
            "random_encoder": {ERROR: float(np.abs(untrained - years[rows]).mean())},
        },
        "prompts": _described(prompts),
    }


def classified(result: dict[str, Any]) -> dict[str, Any]:
    """A result without the task that is no classification, the patient's age."""
    return {**result, "tasks": {name: report for name, report in result["tasks"].items() if ERROR not in report}}


def of_findings(result: dict[str, Any]) -> dict[str, Any]:
    """A result without the tasks that are about the patient."""
    tasks = {name: report for name, report in result["tasks"].items() if name not in PATIENT_TASKS}
    return {**result, "tasks": tasks}


REPORTS = {"sex": report_sex, "age": report_age}


def _prompts(task: str, phrases: Sequence[str]) -> LabelPrompts:
    return LabelPrompts(task, task, {phrase: (phrase,) for phrase in phrases}, None, {"prompts": "; ".join(phrases)})


def _described(prompts: LabelPrompts) -> dict[str, Any]:
    return {"source": prompts.source, "num_phrases": len(prompts.phrases)}

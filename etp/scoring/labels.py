"""Label tasks of a data set: their columns, the labels of each record, and fractions of the labelled records."""

from collections.abc import Sequence

import numpy as np
from datasets import ClassLabel, Dataset

from datasets_scripts.archives import ARCHIVES, find_archive

from .patients import patient_numbers


def label_columns(dataset: str, tasks: Sequence[str] | None = None) -> dict[str, str]:
    """Task -> label column of the data set, for the tasks asked for or the usual ones.

    Raises:
        ValueError: If a task is unknown, of another data set, or asked for twice, or the data set has no labels.
    """
    archive = find_archive(dataset)
    if not archive.tasks:
        raise ValueError(
            f"--dataset {dataset}: {archive.title} has no labels. `etp evaluate retrieval` evaluates a model by reports."
        )
    tasks = archive.default_tasks if tasks is None else tasks
    for task in tasks:
        if task not in archive.tasks:
            owners = [other.name for other in ARCHIVES.values() if task in other.tasks]
            elsewhere = f" It is a task of {', '.join(owners)}." if owners else ""
            raise ValueError(f"--tasks: {dataset} has no task {task!r}; it has {', '.join(archive.tasks)}.{elsewhere}")
    if not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f"--tasks takes each task once, got {' '.join(tasks) or 'none'}.")
    return {task: archive.tasks[task] for task in tasks}


def label_names(dataset: Dataset, column: str) -> list[str]:
    """Names of the labels of a column, in its order.

    Raises:
        ValueError: If the data set has no such column of labels.
    """
    feature = getattr(dataset.features.get(column), "feature", None)
    if not isinstance(feature, ClassLabel):
        raise ValueError(
            f"The data set has no label column {column!r}; it has {', '.join(dataset.column_names)}. Give its table one, "
            "or evaluate by reports: `etp evaluate retrieval`."
        )
    return list(feature.names)


def label_targets(dataset: Dataset, column: str, labels: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which record has which label.

    Labels are found by their exact names, never by position in another table or as part of a longer name.

    Args:
        dataset: With the list-of-labels column `column`.
        labels: The labels wanted, in the order wanted.

    Returns:
        Boolean targets `(records, labels)`, and which records have any label of the column at all `(records,)`: a
        record without one says nothing about the task, and is left out of it.

    Raises:
        ValueError: If a label is not one of the column's.
    """
    names = label_names(dataset, column)
    if unknown := [label for label in labels if label not in names]:
        raise ValueError(
            f"Column {column!r} has no label {', '.join(unknown)}; its labels are {', '.join(names)}. Records are judged by "
            "the labels they have, so call labels as the data set does; the phrases beside them are yours to choose."
        )
    rows = dataset[column][:]
    hot = np.zeros((len(rows), len(names)), dtype=bool)
    for row, present in enumerate(rows):
        hot[row, present] = True
    return hot[:, [names.index(label) for label in labels]], hot.sum(axis=1) > 0


def stratified_fraction(
    targets: np.ndarray, fraction: float, *, seed: int, patient_ids: Sequence[str | None]
) -> np.ndarray:
    """Draw a fraction of the records, patient by patient, so that every label keeps its fraction of positives.

    Labels are served from the rarest to the commonest, as in iterative stratification (Sechidis et al. 2011); the rest
    is drawn from the patients that are left. No patient has records inside and outside of the draw.

    Args:
        targets: Boolean, `(records, labels)`.
        fraction: Above 0 and up to 1.
        patient_ids: Of each record; a record of unknown patient is a patient of its own.

    Returns:
        Sorted rows, at least one positive of each label that has any. More than the fraction only by what is left of a
        patient, and where single positives of rare labels need it.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"A fraction of labels is above 0 and at most 1, got {fraction}.")
    if fraction == 1:
        return np.arange(len(targets))
    patient = patient_numbers(patient_ids)
    size = np.bincount(patient)
    positives = np.stack([np.bincount(patient, weights=hot, minlength=len(size)) for hot in targets.T])
    order = np.random.default_rng(seed).permutation(len(size))
    chosen = np.zeros(len(size), dtype=bool)
    for label in np.argsort(positives.sum(axis=1), kind="stable"):
        counts = positives[label]
        _draw(chosen, order, counts, wanted=max(1, round(fraction * counts.sum())))
    _draw(chosen, order, size, wanted=round(fraction * len(targets)))
    return np.flatnonzero(chosen[patient])


def _draw(chosen: np.ndarray, order: np.ndarray, counts: np.ndarray, *, wanted: int) -> None:
    """Choose further patients, in their order, until those chosen have the records that are wanted, or all are."""
    left = order[~chosen[order] & (counts[order] > 0)]
    before = counts[chosen].sum() + np.cumsum(counts[left]) - counts[left]
    chosen[left[before < wanted]] = True

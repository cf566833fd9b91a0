"""The labels of a classifier's head, and which record has which."""

from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from etp.options import OptionError
from etp.scoring.heads import output_names, task_slices
from etp.scoring.labels import label_columns, label_names, label_targets
from modeling_etp.classification_etp import UNKNOWN

SINGLE, MULTI = "single_label_classification", "multi_label_classification"


@dataclass(frozen=True)
class LabelHead:
    """The outputs of a classifier.

    Attributes:
        tasks: Task -> its labels, in the order of the outputs.
        columns: Task -> column of the data set.
        problem_type: As the configuration of a model has it.
    """

    tasks: dict[str, list[str]]
    columns: dict[str, str]
    problem_type: str

    @classmethod
    def of(cls, dataset: Dataset, name: str, tasks: list[str] | None, problem_type: str) -> "LabelHead":
        """All labels of the tasks of a data set.

        Raises:
            ValueError: If it has no such task, or its table no labels.
        """
        columns = label_columns(name, tasks)
        labels = {task: label_names(dataset, column) for task, column in columns.items()}
        if problem_type == "single_label" and len(columns) > 1:
            raise OptionError(
                f"--problem_type single_label gives each ECG one label, and --tasks names {len(columns)} tasks: "
                f"{', '.join(columns)}. Name one of them, or take multi_label."
            )
        if few := [task for task, own in labels.items() if len(own) < (2 if problem_type == "single_label" else 1)]:
            raise OptionError(f"task {few[0]!r} has {len(labels[few[0]])} labels: there is nothing to tell apart.")
        return cls(labels, columns, SINGLE if problem_type == "single_label" else MULTI)

    @property
    def names(self) -> list[str]:
        """Names of the outputs; with several tasks, which may share labels, `task/label`."""
        return output_names(self.tasks)

    @property
    def slices(self) -> dict[str, slice]:
        """Task -> its outputs."""
        return task_slices(self.tasks)

    def targets(self, dataset: Dataset) -> np.ndarray:
        """Which record has which label, float32 `(records, labels)`: 1, 0, or `UNKNOWN`.

        A record without any label of a task says nothing about the task, as in the evaluations.
        """
        parts = []
        for task, labels in self.tasks.items():
            hot, labelled = label_targets(dataset, self.columns[task], labels)
            parts.append(np.where(labelled[:, None], hot.astype(np.float32), np.float32(UNKNOWN)))
        return np.concatenate(parts, axis=1)

    def check_single(self, targets: np.ndarray, record_ids: list[str], split: str) -> None:
        """Refuse records with several labels where each is to have one.

        Raises:
            OptionError: If there are some; names the first.
        """
        several = np.flatnonzero((targets == 1).sum(axis=1) > 1)
        if self.problem_type == SINGLE and len(several):
            own = [name for name, value in zip(self.names, targets[several[0]], strict=True) if value == 1]
            raise OptionError(
                f"--problem_type single_label: {len(several)} {split} records have several labels, the first is "
                f"{record_ids[several[0]]} with {' and '.join(own)}. Take multi_label, or another task."
            )

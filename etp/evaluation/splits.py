"""Evaluated records and the validation records that set thresholds."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from datasets_scripts.archives import find_archive
from etp.archives import open_archive
from etp.arrow_batches import read_signals
from etp.scoring.labels import label_names, label_targets
from etp.scoring.patients import patient_numbers

from .task_metrics import TaskRecords

SPLITS = ("train", "validation", "test", "all")


@dataclass(frozen=True)
class EvaluationRecords:
    """The evaluated split and the validation split as one data set, so that one pass embeds both.

    Attributes:
        dataset: Every record once.
        evaluated: Which records are evaluated, boolean `(records,)`.
        validation: Which records thresholds and calibration may be fitted on, boolean `(records,)`; they can be
            evaluated ones too, and are then evaluated by what was fitted on the others (see `decisions`).
        patient: Patient number of each record, `(records,)`.
    """

    dataset: Dataset
    evaluated: np.ndarray
    validation: np.ndarray
    patient: np.ndarray

    @classmethod
    def select(cls, splits: DatasetDict, split: str) -> "EvaluationRecords":
        """Take `split`, or all of them, and the validation records beside it.

        Raises:
            ValueError: If there is no such split, or it or the validation split holds no record.
        """
        if split not in SPLITS:
            raise ValueError(f"--split must be one of {', '.join(SPLITS)}, got {split!r}.")
        evaluated = ["train", "validation", "test"] if split == "all" else [split]
        names = [*evaluated, *(["validation"] if "validation" not in evaluated else [])]
        sizes = {name: len(splits[name]) if name in splits else 0 for name in names}
        if sum(sizes[name] for name in evaluated) == 0:
            raise ValueError(f"The split {split!r} holds no record, so there is nothing to evaluate.")
        if sizes["validation"] == 0:
            raise ValueError("The validation split holds no record, and thresholds are chosen there, never on test.")
        dataset = concatenate_datasets([splits[name] for name in names if sizes[name]])
        origin = np.repeat(names, [sizes[name] for name in names])
        return cls(
            dataset, np.isin(origin, evaluated), origin == "validation", patient_numbers(dataset["patient_id"][:])
        )

    def labels_of(self, column: str) -> list[str]:
        """The labels of a column; see [`label_names`]."""
        return label_names(self.dataset, column)

    def of_task(self, column: str, labels: list[str]) -> tuple[np.ndarray, TaskRecords]:
        """Which records carry a label of the task, boolean `(records,)`, and what is known about those.

        Raises:
            ValueError: If no evaluated record or no validation record carries one.
        """
        targets, labelled = label_targets(self.dataset, column, labels)
        for rows, what in ((self.evaluated, "evaluated"), (self.validation, "validation")):
            if not (labelled & rows).any():
                raise ValueError(
                    f"No {what} record carries a label of {column!r}; leave that task out, or choose another --split."
                )
        records = TaskRecords(labels, targets, self.evaluated, self.validation, self.patient)
        return labelled, records.keep(labelled)


def open_splits(
    name: str,
    data_dir: Path,
    *,
    config: str | None = None,
    cache_dir: Path | None = None,
    on_error: str = "raise",
) -> DatasetDict:
    """Open an archive that is there.

    Raises:
        ValueError: If there is no archive of that name.
        FileNotFoundError: If `data_dir` is not a folder.
        ArchiveError: If it does not hold the archive.
    """
    find_archive(name)
    if not Path(data_dir).is_dir():
        raise FileNotFoundError(f"--data_dir {data_dir} is not a folder; expected the unpacked archive {name}.")
    return open_archive(name, data_dir, config=config, cache_dir=cache_dir, on_error=on_error)


def training_split(splits: DatasetDict) -> Dataset:
    """The training records.

    Raises:
        ValueError: If there are none.
    """
    if "train" not in splits:
        raise ValueError(
            f"No record is in the split train, only in {', '.join(splits)}, and this evaluation reads those."
        )
    return splits["train"]


def content_sha256(dataset: Dataset, *, rows_per_read: int = 1024) -> str:
    """sha256 of record names and signals in their order; what a cache of embeddings is keyed by."""
    digest = hashlib.sha256()
    for start in range(0, len(dataset), rows_per_read):
        rows = np.arange(start, min(start + rows_per_read, len(dataset)))
        for signal in read_signals(dataset, rows):
            digest.update(signal.tobytes())
    digest.update("\n".join(dataset["record_id"][:]).encode())
    digest.update(np.asarray(dataset["sampling_rate"][:]).tobytes())
    return digest.hexdigest()

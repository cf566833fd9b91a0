"""Labelled records as batches for the `Trainer`."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from etp.archives import open_archive
from etp.arrow_batches import column_values
from etp.augmentation import Augmentation
from etp.cures import as_flags
from etp.options import OptionError
from etp.prepared_signals import prepare_signals
from etp.randomness import Purpose, generator
from etp.scoring.labels import stratified_fraction
from modeling_etp.ecg_microvolts_etp import MICROVOLTS_PER_MILLIVOLT

from .arguments import DataArguments
from .labels import SINGLE, LabelHead

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
MANY_RECORDS = 50_000


@dataclass(frozen=True)
class LabelledSplit:
    """Records with a label.

    Attributes:
        signals: int16 µV, `(stored records, leads, samples)`, a map of a file.
        rows: Row of each record in `signals`.
        targets: 1, 0 or `UNKNOWN`, float32 `(records, labels)`.
        patients: Patient of each record, None where that is not known.
        content: Hashes of the signals and of the labels, which tell the records from any others.
    """

    signals: np.ndarray
    rows: np.ndarray
    targets: np.ndarray
    patients: np.ndarray
    content: str

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, chosen: np.ndarray) -> "LabelledSplit":
        """Only some of the records."""
        return LabelledSplit(
            self.signals, self.rows[chosen], self.targets[chosen], self.patients[chosen], self.content
        )


def open_labelled(args: DataArguments) -> DatasetDict:
    """The splits `train` and `validation` of an archive.

    Raises:
        OptionError: If the archive can't be opened, or one of them has no record.
    """
    options = f"--dataset {args.dataset}, --data_dir {args.data_dir}"
    if not args.data_dir.is_dir():
        raise OptionError(f"--data_dir {args.data_dir} is not a folder; expected the unpacked archive {args.dataset}.")
    try:
        archive = open_archive(
            args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir, on_error=args.on_error
        )
    except (ValueError, OSError) as error:
        raise OptionError(f"{options}: {error}") from error
    if missing := [name for name in SPLITS if name not in archive or not len(archive[name])]:
        raise OptionError(
            f"{options}: no record is in the split {missing[0]}, only in {', '.join(archive)}. Fine-tuning learns from "
            "train and chooses by validation: name both in the archive's table."
        )
    return DatasetDict({name: archive[name] for name in SPLITS})


def labelled_split(
    dataset: Dataset, head: LabelHead, args: DataArguments, feature_extractor, *, name: str, progress: bool
) -> LabelledSplit:
    """The records of a split that have a label of the head, at the model's rate and length.

    Raises:
        OptionError: If none has one, a record has several where it is to have one, or can't be used.
    """
    targets = head.targets(dataset)
    record_ids = column_values(dataset, "record_id")
    prepared = prepare_signals(
        dataset,
        feature_extractor,
        folder=Path(args.cache_dir or datasets.config.HF_DATASETS_CACHE).expanduser() / "etp-signals",
        num_proc=len(os.sched_getaffinity(0)) if len(dataset) >= MANY_RECORDS else 1,
        progress=progress,
    )
    labelled = np.asarray((targets >= 0).any(axis=1))
    if not labelled.any():
        raise OptionError(
            f"None of the {len(dataset)} {name} records in {args.data_dir} has a label of {', '.join(head.tasks)}. Give "
            "the table labels, or name another task by --tasks."
        )
    head.check_single(targets, record_ids, name)
    unusable = [row for row in np.flatnonzero(labelled) if int(row) in prepared.unusable]
    if unusable:
        reason = as_flags(prepared.unusable[int(unusable[0])], vars(args))
        first = f"record {record_ids[unusable[0]]}: {reason}"
        found = f"{len(unusable)} of {int(labelled.sum())} labelled {name} records can't be used"
        if args.on_error == "raise":
            raise OptionError(f"{found}. The first is {first} Pass --on_error skip to leave them all out.")
        labelled[unusable] = False
        if not labelled.any():
            raise OptionError(f"{found}: none is left. The first is {first}")
        logger.warning("%s and are left out, such as %s", found, first)
    if int(labelled.sum()) < len(dataset):
        logger.info("%d of %d %s records are used.", int(labelled.sum()), len(dataset), name)
    rows = np.flatnonzero(labelled)
    labels = hashlib.sha256(rows.tobytes() + np.ascontiguousarray(targets[rows]).tobytes()).hexdigest()
    patients = np.array(column_values(dataset, "patient_id"), dtype=object)[rows]
    return LabelledSplit(prepared.signals, rows, targets[rows], patients, f"{prepared.source_sha256} {labels}")


def some_labels(split: LabelledSplit, fraction: float, *, seed: int) -> LabelledSplit:
    """A fraction of the records, drawn by patient as the linear probe draws it."""
    return split.keep(
        stratified_fraction(split.targets == 1, fraction, seed=seed, patient_ids=split.patients.tolist())
    )


class EcgBatches(torch.utils.data.Dataset):
    """Batches of ECGs with their labels; what the `Trainer` asks for as a list of indices comes as one batch.

    Args:
        split: The records.
        problem_type: Of the head.
        length: Samples of each ECG that the model reads at a time.
        augmentation: Of training records. Without one each ECG is read in windows that lie end to end, and an index is
            one of a window: `windows` of them a record, in the order of the records.
        seed: Of the stretches that training sees.
    """

    def __init__(
        self,
        split: LabelledSplit,
        problem_type: str,
        *,
        length: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
    ):
        self.split, self.length, self.augmentation = split, length, augmentation
        self._labels = torch.from_numpy(split.targets)
        if problem_type == SINGLE:
            self._labels = self._labels.argmax(dim=1)
        self._samples = split.signals.shape[-1]
        self._starts = window_starts(self._samples, length)
        self._seed, self._epoch = seed, 0

    @property
    def windows(self) -> int:
        """Windows of each record."""
        return 1 if self.augmentation is not None else len(self._starts)

    def __len__(self) -> int:
        return len(self.split) * self.windows

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch it is, which decides every random change together with the records of a batch."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        chosen = np.asarray(indices)
        records, windows = chosen // self.windows, chosen % self.windows
        ecgs = torch.from_numpy(self.split.signals[self.split.rows[records]])
        if self.augmentation is None:
            starts = self._starts[windows]
        else:
            random = generator(self._seed, Purpose.AUGMENTATION, self._epoch, int(chosen[0]))
            starts = random.integers(self._samples - self.length + 1, size=len(chosen))
        if self.length < self._samples:
            ecgs = torch.stack(
                [ecg[:, start : start + self.length] for ecg, start in zip(ecgs, starts.tolist(), strict=True)]
            )
        values = ecgs.float().div_(MICROVOLTS_PER_MILLIVOLT)
        if self.augmentation is not None:
            whole = slice(0, len(values))
            values = self.augmentation(
                values, epoch=self._epoch, step=int(chosen[0]), rows=whole, batch_size=len(values)
            )
        return {"input_values": values, "labels": self._labels[records]}


def window_starts(samples: int, length: int) -> np.ndarray:
    """First samples of windows that lie end to end; the last one ends where the ECG does."""
    return np.unique([*range(0, max(samples - length, 0), length), max(samples - length, 0)])


def as_they_are(batch: Any) -> Any:
    """The batch, which is collated already."""
    return batch

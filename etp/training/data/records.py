"""Records of a split for training: signals, texts and ids."""

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import datasets
import numpy as np
import torch
from datasets import Dataset
from datasets.exceptions import DatasetGenerationError

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.archives import find_archive
from datasets_scripts.label_sets import LABEL_TASKS, load_label_set
from etp.archives import open_archive
from etp.arrow_batches import column_values
from etp.cures import as_flags
from etp.options import OptionError
from etp.prepared_signals import prepare_signals
from etp.texts.held_out import without_finding
from etp.texts.patients import PatientTexts
from etp.texts.views import TextViews
from etp.training.arguments import DataArguments
from etp.training.objective_names import uses_texts

from .fingerprint import Fingerprint, fingerprint
from .signals import FeatureStore, SignalStore, compute_features

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
MANY_RECORDS = 50_000


@dataclass(frozen=True)
class Split:
    """Records that have a text.

    Attributes:
        record_ids: Of the archive, to name records in messages.
        signals: At the model's rate and length, or the features of a frozen tower.
        statements: What each record's text is made of.
        views: Texts of the records.
        fingerprint: Identity of all of these.
        unusable: Record id -> why it is left out, with `--on_error skip`.
        patients: Texts of age and sex, where an objective reads them.
    """

    record_ids: list[str]
    signals: SignalStore | FeatureStore
    statements: list[list[str]]
    views: TextViews
    fingerprint: Fingerprint
    unusable: Mapping[str, str] = field(default_factory=dict)
    patients: PatientTexts | None = None

    def __len__(self) -> int:
        return len(self.record_ids)


def open_splits(args: DataArguments) -> dict[str, Dataset]:
    """The splits `train` and `validation` of the archive, prepared or found prepared.

    Raises:
        OptionError: There is no such archive or configuration, its files are missing or damaged, or it has no records
            of one of the two.
    """
    archive_options = f"--dataset {args.dataset}, --data_dir {args.data_dir}"
    try:
        archive = open_archive(
            args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir, on_error=args.on_error
        )
    except (ValueError, OSError, DatasetGenerationError) as error:
        # `datasets` hides what went wrong in a build, such as a full disk, in the cause of its error.
        reason = error if isinstance(error, ArchiveError) else error.__cause__ or error
        raise OptionError(f"{archive_options}: {reason}") from error
    for name in SPLITS:
        if name not in archive:
            raise OptionError(
                f"{archive_options}: no record is in the split {name}, only in {', '.join(archive)}. Training needs "
                f"records in {' and '.join(SPLITS)}: name them in the archive's table."
            )
    return {name: archive[name] for name in SPLITS}


def load_split(
    dataset: Dataset,
    args: DataArguments,
    feature_extractor,
    *,
    name: str,
    seed: int,
    device: torch.device,
    progress: bool,
    objectives: Collection[str] = ("batch",),
) -> Split:
    """Read a split, leaving out records without text.

    Args:
        objectives: What is read of the records; where none of them reads texts, all records stay, with an empty one.

    Raises:
        OptionError: No record has a text, no training text has what is to be left out, or a record's signal can't be used.
    """
    statements = record_statements(dataset, args) if uses_texts(objectives) else [[""]] * len(dataset)
    if args.held_out_findings:
        # A rare finding may be in no validation report, but a run that leaves out nothing is not what was asked for.
        statements = without_finding(statements, args.held_out_findings, must_match=name == "train")
    kept = [row for row, record in enumerate(statements) if record]
    if not kept:
        raise OptionError(
            f"None of the {len(dataset)} records of the {name} split in {args.data_dir} has a text "
            f"(--text_source {args.text_source}): there is nothing to align the ECGs with."
        )
    if len(kept) < len(dataset):
        logger.info("%d of %d %s records have no text and are left out.", len(dataset) - len(kept), len(dataset), name)
    prepared = prepare_signals(
        dataset,
        feature_extractor,
        folder=signals_folder(args.cache_dir),
        num_proc=_num_proc(dataset),
        progress=progress,
    )
    record_ids = column_values(dataset, "record_id")
    unusable = {
        record_ids[row]: as_flags(prepared.unusable[row], vars(args)) for row in kept if row in prepared.unusable
    }
    if unusable:
        _check_unusable(unusable, args, name=name, num_records=len(kept))
        kept = [row for row in kept if row not in prepared.unusable]
    statements = [statements[row] for row in kept]
    return Split(
        record_ids=[record_ids[row] for row in kept],
        signals=SignalStore(prepared.signals, rows=np.array(kept, dtype=np.int64), device=device),
        statements=statements,
        views=TextViews(statements, weights=args.text_views, seed=seed),
        fingerprint=fingerprint(
            [record_ids[row] for row in kept], statements, rows=kept, source_sha256=prepared.source_sha256
        ),
        unusable=unusable,
        patients=_patients(dataset, kept, statements, seed=seed) if "patient" in objectives else None,
    )


def _patients(
    dataset: Dataset, rows: Sequence[int], statements: Sequence[Sequence[str]], *, seed: int
) -> PatientTexts:
    ages, sexes = ([column_values(dataset, column)[row] for row in rows] for column in ("age", "sex"))
    if not any(value is not None for value in (*ages, *sexes)):
        raise OptionError("--objectives patient: no record has an age or a sex. Leave that objective out.")
    return PatientTexts(ages, sexes, statements, seed=seed)


def signals_folder(cache_dir: Path | None) -> Path:
    """Where prepared signals are kept: beside the prepared archives."""
    return Path(cache_dir or datasets.config.HF_DATASETS_CACHE).expanduser() / "etp-signals"


def _num_proc(dataset: Dataset) -> int:
    """Starting a process takes seconds: worth it for many records only."""
    return len(os.sched_getaffinity(0)) if len(dataset) >= MANY_RECORDS else 1


def _check_unusable(unusable: Mapping[str, str], args: DataArguments, *, name: str, num_records: int) -> None:
    """Stop at records that the feature extractor refuses, or say how many are left out."""
    record_id, reason = next(iter(unusable.items()))
    found = f"{len(unusable)} of {num_records} {name} records can't be used for training"
    if args.on_error == "raise":
        raise OptionError(
            f"{found}. The first is record {record_id}: {reason} Pass --on_error skip to leave them all out."
        )
    if len(unusable) == num_records:
        raise OptionError(f"None of the {num_records} {name} records can be used. Record {record_id}: {reason}")
    logger.warning("%s and are left out, such as record %s: %s", found, record_id, reason)


def with_features(split: Split, ecg_model, *, progress: bool) -> Split:
    """The split with the features of a frozen tower in the place of its signals."""
    if not isinstance(split.signals, SignalStore):
        raise TypeError("The split holds features already: features are computed from signals.")
    return replace(split, signals=compute_features(ecg_model, split.signals, progress=progress))


def record_statements(dataset: Dataset, args: DataArguments) -> list[list[str]]:
    """The statements of every record, from its report or, for the ceiling row, from its labels."""
    if args.text_source == "statements":
        return [
            [statement for statement in record if statement.strip()] for record in column_values(dataset, "statements")
        ]
    archive = find_archive(args.dataset)
    task = archive.label_text
    if task is None or archive.tasks[task] not in dataset.features:
        raise OptionError(
            f"--text_source label_derived: {args.dataset} has no column of labels to make texts of. Leave it out to train "
            "on the reports."
        )
    column = archive.tasks[task]
    names = dataset.features[column].feature.names
    phrases = load_label_set(task) if task in LABEL_TASKS else {name: [name] for name in names}
    return [[phrases[names[label]][0] for label in record] for record in column_values(dataset, column)]

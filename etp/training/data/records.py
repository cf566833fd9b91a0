"""Records of a split as training wants them: signals, texts and ids."""

import logging
from dataclasses import dataclass, replace

import torch
from datasets import Dataset
from datasets.exceptions import DatasetGenerationError

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.label_sets import load_label_set
from etp.archives import open_archive
from etp.options import OptionError
from etp.texts.held_out import without_finding
from etp.texts.views import TextViews
from etp.training.arguments import DataArguments

from .fingerprint import Fingerprint, fingerprint
from .signals import FeatureStore, SignalStore, compute_features, load_signals

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation")
# Label column and label set that label-derived text is made of, by archive.
LABEL_TEXTS = {"ptb_xl": ("all", "all"), "cpsc2018": ("labels", "cpsc2018")}


@dataclass(frozen=True)
class Split:
    """Records that have a text.

    Attributes:
        record_ids: Of the archive, to name records in messages.
        signals: At the model's rate and length, or the features of a frozen tower.
        statements: What each record's text is made of.
        views: Texts of the records.
        fingerprint: Identity of all of these.
    """

    record_ids: list[str]
    signals: SignalStore | FeatureStore
    statements: list[list[str]]
    views: TextViews
    fingerprint: Fingerprint

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
        archive = open_archive(args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir)
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
) -> Split:
    """Read a split, leaving out records without text.

    Raises:
        OptionError: No record has a text, no training text has what is to be left out, or a record's signal can't be used.
    """
    statements = record_statements(dataset, args)
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
        dataset = dataset.select(kept)
    statements = [statements[row] for row in kept]
    signals = load_signals(dataset, feature_extractor, progress=progress)
    return Split(
        record_ids=list(dataset["record_id"]),
        signals=SignalStore(signals, device=device),
        statements=statements,
        views=TextViews(statements, weights=args.text_views, seed=seed),
        fingerprint=fingerprint(dataset, statements),
    )


def with_features(split: Split, ecg_model, *, progress: bool) -> Split:
    """The split with the features of a frozen tower in the place of its signals."""
    if not isinstance(split.signals, SignalStore):
        raise TypeError("The split holds features already: features are computed from signals.")
    return replace(split, signals=compute_features(ecg_model, split.signals, progress=progress))


def record_statements(dataset: Dataset, args: DataArguments) -> list[list[str]]:
    """The statements of every record, from its report or, for the ceiling row, from its labels."""
    if args.text_source == "statements":
        return [[statement for statement in record if statement.strip()] for record in dataset["statements"]]
    if args.dataset not in LABEL_TEXTS:
        raise OptionError(
            f"--text_source label_derived is known for {' and '.join(LABEL_TEXTS)}, not for --dataset {args.dataset}: "
            "leave it out to train on the reports."
        )
    column, task = LABEL_TEXTS[args.dataset]
    names = dataset.features[column].feature.names
    phrases = load_label_set(task)
    return [[phrases[names[label]][0] for label in record] for record in dataset[column]]

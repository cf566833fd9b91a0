"""`etp check`: which records of a data set training can use, by the very test that training makes."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etp.common_options import DatasetArguments, MissingSamplesArguments
from etp.cures import as_flags

from .files import printable, write

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(kw_only=True)
class CheckArguments(DatasetArguments, MissingSamplesArguments):
    """Which records, and as what they are to be used."""


def run(args: CheckArguments) -> int:
    """Prepare every record as training does, and say what is there and what can't be used."""
    from etp.archives import open_archive, skipped_records

    splits = open_archive(
        args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir, on_error="skip"
    )
    faults = [(row["record_id"], row["error"]) for row in skipped_records(splits)]
    total = len(faults)
    for name, dataset in splits.items():
        faults += refused_records(dataset, args)
        total += len(dataset)
        texts = sum(map(bool, dataset["statements"][:]))
        write(f"{name}: {len(dataset)} records, {texts} with text")
    for record_id, reason in faults:
        reason = as_flags(" ".join(reason.split()), vars(args))
        write(printable(f"Record {record_id}: {reason}"), file=sys.stderr)
    write(f"{total - len(faults)} of {total} records can be used")
    return 1 if faults else 0


def refused_records(dataset: "Dataset", args: CheckArguments) -> list[tuple[str, str]]:
    """Records that the feature extractor refuses, and why; the prepared signals are those that training reads."""
    from etp.prepared_signals import prepare_signals
    from etp.training.data.records import signals_folder
    from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

    extractor = ETPFeatureExtractor(max_gap_seconds=args.max_gap_seconds or 0.0)
    prepared = prepare_signals(dataset, extractor, folder=signals_folder(args.cache_dir))
    ids = dataset["record_id"][:] if prepared.unusable else []
    return [(ids[row], reason) for row, reason in prepared.unusable.items()]

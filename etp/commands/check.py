"""`etp check`: which records of a data set training can use, by the very test that training makes."""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etp.common_options import JSON_HELP, DatasetArguments, MissingSamplesArguments
from etp.cures import as_flags
from etp.options import option

from .files import json_line, printable, write

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(kw_only=True)
class CheckArguments(DatasetArguments, MissingSamplesArguments):
    """Which records, and as what they are to be used."""

    json: bool = option(JSON_HELP, False)


def run(args: CheckArguments) -> int:
    """Prepare every record as training does, and say what is there and what can't be used."""
    from etp.archives import open_archive, skipped_records

    splits = open_archive(
        args.dataset, args.data_dir, config=args.dataset_config, cache_dir=args.cache_dir, on_error="skip"
    )
    refused, usable = skipped_records(splits), {}
    for name, dataset in splits.items():
        own = refused_records(dataset, args)
        usable[name] = len(dataset) - len(own)
        refused += [{"record_id": record_id, "split": name, "error": reason} for record_id, reason in own]
        if not args.json:
            write(f"{name}: {len(dataset)} records, {sum(map(bool, dataset['statements'][:]))} with text")
    refused = [{**record, "error": as_flags(" ".join(record["error"].split()), vars(args))} for record in refused]
    num_usable = sum(usable.values())
    if args.json:
        write(json_line({"usable": num_usable, "usable_of_split": usable, "refused": refused}))
    else:
        for record in refused:
            write(printable(f"Record {record['record_id']}: {record['error']}"), file=sys.stderr)
        write(f"{num_usable} of {num_usable + len(refused)} records can be used")
    return 1 if refused else 0


def refused_records(dataset: "Dataset", args: CheckArguments) -> list[tuple[str, str]]:
    """Records that the feature extractor refuses, and why; the prepared signals are those that training reads."""
    from etp.prepared_signals import prepare_signals
    from etp.training.data.records import signals_folder
    from modeling_etp.feature_extraction_etp import ETPFeatureExtractor

    extractor = ETPFeatureExtractor(max_gap_seconds=args.max_gap_seconds or 0.0)
    prepared = prepare_signals(dataset, extractor, folder=signals_folder(args.cache_dir))
    ids = dataset["record_id"][:] if prepared.unusable else []
    return [(ids[row], reason) for row, reason in prepared.unusable.items()]

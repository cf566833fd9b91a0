"""The arrhythmia database of Chapman, Shaoxing and Ningbo: 45,152 12-lead ECGs of 10 s at 500 Hz, as a `datasets` builder."""

import csv
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets import List, Value
from datasets.utils.logging import get_logger

from datasets_scripts.archive_builder import ArchiveConfig, check_complete
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import SPLITS, fold_of, read_columns, split_of_fold
from datasets_scripts.challenge import find_headers
from datasets_scripts.challenge_headers import patient_and_codes
from datasets_scripts.download import fetch_listed_files
from datasets_scripts.ecg_records import read_record
from datasets_scripts.record_builder import EcgRecordsBuilder, label_feature, row_features
from datasets_scripts.snomed_ecg import class_names, is_named, labels_of_codes

logger = get_logger(__name__)

_VERSION = datasets.Version("1.0.0")  # of the archive; the code's part of the cache key is its hash
URL = "https://physionet.org/files/ecg-arrhythmia/1.0.0/"
CONDITIONS_FILE = "ConditionNames_SNOMED-CT.csv"
_RECORDS = "WFDBRecords"
_NUM_RECORDS = 45152
_SAMPLING_RATE = 500
_SPLITS_FILE = Path(__file__).with_name("csn_splits.csv")
_CURE = "Fetch https://physionet.org/content/ecg-arrhythmia/1.0.0/ again, or leave `data_dir` out to let the builder do it."


class Csn(EcgRecordsBuilder):
    """Builder of Chapman-Shaoxing-Ningbo; configs `all` (default) and `merl` (the 23,026 records of MERL's evaluation).

    Records that MERL uses have its splits in both; the others, of `all` only, are dealt by a hash of their name.
    """

    BUILDER_CONFIGS = [
        ArchiveConfig(name="all", version=_VERSION, description="all 45,152 records"),
        ArchiveConfig(name="merl", version=_VERSION, description="the 23,026 records of MERL's evaluation"),
    ]
    DEFAULT_CONFIG_NAME = "all"
    TABLE_FILES = (CONDITIONS_FILE,)

    def _info(self) -> datasets.DatasetInfo:
        own = {
            "labels": label_feature(class_names()),
            "codes": List(Value("string")),
            "acronyms": List(Value("string")),
        }
        return datasets.DatasetInfo(
            description="Chapman-Shaoxing-Ningbo 1.0.0: 12-lead ECGs of 10 s at 500 Hz with SNOMED CT codes.",
            features=row_features(own),
            homepage="https://physionet.org/content/ecg-arrhythmia/1.0.0/",
            license="CC-BY-4.0",
            citation="Zheng J et al. Optimal Multi-Stage Arrhythmia Classification Approach. Scientific Reports 10, 2898 "
            "(2020). https://doi.org/10.1038/s41598-020-59821-7",
        )

    def _records(self, root: Path) -> pa.Table:
        self._acronyms(root)  # says before hours are spent that the table can't be read
        folder = root / _RECORDS
        files = find_headers(root, [folder]) if folder.is_dir() else {}
        if not files:
            raise ArchiveError(f"{root} holds no record, {_RECORDS}/01/010/JS00001.hea and so on. {_CURE}")
        if self.config.on_error == "raise":
            check_complete(root, (f"{file[:-4]}.mat" for file in files.values()), cure=_CURE)
        splits = merl_splits()
        names = sorted(name for name in files if self.config.name == "all" or name in splits)
        expected = _NUM_RECORDS if self.config.name == "all" else len(splits)
        if len(names) < expected:
            logger.warning(f"{root} has {len(names):,} of {expected:,} records. {_CURE}")
        folds = [None if name in splits else fold_of(name) for name in names]
        return pa.table(
            {
                "record_id": pa.array(names, pa.string()),
                "file": pa.array([files[name] for name in names], pa.string()),
                "split": pa.array(
                    [
                        splits[name] if fold is None else split_of_fold(fold)
                        for name, fold in zip(names, folds, strict=True)
                    ],
                    pa.string(),
                ),
                "strat_fold": pa.array(folds, pa.int32()),
            }
        )

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = root / row["file"]
        record = read_record(path)
        if record.sampling_rate != _SAMPLING_RATE:
            raise RecordError(
                f"{path}: expected {_SAMPLING_RATE} Hz, the header says {record.sampling_rate} Hz. {_CURE}"
            )
        stated = patient_and_codes(record.comments, path)
        acronyms = self._acronyms(root)
        return {
            "ecg": record.signal,
            "sampling_rate": record.sampling_rate,
            **stated,
            "labels": labels_of_codes(stated["codes"]),
            "acronyms": [acronyms[code] for code in stated["codes"] if code in acronyms],
        }

    def _acronyms(self, root: Path) -> dict[str, str]:
        return read_conditions(root / CONDITIONS_FILE)

    def _fetch(self, folder: Path) -> None:
        fetch_listed_files(
            self.config.url or URL,
            folder,
            wanted=lambda path: (
                path == CONDITIONS_FILE or (path.startswith(f"{_RECORDS}/") and path.endswith((".hea", ".mat")))
            ),
        )


@cache
def read_conditions(path: Path) -> dict[str, str]:
    """SNOMED CT code -> the publisher's acronym; the first one where several conditions share a code.

    Raises:
        ArchiveError: If the table can't be read; names the row.
    """
    columns = ("Acronym Name", "Full Name", "Snomed_CT")
    table = read_columns(path, columns, what="the table of conditions", cure=_CURE)
    acronyms: dict[str, str] = {}
    for number, row in enumerate(table.to_pylist(), start=2):
        code = row["Snomed_CT"].strip()
        if not (code.isascii() and code.isdigit()):
            raise ArchiveError(f"{path}, row {number}: expected a SNOMED CT code, got {code!r}. {_CURE}")
        acronyms.setdefault(code, row["Acronym Name"].strip())
    if unnamed := [code for code in acronyms if not is_named(code)]:
        logger.warning(f"{path}: the codes {', '.join(unnamed)} have no name here, so they are no labels.")
    return acronyms


@cache
def merl_splits() -> dict[str, str]:
    """Record -> split of MERL (ICML 2024), of the 23,026 records that it uses."""
    # A digit per record in the order of their numbers: 0 is not used, 1 train, 2 validation, 3 test.
    with _SPLITS_FILE.open(encoding="ascii", newline="") as file:
        digits = "".join(row["splits"] for row in csv.DictReader(file))
    return {f"JS{number:05d}": SPLITS[int(digit) - 1] for number, digit in enumerate(digits, start=1) if digit != "0"}

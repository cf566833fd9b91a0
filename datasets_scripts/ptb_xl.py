"""PTB-XL: 21,799 clinical 12-lead ECGs of 10 s with reports and 71 SCP statements, as a `datasets` builder."""

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import datasets
import pyarrow as pa
from datasets import ClassLabel, Features, List, Value
from datasets.builder import Key

from datasets_scripts.archive_builder import (
    ArchiveConfig,
    EcgArchiveBuilder,
    batches,
    check_complete,
    label_array,
    row_ranges,
    signal_array,
)
from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.ecg_records import read_equal_records
from datasets_scripts.ptb_xl_labels import TASK_CLASSES, check_statements, labels_of, parse_scp_codes
from datasets_scripts.ptb_xl_reports import report_statements

_VERSION = datasets.Version("1.0.3")  # of the archive; the code's part of the cache key is its hash
_SECONDS = 10
_CURE = (
    "Unpack or restore PTB-XL 1.0.3 again, or leave `data_dir` out to fetch it from "
    "https://physionet.org/content/ptb-xl/1.0.3/."
)
_FILE_NAME = re.compile(r"records(?:100|500)/\d+/\w+")
_OVER_89 = 300  # how release 1.0.3 writes an age over 89, for privacy
_SEXES = {"0": "male", "1": "female"}
_SPLIT_FOLDS = {"train": range(1, 9), "validation": range(9, 10), "test": range(10, 11)}

# What a row holds besides the signal; `_features` gives the order of all columns.
_TABLE_TYPES = {
    "record_id": pa.string(),
    "patient_id": pa.string(),
    "report": pa.string(),
    "statements": pa.list_(pa.string()),
    "age": pa.int32(),
    "sex": pa.string(),
    "scp_codes": pa.list_(pa.struct({"code": pa.string(), "likelihood": pa.float32()})),
    "strat_fold": pa.int32(),
    "file": pa.string(),
}


class PtbXl(EcgArchiveBuilder):
    """Builder of PTB-XL; configs `100hz` (default) and `500hz`."""

    BUILDER_CONFIGS = [
        ArchiveConfig(name="100hz", version=_VERSION, description="12 x 1000 samples at 100 Hz"),
        ArchiveConfig(name="500hz", version=_VERSION, description="12 x 5000 samples at 500 Hz"),
    ]
    DEFAULT_CONFIG_NAME = "100hz"
    TABLE_FILES = ("ptbxl_database.csv", "scp_statements.csv")

    @property
    def sampling_rate(self) -> int:
        """Of this config, in Hz."""
        return int(self.config.name.removesuffix("hz"))

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="PTB-XL 1.0.3: 12-lead ECGs with reports, English statements and labels for six tasks.",
            features=_features(_SECONDS * self.sampling_rate),
            homepage="https://physionet.org/content/ptb-xl/1.0.3/",
            license="CC-BY-4.0",
            citation="Wagner P et al. PTB-XL, a large publicly available electrocardiography dataset. "
            "Scientific Data 7, 154 (2020). https://doi.org/10.1038/s41597-020-0495-6",
        )

    def _split_generators(self, dl_manager) -> list[datasets.SplitGenerator]:
        root = Path(self.config.data_dir)
        table = read_table(root, "filename_lr" if self.sampling_rate == 100 else "filename_hr")
        if self.config.on_error == "raise":
            files = table["file"].to_pylist()
            check_complete(root, (f"{file}{end}" for file in files for end in (".hea", ".dat")), cure=_CURE)
        generators = []
        for split, folds in _SPLIT_FOLDS.items():
            rows = table.filter(pa.compute.is_in(table["strat_fold"], pa.array(folds, pa.int32())))
            arguments = {"ranges": row_ranges(len(rows)), "table": rows, "root": str(root), "split": split}
            generators.append(datasets.SplitGenerator(name=split, gen_kwargs=arguments))
        return generators

    def _generate_tables(
        self, ranges: list[tuple[int, int]], table: pa.Table, root: str, split: str
    ) -> Iterator[tuple[Key, pa.Table]]:
        rate = self.sampling_rate
        for index, first, rows in batches(ranges, table):
            headers = [f"{root}/{file}.hea" for file in rows["file"].to_pylist()]
            signals, errors = read_equal_records(headers, sampling_rate=rate, num_samples=_SECONDS * rate)
            kept = self._keep_good(rows, errors, split, first)
            if kept is not None:
                rows, signals = rows.take(kept), signals[kept]
            if len(rows):
                yield Key(index, 0), self._with_signals(rows, signals)

    def _with_signals(self, rows: pa.Table, signals) -> pa.Table:
        rates = pa.array([self.sampling_rate] * len(rows), pa.int32())
        rows = rows.append_column("ecg", signal_array(signals)).append_column("sampling_rate", rates)
        return rows.select(list(self.info.features))


def read_table(root: Path, file_column: str) -> pa.Table:
    """Read what `ptbxl_database.csv` says about every record, as columns of the builder's rows and `file`.

    Args:
        root: Folder of the archive.
        file_column: `filename_lr` or `filename_hr`.

    Raises:
        ArchiveError: If a table is missing or a cell can't be read; the message names the file and the record.
    """
    check_complete(root, PtbXl.TABLE_FILES, cure=_CURE)
    statements_path = root / "scp_statements.csv"
    with statements_path.open(encoding="utf-8", newline="") as file:
        check_statements({row[""]: row for row in csv.DictReader(file)}, statements_path)
    columns: dict[str, list] = {name: [] for name in (*_TABLE_TYPES, *TASK_CLASSES)}
    path = root / "ptbxl_database.csv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                values = _row_values(row, file_column)
            except (KeyError, TypeError, ValueError) as error:
                what = f"column {error} is missing" if isinstance(error, KeyError) else str(error)
                raise ArchiveError(f"{path}: record {row.get('ecg_id')}: {what}. {_CURE}") from error
            values["statements"] = _statements(values["report"])
            for name, value in values.items():
                columns[name].append(value)
    arrays = {name: pa.array(columns[name], type=kind) for name, kind in _TABLE_TYPES.items()}
    return pa.table(arrays | {task: label_array(columns[task]) for task in TASK_CLASSES})


def _row_values(row: dict[str, str], file_column: str) -> dict:
    codes = parse_scp_codes(row["scp_codes"])
    fold, file = int(row["strat_fold"]), row[file_column]
    if fold not in range(1, 11):
        raise ValueError(f"strat_fold must be 1 to 10, got {fold}")
    if not _FILE_NAME.fullmatch(file):
        raise ValueError(f"{file_column} must be such as records100/00000/00001_lr, got {file!r}")
    age = int(float(row["age"])) if row["age"] else None
    return {
        "record_id": str(int(row["ecg_id"])),
        "patient_id": str(int(float(row["patient_id"]))) if row["patient_id"] else None,
        "report": row["report"],
        "age": 90 if age == _OVER_89 else age,
        "sex": _SEXES[row["sex"]] if row["sex"] else None,
        "scp_codes": [{"code": code, "likelihood": likelihood} for code, likelihood in codes],
        "strat_fold": fold,
        "file": file,
        **_labels(tuple(code for code, _ in codes)),
    }


@lru_cache(maxsize=1 << 16)  # 21,799 records have 9,881 different reports
def _statements(report: str) -> list[str]:
    return report_statements(report)


@lru_cache(maxsize=1 << 16)
def _labels(codes: tuple[str, ...]) -> dict[str, list[int]]:
    return labels_of(codes)


def _features(num_samples: int) -> Features:
    return Features(
        {
            "record_id": Value("string"),
            "patient_id": Value("string"),
            "ecg": List(List(Value("int16"), length=num_samples), length=12),
            "sampling_rate": Value("int32"),
            "report": Value("string"),
            "statements": List(Value("string")),
            "age": Value("int32"),
            "sex": Value("string"),
            **{task: List(ClassLabel(names=list(classes))) for task, classes in TASK_CLASSES.items()},
            "scp_codes": List({"code": Value("string"), "likelihood": Value("float32")}),
            "strat_fold": Value("int32"),
        }
    )

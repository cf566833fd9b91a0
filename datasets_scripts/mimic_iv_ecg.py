"""MIMIC-IV-ECG: 800,035 12-lead ECGs of 10 s at 500 Hz with machine reports and measurements, as a `datasets` builder."""

import re
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import Value
from datasets.utils.logging import get_logger

from datasets_scripts.archive_builder import ArchiveConfig
from datasets_scripts.archive_errors import ArchiveError, RecordError
from datasets_scripts.archive_tables import check_records, fold_of, read_columns, split_of_fold
from datasets_scripts.download import fetch_listed_files
from datasets_scripts.ecg_records import read_record
from datasets_scripts.mimic_reports import report_text, statements_of
from datasets_scripts.record_builder import EcgRecordsBuilder, row_features

logger = get_logger(__name__)

_VERSION = datasets.Version("1.0.0")  # of the archive 1.0; the code's part of the cache key is its hash
URL = "https://physionet.org/files/mimic-iv-ecg/1.0/"
LIST_FILE, MEASUREMENTS_FILE = "record_list.csv", "machine_measurements.csv"
REPORT_COLUMNS = tuple(f"report_{number}" for number in range(18))
# Column of the archive -> column of the rows, with its unit.
MEASUREMENTS = {
    **{name: f"{name}_ms" for name in ("rr_interval", "p_onset", "p_end", "qrs_onset", "qrs_end", "t_end")},
    **{name: f"{name}_degrees" for name in ("p_axis", "qrs_axis", "t_axis")},
}
_NOT_MEASURED = 29999  # what the devices write where they could not measure
_NUM_RECORDS = 800035
_SAMPLING_RATE = 500
_PATH = re.compile(r"files/p\d+/p(?P<patient>\d+)/s(?P<study>\d+)/\w+", re.ASCII)
_CURE = "Fetch the file again from https://physionet.org/content/mimic-iv-ecg/1.0/."


class MimicIvEcg(EcgRecordsBuilder):
    """Builder of MIMIC-IV-ECG 1.0, for pre-training: reports are the devices' own English sentences.

    Splits are dealt by patient and stay when the archive is only partly there.
    """

    BUILDER_CONFIGS = [ArchiveConfig(name="default", version=_VERSION, description="12 leads, 10 s at 500 Hz")]
    DEFAULT_CONFIG_NAME = "default"
    TABLE_FILES = (LIST_FILE, MEASUREMENTS_FILE)
    SIGNAL_ENDINGS = (".hea", ".dat")

    def _info(self) -> datasets.DatasetInfo:
        measured = {name: Value("int32") for name in MEASUREMENTS.values()}
        return datasets.DatasetInfo(
            description="MIMIC-IV-ECG 1.0: 12-lead ECGs of 10 s at 500 Hz with machine reports and measurements.",
            features=row_features({"ecg_time": Value("string"), **measured}),
            homepage="https://physionet.org/content/mimic-iv-ecg/1.0/",
            license="ODbL-1.0",
            citation="Gow B et al. MIMIC-IV-ECG: Diagnostic Electrocardiogram Matched Subset (version 1.0). PhysioNet (2023). "
            "https://doi.org/10.13026/4nqg-sb35",
        )

    def _records(self, root: Path) -> pa.Table:
        path = root / LIST_FILE
        columns = ("subject_id", "study_id", "ecg_time", "path")
        table = read_columns(path, columns, what="MIMIC-IV-ECG's list of records", cure=_CURE)
        subjects, studies, files = (table[name].to_pylist() for name in ("subject_id", "study_id", "path"))
        for number, (subject, study, file) in enumerate(zip(subjects, studies, files, strict=True), start=2):
            match = _PATH.fullmatch(file)  # what the table names is opened later: nothing but a record may be
            if match is None:
                raise ArchiveError(
                    f"{path}, row {number}: expected a path such as files/p1000/p10000032/s40689238/40689238, got {file!r}. "
                    f"{_CURE}"
                )
            if (match["patient"], match["study"]) != (subject, study):
                raise ArchiveError(
                    f"{path}, row {number}: the path {file} is not of patient {subject} and study {study}. {_CURE}"
                )
        folds = [fold_of(subject) for subject in subjects]
        splits = [split_of_fold(fold) for fold in folds]
        check_records(path, record_ids=studies, files=files, patient_ids=subjects, splits=splits)
        if len(studies) < _NUM_RECORDS:
            logger.warning(f"{path} lists {len(studies):,} of the {_NUM_RECORDS:,} records of MIMIC-IV-ECG.")
        rows = {
            "record_id": pa.array(studies, pa.string()),
            "patient_id": pa.array(subjects, pa.string()),
            "file": pa.array(files, pa.string()),
            "split": pa.array(splits, pa.string()),
            "strat_fold": pa.array(folds, pa.int32()),
            "ecg_time": table["ecg_time"],
        }
        return pa.table({**rows, **_measurements(root / MEASUREMENTS_FILE, studies, subjects)})

    def _read(self, root: Path, row: dict[str, Any]) -> dict[str, Any]:
        path = root / f"{row['file']}.hea"
        record = read_record(path)
        if record.sampling_rate != _SAMPLING_RATE:
            raise RecordError(
                f"{path}: expected {_SAMPLING_RATE} Hz, the header says {record.sampling_rate} Hz. {_CURE}"
            )
        lines = [row[name] or "" for name in REPORT_COLUMNS]
        return {
            "ecg": record.signal,
            "sampling_rate": record.sampling_rate,
            "report": report_text(lines),
            "statements": statements_of(lines),
        }

    def _fetch(self, folder: Path) -> None:
        tables = (LIST_FILE, MEASUREMENTS_FILE)
        fetch_listed_files(
            self.config.url or URL, folder, wanted=lambda path: path in tables or path.startswith("files/")
        )


def _measurements(path: Path, studies: list[str], subjects: list[str]) -> dict[str, pa.Array]:
    """Reports and measurements of the studies, in their order; null where a study has none."""
    columns = ("subject_id", "study_id", *REPORT_COLUMNS, *MEASUREMENTS)
    table = read_columns(path, columns, what="MIMIC-IV-ECG's table of measurements", cure=_CURE)
    measured = table["study_id"].to_pylist()
    check_records(path, record_ids=measured)
    row_of = {study: row for row, study in enumerate(measured)}
    rows = pa.array([row_of.get(study) for study in studies], pa.int64())
    owners = table["subject_id"].combine_chunks().take(rows).to_pylist()
    for study, subject, owner in zip(studies, subjects, owners, strict=True):
        if owner is not None and owner != subject:
            raise ArchiveError(
                f"{path}, row {row_of[study] + 2}: study {study} is of patient {owner} there, of {subject} in {LIST_FILE}. {_CURE}"
            )
    result = {name: table[name].combine_chunks().take(rows) for name in REPORT_COLUMNS}
    for name, column in MEASUREMENTS.items():
        result[column] = _whole_numbers(path, name, table[name].combine_chunks()).take(rows)
    return result


def _whole_numbers(path: Path, name: str, cells: pa.Array) -> pa.Array:
    """A column of measurements as int32, null where a cell is blank or says that nothing was measured."""
    encoded = cells.dictionary_encode()
    values: list[int | None] = []
    for index, cell in enumerate(encoded.dictionary.to_pylist()):
        try:
            value = round(float(cell)) if cell else _NOT_MEASURED
            values.append(None if abs(value) >= _NOT_MEASURED else value)
        except (ValueError, OverflowError) as error:
            row = int(np.flatnonzero(encoded.indices.to_numpy() == index)[0]) + 2
            raise ArchiveError(
                f"{path}, row {row}: {name} must be a number or blank, got {cell!r}. {_CURE}"
            ) from error
    return pa.array(values, pa.int32()).take(encoded.indices)

"""What `ptbxl_database.csv` says about each record of PTB-XL, as Arrow columns of the builder's rows."""

import csv
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.archive_tables import age_of, check_records, read_columns, split_of_fold
from datasets_scripts.ptb_xl_labels import TASK_CLASSES, check_statements, labels_of, parse_scp_codes

TABLE_FILES = ("ptbxl_database.csv", "scp_statements.csv")
CURE = (
    "Unpack or restore PTB-XL 1.0.3 again, or leave `data_dir` out to fetch it from "
    "https://physionet.org/content/ptb-xl/1.0.3/."
)

_COLUMNS = ("ecg_id", "patient_id", "age", "sex", "recording_date", "report", "scp_codes", "strat_fold")
_FILE_NAME = re.compile(r"records(?:100|500)/\d+/\w+")
_OVER_89 = 300  # how release 1.0.3 writes an age over 89, for privacy
_SEXES = {"0": "male", "1": "female", "": None}
_CODES_TYPE = pa.list_(pa.struct({"code": pa.string(), "likelihood": pa.float32()}))
# Release 1.0.3 withdrew repeated records and gave the one it kept the codes that all of them had; in tables of earlier
# releases these records still have their own. Published counts, splits and benchmarks are those of 1.0.3.
_CONSENSUS_FILE = Path(__file__).with_name("ptb_xl_consensus.csv")


def read_table(root: Path, file_column: str) -> pa.Table:
    """Read the tables of an archive.

    Args:
        root: Folder of the archive.
        file_column: `filename_lr` or `filename_hr`.

    Returns:
        One row per record: `record_id`, `patient_id`, `report`, `age`, `sex`, `scp_codes`, `strat_fold`, `split`, one
        column of class indices per label task, and `file`, the path of the record relative to `root` without its ending.

    Raises:
        ArchiveError: If a cell can't be read, or a statement counts for other classes; the message names the file and
            the record.
    """
    _check_statements(root / "scp_statements.csv")
    path = root / "ptbxl_database.csv"
    raw = read_columns(path, (*_COLUMNS, file_column), what="PTB-XL's table of records", cure=CURE)
    ids, dates = raw["ecg_id"].to_pylist(), raw["recording_date"].to_pylist()
    consensus = _read_consensus()
    codes = [
        consensus.get((record, date), cell)
        for record, date, cell in zip(ids, dates, raw["scp_codes"].to_pylist(), strict=True)
    ]

    def column(name: str, convert: Callable[[str], Any], kind: pa.DataType, cells: Iterable[str] | None = None):
        return _convert(path, ids, name, raw[name] if cells is None else pa.array(cells, pa.string()), convert, kind)

    columns = {
        "record_id": column("ecg_id", lambda cell: str(int(cell)), pa.string()),
        "patient_id": column("patient_id", lambda cell: str(int(float(cell))) if cell else None, pa.string()),
        "report": raw["report"],
        "age": column("age", _age, pa.int32()),
        "sex": column("sex", _sex, pa.string()),
        "scp_codes": column("scp_codes", _code_rows, _CODES_TYPE, codes),
        "strat_fold": column("strat_fold", _fold, pa.int32()),
        "file": column(file_column, _file, pa.string()),
    }
    for task in TASK_CLASSES:
        columns[task] = column("scp_codes", partial(_labels, task), pa.list_(pa.int64()), codes)
    columns["split"] = pa.array([split_of_fold(fold) for fold in columns["strat_fold"].to_pylist()], pa.string())
    check_records(
        path,
        record_ids=columns["record_id"].to_pylist(),
        files=columns["file"].to_pylist(),
        patient_ids=columns["patient_id"].to_pylist(),
        splits=columns["split"].to_pylist(),
    )
    return pa.table(columns)


def _check_statements(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        try:
            check_statements({row[""]: row for row in csv.DictReader(file)}, path)
        except (KeyError, UnicodeDecodeError, csv.Error) as error:
            raise ArchiveError(f"{path} is not PTB-XL's table of statements ({error!r}). {CURE}") from error


def _read_consensus() -> dict[tuple[str, str], str]:
    """Codes of release 1.0.3 by record and recording date; the date keeps other archives' records apart."""
    with _CONSENSUS_FILE.open(encoding="utf-8", newline="") as file:
        return {(row["ecg_id"], row["recording_date"]): row["scp_codes"] for row in csv.DictReader(file)}


def _convert(
    path: Path,
    ids: list[str],
    name: str,
    cells: pa.ChunkedArray | pa.Array,
    convert: Callable[[str], Any],
    kind: pa.DataType,
) -> pa.Array:
    """Convert a column cell by cell, equal cells once."""
    combined = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    encoded = combined.dictionary_encode()
    values = []
    for index, cell in enumerate(encoded.dictionary.to_pylist()):
        try:
            values.append(convert(cell))
        except (ValueError, OverflowError) as error:
            record = ids[encoded.indices.index(index).as_py()]
            row = encoded.indices.index(index).as_py() + 2
            raise ArchiveError(f"{path}, row {row}: record {record}, {name}: {error}. {CURE}") from error
    return pa.array(values, kind).take(encoded.indices)


def _age(cell: str) -> int | None:
    return 90 if cell and float(cell) == _OVER_89 else age_of(cell)


def _sex(cell: str) -> str | None:
    if cell not in _SEXES:
        raise ValueError(f"expected 0 (male) or 1 (female), got {cell!r}")
    return _SEXES[cell]


def _fold(cell: str) -> int:
    if not cell.isdecimal() or int(cell) not in range(1, 11):
        raise ValueError(f"expected a fold from 1 to 10, got {cell!r}")
    return int(cell)


def _file(cell: str) -> str:
    # What the table names is opened later: nothing but a record of the archive may be.
    if not _FILE_NAME.fullmatch(cell):
        raise ValueError(f"expected a path such as records100/00000/00001_lr, got {cell!r}")
    return cell


def _code_rows(cell: str) -> list[dict[str, str | float]]:
    return [{"code": code, "likelihood": likelihood} for code, likelihood in parse_scp_codes(cell)]


def _labels(task: str, cell: str) -> list[int]:
    return labels_of(task, (code for code, _ in parse_scp_codes(cell)))

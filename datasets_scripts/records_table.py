"""Read `records.csv`, the table of a custom archive."""

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from datasets_scripts.archive_errors import ArchiveError
from datasets_scripts.archive_tables import NUM_FOLDS, SPLITS, age_of, check_records, fold_of, read_text, split_of_fold

TABLE_FILE = "records.csv"
COLUMNS = (
    "file", "record_id", "patient_id", "report", "statements", "labels", "age", "sex", "split", "strat_fold",
    "sampling_rate", "units", "lead_names",
)  # fmt: skip
_NAMES = ("file", "record_id", "patient_id")  # which errors and results repeat
SEPARATOR = "|"  # between the entries of a cell; commas and semicolons occur in statements
_DELIMITERS = (",", ";", "\t")  # a spreadsheet's, whichever its country
_SEXES = {"male": "male", "m": "male", "female": "female", "f": "female"}
# A full stop ends a sentence where a space follows, so that "0.45 s" and "V1.." stay whole.
_SENTENCE_END = re.compile(r"[;\n]+|\.+(?=\s|$)")


@dataclass(frozen=True)
class RecordsTable:
    """The records of an archive.

    Attributes:
        rows: One per record: `record_id`, `patient_id`, `report`, `statements`, `age`, `sex`, `strat_fold`, `labels`
            (indices; only if the table has the column), `split`, `file`, and what the file may not state itself,
            `file_sampling_rate`, `file_units`, `file_lead_names`.
        label_names: Names of the labels, sorted; None without the column.
    """

    rows: pa.Table
    label_names: tuple[str, ...] | None


def read_records_table(path: Path) -> RecordsTable:
    """Read a table.

    Raises:
        ArchiveError: If it is missing, has an unknown column, a cell can't be read, a record is there twice, or a
            patient is in two splits; names the line and how to fix it.
    """
    table = _read_cells(path)
    columns = set(table[0])
    rows = []
    for line, cells in enumerate(table, start=2):
        try:
            rows.append(_read_row(cells))
        except ValueError as error:
            raise ArchiveError(f"{path}, record {line - 1} ({cells['file'] or 'without file'}): {error}") from error
    check_records(
        path,
        record_ids=[row["record_id"] for row in rows],
        files=[_record_of(row["file"]) for row in rows],
        patient_ids=[row["patient_id"] for row in rows],
        splits=[row["split"] for row in rows],
    )
    label_names = None
    if "labels" in columns:
        label_names = tuple(sorted({label for row in rows for label in row["labels"]}))
        if not label_names:
            raise ArchiveError(f"{path}: the column labels is empty in every row. Leave it out.")
        for row in rows:
            row["labels"] = [label_names.index(label) for label in row["labels"]]
    schema = _SCHEMA if label_names is None else _SCHEMA.append(pa.field("labels", pa.list_(pa.int64())))
    if not columns & {"split", "strat_fold"}:
        _check_splits(path, rows)
    return RecordsTable(pa.Table.from_pylist(rows, schema=schema), label_names)


_SCHEMA = pa.schema(
    {
        "record_id": pa.string(),
        "patient_id": pa.string(),
        "report": pa.string(),
        "statements": pa.list_(pa.string()),
        "age": pa.int32(),
        "sex": pa.string(),
        "strat_fold": pa.int32(),
        "split": pa.string(),
        "file": pa.string(),
        "file_sampling_rate": pa.float64(),
        "file_units": pa.string(),
        "file_lead_names": pa.list_(pa.string()),
    }
)


def split_report(report: str) -> list[str]:
    """The sentences of a report, in their order, each once.

    Example:
        >>> split_report("Sinus rhythm. QTc 0.45 s; left axis deviation.")
        ['Sinus rhythm', 'QTc 0.45 s', 'left axis deviation']
    """
    sentences = (" ".join(sentence.split()) for sentence in _SENTENCE_END.split(report))
    return list(dict.fromkeys(filter(None, sentences)))


def _read_cells(path: Path) -> list[dict[str, str]]:
    """Rows as they are written, without spaces around cells; blank where a row is short."""
    if not path.is_file():
        raise ArchiveError(f"There is no {path}: a table with the columns file and report, one row per ECG file.")
    text = read_text(path, cure="A spreadsheet has that as a format of its own.")
    header, _, body = text.replace("\r\n", "\n").partition("\n")
    delimiter = next((mark for mark in _DELIMITERS if "file" in _names(header, mark)), ",")
    names = _names(header, delimiter)
    if "file" not in names or len(set(names)) < len(names):
        raise ArchiveError(f"{path}: its first line must name a column file, and each column once; it is {header!r}.")
    if not header.replace("\t", "").isprintable():
        raise ArchiveError(f"{path}: its first line holds characters that can't be printed: {header[:200]!r}.")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise ArchiveError(
            f"{path}: unknown column(s) {', '.join(unknown)}. Known are {', '.join(COLUMNS)}; rename or remove others."
        )
    reader = csv.DictReader(io.StringIO(body, newline=""), names, delimiter=delimiter, restval="", strict=True)
    rows = []
    try:
        for row in reader:
            if None in row:
                raise ArchiveError(
                    f"{path}, line {reader.line_num + 1}: more cells than columns. Quote cells that hold {delimiter!r}."
                )
            rows.append({name: cell.strip() for name, cell in row.items()})
            if odd := next((name for name in _NAMES if not rows[-1].get(name, "").isprintable()), None):
                raise ArchiveError(
                    f"{path}, line {reader.line_num + 1}: {odd} holds characters that can't be printed: "
                    f"{rows[-1][odd][:200]!r}. Rename it."
                )
    except csv.Error as error:
        raise ArchiveError(f"{path}, line {reader.line_num + 1}: {error}. Close its quotes.") from error
    if not rows:
        raise ArchiveError(f"{path} has no record below its first line.")
    return rows


def _record_of(file: str) -> str:
    """A file by one name: `./a//b.hea` and `a/b` are the same record."""
    path = PurePosixPath(file)
    return str(path.with_suffix("") if path.suffix in (".hea", ".dat") else path)


def _names(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"') for name in header.split(delimiter)]


def _read_row(cells: Mapping[str, str]) -> dict[str, Any]:
    """Values of a row.

    Raises:
        ValueError: If a cell can't be read; names its column.
    """
    file, report = cells["file"], cells.get("report", "")
    if not file or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts or "\\" in file:
        raise ValueError(f"file must be a path inside the folder, written with /, got {file!r}.")
    record_id = cells.get("record_id") or str(PurePosixPath(file).with_suffix(""))
    patient_id = cells.get("patient_id") or None
    split, fold = _split(cells, patient_id or record_id)
    return {
        "record_id": record_id,
        "patient_id": patient_id,
        "report": report,
        "statements": _entries(cells["statements"]) if cells.get("statements") else split_report(report),
        "labels": _entries(cells.get("labels", "")),
        "age": _number(cells, "age", age_of),
        "sex": _one_of(cells, "sex", _SEXES),
        "strat_fold": fold,
        "split": split,
        "file": file,
        "file_sampling_rate": _number(cells, "sampling_rate", float),
        "file_units": cells.get("units") or None,
        "file_lead_names": cells.get("lead_names", "").split() or None,
    }


def _split(cells: Mapping[str, str], patient: str) -> tuple[str, int | None]:
    if "split" in cells:
        return _one_of(cells, "split", dict(zip(SPLITS, SPLITS, strict=True)), blank=False), _number(
            cells, "strat_fold", _fold
        )
    fold = _number(cells, "strat_fold", _fold) if "strat_fold" in cells else fold_of(patient)
    if fold is None:
        raise ValueError(f"strat_fold must be 1 to {NUM_FOLDS} in every row, or the column be left out.")
    return split_of_fold(fold), fold


def _entries(cell: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (entry.strip() for entry in cell.split(SEPARATOR)))))


def _number(cells: Mapping[str, str], name: str, convert: Callable[[str], Any]) -> Any:
    """The value of a cell, None where it is blank."""
    cell = cells.get(name, "")
    try:
        return convert(cell) if cell else None
    except ValueError as error:
        raise ValueError(f"{name} must be a number in its range or blank, got {cell!r}.") from error


def _fold(cell: str) -> int:
    fold = float(cell)  # a spreadsheet with blanks writes 3.0
    if fold not in range(1, NUM_FOLDS + 1):
        raise ValueError
    return int(fold)


def _one_of(cells: Mapping[str, str], name: str, values: Mapping[str, str], *, blank: bool = True) -> Any:
    cell = cells.get(name, "").lower()
    if not cell and blank:
        return None
    if cell not in values:
        raise ValueError(f"{name} must be one of {', '.join(values)}{' or blank' if blank else ''}, got {cell!r}.")
    return values[cell]


def _check_splits(path: Path, rows: list[dict]) -> None:
    missing = set(SPLITS) - {row["split"] for row in rows}
    if missing:
        raise ArchiveError(
            f"{path}: its {len(rows)} records are too few to be dealt to splits by patient, none falls into "
            f"{' and '.join(sorted(missing))}. Add a column split with train, validation or test."
        )

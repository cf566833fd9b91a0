"""CSV files whose cells no spreadsheet takes for formulas."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from .atomic_files import whole_file

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table, whole or not at all; an apostrophe stands before text that would be a formula.

    Args:
        path: The file.
        names: Of the columns.
        rows: Cells; names of records and labels among them are strangers' words.

    Raises:
        NotWrittenError: If it can't be written.
    """
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        _write(file, names, rows)


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The text of a table that `write_csv` would write."""
    text = io.StringIO(newline="")
    _write(text, names, rows)
    return text.getvalue()


def _write(file: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

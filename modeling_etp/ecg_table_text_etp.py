"""Text as cells: lines, comments, separators, decimal signs, and where the numbers of a table begin."""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .ecg_recording_etp import EcgContentError, EcgCorruptError, EcgFormatError, EcgUnsafeError
from .ecg_times_etp import clock_seconds

MAX_ROWS = 2_000_000  # an hour at 500 Hz; each row takes some 100 bytes besides its text
MAX_ROW_CHARACTERS = 100_000
MAX_PREAMBLE = 500  # lines before the numbers

_MISSING = {"", "nan", "na", "n/a", "#n/a", "null", "-", "--", "none", "?", ".", "*", "missing", "<na>", "nil"}
_SEPARATORS = ("\t", ";", "|", ",")


@dataclass
class Text:
    """A table as text.

    Attributes:
        comments: Lines that start with `#`, `%` or `//`, without that.
        preamble: Lines before the numbers, as cells.
        rows: Lines of numbers.
        line_numbers: Of `rows`.
        separator: `None` is any white space.
        decimal_comma: Whether decimals are written with a comma.
        width: Cells in a row.
    """

    comments: list[str]
    preamble: list[list[str]]
    rows: list[str]
    line_numbers: list[int]
    separator: str | None
    decimal_comma: bool
    width: int


def decode(content: bytes, source: str) -> str:
    """Text of UTF-8, UTF-16 or, failing these, Latin-1, with lines that end in `\\n`."""
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            text = content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise EcgCorruptError(source, "damaged UTF-16 text. Save it as UTF-8.") from error
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def split_text(text: str, source: str) -> Text:
    """Tell comments, what stands before the numbers, and the numbers apart.

    Raises:
        EcgFormatError: If there are no numbers.
        EcgUnsafeError: If it is too long.
    """
    if text.count("\n") > MAX_ROWS:
        raise EcgUnsafeError(source, f"expected at most {MAX_ROWS:,} rows, it has more. Cut the recording.")
    comments, rows, numbers = _lines(text)
    if not rows:
        raise EcgFormatError(source, "a table without rows. Expected one row per sample and one column per lead.")
    longest = max(map(len, rows))
    if longest > MAX_ROW_CHARACTERS:
        raise EcgUnsafeError(
            source,
            f"expected at most {MAX_ROW_CHARACTERS:,} characters in a row, got {longest:,}. Save one row per sample and "
            "one column per lead.",
        )
    sample = [*rows[1:200][-20:], *rows[-3:]] if len(rows) > 1 else rows
    separator = _separator(sample)
    decimal_comma = _has_decimal_comma(sample, separator)
    numeric = _numeric_columns(sample, separator, decimal_comma)
    start = _start(rows, separator, decimal_comma, numeric)
    if start is None:
        first = cells(rows[0], separator)
        if all(number(cell, False) is None for cell in first):
            raise EcgContentError(source, "it has column names and no rows of numbers. Export it with its samples.")
        start = 0
    if _numbers_columns(rows[start], rows[start + 1 : start + 20], separator):
        start += 1
    width = _width(rows[start:], separator)
    preamble = [cells(row, separator) for row in rows[:start]]
    return Text(comments, preamble, rows[start:], numbers[start:], separator, decimal_comma, width)


def _numbers_columns(row: str, following: list[str], separator: str | None) -> bool:
    """Whether the first row of numbers only counts the columns, 0, 1, … or 1, 2, …, as pandas writes in place of names.

    Of three columns and fewer it may be a sample, so there it has to be the one row of whole numbers.
    """
    row_cells = cells(row, separator)
    count = len(row_cells)
    if count < 2 or not following or row_cells not in ([str(first + k) for k in range(count)] for first in (0, 1)):
        return False
    return count > 3 or not any(cell.lstrip("+-").isdigit() for other in following for cell in cells(other, separator))


def cells(row: str, separator: str | None) -> list[str]:
    """The cells of a row without their quotes."""
    if separator is not None and '"' in row:
        parts = next(csv.reader([row], delimiter=separator, skipinitialspace=True), [])
    else:
        parts = row.split(separator)
    return [part.strip().strip("\"'").strip() for part in parts]


def number(cell: str, decimal_comma: bool) -> float | None:
    """The value of a cell, seconds of a time, NaN where it says that there is none, `None` where it is text."""
    if cell.lower() in _MISSING:
        return np.nan
    if (":" in cell or "T" in cell) and (clock := clock_seconds(cell)) is not None:
        return clock
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return None


def numbers(table: Text, names: Sequence[str] | None, source: str) -> tuple[np.ndarray, set[int]]:
    """Values of shape `(rows, columns)`, and which columns are text throughout.

    Raises:
        EcgCorruptError: If a cell isn't a number, naming its row and column.
    """
    rows, width = table.rows, table.width
    plain = (row.replace(",", ".") for row in rows) if table.decimal_comma else rows
    values = _fast(plain, table, len(rows))
    if values is not None:
        return values, set()
    if sum(map(len, rows)) < len(rows) * (width - 1):  # can't hold so many cells, so none are allocated
        raise EcgCorruptError(source, f"expected {width} columns as in its first row, other rows have fewer.")
    values = np.full((len(rows), width), np.nan)
    texts: dict[int, tuple[int, str]] = {}
    is_text = _text_columns(rows, table)
    for index, (row, line_number) in enumerate(zip(rows, table.line_numbers, strict=True)):
        parts = cells(row, table.separator)
        if len(parts) != width:
            raise EcgCorruptError(source, f"line {line_number} has {len(parts)} columns, expected {width}.")
        for column, cell in enumerate(parts):
            value = None if column in is_text else number(cell, table.decimal_comma)
            if value is not None:
                values[index, column] = value
            elif column in is_text:
                texts.setdefault(column, (line_number, cell))
            else:
                called = names[column] if names else column + 1
                raise EcgCorruptError(
                    source,
                    f"line {line_number}, column {called}: expected a number, got {cell[:40]!r}. Remove the text, or "
                    "leave the cell empty for a missing sample.",
                )
    return values, is_text


def _fast(rows, table: Text, count: int) -> np.ndarray | None:
    try:
        values = np.loadtxt(rows, delimiter=table.separator, comments=None, ndmin=2, dtype=np.float64)
    except ValueError:  # quotes, gaps, times or a fault: the slow way reads them or names the cell
        return None
    return values if values.shape == (count, table.width) else None


def _text_columns(rows: list[str], table: Text) -> set[int]:
    """Columns in which no cell of the first and last rows is a number and some are text."""
    seen = [cells(row, table.separator) for row in [*rows[:50], *rows[-50:]]]
    seen = [row for row in seen if len(row) == table.width]
    found = set()
    for column in range(table.width):
        values = [number(row[column], table.decimal_comma) for row in seen]
        if (
            len(values) > 2
            and None in values
            and not any(value is not None and np.isfinite(value) for value in values)
        ):
            found.add(column)
    return found


def _lines(text: str) -> tuple[list[str], list[str], list[int]]:
    comments, rows, line_numbers = [], [], []
    for index, line in enumerate(text.split("\n"), start=1):
        line = line.strip(" ")
        if line.startswith(("#", "%", "//", '"#', "'#")):
            comments.append(line.strip("\"'").lstrip("#%/ "))
        elif line.strip():
            # LabChart writes comments behind a row.
            rows.append(line.partition("#*")[0].rstrip() if "#*" in line else line)
            line_numbers.append(index)
    return comments, rows, line_numbers


def _separator(sample: list[str]) -> str | None:
    """The first of tab, semicolon, bar and comma that most rows have; `None` is any white space."""
    for separator in _SEPARATORS:
        if 2 * sum(separator in row for row in sample) > len(sample):
            return separator
    return None if 2 * sum(len(row.split()) > 1 for row in sample) > len(sample) else ","


def _has_decimal_comma(sample: list[str], separator: str | None) -> bool:
    inside = [
        cell for row in sample for cell in cells(row, separator) if re.match(r"^[-+]?\d*,\d+(?:[eE][-+]?\d+)?$", cell)
    ]
    return bool(inside)


def _numeric_columns(sample: list[str], separator: str | None, decimal_comma: bool) -> set[int]:
    """Columns in which the last rows hold a number."""
    found = set()
    for row in sample:
        for column, cell in enumerate(cells(row, separator)):
            value = number(cell, decimal_comma)
            if value is not None and np.isfinite(value):
                found.add(column)
    return found


def _start(rows: list[str], separator: str | None, decimal_comma: bool, numeric: set[int]) -> int | None:
    """The first row in which every column that holds numbers holds one, or nothing."""
    wanted = max(numeric, default=-1) + 1
    for index, row in enumerate(rows[:MAX_PREAMBLE]):
        parts = cells(row, separator)
        values = [number(cell, decimal_comma) for cell in parts]
        if not any(value is not None and np.isfinite(value) for value in values):
            if values and all(value is not None for value in values) and len(parts) == wanted:
                return index  # a row of missing samples
            continue
        if all(values[column] is not None for column in numeric if column < len(values)) and (
            len(parts) >= wanted or index + 1 == len(rows)
        ):
            return index + _counts_rows(rows[index : index + 3], separator)
    return None


def _counts_rows(rows: list[str], separator: str | None) -> int:
    """1 if the first row is AcqKnowledge's numbers of samples: nothing under the time, which the next rows have."""
    first = [cells(row, separator) for row in rows]
    if len(first) < 3 or first[0][0] or not first[1][0] or not first[2][0]:
        return 0
    counts = {cell for cell in first[0][1:] if cell}
    return int(all(cell.isdecimal() for cell in counts))


def _width(rows: list[str], separator: str | None) -> int:
    return len(cells(rows[0], separator))


__all__ = ["MAX_ROWS", "Text", "cells", "decode", "number", "numbers", "split_text"]

"""Text tables (CSV, TSV and what spreadsheets save as such): one column per lead, one row per sample."""

import codecs
import re
from collections.abc import Sequence

import numpy as np

from .ecg_arrays_etp import unit_scale
from .ecg_recording_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgFormatError,
    EcgRecording,
    EcgUnsafeError,
    make_recording,
    millivolts_per,
)

MAX_ROWS = 2_000_000  # an hour at 500 Hz; each row takes some 100 bytes besides its text
MAX_ROW_CHARACTERS = 100_000

_TIME_NAMES = {"time", "t", "timestamp", "elapsed time", "elapsed_time", "seconds", "sec", "zeit", "tid"}
_INDEX_NAMES = {"", "sample", "samples", "index", "#", "sample #", "sample_number", "n"}
_SECONDS_PER = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6}
_MISSING = {"", "nan", "na", "n/a", "null", "-", "none"}

_NAME_AND_UNIT = re.compile(r"^(.*?)\s*[\[(/]\s*([^\])]*?)\s*[\])]?$")
_RATE_COMMENT = re.compile(
    r"(?:sampling[ _]?(?:rate|frequency)|sample[ _]?rate|\bfs)\D{0,20}?(\d+(?:\.\d+)?)", re.IGNORECASE
)
_CLOCK = re.compile(r"^(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9}(?:\.\d{1,20})?)$", re.ASCII)


def read_table(
    content: bytes,
    source: str,
    *,
    sampling_rate: float | None,
    lead_names: Sequence[str] | None,
    units: str | None,
) -> EcgRecording:
    """Read a table.

    The first row may name the columns, with units such as `II [uV]` or in a row of their own, as `rdsamp -c -H -v -ps`
    writes them. A column called `time` gives the sampling rate; without one it is stated in a comment
    (`# sampling_rate: 500`) or by the caller.

    Raises:
        EcgCorruptError: If a cell isn't a number, naming its row and column.
        EcgContentError: If the rate is unknown, or the time doesn't advance evenly.
    """
    text = _decode(content, source).replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MAX_ROWS:
        raise EcgUnsafeError(source, f"expected at most {MAX_ROWS:,} rows, it has more. Cut the recording.")
    comments, rows, line_numbers = _split_lines(text)
    if not rows:
        raise EcgFormatError(source, "a table without rows. Expected one row per sample and one column per lead.")
    longest = max(map(len, rows))
    if longest > MAX_ROW_CHARACTERS:
        raise EcgUnsafeError(
            source,
            f"expected at most {MAX_ROW_CHARACTERS:,} characters in a row, got {longest:,}. Save one row per sample and "
            "one column per lead.",
        )
    separator = _separator(rows)
    decimal_comma = separator != "," and any("," in row for row in rows[:20])
    names, column_units, num_header_rows = _header(rows, separator, decimal_comma)
    values = _numbers(rows[num_header_rows:], line_numbers[num_header_rows:], separator, decimal_comma, names, source)
    if lead_names is not None and names is None:
        names, lead_names = list(lead_names), None
        if len(names) != values.shape[1]:
            raise EcgContentError(source, f"`lead_names` has {len(names)} names for {values.shape[1]} columns.")
    time_column, dropped = _special_columns(names)
    rate = _rate(source, values, time_column, column_units, comments, sampling_rate)
    kept = [column for column in range(values.shape[1]) if column not in dropped]
    if names is None and len(kept) != 12 and len(values) == 12:
        raise EcgContentError(source, f"12 rows of {len(kept)} columns: it looks transposed. Save one row per sample.")
    scales = []
    for column in kept:
        unit = (column_units[column] if column_units else None) or units
        if unit is not None and millivolts_per(unit) is None and names is not None:
            names[column] = f"{names[column]} [{unit}]"  # no lead, whatever its name
            unit = "mV"
        whole = not (values[:, column] % 1).any() and np.nanmax(np.abs(values[:, column])) > 50
        scales.append(unit_scale(unit, source, whole_numbers=bool(whole)))
    signal = (values[:, kept] * scales).T
    kept_names = None if names is None else [names[column] for column in kept]
    metadata = {"format": "CSV", **({"comments": comments} if comments else {})}
    return make_recording(source, signal, [rate] * len(signal), kept_names, metadata, lead_names=lead_names)


def _decode(content: bytes, source: str) -> str:
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise EcgCorruptError(source, "damaged UTF-16 text. Save it as UTF-8.") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _split_lines(text: str) -> tuple[list[str], list[str], list[int]]:
    comments, rows, numbers = [], [], []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.strip(" ")
        if line.startswith(("#", "%")):
            comments.append(line.lstrip("#% "))
        elif line.strip():
            rows.append(line)
            numbers.append(number)
    return comments, rows, numbers


def _separator(rows: list[str]) -> str | None:
    """Tab, semicolon or comma where the first rows have them; `None` is any white space."""
    sample = rows[:5]
    for separator in ("\t", ";"):
        if all(separator in row for row in sample):
            return separator
    if all("," in row for row in sample):
        return ","
    return None if all(len(row.split()) > 1 for row in sample) else ","


def _cells(row: str, separator: str | None) -> list[str]:
    return [cell.strip().strip("\"'").strip() for cell in row.split(separator)]


def _number(cell: str, decimal_comma: bool) -> float | None:
    """The value of a cell, NaN where it says that there is none, `None` where it is text."""
    if cell.lower() in _MISSING:
        return np.nan
    if clock := _CLOCK.match(cell):
        hours, minutes, seconds = clock.groups()
        return 3600.0 * int(hours or 0) + 60.0 * int(minutes) + float(seconds)
    try:
        return float(cell.replace(",", ".") if decimal_comma else cell)
    except ValueError:
        return None


def _header(rows: list[str], separator: str | None, decimal_comma: bool):
    """Names and units of the columns, and how many rows they take: 0, 1 or 2."""
    first = _cells(rows[0], separator)
    # A data row may hold gaps, so what is asked is whether a cell is text.
    if all(_number(cell, decimal_comma) is not None for cell in first):
        return None, None, 0
    names: list[str] = []
    units: list[str | None] = []
    for cell in first:
        match = _NAME_AND_UNIT.match(cell[:200])
        named_unit = match and (millivolts_per(match[2]) or match[2].lower() in _SECONDS_PER)
        names.append(match[1] if match and named_unit else cell)
        units.append(match[2] if match and named_unit else None)
    if len(rows) > 1:
        second = _cells(rows[1], separator)
        if len(second) == len(first) and all(_number(cell, decimal_comma) is None for cell in second):
            return names, second, 2
    return names, units, 1


def _numbers(rows, line_numbers, separator, decimal_comma, names, source) -> np.ndarray:
    """Values of shape `(rows, columns)`."""
    width = len(names) if names else len(_cells(rows[0], separator)) if rows else 0
    if not rows:
        raise EcgContentError(source, "it has column names and no rows. Export it with its samples.")
    text = (row.replace(",", ".") for row in rows) if decimal_comma else rows
    try:
        values = np.loadtxt(text, delimiter=separator, comments=None, ndmin=2, dtype=np.float64)
        if values.shape == (len(rows), width):
            return values
    except ValueError:
        pass  # quotes, gaps, clock times or a fault: the slow way below reads them or names the cell
    if sum(map(len, rows)) < len(rows) * (width - 1):  # can't hold so many cells, so none are allocated
        raise EcgCorruptError(source, f"expected {width} columns as in its first row, other rows have fewer.")
    values = np.empty((len(rows), width))
    for index, (row, line_number) in enumerate(zip(rows, line_numbers, strict=True)):
        cells = _cells(row, separator)
        if len(cells) != width:
            raise EcgCorruptError(source, f"line {line_number} has {len(cells)} columns, expected {width}.")
        for column, cell in enumerate(cells):
            value = _number(cell, decimal_comma)
            if value is None:
                column_name = names[column] if names else column + 1
                raise EcgCorruptError(
                    source,
                    f"line {line_number}, column {column_name}: expected a number, got {cell[:40]!r}. "
                    "Remove the text, or leave the cell empty for a missing sample.",
                )
            values[index, column] = value
    return values


def _special_columns(names: list[str] | None) -> tuple[int | None, set[int]]:
    """The column of time, and all columns that are time or a running number."""
    if names is None:
        return None, set()
    lowered = [name.strip().lower() for name in names]
    time = [column for column, name in enumerate(lowered) if name in _TIME_NAMES]
    index = [column for column, name in enumerate(lowered) if name in _INDEX_NAMES]
    return (time[0] if time else None), {*time, *index}


def _rate(source, values, time_column, units, comments, stated: float | None) -> float:
    found = [float(match[1]) for comment in comments if (match := _RATE_COMMENT.search(comment))][:1]
    if time_column is not None:
        unit = (units[time_column] or "s") if units else "s"
        found.append(_rate_of_time(source, values[:, time_column] * _SECONDS_PER.get(unit.lower(), 1.0)))
    if stated is not None:
        found.append(float(stated))
    if not found:
        raise EcgContentError(
            source, "the sampling rate isn't in the file: it has no column `time`. Pass e.g. `sampling_rate=500` (Hz)."
        )
    if max(found) > 1.001 * min(found):
        rates = " and ".join(f"{rate:g} Hz" for rate in found)
        raise EcgContentError(source, f"its time column, its comments or `sampling_rate` disagree: {rates}.")
    return found[-1]


def _rate_of_time(source, seconds: np.ndarray) -> float:
    steps = np.diff(seconds)
    if len(steps) == 0 or not np.isfinite(steps).all() or steps.min() < 0 or seconds[-1] <= seconds[0]:
        raise EcgContentError(source, "its time column doesn't advance from row to row. Pass `sampling_rate` instead.")
    step = (seconds[-1] - seconds[0]) / len(steps)
    expected = seconds[0] + step * np.arange(len(seconds))
    if np.abs(seconds - expected).max() > step:
        raise EcgContentError(source, "its time column has gaps or uneven steps. Export evenly sampled data.")
    # Times are written with few digits; 10 s in ms at 360 Hz give 359.99 to 360.01 Hz.
    rate = 1 / step
    return round(rate) if abs(rate - round(rate)) < 1e-3 * rate else rate

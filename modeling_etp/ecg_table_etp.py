"""Text tables (CSV, TSV and what spreadsheets, recorders and apps save as such): a column per lead, a row per sample."""

import re
from typing import Any

from .ecg_columns_etp import Columns, rate_in, recording_from_columns, split_unit
from .ecg_facts_etp import (
    all_leads,
    as_texts,
    means_counts,
    seconds,
    seconds_per,
    stated_names,
    stated_rate,
    stated_unit,
)
from .ecg_recording_etp import EcgCorruptError, EcgRecording
from .ecg_table_exports_etp import read_opensignals, read_watch
from .ecg_table_text_etp import Text, cells, decode, numbers, split_text
from .ecg_times_etp import times_key
from .ecg_units_etp import is_other_quantity, unit_size
from .leads_etp import leads_of

_PER_MILLIVOLT = re.compile(r"(\d+(?:\.\d+)?)\s*(?:adu|counts?|lsb|bits?)?\s*(?:/|per)\s*mv", re.IGNORECASE)
_UNIT_WORD = re.compile(r"\b(?:units?|einheit(?:en)?|unit[éà]s?|unidad(?:es)?|enhet)\b", re.IGNORECASE)


def read_table(content: bytes, source: str, *, sampling_rate: Any, lead_names: Any, units: Any) -> EcgRecording:
    """Read a table.

    The last row before the numbers may name the columns, with units such as `II [uV]` or in a row of their own, as
    `rdsamp -c -H -v -ps` writes them. A column called `time` gives the sampling rate; without one it is stated in a
    line before the numbers (`# sampling_rate: 500`) or by the caller. Exports of the Apple Watch, of OpenSignals,
    LabChart and AcqKnowledge state theirs in their own ways.

    Raises:
        EcgCorruptError: If a cell isn't a number, naming its row and column.
        EcgContentError: If the rate or the unit is unknown, or the time doesn't advance evenly.
    """
    stated: dict[str, Any] = {
        "sampling_rate": stated_rate(sampling_rate, source),
        "lead_names": stated_names(lead_names, source),
        "units": stated_unit(units, source),
    }
    text = decode(content, source)
    columns = read_watch(text, source) or _columns(text, source, stated["lead_names"])
    return recording_from_columns(columns, source, **stated)


def _columns(text: str, source: str, lead_names: list[str] | None) -> Columns:
    table = split_text(text, source)
    if (columns := read_opensignals(table, source)) is not None:
        return columns
    notes: list[str] = []
    names, units, other_rows = _header(table, source, notes)
    values, texts = numbers(table, names, source)
    if texts:
        called = [names[column] if names else f"column {column + 1}" for column in sorted(texts)]
        wrong = [name for name, lead in zip(called, leads_of(called), strict=True) if lead]
        if wrong:
            raise EcgCorruptError(source, f"column {wrong[0]} holds text, expected numbers. Remove the text.")
        notes.append(f"Left out, as they hold text: {', '.join(called)}.")
        kept = [column for column in range(table.width) if column not in texts]
        values, units = values[:, kept], [units[column] for column in kept]
        names = None if names is None else [names[column] for column in kept]
    lines = [*table.comments, *(": ".join(filter(None, row)) for row in other_rows)]
    units = _default_units(lines, units, notes)
    rates = {f"its line {line[:60]!r}": rate for line in lines if (rate := rate_in(line)) is not None}
    for name, unit in zip(names or [], units, strict=False):
        step = seconds(unit) if unit and unit[:1].isdigit() else None  # 'sample interval' over '0.004 sec'
        rates |= {f"its column {name!r}": 1 / step} if step else {}
    metadata = {"comments": table.comments} if table.comments else {}
    return Columns(values, names, units, rates, "CSV", metadata, notes)


def _header(table: Text, source: str, notes: list[str]) -> tuple[list[str] | None, list[str | None], list[list[str]]]:
    """Names and units of the columns, and the rows before the numbers that are neither."""
    nothing: list[str | None] = [None] * table.width
    special = _labchart(table) or _acqknowledge(table)
    if special is not None:
        return (*special, table.preamble)
    rows = [_fitted(row, table) for row in table.preamble]
    first = len(rows)
    while first and rows[first - 1] is not None and len(rows) - first < 3:
        first -= 1
    block = [row for row in rows[first:] if row is not None]
    if not block:
        if table.preamble and len(table.preamble[-1]) > 1:
            raise EcgCorruptError(
                source,
                f"line {table.line_numbers[0]} has {table.width} columns, expected {len(table.preamble[-1])} columns as in "
                "the row of names.",
            )
        return _names_in_comments(table, notes), nothing, table.preamble
    scores = [sum(map(_is_name, row)) for row in block]
    at = scores.index(max(scores)) if max(scores) else 0
    split = [split_unit(cell) for cell in block[at]]
    names, units = [name for name, _ in split], [unit for _, unit in split]
    used = {first + at}
    for index, row in enumerate(block[at + 1 :], start=first + at + 1):
        if sum(map(_is_unit, row)) * 2 >= sum(bool(cell) for cell in row):
            units = [own or (cell or None) for own, cell in zip(units, row, strict=True)]
            used.add(index)
    others = [row for index, row in enumerate(table.preamble) if index not in used]
    numbered = [name for name in names if name]
    if numbered in ([str(first + k) for k in range(len(numbered))] for first in (0, 1)):
        notes.append("Its columns are numbered, not named.")
        return None, nothing, others
    return names, units, others


def _fitted(row: list[str], table: Text) -> list[str] | None:
    """A row of the preamble with as many cells as the numbers have, `None` if it has others."""
    if len(row) == table.width:
        return row
    body = cells(table.rows[0], table.separator)
    if len(row) == table.width - 1 and table.width > 2:
        return [*row, ""] if not body[-1] else ["", *row] if body[0].strip().isdecimal() else None
    return None


def _is_name(cell: str) -> bool:
    return bool(leads_of([split_unit(cell)[0]])[0]) or times_key(cell)[0]


def _is_unit(cell: str) -> bool:
    text = cell.strip("()[]'\" ")
    if not text:
        return False
    return (
        unit_size(text) is not None
        or seconds_per(text) is not None
        or (text[:1].isdigit() and seconds(text) is not None)
        or means_counts(text)
        or bool(re.match(r"^[hmsdy:./\-t]+$", text, re.IGNORECASE))
        or is_other_quantity(text)
    )


def _names_in_comments(table: Text, notes: list[str]) -> list[str] | None:
    """Names in the last comment, as `numpy.savetxt` writes them, or in a line that lists leads."""
    for comment in reversed(table.comments):
        row = [split_unit(cell)[0] for cell in cells(comment, table.separator)]
        if len(row) == table.width and 2 * sum(map(_is_name, row)) >= len(row):
            notes.append(f"Names of columns are taken from the comment {comment[:60]!r}.")
            return row
    for line in [*table.comments, *(" ".join(row) for row in table.preamble)]:
        texts = as_texts(re.split(r"[:=]", line, maxsplit=1)[-1])
        if texts and len(texts) == table.width and all_leads(texts):
            notes.append(f"Names of columns are taken from the line {line[:60]!r}.")
            return texts
    return None


def _default_units(lines: list[str], units: list[str | None], notes: list[str]) -> list[str | None]:
    """Units of columns without one, from a line that states one for all."""
    for line in lines:
        found = None
        if match := _PER_MILLIVOLT.search(line):
            found = f"1/{match[1]} mV"
        elif _UNIT_WORD.search(line):
            words = [re.sub(r"^.*?[:=]\s*", "", part).strip() for part in re.split(r"[:=,;\t]", line)]
            found = next((word for word in words if unit_size(word) is not None), None)
        if found and not all(units):
            notes.append(f"The unit {found} is taken from the line {line[:60]!r}.")
            return [unit or found for unit in units]
    return units


def _labchart(table: Text) -> tuple[list[str], list[str | None]] | None:
    """Names and units of a text export of LabChart, whose lines start with `Interval=`, `ChannelTitle=`, `Range=`."""
    lines = {row[0].lower().rstrip("= "): row[1:] for row in table.preamble if row and row[0].endswith("=")}
    titles = lines.get("channeltitle")
    if titles is None:
        return None
    count = table.width
    ranges = lines.get("unitname") or [cell.rpartition(" ")[2] for cell in lines.get("range", [])]
    names = ["time"] * (count - len(titles)) + titles[:count] if len(titles) < count else titles[:count]
    shift = max(count - len(titles), 0)
    units: list[str | None] = [*(["s"] * shift), *(unit or None for unit in ranges)][:count]
    return names, [*units, *([None] * (count - len(units)))]


def _acqknowledge(table: Text) -> tuple[list[str], list[str | None]] | None:
    """Names and units of a text export of AcqKnowledge: a line with the number of channels, then name and unit of each."""
    flat = [": ".join(filter(None, row)) for row in table.preamble]
    at = next((index for index, line in enumerate(flat) if re.match(r"^\d+ channels?$", line)), None)
    if at is None or len(table.preamble) < 2:
        return None
    count = int(flat[at].split()[0])
    pairs = flat[at + 1 : at + 1 + 2 * count]
    header = _fitted(table.preamble[-1], table)
    if len(pairs) < 2 * count or header is None:
        return None
    titles = dict(enumerate(zip(pairs[::2], pairs[1::2], strict=True)))
    names: list[str] = []
    units: list[str | None] = []
    channel = 0
    for cell in header:
        if times_key(cell)[0] or seconds_per(cell) is not None:
            names.append("time")
            units.append(cell)
        elif cell and channel in titles:
            names.append(titles[channel][0])
            units.append(titles[channel][1])
            channel += 1
        else:
            names.append(cell)
            units.append(None)
    return names, units


__all__ = ["read_table"]

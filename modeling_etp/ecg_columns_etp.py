"""A recording of columns, one per lead, as tables and data frames have them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ecg_channels_etp import check_names
from .ecg_facts_etp import (
    are_counts,
    hertz,
    means_counts,
    seconds_per,
    size_in_millivolts,
    unit_assumed,
    without_marks,
)
from .ecg_rates_etp import RateFacts
from .ecg_recording_etp import EcgContentError, EcgRecording, make_recording
from .ecg_times_etp import layout_to_unit, times_key
from .ecg_units_etp import is_other_quantity, unit_size
from .leads_etp import STANDARD_LEADS, leads_of

_INDEX_NAMES = {"", "sample", "samples", "index", "#", "sample #", "sample_number", "sample number", "sample_no", "sample interval", "n", "nseq", "row", "frame", "no", "nr", "idx", "id", "unnamed: 0", "level_0"}  # fmt: skip
# Units that a name may end in: "II [uV]", "II (uV)", "II/uV", "ECG_I_mV", "ecg [uV]".
_BRACKETED = re.compile(r"^(.*?)\s*[\[(/]\s*([^\[\]()]*?)\s*[\])]?\s*$")
_TRAILING = re.compile(r"^(.+?)[\s_.:-]+([munµμ]?[vV]|[Mm]icrovolts?|[Mm]illivolts?|[Vv]olts?|adu|counts|raw)$")


@dataclass
class Columns:
    """What a table holds.

    Attributes:
        values: Shape `(rows, columns)`, NaN where there is none.
        names: Of the columns, `None` if they have none.
        units: Of the columns, `None` of those that state none.
        rates: What is stated besides: Hz by where it is stated.
        file_format: For the metadata.
        metadata: What else is known.
        notes: What was left out or assumed by now.
        sizes: mV of one count, of columns of which it is known otherwise.
    """

    values: np.ndarray
    names: list[str] | None
    units: list[str | None]
    rates: dict[str, float]
    file_format: str
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def split_unit(name: str) -> tuple[str, str | None]:
    """Name and unit of a column.

    Example:
        >>> split_unit("II [uV]"), split_unit("ECG_I_mV"), split_unit("Temp (degC)"), split_unit("V1")
        (('II', 'uV'), ('ECG_I', 'mV'), ('Temp (degC)', 'degC'), ('V1', None))
    """
    text = name.strip()[:200]
    if leads_of([text])[0]:
        return text, None
    match = _BRACKETED.match(text)
    if match and match[1] and (unit_size(match[2]) or seconds_per(match[2]) or (match[2] and means_counts(match[2]))):
        return match[1], match[2]
    if match and match[1] and match[2] and leads_of([match[1]])[0]:
        return match[1], match[2]
    if match and is_other_quantity(match[2]):
        return text, match[2]
    match = _TRAILING.match(text)
    return (match[1], match[2]) if match else (text, None)


def recording_from_columns(
    table: Columns,
    source: str,
    *,
    sampling_rate: float | None,
    lead_names: Sequence[str] | None,
    units: str | None,
) -> EcgRecording:
    """Make a recording of columns.

    Raises:
        EcgContentError: If the rate or a unit is unknown, facts contradict each other, or times don't advance evenly.
    """
    values, notes = table.values, table.notes
    time_columns, dropped = _special_columns(table)
    if table.names is None and values.shape[1] - len(dropped) != 12 and len(values) == 12:
        raise EcgContentError(
            source, f"12 rows of {values.shape[1]} columns: it looks transposed. Save one row per sample."
        )
    rate, times = _rate(table, source, time_columns, sampling_rate)
    values = values if times is None else times.spread(values)
    notes.extend([] if times is None else times.notes)
    kept = [column for column in range(values.shape[1]) if column not in dropped]
    names, given = _names(table, kept, lead_names, source)
    signal = values[:, kept].T
    scales, marked = np.ones(len(kept)), 0
    called = given or names
    is_lead = [True] * len(kept) if called is None else [bool(lead) for lead in leads_of(called)]
    counts = are_counts(signal[is_lead]) if called is None else None
    for row, column in enumerate(kept):
        if not is_lead[row]:
            continue
        name = called[row] if called is not None else f"column {column + 1}"
        signal[row], count = without_marks(signal[row])
        marked += count
        whole = are_counts(signal[row]) if counts is None else counts
        scales[row] = size_in_millivolts(table.units[column], units, source, counts=whole, what=f" of {name}")
    leads = [row for row, lead in enumerate(is_lead) if lead]
    stated = [table.units[kept[row]] for row in leads]
    notes.extend(unit_assumed(stated, units, None if called is None else [called[row] for row in leads]))
    if marked:
        notes.append(f"{marked} values of {-32768} or the like count as no sample.")
    metadata = {"format": table.file_format, **table.metadata}
    return make_recording(
        source, signal * scales[:, None], [rate] * len(signal), names, metadata, lead_names=given, notes=notes
    )


def _names(table: Columns, kept: list[int], lead_names, source: str) -> tuple[list[str] | None, list[str] | None]:
    """Names of the kept columns, and the caller's for them; he may have named all columns or these."""
    width = table.values.shape[1]
    names = None if table.names is None else [table.names[column] for column in kept]
    given = None if lead_names is None else list(lead_names)
    if given is not None and len(given) == width != len(kept):
        given = [given[column] for column in kept]
    if given is not None and len(given) != len(kept):
        left_out = f", beside {width - len(kept)} of time or numbers" if width > len(kept) else ""
        raise EcgContentError(
            source, f"`lead_names` has {len(given)} names for {len(kept)} columns{left_out}. Name each in order."
        )
    check_names(names, given, source)
    if given is not None or names is None:
        return names, given
    # "ECG I", and a table whose one channel is called like the lead.
    return names, None


def _special_columns(table: Columns) -> tuple[dict[int, str | None], set[int]]:
    """Columns of time with their units, and all columns that are time or a running number."""
    times: dict[int, str | None] = {}
    dropped: set[int] = set()
    if table.names is None:
        kind = first_column_counts(table.values)
        if kind == "number":
            table.notes.append("Left out: its first column, which counts the rows.")
            return {}, {0}
        return ({0: None}, {0}) if kind == "time" else ({}, set())
    known = leads_of(table.names)
    for column, name in enumerate(table.names):
        is_time, unit = times_key(name)
        own = table.units[column]
        if name.strip().lower() in _INDEX_NAMES:
            dropped.add(column)
        elif not known[column] and (is_time or (own and seconds_per(own) and not unit_size(own))):
            times[column] = layout_to_unit(own if own else unit)
    return times, {*times, *dropped}


def first_column_counts(values: np.ndarray) -> str | None:
    """Whether the first of several columns without names is a running "number" or a "time", else `None`."""
    if values.shape[1] < 2 or len(values) < 3:
        return None
    first = values[:, 0]
    if not np.isfinite(first).all():
        return None
    steps = np.diff(first)
    if steps.min() < 0 or first[-1] <= first[0]:
        return None
    if (steps == 1).all() and float(first[0]).is_integer():
        return "number"
    even = np.abs(first - np.linspace(first[0], first[-1], len(first))).max() <= steps.mean()
    return "time" if even else None


def _rate(table: Columns, source: str, time_columns: dict[int, str | None], given: float | None):
    """Hz, and the times if there are any."""
    rates = RateFacts(source)
    for name, rate in table.rates.items():
        rates.add(name, rate)
    for column, unit in time_columns.items():
        name = "its first column" if table.names is None else f"its column {table.names[column]!r}"
        name = "its time column" if name == "its column 'time'" else name
        rates.add_times(name, table.values[:, column], unit)
    decided = rates.decide(
        given, "the sampling rate isn't in the file: it has no column `time`. Pass e.g. `sampling_rate=500` (Hz)."
    )
    table.notes.extend(rates.notes)
    return decided


def rate_in(text: str) -> float | None:
    """The rate that a line such as `sampling rate: 0.5 kHz`, `fs=500` or `1 msec/sample` states, else `None`."""
    found = re.search(
        r"(?:samp\w*[\s_-]*(?:rate|freq\w*)|frequency|\bfs\b|\bsfreq\b|abtastrate|\bfreq\b)[^\d\n+-]{0,25}?"
        r"(\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\s*([a-zA-Z/]*)",
        text,
        re.IGNORECASE,
    )
    if found:
        inside = re.search(r"\(\s*(k?hz)\s*\)|\[\s*(k?hz)\s*\]", found[0], re.IGNORECASE)
        unit = found[2] or (inside and (inside[1] or inside[2])) or ""
        rate = hertz(f"{found[1]} {unit}")
        return rate if rate is not None else hertz(found[1])
    found = re.search(
        r"(\d+(?:[.,]\d+)?)\s*(?:(k?hz|hertz|sps)\b|samples?\s*(?:/|per)\s*s(?:ec(?:onds?)?)?\b)", text, re.IGNORECASE
    )
    if found and not re.search(r"filt|pass|notch|cut|band", text, re.IGNORECASE):
        return hertz(f"{found[1]} {found[2] or 'Hz'}")
    return _rate_of_interval(text)


def _rate_of_interval(text: str) -> float | None:
    found = re.search(
        r"(?:\binterval\b|sampl\w*[\s_-]*(?:interval|period)|\bdt\b|\btime[\s_]*step\b)\D{0,10}?"
        r"(\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?)\s*([a-zA-Zµμ]+)",
        text,
        re.IGNORECASE,
    ) or re.search(r"(\d+(?:[.,]\d+)?)\s*([a-zA-Zµμ]+)\s*(?:/|per)\s*sample", text, re.IGNORECASE)
    scale = seconds_per(found[2]) if found else None
    if not found or scale is None:
        return None
    step = float(found[1].replace(",", ".")) * scale
    return 1 / step if step > 0 else None


__all__ = ["STANDARD_LEADS", "Columns", "rate_in", "recording_from_columns", "split_unit"]

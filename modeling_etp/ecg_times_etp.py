"""Sampling rates from times: which unit a column without one is in, whether it advances evenly, and where it has gaps."""

import re
from typing import Any

import numpy as np

from .ecg_facts_etp import HIGHEST_RATE, LOWEST_RATE, seconds_per
from .ecg_recording_etp import EcgContentError

# Rates by which the unit of times without one is told (Hz).
LOWEST_TIMED, HIGHEST_TIMED = 50.0, 10_000.0
_UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9, "min": 60.0}

# Rows that gaps of missing time may add, per row that there is: a recording that is mostly gap is two recordings.
_MOST_GAPS = 4

_CLOCK = re.compile(
    r"^(?:(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}))?[T ]*"
    r"(?:(\d{1,9}):)?(\d{1,4}):(\d{1,2}(?:[.,:]\d{1,20})?)\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?$",
    re.ASCII | re.IGNORECASE,
)


def clock_seconds(cell: str) -> float | None:
    """Seconds of `"0:01.25"`, `"20:25:06.319"` or `"2021-07-20T20:25:06.319Z"`, `None` if it is no time.

    A date counts as days, so times are told apart across midnight.
    """
    match = _CLOCK.match(cell.strip().strip("[]\"'"))
    if match is None:
        return None
    days = 0
    try:
        if match[1]:
            days = int(np.datetime64(f"{match[1]}-{int(match[2]):02}-{int(match[3]):02}", "D").astype(np.int64))
        elif match[6]:  # day and month may be either way round: only whether the date changes is told by it
            days = int(match[4]) + int(match[5])
    except ValueError:
        return None
    second = match[9].replace(",", ".").replace(":", ".")
    return 86400.0 * days + 3600.0 * int(match[7] or 0) + 60.0 * int(match[8]) + float(second)


def believable_rate(rate: float, what: str, source: str) -> float:
    """The rate, if an ECG can have it.

    Raises:
        EcgContentError: If not, naming the fact.
    """
    if not np.isfinite(rate) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise EcgContentError(
            source,
            f"{what} states a sampling rate of {rate:g} Hz, expected a sampling rate above 0 Hz that an ECG can have, "
            f"{LOWEST_RATE:g} to {HIGHEST_RATE:,.0f} Hz. Pass the right one, e.g. `sampling_rate=500`.",
        )
    return rate


def rate_of_step(step: float, unit: str | None, what: str, source: str) -> tuple[float, str | None]:
    """Hz of a distance between samples, and a note if its unit had to be told by the rate.

    Raises:
        EcgContentError: If the unit is no unit of time, no unit gives a rate that an ECG can have, or two do.
    """
    if unit:
        scale = seconds_per(unit)
        if scale is None:
            raise EcgContentError(
                source, f"{what} is in {unit!r}, no unit of time. Pass the rate, e.g. `sampling_rate=500` (Hz)."
            )
        return believable_rate(1 / (step * scale), what, source), None
    readings = {name: 1 / (step * scale) for name, scale in _UNITS.items()}
    slack = 1e-3
    possible = {
        name: rate
        for name, rate in readings.items()
        if LOWEST_TIMED * (1 - slack) <= rate <= HIGHEST_TIMED * (1 + slack)
    }
    if len(possible) != 1:
        listed = " or ".join(f"{rate:g} Hz in {name}" for name, rate in (possible or readings).items())
        wrong = "which may be" if possible else "which no ECG has:"
        raise EcgContentError(
            source,
            f"{what} has no unit and steps of {step:g}, {wrong} {listed}. Pass the rate, e.g. `sampling_rate=500` (Hz).",
        )
    ((name, rate),) = possible.items()
    note = (
        None if name == "s" else f"{what[:1].upper()}{what[1:]} has no unit; {name} is the one that gives {rate:g} Hz."
    )
    return rate, note


def rate_of_times(times: np.ndarray, unit: str | None, what: str, source: str) -> "Times":
    """What a column of times says; see [`Times`].

    Raises:
        EcgContentError: If the times don't advance from row to row.
    """
    steps = np.diff(times)
    if len(steps) == 0 or not np.isfinite(times).all() or steps.min() < 0 or times[-1] <= times[0]:
        raise EcgContentError(
            source, f"{what} doesn't advance from row to row. Pass the rate instead, e.g. `sampling_rate=500` (Hz)."
        )
    step = (times[-1] - times[0]) / len(steps)
    expected = times[0] + step * np.arange(len(times))
    rows = None
    if np.abs(times - expected).max() > step:
        step, rows = _with_gaps(times, steps, what, source)
    rate, note = rate_of_step(step, unit, what, source)
    return Times(_tidied(rate, times, step), rows, [note] if note else [])


class Times:
    """Sampling rate of times, and where their rows belong if there are gaps.

    Args:
        rate: Hz.
        rows: Position of each row on an even grid, `None` if there are no gaps.
        notes: What was assumed.
    """

    def __init__(self, rate: float, rows: np.ndarray | None, notes: list[str]):
        self.rate = rate
        self.rows = rows
        self.notes = notes

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Values of shape `(rows, columns)` with NaN in the gaps."""
        if self.rows is None:
            return values
        full = np.full((int(self.rows[-1]) + 1, *values.shape[1:]), np.nan)
        full[self.rows] = values
        missing = len(full) - len(values)
        self.notes.append(f"Its times have gaps: {missing} samples ({missing / self.rate:g} s) are missing.")
        return full


def _with_gaps(times: np.ndarray, steps: np.ndarray, what: str, source: str) -> tuple[float, np.ndarray]:
    """The step between samples, and the place of each row on an even grid.

    Raises:
        EcgContentError: If the times fit no grid.
    """
    usual = float(np.median(steps))
    problem = EcgContentError(
        source,
        f"{what} has long gaps or uneven steps, so there is no one sampling rate. Export evenly sampled data, or, if the rows are "
        "evenly sampled and only their times are not, remove that column.",
    )
    if usual <= 0:
        raise problem
    whole = steps[steps < 1.5 * usual]
    step = float(whole.mean())
    rows = np.concatenate([[0.0], np.cumsum(np.round(steps / step))])
    if len(whole) * 2 < len(steps) or (np.diff(rows) < 1).any() or rows[-1] > _MOST_GAPS * len(times):
        raise problem
    # Beside the grid by less than half a step, the drift of a rounded step aside.
    step = float(np.polyfit(rows, times - times[0], 1)[0])
    if np.abs((times - times[0]) - rows * step).max() > 0.5 * step:
        raise problem
    return step, rows.astype(np.int64)


def _tidied(rate: float, times: np.ndarray, step: float) -> float:
    """The rate as a whole number where the digits of the times can't tell it from one.

    10 s in ms at 360 Hz give 359.99 to 360.01 Hz.
    """
    sample = times[:1000] - np.floor(times[0])
    digits = next((k for k in range(12) if np.allclose(sample * 10.0**k, np.round(sample * 10.0**k), atol=1e-3)), 12)
    uncertain = 2 * 10.0**-digits / (times[-1] - times[0]) + 1e-6
    whole = round(rate)
    return float(whole) if whole and abs(rate - whole) <= uncertain * rate else float(rate)


def times_key(name: str) -> tuple[bool, str | None]:
    """Whether a name is that of times, and the unit that is part of it.

    Example:
        >>> times_key("Time (ms)"), times_key("timestamp_ns"), times_key("V1")
        ((True, 'ms'), (True, 'ns'), (False, None))
    """
    text = str(name).strip().lower().strip("'\"")
    match = re.match(
        r"^(?:(?:elapsed|relative|phone|sensor|sample|ecg|epoch|unix)[\s_]*)?"
        r"(?:time[\s_]?stamps?|time|t|zeit|zeitstempel|tid|temps|tiempo|tempo|seconds|secs?|milliseconds|msecs?|ms|"
        r"minutes|min|nanoseconds|microseconds|datetime|date|clock)"
        r"(?:[\s_]*(?:axis|stamp|vector))?\s*(?:[\[(/_,:. -]\s*([^\])]*?)\s*[\])]?)?$",
        text,
    )
    if match is None:
        return False, None
    unit = match[1] or None
    if unit is None:
        unit = next((word for word in (text,) if seconds_per(word) is not None and word not in ("t", "s")), None)
    return (True, unit) if unit is None or seconds_per(unit) or _is_layout(unit) else (False, None)


def _is_layout(unit: str) -> bool:
    """Whether it describes clock times, such as `hh:mm:ss.mmm`."""
    return bool(re.match(r"^[hmsfdy:.,\-/ t]*[:\-/][hmsfdy:.,\-/ t]*$", unit)) or unit in (
        "utc",
        "local",
        "iso",
        "iso8601",
        "clock",
        "z",
    )


def layout_to_unit(unit: Any) -> str | None:
    """The unit of times for [`rate_of_times`]: clock times are in seconds by now."""
    text = str(unit or "").strip().strip("()[]'\"").lower()
    if not text:
        return None
    return text if seconds_per(text) is not None or not _is_layout(text) else "s"

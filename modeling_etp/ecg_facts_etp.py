"""What files and people state about a signal, in whatever words: rates, intervals, units, sizes of a count, names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .ecg_errors_etp import EcgContentError
from .ecg_units_etp import unit_size
from .leads_etp import STANDARD_LEADS, leads_of

# What an ECG can be sampled at (Hz); the feature extractor takes 50 Hz and more.
LOWEST_RATE, HIGHEST_RATE = 20.0, 100_000.0

# WFDB's mark for "no sample" in format 16, which writers of other formats keep, and that of 32 bits.
NO_SAMPLES = (-32768, -2147483648)

_NUMBER = r"([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?)"
_RATE = re.compile(rf"^{_NUMBER}\s*(.*)$", re.DOTALL)
_HERTZ = {
    **dict.fromkeys(("", "hz", "hertz", "sps", "s/s", "1/s", "s-1", "s^-1", "/s", "samples/s", "samples/sec"), 1.0),
    **dict.fromkeys(("samples/second", "samples per second", "samp/s", "sa/s", "per second", "cps"), 1.0),
    **dict.fromkeys(("khz", "kilohertz", "ksps", "1/ms", "samples/ms"), 1e3),
    **dict.fromkeys(("mhz", "megahertz"), 1e6),  # written in lower case it is neither milli nor mega of any recorder
}
SECONDS_PER = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek", "sekunden"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds", "millis"), 1e-3),
    **dict.fromkeys(("us", "usec", "microsecond", "microseconds", "micros"), 1e-6),
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds", "nanos"), 1e-9),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
# Words that say that values are counts of a converter, of a size that isn't stated.
_COUNTS = {"", "adu", "counts", "count", "bit", "bits", "lsb", "raw", "adc", "a.u.", "au", "nu", "digital", "dimensionless", "none", "n/a", "na", "-", "unknown", "?"}  # fmt: skip


def fact_key(name: str) -> str:
    """A name without its case, spaces and signs: `"Sampling_Rate (Hz)"` and `"samplingRateHz"` are one."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def as_plain(value: Any) -> Any:
    """Bytes as text, arrays of one element as that element, arrays of texts as lists of `str`."""
    if isinstance(value, (bytes, bytearray, np.bytes_)):
        return _decoded(bytes(value))
    if isinstance(value, np.ndarray) and value.dtype.kind in "OSU":
        if value.dtype.kind in "SU" and value.ndim and value.size > 1 and value.dtype.itemsize <= 4:
            characters = [as_plain(cell) for cell in value.ravel().tolist()]
            if value.ndim == 2 and value.shape[1] > 1 and all(len(cell) <= 1 for cell in characters):
                return ["".join(c or " " for c in map(as_plain, row)).strip() for row in value.tolist()]
        return as_plain(value.ravel().tolist())
    if isinstance(value, np.ndarray) and value.size == 1:
        return value.item()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        parts = [as_plain(part) for part in value]
        parts = [part[0] if isinstance(part, list) and len(part) == 1 else part for part in parts]
        return parts[0] if len(parts) == 1 else parts
    return value


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def as_texts(value: Any) -> list[str] | None:
    """Strings from a string (names in one are told apart by commas and the like) or a sequence, else `None`."""
    plain = as_plain(value)
    if isinstance(plain, str):
        parts = [part for part in re.split(r"\s*[,;|\t\n]\s*", plain.strip().strip("[](){}")) if part]
        if len(parts) == 1 and all(leads_of(parts[0].split())):
            parts = parts[0].split()
        plain = [part.strip("\"'") for part in parts]
    if isinstance(plain, list) and plain and all(isinstance(part, str) for part in plain):
        return [part.strip().strip("\0") for part in plain]
    return None


def hertz(value: Any) -> float | None:
    """The rate that a number or a text such as `"500 Hz"` or `"0.5 kHz"` states, `None` if it is none.

    Example:
        >>> hertz("0.5 kHz"), hertz("500 samples/s"), hertz("fast")
        (500.0, 500.0, None)
    """
    plain = as_plain(value)
    if isinstance(plain, list) and plain and all(part == plain[0] for part in plain):
        plain = plain[0]
    if isinstance(plain, np.ndarray) and plain.size and plain.dtype.kind in "fiu" and (plain == plain.flat[0]).all():
        plain = plain.flat[0].item()
    if hasattr(plain, "item") and not isinstance(plain, np.ndarray):  # a tensor of one number
        plain = plain.item()
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return float(plain)
    if not isinstance(plain, str) or not (match := _RATE.match(plain.strip())):
        return None
    scale = _HERTZ.get(match[2].strip().strip("()[].").lower())
    return None if scale is None else float(match[1].replace(",", ".")) * scale


def seconds(value: Any, unit: Any = None) -> float | None:
    """An interval such as `0.002` (s unless `unit` says else) or `"2 ms"` in seconds, `None` if it is none."""
    plain = as_plain(value)
    words = as_plain(unit) if unit is not None else "s"
    if isinstance(plain, str):
        match = _RATE.match(plain.strip())
        if not match:
            return None
        plain, words = float(match[1].replace(",", ".")), match[2] or words
    if not isinstance(plain, (int, float)) or isinstance(plain, bool):
        return None
    scale = seconds_per(words)
    return None if scale is None else float(plain) * scale


def seconds_per(unit: Any) -> float | None:
    """How many seconds one `unit` of time is, `None` if it isn't one."""
    return SECONDS_PER.get(str(unit).strip().strip("()[].").lower().replace("µ", "u").replace("μ", "u"))


def means_counts(unit: str | None) -> bool:
    """Whether a unit says no more than that the values are counts: `adu`, `raw`, nothing."""
    return unit is None or unit.strip().lower() in _COUNTS


def are_counts(values: np.ndarray) -> bool:
    """Whether these are whole numbers, whatever their type: counts of a converter or µV, but no mV.

    Args:
        values: Shape `(samples,)` or `(leads, samples)`. A lead that is constant tells nothing.
    """
    for lead in np.atleast_2d(values):
        if lead.dtype.kind in "iu":
            if lead.size and lead.min() != lead.max():
                return True
            continue
        with np.errstate(invalid="ignore"):
            fractional = np.any(np.mod(lead[:50], 1) > 0)
        if fractional:  # which settles nearly all of them at once
            continue
        finite = lead[np.isfinite(lead)]
        if finite.size and finite.min() != finite.max() and not (finite % 1).any():
            return True
    return False


def without_marks(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Whole numbers with `NO_SAMPLES` as NaN, and how many there were."""
    if values.size == 0 or values.dtype.kind not in "iuf" or values.dtype.kind == "u":
        return values, 0
    with np.errstate(invalid="ignore"):
        lowest = float(np.nanmin(values) if values.dtype.kind == "f" and not np.isnan(values).all() else values.min())
    if lowest not in NO_SAMPLES or not are_counts(values):
        return values, 0
    marked = values == lowest
    return np.where(marked, np.nan, values), int(marked.sum())


def stated_rate(sampling_rate: Any, source: str) -> float | None:
    """The caller's `sampling_rate` in Hz, from a number or a text such as `"500 Hz"`.

    Raises:
        EcgContentError: If it is no rate.
    """
    if sampling_rate is None:
        return None
    rate = hertz(sampling_rate)
    if rate is None or not np.isfinite(rate) or rate <= 0:
        raise EcgContentError(
            source,
            f"`sampling_rate` must be a number above 0 (Hz), got {sampling_rate!r}. Pass e.g. `sampling_rate=500`.",
        )
    return rate


def stated_names(lead_names: Any, source: str) -> list[str] | None:
    """The caller's `lead_names` as a list.

    Raises:
        EcgContentError: If it isn't a sequence of names.
    """
    if lead_names is None:
        return None
    if isinstance(lead_names, (str, bytes)):
        raise EcgContentError(
            source,
            f'`lead_names` must be a sequence of names, got the text {lead_names!r}. Pass e.g. `lead_names=["I", "II"]`.',
        )
    names = as_texts(list(lead_names))
    if names is None:
        raise EcgContentError(source, f"`lead_names` must be names, got {lead_names!r}. Pass texts.")
    return names


def stated_unit(units: Any, source: str) -> str | None:
    """The caller's `units`.

    Raises:
        EcgContentError: If it isn't a unit of voltage, with or without a size.
    """
    if units is None:
        return None
    if unit_size(units) is None:
        raise EcgContentError(
            source,
            f'{units!r} is no unit of voltage. Pass `units="mV"`, `units="uV"` or `units="V"`, or the size of one '
            'count, e.g. `units="4.88 uV"` or `units="1/200 mV"`.',
        )
    return units


def size_in_millivolts(
    file_unit: str | None, units: str | None, source: str, *, counts: bool, what: str = ""
) -> float:
    """How many mV one number is, from the file's unit and the caller's.

    Args:
        file_unit: What the file says, `None` if nothing.
        units: What the caller says.
        counts: Whether the values are whole numbers.
        what: Whose unit it is, for errors.

    Raises:
        EcgContentError: If they contradict each other, or neither says what whole numbers are.
    """
    own = unit_size(file_unit)
    given = unit_size(units)
    if own is not None and given is not None and not np.isclose(own, given, rtol=1e-6):
        raise EcgContentError(
            source, f"the file states the unit {file_unit!r}{what}, `units` says {units!r}. Leave `units` out."
        )
    if own is not None:
        return own
    if not means_counts(file_unit):
        raise EcgContentError(
            source,
            f"{file_unit!r}{what} is no unit of voltage. Leave these channels out of the file, or correct the unit.",
        )
    if given is not None:
        return given
    if counts or file_unit:
        called = f" in {file_unit!r}" if file_unit else ""
        raise EcgContentError(
            source,
            f"whole numbers{called} without a unit{what}: they may be µV or counts of any size. Pass the unit or the "
            'size of one count, e.g. `units="uV"` or `units="4.88 uV"`.',
        )
    return 1.0


def unit_assumed(units: Sequence[str | None], given: str | None, names: Sequence[str] | None) -> list[str]:
    """The note that values are taken as mV where nobody states a unit, in a list; empty where nothing is assumed.

    Args:
        units: What the file says of each lead; whole numbers without a unit are refused by [`size_in_millivolts`].
        given: What the caller says.
        names: Of the leads.
    """
    rows = [row for row, unit in enumerate(units) if given is None and unit_size(unit) is None]
    if not rows:
        return []
    whose = (
        f"The values of {', '.join(names[row] for row in rows)}" if names and len(rows) < len(units) else "Its values"
    )
    return [f"{whose} are taken as mV, as no unit is stated."]


def all_leads(texts: Sequence[str] | None) -> bool:
    """Whether most of these names are leads, which names of anything else aren't."""
    if not texts:
        return False
    return 2 * sum(lead in STANDARD_LEADS for lead in leads_of(texts)) >= len(texts)


def one_of(facts: Mapping[str, Any], what: str, source: str) -> Any:
    """The one value that all facts about the same thing have, `None` if there are none.

    Raises:
        EcgContentError: If they differ.
    """
    values = list(facts.values())
    different = [value for value in values[1:] if not _same(value, values[0])]
    if different:
        listed = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}" for name, value in facts.items()
        )
        raise EcgContentError(
            source, f"it states two different {what}: {listed}. Correct the file: keep the right one."
        )
    return values[0] if values else None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-3))
    return bool(one == other)

"""Data frames of pandas, Polars and Arrow as ECGs: a column per lead, a row per sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .ecg_columns_etp import Columns, recording_from_columns, split_unit
from .ecg_facts_etp import all_leads, fact_key, hertz, stated_names, stated_rate, stated_unit
from .ecg_recording_etp import EcgContentError, EcgRecording

_RATE_KEYS = ("fs", "sfreq", "samplingrate", "samplerate", "samplingfrequency", "samplingratehz", "frequency", "freq")


def is_frame(value: Any) -> bool:
    """Whether it is a table of columns with names."""
    return (
        type(value).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow", "modin", "cudf")
        and hasattr(value, "shape")
        and (hasattr(value, "columns") or hasattr(value, "column_names"))
    )


def recording_from_frame(frame: Any, source: str, *, sampling_rate: Any, lead_names: Any, units: Any) -> EcgRecording:
    """Make a recording of a data frame. Times may be a column or the index; `attrs` may state rate and units.

    Raises:
        EcgContentError: If no column holds numbers, or as `recording_from_columns` says.
    """
    stated: dict[str, Any] = {
        "sampling_rate": stated_rate(sampling_rate, source),
        "lead_names": stated_names(lead_names, source),
        "units": stated_unit(units, source),
    }
    return recording_from_columns(_columns(frame, source), source, **stated)


def _columns(frame: Any, source: str) -> Columns:
    index = getattr(frame, "index", None)
    if index is not None and all_leads([str(name) for name in list(index[:20])]) and frame.shape[0] <= 64:
        frame = frame.T  # the rows are named like leads
        index = frame.index
    labels = list(frame.column_names if hasattr(frame, "column_names") else frame.columns)
    counted = bool(labels) and all(isinstance(label, (int, np.integer)) for label in labels)
    called: list[str] = []
    values: list[np.ndarray] = []
    texts: list[str] = []
    if index is not None:
        times = _as_numbers(index)
        name = str(index.name or "time")
        if times is not None and not _counts(times) and (len(times) < 2 or np.ptp(times) > 0):
            called.append(f"{name} [s]" if getattr(index.dtype, "kind", "") in "mM" else name)
            values.append(times)
    for position, label in enumerate(labels):
        column = frame.iloc[:, position] if hasattr(frame, "iloc") else frame[label]
        numbers = _as_numbers(column)
        name = " ".join(map(str, label)) if isinstance(label, tuple) else str(label)
        if numbers is None:
            texts.append(name)
            continue
        is_time = getattr(getattr(column, "dtype", None), "kind", "") in "mM"
        called.append(f"time [s] {name}" if is_time and not counted else name)
        called[-1] = "time [s]" if is_time else called[-1]
        values.append(numbers)
    if not values:
        raise EcgContentError(
            source,
            f"a data frame without a column of numbers; its columns are {[str(label) for label in labels][:20]}. If one holds "
            "paths, pass that column as a list.",
        )
    notes = [f"Left out, as they hold no numbers: {', '.join(texts)}."] if texts else []
    split = [split_unit(name) for name in called]
    names = [name for name, _ in split]
    units: list[str | None] = [unit for _, unit in split]
    attributes = getattr(frame, "attrs", None) or {}
    rates = {
        f"attrs[{key!r}]": rate
        for key, value in attributes.items()
        if fact_key(key) in _RATE_KEYS and (rate := hertz(value))
    }
    own = next((value for key, value in attributes.items() if fact_key(key) in ("units", "unit")), None)
    if isinstance(own, Mapping):
        units = [unit or own.get(name) for name, unit in zip(names, units, strict=True)]
    elif isinstance(own, str):
        units = [unit or own for unit in units]
    table = np.column_stack(values)
    return Columns(
        table, None if counted and len(called) == len(labels) else names, units, rates, "data frame", {}, notes
    )


def _as_numbers(column: Any) -> np.ndarray | None:
    """Values as float64, times in seconds, `None` if they are neither."""
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    if kind in ("M", "m"):
        kinds = np.asarray(column).astype("datetime64[ns]" if kind == "M" else "timedelta64[ns]").astype(np.int64)
        return (kinds - kinds[0]) / 1e9 if len(kinds) else kinds.astype(np.float64)
    try:
        values = (
            column.to_numpy(dtype=np.float64, na_value=np.nan)
            if hasattr(column, "to_numpy") and kind
            else np.asarray(column)
        )
        if np.asarray(values).dtype.kind in "USb" or kind in ("b", "U", "S"):
            return None
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _counts(times: np.ndarray) -> bool:
    """Whether an index only counts the rows."""
    return len(times) < 2 or bool((np.diff(times) == 1).all())


__all__ = ["is_frame", "recording_from_frame"]

"""Text exports whose layout says what they are: the Apple Watch's and OpenSignals'."""

import json
import re

import numpy as np

from .ecg_columns_etp import Columns
from .ecg_recording_etp import EcgContentError, EcgCorruptError
from .ecg_table_text_etp import Text, number
from .ecg_table_text_etp import numbers as read_numbers
from .ecg_units_etp import unit_size
from .leads_etp import STANDARD_LEADS, canonical_lead

# A watch export starts with lines such as `Sample Rate,512 hertz`; it has nine of them and a name for each.
_FEWEST_LINES, _MOST_LINES = 3, 40
_WATCH_RATE = re.compile(r"^(\d{2,5}(?:[.,]\d+)?)\s*([^\W\d_]+\.?)$")
_QUOTES = "\"' ,\u201e\u201c\u201d\u201a\u2018\u2019"
_ONE_VALUE = re.compile(r"^\s*\"?\s*[-+\u2212]?\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?\s*\"?\s*[,;]?\s*$")

# mV = (count / 2^bits - 1/2) * supply / gain * 1000, from the data sheets of the ECG sensors of PLUX.
_PLUX = {"bitalino": (3.3, 1100.0), "biosignalsplux": (3.0, 1000.0)}


def read_watch(text: str, source: str) -> Columns | None:
    """One value a line under lines of `label,value` in any language, `None` if the text is no such export.

    Raises:
        EcgContentError: If it is one and doesn't say its unit.
    """
    lines = [line for line in text.split("\n", _MOST_LINES + 1)[: _MOST_LINES + 1]]
    stripped = [line.strip() for line in lines]
    start = next((index for index, line in enumerate(stripped) if line and _ONE_VALUE.match(line)), None)
    if start is None or start > _MOST_LINES:
        return None
    head = [re.split(r"[,;\t]", line, maxsplit=1) for line in stripped[:start] if line]
    if len(head) < _FEWEST_LINES or any(len(parts) != 2 or not re.search(r"[^\W\d_]", parts[0]) for parts in head):
        return None
    facts = [(label.strip("\"' "), value.strip(_QUOTES)) for label, value in head]
    unit = next((value for _, value in facts if unit_size(value) is not None), None)
    rates = [
        (label, float(match[1].replace(",", ".")))
        for label, value in facts
        if (match := _WATCH_RATE.match(value.replace("\xa0", " "))) and unit_size(match[2]) is None
    ]
    if unit is None and not rates:
        return None
    body = [line for line in text.split("\n")[start:] if line.strip()]
    values = _values(body, start, source)
    if unit is None:
        raise EcgContentError(
            source, f"its lines before the numbers state no unit of voltage ({facts[-1]}). Export it again."
        )
    notes = []
    lead = next((word for _, value in reversed(facts) if (word := _lead_in(value))), None)
    device = next((value for _, value in facts if re.match(r"Watch\d", value)), None)
    if lead is None and device is not None:
        lead = "I"
        notes.append(f"Taken for lead I, which is what a watch records ({device}).")
    # A frequency is what comes last with a number and a word; the version before it has no word.
    stated = {f"its line {label!r}": rate for label, rate in rates[-1:]}
    return Columns(values[:, None], [lead or "value"], [unit], stated, "CSV", {}, notes)


def _values(body: list[str], start: int, source: str) -> np.ndarray:
    values = np.empty(len(body))
    for index, line in enumerate(body):
        cell = line.strip(' \t",;').replace(",", ".").replace("\u2212", "-")
        value = number(cell, False)
        if value is None:
            raise EcgCorruptError(
                source,
                f"value {index + 1} after line {start}: expected one number a line, got {line.strip()[:40]!r}."
                " Export it again.",
            )
        values[index] = value
    return values


def _lead_in(value: str) -> str | None:
    """The lead that the last or first word of a text names, such as `Lead I`, `Ableitung I` or `I誘導`."""
    words = [
        word
        for word in re.split(r"[\s_:.-]+|(?<=[a-zA-Z])(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])(?=[a-zA-Z])", value)
        if word
    ]
    for word in (value, *(words[-1:] + words[:1] if 1 < len(words) <= 4 else words[:1])):
        if (lead := canonical_lead(word)) in STANDARD_LEADS:
            return lead
    return None


def read_opensignals(table: Text, source: str) -> Columns | None:
    """A recording of PLUX's OpenSignals, `None` if the comments aren't its header.

    Its header is JSON: by device, the names of the columns, the sampling rate, the bits of each channel and the sensor
    behind it.

    Raises:
        EcgCorruptError: If the header is damaged.
        EcgContentError: If it holds no ECG or several devices.
    """
    if not any("opensignals" in comment.lower() for comment in table.comments):
        return None
    packed = next((comment for comment in table.comments if comment.startswith("{")), None)
    try:
        devices = json.loads(packed or "")
        facts = next(iter(devices.values()))
        columns, sensors, labels = ([str(name) for name in facts[key]] for key in ("column", "sensor", "label"))
        rate, bits = float(facts["sampling rate"]), [int(value) for value in facts["resolution"]]
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise EcgCorruptError(
            source, f"damaged header of OpenSignals ({type(error).__name__}: {error}). Export it again."
        ) from error
    if len(devices) > 1:
        raise EcgContentError(source, f"it holds {len(devices)} devices: {', '.join(devices)}. Export one.")
    wanted = [(label, sensor) for label, sensor in zip(labels, sensors, strict=False) if label in columns]
    ecgs = {label for label, sensor in wanted if re.match(r"(?i)e[ck]g", sensor)} or {
        label for label, sensor in wanted if sensor.lower() in ("raw", "rawbit", "custom", "unknown")
    }
    columns += [""] * (table.width == len(columns) + 1)  # rows end with a tab
    if not ecgs or len(columns) != table.width:
        raise EcgContentError(
            source,
            f"OpenSignals with the sensors {sensors} and the columns {columns}: no ECG among them. Export the ECG.",
        )
    values, _ = read_numbers(table, columns, source)
    kept = [index for index, name in enumerate(columns) if name in ecgs]
    notes = (
        [f"Left out: {', '.join(name for name in columns if name and name not in ecgs)}."]
        if len(kept) < len(columns)
        else []
    )
    values = values[:, kept]
    units: list[str | None] = [None] * len(kept)
    named = dict(wanted)
    device = str(facts.get("device", "")).lower()
    plux = next((size for name, size in _PLUX.items() if device.startswith(name)), None)
    offsets = len(bits) - len(labels)
    for at, index in enumerate(kept):
        name = columns[index]
        if plux and re.match(r"(?i)e[ck]g", named[name]) and len(bits) >= len(labels):
            depth = bits[labels.index(name) + offsets]
            values[:, at] = (values[:, at] / 2.0**depth - 0.5) * plux[0] / plux[1] * 1e3
            units[at] = "mV"
            notes.append(
                f"{name} is converted to mV by the sensor's data sheet: {depth} bits, {plux[0]:g} V, gain {plux[1]:g}."
            )
    called = [
        name if canonical_lead(name) else f"{name} ({named[name]})" for name in (columns[index] for index in kept)
    ]
    return Columns(values, called, [*units], {"its header": rate}, "OpenSignals", {}, notes)


__all__ = ["read_opensignals", "read_watch"]

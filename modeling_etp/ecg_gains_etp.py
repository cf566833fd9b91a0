"""Numbers as mV: units per lead, gains, sizes of a count and offsets that stand beside a signal."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .ecg_facts_etp import are_counts, as_plain, means_counts, size_in_millivolts, unit_assumed
from .ecg_recording_etp import EcgContentError
from .ecg_units_etp import unit_size

# Counts per unit, as WFDB says it; and units per count.
GAIN_KEYS = {"gain", "gains", "adcgain", "adcgains", "siggain", "adugain", "ampgain", "aduspermv", "adupermv", "countspermv", "adu", "aduperunit", "lsbpermv"}  # fmt: skip
SIZE_KEYS = {"resolution", "lsb", "lsbsize", "scale", "scaling", "scalefactor", "unitsperbit", "unitspercount", "amplituderesolution", "conversionfactor", "mvperbit", "mvpercount", "uvperbit", "uvpercount", "uvperlsb", "mvperlsb", "uvperadu", "mvperadu", "bitvolts", "sensitivity"}  # fmt: skip
OFFSET_KEYS = {"baseline", "baselines", "adczero", "adczeros", "offset", "offsets", "zero", "dcoffset"}

# Between these lies the typical amplitude of an ECG (mV): the 95th percentile of the distance from the median.
_LOWEST_MV, _HIGHEST_MV = 0.02, 10.0


def in_millivolts(
    signal: np.ndarray,
    file_units: Sequence[str | None],
    units: str | None,
    scaling: dict[str, dict[str, Any]],
    is_physical: bool,
    source: str,
    names: Sequence[str] | None,
    notes: list[str],
) -> np.ndarray:
    """Make a signal into mV.

    Args:
        signal: Shape `(leads, samples)`.
        file_units: What the file says of each lead.
        units: What the caller says.
        scaling: `gain`, `size` and `offset`, each with what the file says under which name.
        is_physical: Whether the file says that its gains have been applied.
        names: Of the leads, for errors.
        notes: Receives what was assumed.

    Raises:
        EcgContentError: If a unit or a gain isn't understood, or they contradict each other.
    """
    gains, sizes, offsets = (
        _per_lead(scaling[kind], kind, len(signal), source) for kind in ("gain", "size", "offset")
    )
    counts = are_counts(signal)
    stated = {**scaling["gain"], **scaling["size"], **scaling["offset"]}
    if gains is not None and sizes is not None:
        raise EcgContentError(source, f"it states {_listed(stated)}, of which one is enough. Keep the right one.")
    factors: np.ndarray | None = None if gains is None else 1 / gains
    factors = factors if sizes is None else sizes
    if factors is not None and np.allclose(factors, 1) and (offsets is None or not offsets.any()):
        factors, stated = None, {}
    if factors is None and offsets is not None and not offsets.any():
        stated = {}
    if stated and (is_physical or (not counts and any(unit_size(unit) for unit in (*file_units, units)))):
        notes.append(f"Not applied, as the values are no counts any more: {_listed(stated)}.")
        factors = None
    elif stated and (factors is None or not counts):
        raise EcgContentError(
            source,
            f"it states {_listed(stated)}, and it isn't clear what of it the values still need. Save them in mV; if "
            'they are, pass `units="mV"`.'
            if not counts
            else f"it states {_listed(stated)} without a gain. Save the values in mV.",
        )
    scales = _scales(signal, file_units, units, factors, stated, source, names, counts)
    values = (
        signal * scales[:, None]
        if offsets is None or factors is None
        else (signal - offsets[:, None]) * scales[:, None]
    )
    if factors is None:
        notes.extend(unit_assumed(file_units, units, names))
    else:
        _check_typical(values, stated, source)
        assumed = units is None and not any(_unit_in(key) for key in stated) and not any(map(unit_size, file_units))
        notes.append(
            f"Applied to whole numbers: {_listed(stated)}{'; mV is assumed, as no unit is stated' if assumed else ''}."
        )
    return values


def _scales(signal, file_units, units, factors, stated, source, names, counts) -> np.ndarray:
    per_count = next((unit for key in stated if (unit := _unit_in(key))), None)
    scales = np.ones(len(signal))
    for index in range(len(signal)):
        unit = file_units[index]
        what = f" of {names[index]}" if names is not None and len(set(file_units)) > 1 else ""
        if factors is None:
            whole = counts if names is None else are_counts(signal[index])
            scales[index] = size_in_millivolts(unit, units, source, counts=whole, what=what)
        else:
            if per_count is None and means_counts(unit) and units is None:
                unit = "mV"
            own = per_count if per_count is not None else unit
            scales[index] = factors[index] * size_in_millivolts(own, units, source, counts=False, what=what)
    return scales


def _unit_in(key: str) -> str | None:
    """The unit that is part of a name such as `uv_per_bit` or `adu_per_mv`."""
    match = re.search(r"(?:^|[^a-z])([munµ]?v)(?:[^a-z]|$)", key.lower())
    if match:
        return match[1]
    return next((unit for unit in ("uv", "mv") if re.search(rf"per_?{unit}$|^{unit}_?per", key.lower())), None)


def _per_lead(facts: dict[str, Any], kind: str, count: int, source: str) -> np.ndarray | None:
    found = []
    for name, value in facts.items():
        plain = as_plain(value)
        if isinstance(plain, str):
            plain = _in_text(plain)
        try:
            numbers = np.asarray(plain, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if (
            len(numbers) not in (1, count)
            or not np.isfinite(numbers).all()
            or (kind != "offset" and (numbers <= 0).any())
        ):
            raise EcgContentError(
                source,
                f"its {name!r} is {str(value)[:60]}, expected numbers{'' if kind == 'offset' else ' above 0'}, one or "
                f"{count}. Correct it, or save the values in mV without it.",
            )
        found.append(np.broadcast_to(numbers, count))
    if any(not np.allclose(other, found[0]) for other in found[1:]):
        raise EcgContentError(source, f"it states two different {kind}s: {_listed(facts)}. Keep the right one.")
    return found[0] if found else None


def _in_text(text: str) -> Any:
    match = re.match(
        r"^\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(?:(?:adu|counts?|lsb|bits?)?\s*/\s*mV)?\s*$", text, re.IGNORECASE
    )
    return float(match[1]) if match else text


def _check_typical(values: np.ndarray, stated: dict[str, Any], source: str) -> None:
    finite = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(all="ignore"):
        centred = np.abs(finite - np.nanmedian(finite, axis=1, keepdims=True))
        typical = float(np.nanmedian(np.nanpercentile(centred, 95, axis=1)))
    if typical and not _LOWEST_MV <= typical <= _HIGHEST_MV:
        raise EcgContentError(
            source,
            f"with {_listed(stated)} its amplitude is {typical:.3g} mV, which no ECG has. Correct it, or save the values "
            "in mV without it.",
        )


def _listed(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name!r} {str(as_plain(value))[:40]}" for name, value in facts.items())

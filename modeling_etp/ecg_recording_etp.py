"""What every ECG file reader returns and raises."""

import importlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from .ecg_channels_etp import LeadChoice, choose_leads
from .ecg_checks_etp import unusual_amplitude
from .ecg_errors_etp import (
    EcgContentError,
    EcgCorruptError,
    EcgDependencyError,
    EcgFileError,
    EcgFileNotFoundError,
    EcgFormatError,
    EcgUnsafeError,
)
from .ecg_units_etp import is_other_quantity, millivolts_per
from .leads_etp import LIMB_LEADS, STANDARD_LEADS, contradicting_limb_leads, limb_lead_weights
from .resampling_etp import resample_with_gaps

# Values (leads x samples) that a compressed file may unfold to: 55 minutes of 12 leads at 500 Hz. What an uncompressed
# file declares is checked against its real size instead, so its length isn't limited.
MAX_UNPACKED_VALUES = 20_000_000


@dataclass
class EcgRecording:
    """One ECG as a file holds it.

    Attributes:
        signal: Shape `(leads, samples)`, float32, mV. NaN where the file says that there is no sample.
        sampling_rate: Hz.
        lead_names: One name per row, spelled as in `STANDARD_LEADS` where it is one of them.
        metadata: What the file says besides: `format`, and where given `age` (years), `sex` ("male" or "female"),
            `record_id`, `comments`, `dropped_channels` (names of channels that are no ECG leads) and others.
        notes: Short sentences on what was left out, assumed, joined, cut, padded, masked or resampled; empty where
            nothing was.
    """

    signal: np.ndarray
    sampling_rate: int | float
    lead_names: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def optional_module(name: str, source: str | os.PathLike) -> ModuleType:
    """Import a package that only one file format needs.

    Through `importlib`, because an `import` statement would make the package a requirement of every checkpoint that
    carries this code.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        distribution = {"pdfminer": "pdfminer.six"}.get(package, package)
        raise EcgDependencyError(
            source, f"this format is read by {package}, which is not installed: pip install {distribution}."
        ) from error


@contextmanager
def errors_named(source: str | os.PathLike, library: str) -> Iterator[None]:
    """Turn whatever a library runs into on malformed input, warnings aside, into an error that names the file."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except EcgFileError:
        raise
    except Exception as error:
        raise EcgCorruptError(
            source, f"{library} can't read it ({type(error).__name__}: {str(error)[:200]}). Fetch or export it again."
        ) from error


def tidy_rate(rate: float, source: str | os.PathLike) -> int | float:
    """The sampling rate in Hz as an `int` where it is whole; raises if it isn't a rate."""
    if not np.isfinite(rate) or rate <= 0:
        raise EcgContentError(source, f"expected a sampling rate above 0 Hz, the file states {rate}.")
    return int(rate) if float(rate).is_integer() else float(rate)


def age_in_years(value: Any) -> int | None:
    """Age as a whole number of years, `None` where it isn't stated or isn't one."""
    try:
        age = float(value)
    except (TypeError, ValueError):
        return None
    return int(age) if 0 <= age < 150 else None  # also refuses NaN, which files write for "unknown"


def sex_name(value: Any) -> str | None:
    """`"male"` or `"female"` from the spellings that files use, else `None`."""
    return {"m": "male", "male": "male", "f": "female", "female": "female"}.get(str(value).strip().lower())


def recording_of(
    source: str | os.PathLike,
    choice: LeadChoice,
    signals: Sequence[np.ndarray] | np.ndarray,
    rates: Sequence[float],
    metadata: Mapping[str, Any],
    *,
    gains: Sequence[float] = (),
    notes: Sequence[str] = (),
) -> EcgRecording:
    """Hold the chosen leads to what a recording must be.

    Args:
        signals: One array of samples per lead of `choice`, mV.
        rates: Hz, one per lead. Leads of a lower rate are resampled to the highest.
        gains: mV per stored unit of each lead, where the file states them.
        notes: What the reader has to say beside the choice.

    Raises:
        EcgContentError: If lengths differ, there is no sample, or a value is infinite.
    """
    signals, resampled = _at_one_rate(source, choice.lead_names, signals, rates)
    _check_equal(source, "numbers of samples", choice.lead_names, [len(samples) for samples in signals])
    signal = np.asarray(signals, dtype=np.float32)
    if signal.shape[1] == 0:
        raise EcgContentError(source, "it holds no samples. Export the record again.")
    _check_not_infinite(source, signal, choice.lead_names)
    metadata = dict(metadata)
    if choice.dropped:
        metadata["dropped_channels"] = list(choice.dropped)
    notes = (*notes, *choice.notes, *resampled)
    if len(set(gains)) > 1 and (wrong := contradicting_limb_leads(choice.lead_names, list(signal), gains)):
        notes += (
            f"{', '.join(wrong)} contradict each other under the gains that the file states and agree under one common "
            "gain: at least one gain is wrong.",
        )
    rate = tidy_rate(max(rates), source)
    if (amplitude := unusual_amplitude(signal, rate)) is not None:
        notes += (f"Its amplitude, {amplitude:.2g} mV, is one that hardly any ECG has: check its gain and unit.",)
    return EcgRecording(signal, rate, choice.lead_names, metadata, notes)


def make_recording(
    source: str | os.PathLike,
    channels: Sequence[np.ndarray] | np.ndarray,
    rates: Sequence[float],
    names: Sequence[str] | None,
    metadata: Mapping[str, Any],
    *,
    lead_names: Sequence[str] | None = None,
    gains: Sequence[float] = (),
    notes: Sequence[str] = (),
) -> EcgRecording:
    """Keep the ECG leads among the channels of a file and hold them to what a recording must be.

    Args:
        channels: One array of samples per channel, mV.
        rates: Hz, one per channel.
        names: What the file calls its channels; `None` if it doesn't say, then twelve of them are `STANDARD_LEADS`.
        lead_names: The caller's names, which override those of the file.
        gains: mV per stored unit of each channel, where the file states them.
        notes: What the reader has to say about what it left out, assumed, joined or cut. What is left out or assumed
            here is added.

    Raises:
        EcgContentError: If no channel is a lead, a lead comes twice, lengths differ, or a value is infinite.
    """
    choice = choose_leads(source, names, ["mV"] * len(channels), lead_names=lead_names)
    if len(choice.rows) < len(channels) or not isinstance(channels, np.ndarray):
        channels = [channels[row] for row in choice.rows]
    gains = [gains[row] for row in choice.rows] if len(gains) else ()
    rates = [rates[row] for row in choice.rows]
    return recording_of(source, choice, channels, rates, metadata, gains=gains, notes=notes)


def with_derived_leads(recording: EcgRecording) -> EcgRecording:
    """Add the limb leads that a format doesn't store because they follow from two others, in the standard order."""
    limbs = [name for name in recording.lead_names if name in LIMB_LEADS]
    derived = [name for name in LIMB_LEADS if name not in limbs]
    if len(limbs) < 2 or not derived:
        return recording
    rows = recording.signal[[recording.lead_names.index(name) for name in limbs]]
    signals = dict(zip(recording.lead_names, recording.signal, strict=True))
    for name in derived:
        signals[name] = (limb_lead_weights(name, limbs) @ rows).astype(np.float32)
    names = sorted(
        signals, key=lambda name: STANDARD_LEADS.index(name) if name in STANDARD_LEADS else len(STANDARD_LEADS)
    )
    return replace(
        recording,
        signal=np.stack([signals[name] for name in names]),
        lead_names=tuple(names),
        metadata={**recording.metadata, "derived_leads": derived},
        notes=(*recording.notes, f"Derived from {', '.join(limbs)}: {', '.join(derived)}."),
    )


def _at_one_rate(source, names: Sequence[str], signals, rates: Sequence[float]) -> tuple[Any, list[str]]:
    different = {tidy_rate(rate, source) for rate in set(rates)}
    if len(different) == 1:
        return signals, []
    highest = max(different)
    lower = sorted(different - {highest})
    factors = {rate: Fraction(highest / rate).limit_denominator(1000) for rate in lower}
    if any(abs(float(factor) * rate / highest - 1) > 1e-6 for rate, factor in factors.items()):
        _check_equal(source, "sampling rates (Hz)", names, rates)
    signals = [
        resample_with_gaps(np.asarray(samples), factors[rate]) if rate in factors else samples
        for samples, rate in zip(signals, rates, strict=True)
    ]
    lengths = [len(samples) for samples in signals]
    if max(lengths) - min(lengths) <= max(factors.values()):  # less than one sample of the lower rate
        signals = [samples[: min(lengths)] for samples in signals]
    return signals, [
        f"Resampled from {rate:g} to {highest:g} Hz: "
        f"{', '.join(name for name, own in zip(names, rates, strict=True) if own == rate)}."
        for rate in lower
    ]


def _check_equal(source, what: str, names: Sequence[str], values: Sequence[float]) -> None:
    if len(set(values)) > 1:
        pairs = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        raise EcgContentError(source, f"its leads have different {what}: {pairs}. Export them with one for all.")


def _check_not_infinite(source, signal: np.ndarray, names: Sequence[str]) -> None:
    # One sum is finite unless a value is NaN (allowed) or infinite, so most recordings pay a single pass.
    if np.isfinite(signal.sum(dtype=np.float64)):
        return
    infinite = [name for name, lead in zip(names, signal, strict=True) if np.isinf(lead).any()]
    if infinite:
        raise EcgContentError(
            source, f"infinite values in lead(s) {', '.join(infinite)}. Mark missing samples as NaN, or export again."
        )


__all__ = [
    "MAX_UNPACKED_VALUES",
    "EcgContentError",
    "EcgCorruptError",
    "EcgDependencyError",
    "EcgFileError",
    "EcgFileNotFoundError",
    "EcgFormatError",
    "EcgRecording",
    "EcgUnsafeError",
    "LeadChoice",
    "age_in_years",
    "choose_leads",
    "errors_named",
    "is_other_quantity",
    "make_recording",
    "millivolts_per",
    "optional_module",
    "recording_of",
    "sex_name",
    "tidy_rate",
    "with_derived_leads",
]

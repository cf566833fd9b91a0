"""What every ECG file reader returns and raises."""

import importlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from .leads_etp import LIMB_LEADS, STANDARD_LEADS, canonical_lead, limb_lead_weights

# Values (leads x samples) that a compressed file may unfold to: 55 minutes of 12 leads at 500 Hz. What an uncompressed
# file declares is checked against its real size instead, so its length isn't limited.
MAX_UNPACKED_VALUES = 20_000_000

_VOLTS = {"v": 1.0, "mv": 1e-3, "uv": 1e-6, "nv": 1e-9}
_UNIT_WORDS = {"volt": "v", "volts": "v", "millivolt": "mv", "millivolts": "mv", "microvolt": "uv", "microvolts": "uv"}


class EcgFileError(ValueError):
    """An ECG file that can't be used.

    ```
    EcgFileError(ValueError)
    ├── EcgFileNotFoundError   nothing at that path, or a header names a file that isn't there
    ├── EcgFormatError         no reader knows this content, or it is a variant that isn't supported
    ├── EcgCorruptError        truncated, malformed, or the checksum is wrong
    ├── EcgUnsafeError         reaches outside its folder, or would unfold to more than fits
    ├── EcgContentError        well-formed, but not a usable ECG: duplicate leads, zero gain, mixed rates, no rate
    └── EcgDependencyError     the package that reads this format isn't installed
    ```

    Args:
        source: Path or description of the file.
        problem: What was expected and what came, and what to do about it. Quoted from the file, it may hold what a
            terminal would obey: that is escaped here, for everybody who shows or logs the error.
    """

    def __init__(self, source: str | os.PathLike, problem: str):
        self.source = str(source)
        self.problem = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(problem.split()))
        super().__init__(f"{source}: {self.problem}")

    def __reduce__(self):  # an exception raised in a worker process has to cross back
        return type(self), (self.source, self.problem)


class EcgFileNotFoundError(EcgFileError): ...


class EcgFormatError(EcgFileError): ...


class EcgCorruptError(EcgFileError): ...


class EcgUnsafeError(EcgFileError): ...


class EcgContentError(EcgFileError): ...


class EcgDependencyError(EcgFileError): ...


@dataclass
class EcgRecording:
    """One ECG as a file holds it.

    Attributes:
        signal: Shape `(leads, samples)`, float32, mV. NaN where the file says that there is no sample.
        sampling_rate: Hz.
        lead_names: One name per row, spelled as in `STANDARD_LEADS` where it is one of them.
        metadata: What the file says besides: `format`, and where given `age` (years), `sex` ("male" or "female"),
            `record_id`, `comments`, `dropped_channels` (names of channels that are no ECG leads) and others.
    """

    signal: np.ndarray
    sampling_rate: int | float
    lead_names: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def optional_module(name: str, source: str | os.PathLike) -> ModuleType:
    """Import a package that only one file format needs.

    Through `importlib`, because an `import` statement would make the package a requirement of every checkpoint that
    carries this code.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise EcgDependencyError(
            source, f'this format is read by {package}, which is not installed: pip install "etp-ecg[files]".'
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


def millivolts_per(unit: str | None) -> float | None:
    """How many mV one `unit` is, `None` if it isn't a unit of voltage.

    Example:
        >>> millivolts_per("µV"), millivolts_per("mmHg")
        (0.001, None)
    """
    if not isinstance(unit, str):
        return None
    key = unit.strip().lower().replace("µ", "u").replace("μ", "u")
    volts = _VOLTS.get(_UNIT_WORDS.get(key, key))
    return None if volts is None else volts * 1e3


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


def make_recording(
    source: str | os.PathLike,
    channels: Sequence[np.ndarray] | np.ndarray,
    rates: Sequence[float],
    names: Sequence[str] | None,
    metadata: Mapping[str, Any],
    *,
    lead_names: Sequence[str] | None = None,
) -> EcgRecording:
    """Keep the ECG leads among the channels of a file and hold them to what a recording must be.

    Args:
        channels: One array of samples per channel, mV.
        rates: Hz, one per channel.
        names: What the file calls its channels; `None` if it doesn't say, then twelve of them are `STANDARD_LEADS`.
        lead_names: The caller's names, which override those of the file.

    Raises:
        EcgContentError: If no channel is a lead, a lead comes twice, rates or lengths differ, or a value is infinite.
    """
    names = _channel_names(source, len(channels), names, lead_names)
    leads = [canonical_lead(name) for name in names]
    if not any(leads):
        raise EcgContentError(
            source,
            f"none of its channels is an ECG lead ({_listed(names)}). If they are leads under other names, "
            f"pass their names in order as `lead_names`, e.g. {list(STANDARD_LEADS)}.",
        )
    kept = [index for index, lead in enumerate(leads) if lead]
    kept_names = tuple(lead for lead in leads if lead)
    repeated = sorted({name for name in kept_names if kept_names.count(name) > 1})
    if repeated:
        raise EcgContentError(
            source,
            f"lead(s) {', '.join(repeated)} occur more than once among its channels ({_listed(names)}). "
            "Keep one of each, or tell them apart with `lead_names`.",
        )
    _check_equal(source, "sampling rates (Hz)", kept_names, [rates[index] for index in kept])
    _check_equal(source, "numbers of samples", kept_names, [len(channels[index]) for index in kept])
    if isinstance(channels, np.ndarray) and len(kept) == len(leads):
        signal = np.asarray(channels, dtype=np.float32)
    else:
        signal = np.array([channels[index] for index in kept], dtype=np.float32)
    if signal.shape[1] == 0:
        raise EcgContentError(source, "it holds no samples. Export the record again.")
    _check_not_infinite(source, signal, kept_names)
    metadata = dict(metadata)
    if len(kept) < len(leads):
        metadata["dropped_channels"] = [name for name, lead in zip(names, leads, strict=True) if not lead]
    return EcgRecording(signal, tidy_rate(rates[kept[0]], source), kept_names, metadata)


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
    metadata = {**recording.metadata, "derived_leads": derived}
    return EcgRecording(np.stack([signals[name] for name in names]), recording.sampling_rate, tuple(names), metadata)


def _channel_names(source, count: int, names: Sequence[str] | None, lead_names: Sequence[str] | None) -> list[str]:
    if lead_names is not None:
        if len(lead_names) != count:
            raise EcgContentError(
                source, f"`lead_names` has {len(lead_names)} names, the file has {count} channels. Name each channel."
            )
        return [str(name) for name in lead_names]
    if names is not None:
        return list(names)
    if count == len(STANDARD_LEADS):
        return list(STANDARD_LEADS)
    raise EcgContentError(
        source, f"it has {count} channels and doesn't name them. Pass their names in order as `lead_names`."
    )


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


def _listed(names: Sequence[str], limit: int = 20) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    return shown + (f", … {len(names)} in all" if len(names) > limit else "")
